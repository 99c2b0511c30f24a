//! Settlement: deletes and visibility changes, in batches, until SQS has confirmed them.
//!
//! Deletes are gathered for 100 ms or ten of them, hidings for 20 ms, and neither waits during a drain. The
//! seconds of a hiding are computed when the call is sent, so time spent here is not added to the delay. An
//! entry that failed is sent again, with back-off, while its lease lasts; then the message is left to SQS
//! (abandoned), and a finished one stays remembered so that it is deleted when it comes again.
//!
//! Bounded: a settlement needs a place before it is taken, and only then is the worker's permit freed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::drain::Drain;
use crate::message::{MessageId, ReceiptHandle};
use crate::pipeline::batching::{Buffer, Later};
use crate::pipeline::finished::Finished;
use crate::pipeline::health::Tick;
use crate::pipeline::in_house::{InHouse, Settled};
use crate::pipeline::ports::{BatchResult, EntryErrorKind, Queue, QueueErrorKind, VisibilityChange};
use crate::policy::backoff;
use crate::policy::visibility::whole_seconds;
use crate::telemetry::handles::ListenerMetrics;

/// How long deletes are gathered.
const DELETE_LINGER: Duration = Duration::from_millis(100);
/// How long hidings are gathered.
const HIDE_LINGER: Duration = Duration::from_millis(20);
/// Calls under way at once.
const CALLS_MAX: usize = 32;
/// Settlements in the house beyond the workers' own number.
const PLACES_MIN: usize = 512;
/// After an unanswered extension a hiding is sent once more so much later, with what is left of it.
const REPEAT_AFTER: Duration = Duration::from_secs(5);
/// How long the loop sleeps at most; its watchdog ticks that often.
const IDLE: Duration = Duration::from_secs(15);

/// What is to be done with one message at SQS.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) id: MessageId,
    pub(super) receipt: ReceiptHandle,
    pub(super) action: Action,
    pub(super) books: InHouse,
    /// When trying again stops making sense.
    pub(super) until: Instant,
}

/// Delete it, or hide it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// Its work is done.
    Delete {
        /// For the books: deleted, or dead-lettered.
        how: Settled,
    },
    /// It is not.
    Hide {
        /// Visible again at; now or earlier gives it back at once.
        until: Instant,
        /// For the books.
        how: Settled,
        /// Whether it must be sent again because an unanswered extension may overwrite it.
        repeat: bool,
    },
}

/// Where deliveries hand over their settlements.
#[derive(Debug, Clone)]
pub(super) struct Settler {
    places: Arc<Semaphore>,
    sender: mpsc::Sender<Job>,
}

/// A settlement and the state of its attempts.
#[derive(Debug)]
struct Job {
    settlement: Settlement,
    _place: OwnedSemaphorePermit,
    attempts: u32,
    /// A call got no answer, so that it may have been carried out.
    unanswered: bool,
}

impl Settler {
    /// Takes over a settlement, waiting for a place. Once this returns the caller may free its permit.
    pub(super) async fn take(&self, settlement: Settlement) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        let job = Job { settlement, _place: place, attempts: 0, unanswered: false };
        // The loop outlives every settler; if it is gone, the entry's drop counts the message as abandoned.
        self.sender.send(job).await.ok();
    }
}

/// What the loop works with.
pub(super) struct Parts {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) finished: Arc<Finished>,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) drain: Drain,
    pub(super) tick: Tick,
    pub(super) random: fastrand::Rng,
}

/// The loop that settles; it ends when every [`Settler`] is gone and everything is settled.
pub(super) struct SettleLoop {
    parts: Parts,
    receiver: mpsc::Receiver<Job>,
    deletes: Buffer<Job>,
    hides: Buffer<Job>,
    retries: Later<Job>,
    repeats: Later<VisibilityRepeat>,
    /// Messages parked by this process, by the second (since `started`) at which they return.
    parked: BTreeMap<u64, i64>,
    started: Instant,
    calls: JoinSet<Answered>,
    hurry: bool,
}

/// A hiding sent once more after its message has left the books.
#[derive(Debug)]
struct VisibilityRepeat {
    receipt: ReceiptHandle,
    until: Instant,
}

/// The end of one call.
enum Answered {
    Delete(Vec<Job>, BatchResult),
    Hide(Vec<Job>, BatchResult),
    Repeat,
}

impl SettleLoop {
    /// A loop for a listener of so many workers, and the way to hand settlements to it.
    pub(super) fn new(workers: usize, parts: Parts) -> (Settler, Self) {
        let places = workers.max(PLACES_MIN);
        let (sender, receiver) = mpsc::channel(places);
        let settle_loop = Self {
            parts,
            receiver,
            deletes: Buffer::new(DELETE_LINGER),
            hides: Buffer::new(HIDE_LINGER),
            retries: Later::default(),
            repeats: Later::default(),
            parked: BTreeMap::new(),
            started: Instant::now(),
            calls: JoinSet::new(),
            hurry: false,
        };
        (Settler { places: Arc::new(Semaphore::new(places)), sender }, settle_loop)
    }

    /// Settles until there is nothing left to settle and nobody left who could bring more.
    pub(super) async fn run(mut self) {
        let mut open = true;
        let mut incoming = Vec::new();
        let drain = self.parts.drain.clone();
        loop {
            self.parts.tick.touch();
            self.take_due();
            self.send();
            if !open && self.is_done() {
                return;
            }
            let wake_at = self.wake_at();
            tokio::select! {
                biased;
                Some(Ok(answered)) = self.calls.join_next(), if !self.calls.is_empty() => self.answered(answered),
                count = self.receiver.recv_many(&mut incoming, PLACES_MIN), if open => {
                    open = count > 0;
                    self.hurry |= !open;
                    for job in incoming.drain(..) {
                        self.gather(job);
                    }
                }
                () = drain.draining(), if !self.hurry => self.hurry = true,
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    fn is_done(&self) -> bool {
        self.calls.is_empty()
            && self.deletes.is_empty()
            && self.hides.is_empty()
            && self.retries.is_empty()
            && self.repeats.is_empty()
    }

    fn gather(&mut self, job: Job) {
        match job.settlement.action {
            Action::Delete { .. } => self.deletes.push(job),
            Action::Hide { .. } => self.hides.push(job),
        }
    }

    fn take_due(&mut self) {
        let now = Instant::now();
        while let Some(job) = self.retries.due(now) {
            self.gather(job);
        }
        let second = now.duration_since(self.started).as_secs();
        while let Some(entry) = self.parked.first_entry().filter(|entry| *entry.key() <= second) {
            self.parts.metrics.parked_current.sub(entry.remove());
        }
    }

    /// Sends what has been gathered long enough, as far as calls may run.
    fn send(&mut self) {
        let now = Instant::now();
        while self.calls.len() < CALLS_MAX {
            let queue = Arc::clone(&self.parts.queue);
            if let Some(jobs) = self.hides.batch(now, self.hurry) {
                self.calls.spawn(async move {
                    let changes: Vec<_> = jobs.iter().map(Job::change).collect();
                    let result = queue.change_visibility(&changes).await;
                    Answered::Hide(jobs, result)
                });
            } else if let Some(jobs) = self.deletes.batch(now, self.hurry) {
                self.calls.spawn(async move {
                    let handles: Vec<_> = jobs.iter().map(|job| job.settlement.receipt.clone()).collect();
                    let result = queue.delete(&handles).await;
                    Answered::Delete(jobs, result)
                });
            } else if let Some(repeat) = self.repeats.due_or_hurried(now, self.hurry) {
                self.calls.spawn(async move {
                    // Best effort: the first call was confirmed; only its echo is guarded against.
                    queue.change_visibility(&[change(&repeat.receipt, repeat.until)]).await.ok();
                    Answered::Repeat
                });
            } else {
                break;
            }
        }
    }

    fn wake_at(&self) -> Instant {
        let idle = Instant::now() + IDLE;
        let parked = self.parked.keys().next().map(|second| self.started + Duration::from_secs(*second));
        let pending = if self.calls.len() < CALLS_MAX {
            [self.deletes.due(), self.hides.due(), self.retries.next_at(), self.repeats.next_at()]
        } else {
            [None; 4]
        };
        pending.into_iter().flatten().chain(parked).fold(idle, Instant::min)
    }

    fn answered(&mut self, answered: Answered) {
        match answered {
            Answered::Delete(jobs, Ok(results)) => {
                let mut results = results.into_iter();
                for job in jobs {
                    match results.next() {
                        Some(Ok(())) => self.deleted(job),
                        // The first call had deleted it; some servers call the handle invalid then.
                        Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost && job.unanswered => {
                            self.deleted(job);
                        }
                        Some(Err(error)) if error.kind != EntryErrorKind::Retryable => {
                            Self::give_up(job, &error.code);
                        }
                        Some(Err(_)) | None => self.retry(job),
                    }
                }
            }
            Answered::Hide(jobs, Ok(results)) => {
                let mut results = results.into_iter();
                for job in jobs {
                    match results.next() {
                        Some(Ok(())) => self.hidden(job),
                        Some(Err(error)) if error.kind != EntryErrorKind::Retryable => {
                            Self::give_up(job, &error.code);
                        }
                        Some(Err(_)) | None => self.retry(job),
                    }
                }
            }
            Answered::Delete(jobs, Err(error)) | Answered::Hide(jobs, Err(error)) => {
                for mut job in jobs {
                    job.unanswered |=
                        matches!(error.kind, QueueErrorKind::TimedOut | QueueErrorKind::Network);
                    if error.kind == QueueErrorKind::Missing {
                        Self::give_up(job, error.kind.label());
                    } else {
                        self.retry(job);
                    }
                }
            }
            Answered::Repeat => {}
        }
    }

    fn deleted(&self, job: Job) {
        let Settlement { id, action, books, .. } = job.settlement;
        self.parts.finished.forget(&id);
        let (Action::Delete { how } | Action::Hide { how, .. }) = action;
        books.settled(how);
    }

    fn hidden(&mut self, job: Job) {
        let Settlement { receipt, action, books, .. } = job.settlement;
        let (Action::Hide { how, .. } | Action::Delete { how }) = action;
        books.settled(how);
        if let Action::Hide { until, repeat, .. } = action {
            if how == Settled::Parked {
                self.parts.metrics.parked_current.inc();
                let returns = until.saturating_duration_since(self.started).as_secs() + 1;
                *self.parked.entry(returns).or_default() += 1;
            }
            if repeat && until > Instant::now() {
                self.repeats.push(Instant::now() + REPEAT_AFTER, VisibilityRepeat { receipt, until });
            }
        }
    }

    fn retry(&mut self, mut job: Job) {
        job.attempts += 1;
        let at = Instant::now() + backoff::call(job.attempts, self.parts.random.f64());
        if at >= job.settlement.until {
            Self::give_up(job, "lease over");
        } else {
            self.retries.push(at, job);
        }
    }

    /// Leaves the message to SQS; dropping its entry counts it as abandoned.
    fn give_up(job: Job, why: &str) {
        let Settlement { id, action, .. } = job.settlement;
        let what = match action {
            Action::Delete { .. } => "delete",
            Action::Hide { .. } => "change visibility",
        };
        tracing::warn!(message_id = %id, why, "could not {what}; SQS will hand the message out again");
    }
}

impl Job {
    fn change(&self) -> VisibilityChange {
        let until = match self.settlement.action {
            Action::Hide { until, .. } => until,
            Action::Delete { .. } => Instant::now(),
        };
        change(&self.settlement.receipt, until)
    }
}

fn change(receipt: &ReceiptHandle, until: Instant) -> VisibilityChange {
    VisibilityChange { receipt: receipt.clone(), seconds: seconds_until(until) }
}

fn seconds_until(until: Instant) -> u32 {
    whole_seconds(until.saturating_duration_since(Instant::now()))
}
