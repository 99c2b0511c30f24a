//! Leases: while a message is in the house, its visibility does not lapse.
//!
//! One wheel per listener holds every lease and extends, in batches of ten, those whose time is near. A
//! [`Lease`] is a value: dropping it takes the message off the wheel. Before a message is hidden (park, defer,
//! release) its lease is closed with [`Lease::close`], which waits for an extension under way: a late extension
//! would overwrite the hiding. A delete does not wait.
//!
//! Extensions stop at SQS's twelve hours. A lease that lapses or that SQS calls lost is counted once; the
//! delivery goes on, because its outcome still matters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::message::ReceiptHandle;
use crate::pipeline::health::Tick;
use crate::pipeline::ports::{
    BATCH_MAX, BatchResult, EntryErrorKind, Queue, QueueErrorKind, VisibilityChange,
};
use crate::policy::visibility::{ANSWER_SLACK, CEILING, extend_when_left, whole_seconds};
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::labels::ExtensionResult;

/// Pause before a failed extension is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
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
        Closed { expires: self.expires, lost: self.lost, uncertain: self.uncertain }
    }
}

/// What is known of a lease at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    /// Until then the message is ours to settle.
    pub(super) expires: Instant,
    /// SQS said that the handle is no longer ours.
    pub(super) lost: bool,
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
    pub(super) fn new(length: Duration, metrics: Arc<ListenerMetrics>) -> Arc<Self> {
        Arc::new(Self { length, state: Mutex::default(), changed: Notify::new(), metrics })
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
        let mut calls: JoinSet<(Vec<u64>, Instant, BatchResult)> = JoinSet::new();
        loop {
            tick.touch();
            while calls.len() < CALLS_MAX {
                let (keys, changes) = self.take_due();
                if keys.is_empty() {
                    break;
                }
                let queue = Arc::clone(&queue);
                calls.spawn(async move {
                    let result = queue.change_visibility(&changes).await;
                    (keys, Instant::now(), result)
                });
            }
            let next = self.next_due().unwrap_or_else(|| Instant::now() + IDLE);
            let next = if calls.len() < CALLS_MAX { next } else { Instant::now() + IDLE };
            tokio::select! {
                biased;
                Some(done) = calls.join_next(), if !calls.is_empty() => {
                    if let Ok((keys, answered, result)) = done {
                        self.extended(&keys, answered, &result);
                    }
                }
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(next.min(Instant::now() + IDLE)) => {}
            }
        }
        while let Some(done) = calls.join_next().await {
            if let Ok((keys, answered, result)) = done {
                self.extended(&keys, answered, &result);
            }
        }
    }

    fn next_extension(&self, expires: Instant) -> Instant {
        expires.checked_sub(extend_when_left(self.length)).unwrap_or(expires)
    }

    fn next_due(&self) -> Option<Instant> {
        self.lock().due.first().map(|&(at, _)| at)
    }

    /// Up to ten leases whose time has come, marked as being extended.
    fn take_due(&self) -> (Vec<u64>, Vec<VisibilityChange>) {
        let now = Instant::now();
        let mut state = self.lock();
        let (mut keys, mut changes) = (Vec::new(), Vec::new());
        while keys.len() < BATCH_MAX {
            let Some(&(at, key)) = state.due.first().filter(|(at, _)| *at <= now) else { break };
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

    /// Takes in what SQS answered to an extension of `keys`.
    fn extended(&self, keys: &[u64], answered: Instant, result: &BatchResult) {
        let mut state = self.lock();
        for (index, &key) in keys.iter().enumerate() {
            let verdict = match result {
                Ok(entries) => match entries.get(index) {
                    Some(Ok(())) => Verdict::Extended,
                    Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost => Verdict::Lost,
                    Some(Err(_)) | None => Verdict::Failed { uncertain: false },
                },
                Err(error) => Verdict::Failed {
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

    /// Ends the lease before a delete; an extension under way does no harm to a delete.
    pub(super) fn close_at_once(self) -> Closed {
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
        Self { expires: Instant::now(), lost: false, uncertain: true }
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
