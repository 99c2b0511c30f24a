//! Received messages nothing is done with: counted for the metrics, and each reason said once.
//!
//! SQS hands such a message out again when its visibility ends, and moves it to the dead-letter queue after max
//! receives. A server that sends one sends many, so the log gets one line per reason and the metric the number.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::ports::LeftOut;

const REASONS: usize = LeftOut::ALL.len();

/// What one queue's messages were left out for.
#[derive(Debug, Default)]
pub(super) struct Omissions {
    /// Since they were last taken, in the order of [`LeftOut::ALL`].
    counts: [AtomicU64; REASONS],
    said: [AtomicBool; REASONS],
}

impl Omissions {
    /// So many messages of `queue` were left out.
    pub(super) fn note(&self, queue: &str, why: LeftOut, messages: u64) {
        let index = why.index();
        let (Some(count), Some(said)) = (self.counts.get(index), self.said.get(index)) else { return };
        if messages == 0 {
            return;
        }
        count.fetch_add(messages, Ordering::Relaxed);
        if !said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                queue,
                messages,
                reason = why.label(),
                "a received message was left out: {}; SQS hands it out again (said once, then only counted)",
                why.words()
            );
        }
    }

    /// What was left out since the last time.
    pub(super) fn take(&self) -> Vec<(LeftOut, u64)> {
        let taken = LeftOut::ALL.into_iter().zip(&self.counts);
        taken
            .map(|(why, count)| (why, count.swap(0, Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
