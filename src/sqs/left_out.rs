//! Received messages that were left out: counted for the metrics, each reason logged once.
//!
//! SQS hands such a message out again when its visibility ends, and dead-letters it after max receives. A
//! server that sends one such message sends many. So the log gets one line per reason, and the metric gets
//! the number.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::ports::LeftOut;

const REASONS: usize = LeftOut::ALL.len();

/// Counts of the messages of one queue that were left out.
#[derive(Debug, Default)]
pub(super) struct Omissions {
    /// Counts since they were last read, in the order of [`LeftOut::ALL`].
    counts: [AtomicU64; REASONS],
    said: [AtomicBool; REASONS],
}

impl Omissions {
    /// Counts messages of `queue` that were left out.
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

    /// The counts since the last call.
    pub(super) fn take(&self) -> Vec<(LeftOut, u64)> {
        let taken = LeftOut::ALL.into_iter().zip(&self.counts);
        taken
            .map(|(why, count)| (why, count.swap(0, Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
