//! The lease table: which messages are in flight, until when each is ours, and the newest receipt handle of each.
//!
//! Two parties share it. A lease looks up its own entry; the lease extender extends those whose time is near. A lease may end
//! before its message is settled: unextended in time, at SQS's twelve hours, or because SQS says so. That is counted once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::message::{Message, MessageId};
use crate::observe::event_log::EventLog;
use crate::pipeline::lease::entry::{Entries, Entry, Loss, Span};
use crate::pipeline::ledger::LedgerEntry;
use crate::policy::visibility::{ANSWER_SLACK, extend_when_left};
use crate::ports::{EntryErrorKind, QueueLimits};
use crate::telemetry::handles::ListenerMetrics;

/// All leases of one listener, behind one lock; nothing waits while it holds that.
#[derive(Debug)]
pub(in crate::pipeline) struct LeaseTable {
    pub(in crate::pipeline) length: Duration,
    pub(in crate::pipeline) limits: QueueLimits,
    entries: Mutex<Entries>,
    pub(in crate::pipeline) changed: Notify,
    pub(in crate::pipeline) random: Mutex<fastrand::Rng>,
    pub(in crate::pipeline) metrics: Arc<ListenerMetrics>,
    pub(in crate::pipeline) events: Arc<EventLog>,
}

impl LeaseTable {
    /// An empty table for leases of `length`; `seed` drives its jitter.
    pub(in crate::pipeline) fn new(
        length: Duration,
        limits: QueueLimits,
        metrics: Arc<ListenerMetrics>,
        events: Arc<EventLog>,
        seed: u64,
    ) -> Arc<Self> {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        Arc::new(Self {
            length,
            limits,
            entries: Mutex::default(),
            changed: Notify::new(),
            random,
            metrics,
            events,
        })
    }

    /// Registers a message received just now; its key. `None` when it is in flight already: its lease has the newer
    /// handle then, and counts this receive.
    pub(in crate::pipeline) fn register(&self, message: &Message, asked: Asked) -> Option<u64> {
        let expires = begins(asked.last, Instant::now()) + self.length;
        let span = Span {
            expires,
            ceiling: asked.first + self.limits.longest_visibility,
            due: self.next_extension(expires),
        };
        let mut state = self.lock();
        let first_before = state.due.first().copied();
        let key = (!state.adopt(&message.id, &message.receipt, span)).then(|| {
            let ledger = LedgerEntry::new(&self.metrics);
            state.insert(&message.id, &message.receipt, span, ledger)
        });
        let sooner = state.due.first().copied() != first_before;
        drop(state);
        if sooner {
            self.changed.notify_one();
        }
        key
    }

    /// When a lease that ends at `expires` is to be extended.
    pub(in crate::pipeline) fn next_extension(&self, expires: Instant) -> Instant {
        expires.checked_sub(extend_when_left(self.length)).unwrap_or(expires)
    }

    /// Notes the end of a lease whose message is not settled.
    pub(in crate::pipeline) fn ends(
        &self,
        entry: &mut Entry,
        loss: Loss,
        ended: &mut Vec<(MessageId, Loss)>,
    ) {
        if let Some(id) = entry.ends(loss) {
            self.metrics.leases_lost.inc();
            ended.push((id, loss));
        }
    }

    /// Notes the end of a lease that its holder has found out and tells the log of.
    pub(in crate::pipeline) fn note(&self, key: u64, loss: Loss) {
        let mut state = self.lock();
        if state.by_key.get_mut(&key).is_some_and(|entry| entry.ends(loss).is_some()) {
            self.metrics.leases_lost.inc();
        }
    }

    /// Tells the log, outside of the lock.
    pub(in crate::pipeline) fn tell(&self, ended: &[(MessageId, Loss)]) {
        for (id, loss) in ended {
            let fix = EntryErrorKind::LeaseLost.fix();
            self.events.left_to_sqs(id.as_str(), "keep a message", loss.words(), fix);
        }
    }

    pub(in crate::pipeline) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a receive was asked for: at first, and when it was repeated last.
#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct Asked {
    /// The twelve hours of SQS may have begun then.
    pub(in crate::pipeline) first: Instant,
    /// The visibility time-out has not begun before.
    pub(in crate::pipeline) last: Instant,
}

/// When a lease begins whose call was made at `asked` and answered at `answered`.
///
/// SQS hides a message at some time between the two. An answer may be as old as its call, so the lease begins with that;
/// where the answer came at once, the slack before it is a margin for clocks that differ.
pub(in crate::pipeline) fn begins(asked: Instant, answered: Instant) -> Instant {
    answered.checked_sub(ANSWER_SLACK).map_or(asked, |earlier| earlier.min(asked))
}
