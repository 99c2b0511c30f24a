//! The lease table: which messages are in flight, until when each is ours, and the newest receipt handle of each.
//!
//! Two parties share it. A [`Lease`], which its message owns, looks up its own entry; the lease extender extends those whose
//! time is near. A lease may end before its message is settled: unextended in time, at SQS's twelve hours, or because SQS
//! says so. That is counted once.
//!
//! Dropping a [`Lease`] ends its extensions, and abandons its message unless that was settled. Before a message is hidden
//! (park, defer, release) its lease is closed: [`Lease::close`] waits for an extension under way. A late extension would
//! overwrite the hiding. A delete does not wait.
//!
//! A message that comes again while it is in flight gets no second entry. Its visibility lapsed, or SQS handed it out twice.
//! Its entry takes the newer handle, and with it another twelve hours. An answer about the older handle proves nothing then.
//! A lease that is closed takes the newer handle too, unless its message was released: that one may come again before we
//! know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::message::{Message, MessageId, ReceiptHandle};
use crate::observe::event_log::EventLog;
use crate::pipeline::ledger::{Settled, leaves};
use crate::policy::visibility::{ANSWER_SLACK, extend_when_left};
use crate::ports::QueueLimits;
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::labels::Stage;

/// All leases of one listener, behind one lock; nothing waits while it holds that.
#[derive(Debug)]
pub(in crate::pipeline) struct LeaseTable {
    pub(super) length: Duration,
    pub(super) limits: QueueLimits,
    entries: Mutex<Entries>,
    /// Wakes the extender: a lease is to be extended before the one it waits for.
    pub(super) changed: Notify,
    /// Wakes whoever waits for the end of an extension.
    pub(super) answered: Notify,
    pub(super) random: Mutex<fastrand::Rng>,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) events: Arc<EventLog>,
}

/// One entry per message in flight, by key, by message id and by the time to extend it.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Entries {
    next_key: u64,
    pub(in crate::pipeline) by_key: BTreeMap<u64, Entry>,
    by_id: BTreeMap<MessageId, u64>,
    pub(super) due: BTreeSet<(Instant, u64)>,
}

/// One lease.
#[derive(Debug)]
pub(in crate::pipeline) struct Entry {
    pub(super) id: MessageId,
    pub(super) grant: Grant,
    /// When it is to be extended.
    pub(super) due: Option<Instant>,
    /// An extension is under way.
    pub(super) extending: bool,
    /// When an extension was given up that may still take effect.
    pub(super) uncertain: Option<Instant>,
    /// Extensions that failed in a row.
    pub(super) failures: u32,
    /// How it has ended, if it has.
    pub(super) ended: Option<Loss>,
    /// A delete has been sent.
    pub(super) deleting: bool,
    /// The message is being hidden until then: no more extensions.
    hidden_until: Option<Instant>,
    /// Where the message is, in the ledger.
    stage: Stage,
    /// How often it was received while it is in flight.
    receives: u32,
}

/// What the latest receive of a message gave us, and its extensions since.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) handle: ReceiptHandle,
    /// When the message may become visible to others.
    pub(super) expires: Instant,
    /// When SQS extends no more.
    pub(super) ceiling: Instant,
}

/// How a lease ended before its message was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// No extension got through in time.
    Lapsed,
    /// SQS extends no further.
    Ceiling,
    /// SQS says the handle is no longer ours.
    Lost,
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
        Arc::new(Self {
            length,
            limits,
            entries: Mutex::default(),
            changed: Notify::new(),
            answered: Notify::new(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            metrics,
            events,
        })
    }

    /// When a lease that ends at `expires` is to be extended.
    pub(super) fn next_extension(&self, expires: Instant) -> Instant {
        expires.checked_sub(extend_when_left(self.length)).unwrap_or(expires)
    }

    /// Notes the end of a lease whose message is not settled. The first time it is counted; whether it is that.
    pub(super) fn ends(&self, entry: &mut Entry, loss: Loss) -> bool {
        let is_first = entry.ended.is_none();
        if is_first {
            self.metrics.leases_lost.inc();
        }
        if is_first || loss == Loss::Lost {
            entry.ended = Some(loss);
        }
        is_first
    }

    pub(in crate::pipeline) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// The lease of a message that is in flight; not of one that may come again, because its hiding is over.
    fn in_flight(&mut self, id: &MessageId) -> Option<(u64, &mut Entry)> {
        let key = *self.by_id.get(id)?;
        let entry = self.by_key.get_mut(&key)?;
        let is_over = entry.hidden_until.is_some_and(|until| until <= Instant::now());
        (!is_over).then_some((key, entry))
    }

    /// Takes a lease in; its key.
    fn insert(&mut self, id: &MessageId, grant: Grant) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        let entry = Entry {
            id: id.clone(),
            grant,
            due: None,
            extending: false,
            uncertain: None,
            failures: 0,
            ended: None,
            deleting: false,
            hidden_until: None,
            stage: Stage::Waiting,
            receives: 1,
        };
        self.by_key.insert(key, entry);
        self.by_id.insert(id.clone(), key);
        key
    }

    /// Sets when a lease is extended next, unless it is closed or is being extended.
    pub(super) fn schedule(&mut self, key: u64, due: Instant) {
        let Some(entry) = self.by_key.get_mut(&key) else { return };
        if entry.hidden_until.is_some() || entry.extending {
            return;
        }
        if let Some(before) = entry.due.replace(due) {
            self.due.remove(&(before, key));
        }
        self.due.insert((due, key));
    }

    /// Ends the extensions of a lease, but for one under way.
    fn close(&mut self, key: u64, until: Instant) {
        let Some(entry) = self.by_key.get_mut(&key) else { return };
        entry.hidden_until = Some(until);
        if let Some(due) = entry.due.take() {
            self.due.remove(&(due, key));
        }
    }

    /// Removes a lease.
    fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.by_key.remove(&key)?;
        if self.by_id.get(&entry.id) == Some(&key) {
            self.by_id.remove(&entry.id);
        }
        if let Some(due) = entry.due {
            self.due.remove(&(due, key));
        }
        Some(entry)
    }
}

/// Our right to one message; dropping it stops its extensions.
#[derive(Debug)]
#[must_use]
pub(in crate::pipeline) struct Lease {
    table: Arc<LeaseTable>,
    key: u64,
}

impl Lease {
    /// The lease of a message received just now. `None` when it is in flight already: its lease has the newer handle then,
    /// and counts this receive.
    pub(in crate::pipeline) fn begin(
        table: &Arc<LeaseTable>,
        message: &Message,
        asked: Asked,
    ) -> Option<Self> {
        let expires = begins(asked.last, Instant::now()) + table.length;
        let ceiling = asked.first + table.limits.longest_visibility;
        let grant = Grant { handle: message.receipt.clone(), expires, ceiling };
        let mut state = table.lock();
        let (key, is_new) = if let Some((key, entry)) = state.in_flight(&message.id) {
            // The message came again, which begins its lease anew.
            (entry.grant, entry.ended, entry.failures) = (grant, None, 0);
            entry.receives += 1;
            table.metrics.entered(entry.stage, 1);
            (key, false)
        } else {
            table.metrics.entered(Stage::Waiting, 1);
            (state.insert(&message.id, grant), true)
        };
        state.schedule(key, table.next_extension(expires));
        let is_next = state.due.first().is_some_and(|&(_, next)| next == key);
        drop(state);
        if is_next {
            table.changed.notify_one();
        }
        is_new.then(|| Self { table: Arc::clone(table), key })
    }

    /// The newest handle of the message.
    pub(in crate::pipeline) fn handle(&self) -> ReceiptHandle {
        self.entry(|entry| entry.grant.handle.clone()).unwrap_or_else(|| ReceiptHandle::new(""))
    }

    /// A delete is sent now: an extension that finds the message gone loses nothing.
    pub(in crate::pipeline) fn deletes(&self) {
        self.entry(|entry| entry.deleting = true);
    }

    /// SQS called the newest handle invalid.
    pub(in crate::pipeline) fn refused(&self) {
        self.entry(|entry| self.table.ends(entry, Loss::Lost));
    }

    /// How much longer SQS lets this receive be hidden.
    pub(in crate::pipeline) fn hideable(&self) -> Duration {
        self.ceiling().saturating_duration_since(Instant::now())
    }

    /// Whether the message is still ours, as far as we know. A lease that is found run out is counted.
    pub(in crate::pipeline) fn is_ours(&self) -> bool {
        let is_ours = |entry: &mut Entry| {
            let is_ours = entry.ended != Some(Loss::Lost) && entry.grant.expires > Instant::now();
            if !is_ours {
                self.table.ends(entry, Loss::Lapsed);
            }
            is_ours
        };
        self.entry(is_ours).unwrap_or(false)
    }

    /// Whether SQS said that the handle is no longer ours.
    pub(in crate::pipeline) fn is_lost(&self) -> bool {
        self.entry(|entry| entry.ended == Some(Loss::Lost)).unwrap_or(true)
    }

    /// When SQS extends the lease no more.
    pub(in crate::pipeline) fn ceiling(&self) -> Instant {
        self.entry(|entry| entry.grant.ceiling).unwrap_or_else(Instant::now)
    }

    /// The message moves on, in the ledger.
    pub(in crate::pipeline) fn enter(&self, stage: Stage) {
        self.entry(|entry| {
            self.table.metrics.entered(entry.stage, -i64::from(entry.receives));
            self.table.metrics.entered(stage, i64::from(entry.receives));
            entry.stage = stage;
        });
    }

    /// The message leaves, in the ledger with every receive of it.
    pub(in crate::pipeline) fn settled(self, how: Settled) {
        self.end(Some(how));
    }

    /// Ends the extensions before the message is hidden until then. Waits for the answer of one under way, at most for the
    /// timeout of that call.
    pub(in crate::pipeline) async fn close(&self, until: Instant) {
        self.table.lock().close(self.key, until);
        loop {
            let answered = self.table.answered.notified();
            if !self.entry(|entry| entry.extending).unwrap_or(false) {
                return;
            }
            answered.await;
        }
    }

    /// Until then the message of a closed lease is ours to settle.
    pub(in crate::pipeline) fn expires(&self) -> Instant {
        self.entry(|entry| entry.grant.expires).unwrap_or_else(Instant::now)
    }

    /// Whether an extension without an answer may still overwrite what is sent now.
    pub(in crate::pipeline) fn is_uncertain(&self) -> bool {
        self.entry(|entry| entry.uncertain.is_some()).unwrap_or(true)
    }

    /// Removes its entry, the first time.
    fn end(&self, how: Option<Settled>) {
        let entry = self.table.lock().remove(self.key);
        if let Some(entry) = entry {
            leaves(&self.table.metrics, entry.stage, entry.receives, how);
        }
    }

    /// Its entry is there for as long as the lease is.
    fn entry<T>(&self, at: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.table.lock().by_key.get_mut(&self.key).map(at)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(None);
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
pub(super) fn begins(asked: Instant, answered: Instant) -> Instant {
    answered.checked_sub(ANSWER_SLACK).map_or(asked, |earlier| earlier.min(asked))
}
