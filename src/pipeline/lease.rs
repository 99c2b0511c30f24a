//! Leases: while a message is in the house, its visibility does not lapse.
//!
//! One wheel per listener holds every lease and extends, in batches of ten, those whose time is near. A
//! [`Lease`] is a value: dropping it takes the message off the wheel. Before a message is hidden (park, defer,
//! release) its lease is closed with [`Lease::close`], which waits for an extension under way: a late extension
//! would overwrite the hiding. A delete does not wait.
//!
//! Extensions stop at SQS's twelve hours. A lease that lapses or that SQS calls lost is counted once. A POST
//! that runs by then goes on, because its outcome still matters; one that has not begun does not begin.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::message::ReceiptHandle;
use crate::pipeline::health::Tick;
use crate::pipeline::narrate::Narrator;
use crate::pipeline::ports::{
    BATCH_MAX, BatchResult, EntryErrorKind, Queue, QueueErrorKind, VisibilityChange,
};
use crate::policy::visibility::{ANSWER_SLACK, CEILING, extend_when_left, whole_seconds};
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::labels::ExtensionResult;

/// Pause before a failed extension is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// A lease goes along with another when its own time is within this part of its length.
const COMPANY: u32 = 12;
/// Extension calls under way at once: a slow SQS must not make the other leases wait.
const CALLS_MAX: usize = 8;
/// How long the wheel sleeps at most; its watchdog ticks that often.
const IDLE: Duration = Duration::from_secs(15);

/// All leases of one listener.
#[derive(Debug)]
pub(super) struct LeaseWheel {
    length: Duration,
    state: Mutex<State>,
    changed: Notify,
    metrics: Arc<ListenerMetrics>,
    narrator: Arc<Narrator>,
}

#[derive(Debug, Default)]
struct State {
    next_key: u64,
    entries: BTreeMap<u64, Entry>,
    due: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Entry {
    receipt: ReceiptHandle,
    /// When the message may become visible to others.
    expires: Instant,
    /// When SQS extends no more.
    ceiling: Instant,
    due: Option<Instant>,
    extension: Extension,
    /// SQS says the handle is no longer ours.
    lost: bool,
    /// It ran out unextended; counted.
    lapsed: bool,
    /// An extension got no answer and may still take effect.
    uncertain: bool,
}

/// Whether a lease is being extended right now.
#[derive(Debug)]
enum Extension {
    None,
    UnderWay,
    /// And somebody waits for its end to hide the message.
    Awaited(oneshot::Sender<Closed>),
}

impl Entry {
    fn closed(&self) -> Closed {
        Closed { expires: self.expires, uncertain: self.uncertain }
    }
}

/// What is known of a lease at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    /// Until then the message is ours to settle.
    pub(super) expires: Instant,
    /// An extension without an answer may still overwrite what is sent now.
    pub(super) uncertain: bool,
}

/// Our right to one message; dropping it stops its extensions.
#[derive(Debug)]
#[must_use]
pub(super) struct Lease {
    wheel: Arc<LeaseWheel>,
    key: u64,
    ceiling: Instant,
}

impl LeaseWheel {
    /// An empty wheel for leases of `length`.
    pub(super) fn new(length: Duration, metrics: Arc<ListenerMetrics>, narrator: Arc<Narrator>) -> Arc<Self> {
        Arc::new(Self { length, state: Mutex::default(), changed: Notify::new(), metrics, narrator })
    }

    /// Takes in a message asked for at `asked` and received just now.
    pub(super) fn admit(self: &Arc<Self>, receipt: &ReceiptHandle, asked: Instant) -> Lease {
        let now = Instant::now();
        let ceiling = asked + CEILING;
        let expires = now + self.length.saturating_sub(ANSWER_SLACK);
        let mut state = self.lock();
        let key = state.next_key;
        state.next_key += 1;
        let entry = Entry {
            receipt: receipt.clone(),
            expires,
            ceiling,
            due: None,
            extension: Extension::None,
            lost: false,
            lapsed: false,
            uncertain: false,
        };
        state.entries.insert(key, entry);
        let soonest = state.schedule(key, self.next_extension(expires));
        drop(state);
        if soonest {
            self.changed.notify_one();
        }
        Lease { wheel: Arc::clone(self), key, ceiling }
    }

    /// Extends leases until `stop`, then finishes the calls under way.
    pub(super) async fn run(self: Arc<Self>, queue: Arc<dyn Queue>, tick: Tick, stop: CancellationToken) {
        let mut calls = Calls::default();
        loop {
            tick.touch();
            while calls.running.len() < CALLS_MAX {
                let (keys, changes) = self.take_due();
                if keys.is_empty() {
                    break;
                }
                calls.start(keys, Arc::clone(&queue), changes);
            }
            let idle = Instant::now() + IDLE;
            let due = if calls.running.len() < CALLS_MAX { self.next_due() } else { None };
            tokio::select! {
                biased;
                Some((keys, result)) = calls.next() => self.extended(&keys, Instant::now(), result.as_ref()),
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(due.map_or(idle, |due| due.min(idle))) => {}
            }
        }
        while let Some((keys, result)) = calls.next().await {
            self.extended(&keys, Instant::now(), result.as_ref());
        }
    }

    fn next_extension(&self, expires: Instant) -> Instant {
        expires.checked_sub(extend_when_left(self.length)).unwrap_or(expires)
    }

    fn next_due(&self) -> Option<Instant> {
        self.lock().due.first().map(|&(at, _)| at)
    }

    /// Up to ten leases to extend, marked as such: when the time of one has come, those near theirs go along.
    fn take_due(&self) -> (Vec<u64>, Vec<VisibilityChange>) {
        let now = Instant::now();
        let mut state = self.lock();
        let (mut keys, mut changes) = (Vec::new(), Vec::new());
        while keys.len() < BATCH_MAX {
            let near = if keys.is_empty() { now } else { now + self.length / COMPANY };
            let Some(&(at, key)) = state.due.first().filter(|(at, _)| *at <= near) else { break };
            state.due.remove(&(at, key));
            let Some(entry) = state.entries.get_mut(&key) else { continue };
            entry.due = None;
            let seconds = whole_seconds(self.length).min(floor_seconds(entry.ceiling - now));
            if seconds == 0 {
                continue;
            }
            entry.extension = Extension::UnderWay;
            keys.push(key);
            changes.push(VisibilityChange { receipt: entry.receipt.clone(), seconds });
        }
        (keys, changes)
    }

    /// Takes in what SQS answered to an extension of `keys`; nothing when the call panicked.
    fn extended(&self, keys: &[u64], answered: Instant, result: Option<&BatchResult>) {
        if let Some(Err(error)) = result {
            self.narrator.queue_error(error);
        }
        let mut state = self.lock();
        for (index, &key) in keys.iter().enumerate() {
            let verdict = match result {
                None => Verdict::Failed { uncertain: true },
                Some(Ok(entries)) => match entries.get(index) {
                    Some(Ok(())) => Verdict::Extended,
                    Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost => Verdict::Lost,
                    Some(Err(_)) | None => Verdict::Failed { uncertain: false },
                },
                Some(Err(error)) => Verdict::Failed {
                    uncertain: matches!(error.kind, QueueErrorKind::TimedOut | QueueErrorKind::Network),
                },
            };
            self.apply(&mut state, key, answered, verdict);
        }
    }

    fn apply(&self, state: &mut State, key: u64, answered: Instant, verdict: Verdict) {
        let Some(entry) = state.entries.get_mut(&key) else { return };
        let extension = std::mem::replace(&mut entry.extension, Extension::None);
        let mut due = None;
        match verdict {
            Verdict::Extended => {
                self.metrics.extension(ExtensionResult::Extended);
                let left = entry.ceiling.saturating_duration_since(answered).min(self.length);
                entry.expires = answered + left.saturating_sub(ANSWER_SLACK);
                entry.uncertain = false;
                // At the ceiling nothing is left to extend.
                due = (left == self.length).then(|| self.next_extension(entry.expires));
            }
            Verdict::Failed { uncertain } => {
                self.metrics.extension(ExtensionResult::Failed);
                entry.uncertain |= uncertain;
                if entry.expires <= answered && !entry.lapsed {
                    entry.lapsed = true;
                    self.metrics.leases_lost.inc();
                }
                due = Some(answered + RETRY_AFTER);
            }
            Verdict::Lost => {
                self.metrics.extension(ExtensionResult::Lost);
                entry.lost = true;
                if !entry.lapsed {
                    self.metrics.leases_lost.inc();
                }
            }
        }
        if let Extension::Awaited(closing) = extension {
            let closed = entry.closed();
            state.entries.remove(&key);
            // Whoever closed it may have been dropped meanwhile; then nobody needs to know.
            closing.send(closed).ok();
        } else if let Some(due) = due {
            state.schedule(key, due);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Extension calls under way, and which leases each is for: a call that panics must not lose them.
#[derive(Default)]
struct Calls {
    running: JoinSet<BatchResult>,
    keys: HashMap<task::Id, Vec<u64>>,
}

impl Calls {
    fn start(&mut self, keys: Vec<u64>, queue: Arc<dyn Queue>, changes: Vec<VisibilityChange>) {
        let call = self.running.spawn(async move { queue.change_visibility(&changes).await });
        self.keys.insert(call.id(), keys);
    }

    /// The next call that ends, with its answer unless it panicked; `None` when none is under way.
    async fn next(&mut self) -> Option<(Vec<u64>, Option<BatchResult>)> {
        let (id, result) = match self.running.join_next_with_id().await? {
            Ok((id, result)) => (id, Some(result)),
            Err(error) => (error.id(), None),
        };
        Some((self.keys.remove(&id).unwrap_or_default(), result))
    }
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Extended,
    Failed { uncertain: bool },
    Lost,
}

impl State {
    /// Sets when a lease is extended next; whether it is now the first of all.
    fn schedule(&mut self, key: u64, due: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        entry.due = Some(due);
        self.due.insert((due, key));
        self.due.first() == Some(&(due, key))
    }

    /// Takes a lease off the wheel.
    fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        if let Some(due) = entry.due {
            self.due.remove(&(due, key));
        }
        Some(entry)
    }
}

impl Lease {
    /// How much longer SQS lets this receive be hidden.
    pub(super) fn hideable(&self) -> Duration {
        self.ceiling.saturating_duration_since(Instant::now())
    }

    /// Whether the message is still ours, as far as we know.
    pub(super) fn is_ours(&self) -> bool {
        let state = self.wheel.lock();
        state.entries.get(&self.key).is_some_and(|entry| !entry.lost && entry.expires > Instant::now())
    }

    /// Whether SQS said that the handle is no longer ours.
    pub(super) fn is_lost(&self) -> bool {
        self.wheel.lock().entries.get(&self.key).is_none_or(|entry| entry.lost)
    }

    /// When SQS extends the lease no more.
    pub(super) fn ceiling(&self) -> Instant {
        self.ceiling
    }

    fn close_at_once(self) -> Closed {
        let entry = self.wheel.lock().remove(self.key);
        entry.as_ref().map_or_else(Closed::nothing_known, Entry::closed)
    }

    /// Ends the lease before the message is hidden, after an extension under way has been answered (within
    /// the time-out of that call).
    pub(super) async fn close(self) -> Closed {
        let waiting = {
            let mut state = self.wheel.lock();
            let entry = state.entries.get_mut(&self.key);
            entry.filter(|entry| !matches!(entry.extension, Extension::None)).map(|entry| {
                let (sender, receiver) = oneshot::channel();
                entry.extension = Extension::Awaited(sender);
                receiver
            })
        };
        match waiting {
            Some(waiting) => waiting.await.unwrap_or_else(|_ended| Closed::nothing_known()),
            None => self.close_at_once(),
        }
    }
}

impl Closed {
    /// The wheel ended before it could tell.
    fn nothing_known() -> Self {
        Self { expires: Instant::now(), uncertain: true }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.wheel.lock();
        state.remove(self.key);
    }
}

fn floor_seconds(left: Duration) -> u32 {
    u32::try_from(left.as_secs()).unwrap_or(u32::MAX)
}
