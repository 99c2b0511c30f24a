//! What a listener knows of its queue: how deep it is, when a message's final receive is, where it goes then.
//!
//! Read before the first receive, and after that when somebody asks, at most every 30 s. A scrape or a status gets what is
//! known and waits for nothing; a read follows. A received message asks as well. After an idle time it waits for that read,
//! because its final receive depends on it.
//! What a read does not say is forgotten; between two reads nothing changes, so everything here has an age.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::message::Message;
use crate::observe::event_log::EventLog;
use crate::policy::final_receive::FinalReceive;
use crate::ports::{FACTS_KEEP, QueueDepth, QueueFacts, QueueLimits, Redrive};
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::labels::QueueRole;

/// Half of the time over which receives are remembered.
const WINDOW: Duration = Duration::from_secs(30);
/// How long received messages wait for a read at most. A queue that answers receives and no such read stops nothing.
const READ_WAIT: Duration = Duration::from_secs(1);

/// What the queue last said of itself, and what was received in the last half to whole minute.
#[derive(Debug, Default)]
pub(super) struct QueueView {
    known: Mutex<Option<DepthView>>,
    receives: Mutex<Receives>,
    asked: Notify,
    /// When a read last ended, whatever came of it.
    looked: watch::Sender<Option<Instant>>,
}

/// The window that runs, and the one before.
#[derive(Debug)]
struct Receives {
    since: Instant,
    windows: [Window; 2],
}

impl Default for Receives {
    fn default() -> Self {
        Self { since: Instant::now(), windows: Default::default() }
    }
}

/// The messages received in one window.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    /// When the oldest was sent.
    oldest: Option<SystemTime>,
    /// How long one had waited for its first receive, at most, by SQS's clock alone.
    waited: Duration,
}

/// The depths of a queue and of its dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepthView {
    /// When they were read.
    pub at: Instant,
    /// Of the queue itself.
    pub depth: QueueDepth,
    /// Its dead-letter queue, if it has one.
    pub redrive: Option<Redrive>,
}

impl DepthView {
    /// Receives before the dead-letter queue, if there is one.
    pub fn max_receives(&self) -> Option<u32> {
        self.redrive.as_ref().map(|redrive| redrive.max_receives).filter(|max| *max > 0)
    }
}

impl QueueView {
    /// Asks for a read as soon as one is allowed; however many ask meanwhile, one read follows.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Waits until somebody asks, or has asked since this last completed.
    ///
    /// # Cancel safety
    /// Dropping the future keeps what was asked.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// A read has ended, whatever came of it.
    pub(super) fn looked(&self) {
        self.looked.send_replace(Some(Instant::now()));
    }

    /// Waits for a read if the last one is too old to decide about messages by it. It waits a second at most.
    ///
    /// # Cancel safety
    /// Dropping the future keeps what was asked.
    pub(super) async fn recent(&self) {
        let mut looked = self.looked.subscribe();
        if looked.borrow_and_update().is_none_or(|at| at.elapsed() <= FACTS_KEEP) {
            return;
        }
        self.ask();
        drop(tokio::time::timeout(READ_WAIT, looked.changed()).await);
    }

    /// What was read last.
    pub(super) fn depths(&self) -> Option<DepthView> {
        self.lock().clone()
    }

    /// Receives before the dead-letter queue, when known and there is one.
    pub(super) fn max_receives(&self) -> Option<u32> {
        self.lock().as_ref()?.max_receives()
    }

    /// What becomes of the message if this receive of it does not succeed, if SQS dead-letters it then.
    pub(super) fn final_receive(&self, message: &Message) -> Option<FinalReceive> {
        let known = self.lock();
        let known = known.as_ref()?;
        let max = known.max_receives().filter(|max| message.receive_count.get() >= *max)?;
        let name = known.redrive.as_ref().map(|redrive| redrive.dead_letter_name.as_str());
        Some(FinalReceive { max, dead_letter_queue: name.filter(|name| !name.is_empty()).map(Arc::from) })
    }

    /// Receives that all its messages together can lose before they are dead-lettered; none while that is unknown.
    pub(super) fn spare_receives(&self) -> u64 {
        let known = self.lock();
        let Some(known) = known.as_ref() else { return 0 };
        let QueueDepth { visible, not_visible, delayed } = known.depth;
        let messages = visible.saturating_add(not_visible).saturating_add(delayed);
        known.max_receives().map_or(u64::MAX, |max| messages.saturating_mul(u64::from(max.saturating_sub(1))))
    }

    /// A message was received.
    pub(super) fn observe(&self, message: &Message) {
        self.ask();
        let Some(sent_at) = message.sent_at else { return };
        let waited = message.first_received_at.and_then(|first| first.duration_since(sent_at).ok());
        let mut receives = self.receives();
        let [current, _] = &mut receives.windows;
        current.oldest = Some(current.oldest.map_or(sent_at, |oldest| oldest.min(sent_at)));
        current.waited = current.waited.max(waited.unwrap_or_default());
    }

    /// Age at `now` of the oldest message among the receives of the last minute, by our wall clock: for people.
    pub(super) fn oldest_age(&self, now: SystemTime) -> Duration {
        let oldest = self.receives().windows.iter().filter_map(|window| window.oldest).min();
        oldest.and_then(|sent_at| now.duration_since(sent_at).ok()).unwrap_or_default()
    }

    /// How long the backlog is: the longest that a message received in the last minute had waited for its first receive.
    pub(super) fn backlog(&self) -> Duration {
        let [current, before] = self.receives().windows;
        current.waited.max(before.waited)
    }

    /// The receives of now.
    fn receives(&self) -> MutexGuard<'_, Receives> {
        let mut receives = self.receives.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = receives.since.elapsed();
        if passed >= WINDOW {
            let [current, _] = receives.windows;
            let before = if passed < 2 * WINDOW { current } else { Window::default() };
            *receives = Receives { since: Instant::now(), windows: [Window::default(), before] };
        }
        receives
    }

    /// The queue said what it is.
    pub(super) fn note(
        &self,
        facts: &QueueFacts,
        limits: QueueLimits,
        metrics: &ListenerMetrics,
        events: &EventLog,
    ) {
        metrics.depth(QueueRole::Source, &facts.depth);
        let (depth, redrive) = (facts.depth, facts.redrive.clone());
        let before = self.lock().replace(DepthView { at: Instant::now(), depth, redrive });
        let most = limits.in_flight.unwrap_or(u64::MAX);
        let is_crowded = |depth: QueueDepth| depth.not_visible > most / 2;
        if is_crowded(depth) && !before.is_some_and(|before| is_crowded(before.depth)) {
            events.crowded(depth.not_visible, most);
        }
        match facts.redrive.as_ref().and_then(|redrive| redrive.dead_letter_depth.as_ref()) {
            Some(depth) => metrics.depth(QueueRole::DeadLetter, depth),
            None => metrics.no_depth(QueueRole::DeadLetter),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<DepthView>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::kit_for_tests::message;

    #[tokio::test(start_paused = true)]
    async fn the_greatest_is_forgotten_after_half_to_a_whole_minute() {
        let view = QueueView::default();
        let now = SystemTime::UNIX_EPOCH + 100 * WINDOW;
        let received = |seconds| {
            let age = Duration::from_secs(seconds);
            view.observe(&Message { sent_at: Some(now - age), first_received_at: Some(now), ..message(1) });
        };
        let seen = || (view.oldest_age(now).as_secs(), view.backlog().as_secs());
        assert_eq!(seen(), (0, 0));
        received(3);
        received(2);
        tokio::time::advance(WINDOW).await;
        received(1);
        assert_eq!(seen(), (3, 3));
        tokio::time::advance(WINDOW).await;
        assert_eq!(seen(), (1, 1));
        tokio::time::advance(2 * WINDOW).await;
        assert_eq!(seen(), (0, 0));
    }
}
