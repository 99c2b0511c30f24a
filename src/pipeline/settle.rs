//! Settlement: deletes and visibility changes, in batches, until SQS has confirmed them.
//!
//! Deletes are gathered for 100 ms or ten of them (not at all on FIFO queues, whose groups wait for them), hidings for
//! 20 ms, and neither waits during a drain. The seconds of a hiding are computed when the call is sent, so time
//! spent here is not added to the delay.
//!
//! An entry that failed is sent again, with back-off. A message to be deleted stays under its lease meanwhile: its
//! work is done, so nobody else may get it. One to be hidden has given its lease up (an extension would undo the
//! hiding) and is tried for as long as the lease would have lasted, the last time just before its end. One that got no
//! answer is not sent again once its own time is over, at once for a release: SQS may have carried it out and handed the
//! message to somebody else. What cannot be settled is left to SQS (abandoned); a finished message stays remembered, so that it is deleted when it comes again. While SQS refuses
//! deletes or hidings for a reason a person has to mend, nothing more is received: until one of that kind gets
//! through, or none is left that could.
//!
//! An answer about a handle that a second receive has replaced meanwhile proves nothing, good or bad: on a standard
//! queue such a delete may be confirmed and have deleted nothing. It is sent again with the newer handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::drain::Drain;
use crate::message::ReceiptHandle;
use crate::pipeline::batching::{Buffer, Later};
use crate::pipeline::finished::Finished;
use crate::pipeline::health::{Health, Tick};
use crate::pipeline::in_house::Settled;
use crate::pipeline::narrate::Narrator;
use crate::pipeline::ports::{BatchResult, EntryError, EntryErrorKind, Queue, QueueError, QueueErrorKind};
use crate::pipeline::settlement::{Action, Job, Settlement, Settler, change};
use crate::policy::advice::entry::{TOO_LATE, TOO_LATE_FIX};
use crate::policy::backoff;
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
/// The last try comes so long before the end, for the way of the call.
const LAST_TRY_BEFORE: Duration = Duration::from_secs(2);
/// How long the loop sleeps at most; its watchdog ticks that often.
const IDLE: Duration = Duration::from_secs(15);

/// What the loop works with.
pub(super) struct Parts {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) finished: Arc<Finished>,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) narrator: Arc<Narrator>,
    pub(super) health: Arc<Health>,
    pub(super) drain: Drain,
    /// Whether successors wait for deletes.
    pub(super) fifo: bool,
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
    deleting: Kind,
    hiding: Kind,
    hurry: bool,
}

/// One kind of settlement.
#[derive(Debug, Default)]
struct Kind {
    /// Shared with its jobs, wherever they are.
    jobs: Arc<()>,
    /// Why it fails until a person acts.
    fault: Option<String>,
}

/// A hiding sent once more after its message has left the books.
#[derive(Debug)]
struct VisibilityRepeat {
    receipt: ReceiptHandle,
    until: Instant,
}

/// The end of one call.
enum Answered {
    Settle(Vec<Job>, BatchResult),
    Repeat,
}

impl SettleLoop {
    /// A loop for a listener of so many workers, and the way to hand settlements to it.
    pub(super) fn new(workers: usize, parts: Parts) -> (Settler, Self) {
        let places = workers.max(PLACES_MIN);
        let (settler, receiver) = Settler::new(places);
        let settle_loop = Self {
            deletes: Buffer::new(if parts.fifo { Duration::ZERO } else { DELETE_LINGER }),
            parts,
            receiver,
            hides: Buffer::new(HIDE_LINGER),
            retries: Later::default(),
            repeats: Later::default(),
            parked: BTreeMap::new(),
            started: Instant::now(),
            calls: JoinSet::new(),
            deleting: Kind::default(),
            hiding: Kind::default(),
            hurry: false,
        };
        (settler, settle_loop)
    }

    /// Settles until there is nothing left to settle and nobody left who could bring more.
    /// After a panic it runs again: what it was settling by then has been left to SQS, and the rest is there.
    pub(super) async fn run(&mut self) {
        // If what was left to SQS was the last of its kind, nobody else would end a fault.
        self.settle_fault(None);
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
                Some(answered) = self.calls.join_next(), if !self.calls.is_empty() => match answered {
                    Ok(answered) => self.answered(answered),
                    // Its messages are left to SQS; if they were the last, nobody else would end a fault.
                    Err(_panicked) => self.settle_fault(None),
                },
                count = self.receiver.recv_many(&mut incoming, PLACES_MIN), if open => {
                    open = count > 0;
                    self.hurry |= !open;
                    for mut job in incoming.drain(..) {
                        job.of_kind = Arc::clone(&self.kind(job.is_delete()).jobs);
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
        if job.is_delete() { self.deletes.push(job) } else { self.hides.push(job) }
    }

    fn kind(&mut self, is_delete: bool) -> &mut Kind {
        if is_delete { &mut self.deleting } else { &mut self.hiding }
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
                let mut jobs = self.without_late(jobs, now);
                if jobs.is_empty() {
                    continue;
                }
                self.calls.spawn(async move {
                    let changes: Vec<_> = jobs.iter_mut().map(Job::change).collect();
                    let result = queue.change_visibility(&changes).await;
                    Answered::Settle(jobs, result)
                });
            } else if let Some(mut jobs) = self.deletes.batch(now, self.hurry) {
                self.calls.spawn(async move {
                    let handles: Vec<_> = jobs.iter_mut().map(Job::handle).collect();
                    let result = queue.delete(&handles).await;
                    Answered::Settle(jobs, result)
                });
            } else if let Some(repeat) = self.repeats.due_or_hurried(now, self.hurry) {
                self.calls.spawn(async move {
                    // Best effort: the first call was confirmed; only its echo is guarded against.
                    queue.change_visibility(&[change(repeat.receipt, repeat.until)]).await.ok();
                    Answered::Repeat
                });
            } else {
                break;
            }
        }
    }

    /// Those that may be sent: while they waited for a call to end, the time of one without an answer may have passed.
    fn without_late(&self, jobs: Vec<Job>, now: Instant) -> Vec<Job> {
        let is_late = |job: &Job| job.unanswered && job.settlement.action.end(true) <= now;
        let (late, in_time): (Vec<_>, Vec<_>) = jobs.into_iter().partition(is_late);
        for job in late {
            self.give_up(job, TOO_LATE, TOO_LATE_FIX);
        }
        in_time
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
        let (jobs, result) = match answered {
            Answered::Settle(jobs, result) => (jobs, result),
            Answered::Repeat => return,
        };
        let is_delete = jobs.first().is_some_and(Job::is_delete);
        // One for all: what failed in one call is tried again in one.
        let unit = self.parts.random.f64();
        let failure = match result {
            Ok(results) => {
                self.kind(is_delete).fault = None;
                let mut results = results.into_iter();
                for job in jobs {
                    self.entry(job, results.next(), unit);
                }
                None
            }
            Err(error) => {
                self.parts.narrator.queue_error(&error);
                self.kind(is_delete).fault = error.kind.is_fault().then(|| error.to_string());
                for mut job in jobs {
                    job.unanswered |=
                        matches!(error.kind, QueueErrorKind::TimedOut | QueueErrorKind::Network);
                    if error.kind == QueueErrorKind::Missing {
                        self.give_up(job, error.kind.label(), &error.advice.fix);
                    } else {
                        self.retry(job, unit);
                    }
                }
                Some(error)
            }
        };
        self.settle_fault(failure.as_ref());
    }

    fn entry(&mut self, mut job: Job, result: Option<Result<(), EntryError>>, unit: f64) {
        let is_delete = job.is_delete();
        match result {
            Some(Ok(())) if job.is_outdated() => {
                job.unanswered = true;
                self.gather(job);
            }
            Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost && job.is_outdated() => {
                self.gather(job);
            }
            Some(Ok(())) => self.settled(job, true),
            // The first call had deleted it; some servers call the handle invalid then. Or the visibility has
            // lapsed meanwhile, so it is no confirmation that a successor could start on.
            Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost && job.unanswered && is_delete => {
                self.settled(job, false);
            }
            Some(Err(error)) if error.kind != EntryErrorKind::Retryable => {
                if error.kind == EntryErrorKind::LeaseLost {
                    job.settlement.action.lease().refused();
                }
                self.give_up(job, &error.code, error.kind.fix());
            }
            Some(Err(_)) | None => self.retry(job, unit),
        }
    }

    fn settled(&mut self, job: Job, sure: bool) {
        let (id, action) = job.settled(sure);
        match action {
            Action::Delete { .. } => self.parts.finished.confirm(&id),
            Action::Hide { until, how, lease } => {
                if how == Settled::Parked {
                    self.parts.metrics.parked_current.inc();
                    let returns = until.saturating_duration_since(self.started).as_secs() + 1;
                    *self.parked.entry(returns).or_default() += 1;
                }
                if lease.is_uncertain() && until > Instant::now() + REPEAT_AFTER + LAST_TRY_BEFORE {
                    let receipt = lease.lease().receipt().handle;
                    self.repeats.push(Instant::now() + REPEAT_AFTER, VisibilityRepeat { receipt, until });
                }
            }
        }
    }

    fn retry(&mut self, mut job: Job, unit: f64) {
        job.attempts += 1;
        let now = Instant::now();
        let end = job.settlement.action.end(job.unanswered);
        let last_try = end.checked_sub(LAST_TRY_BEFORE).unwrap_or(now);
        let lost = matches!(&job.settlement.action, Action::Delete { lease, .. } if lease.is_lost());
        if lost || now >= last_try {
            self.give_up(job, TOO_LATE, TOO_LATE_FIX);
        } else {
            self.retries.push(last_try.min(now + backoff::call(job.attempts, unit)), job);
        }
    }

    /// Leaves the message to SQS; dropping its entry counts it as abandoned.
    fn give_up(&self, job: Job, why: &str, fix: &str) {
        let Settlement { id, action, .. } = job.settlement;
        let what = match action {
            Action::Delete { .. } => "delete a message",
            Action::Hide { .. } => "hide a message",
        };
        self.parts.narrator.left_to_sqs(id.as_str(), what, why, fix);
    }

    /// Says once that a person has to act, and once that it works again. `error` is what the last call came to.
    fn settle_fault(&mut self, error: Option<&QueueError>) {
        for kind in [&mut self.deleting, &mut self.hiding] {
            if Arc::strong_count(&kind.jobs) == 1 {
                // Only a new message can find out whether it works again.
                kind.fault = None;
            }
        }
        let fault = self.deleting.fault.as_ref().or(self.hiding.fault.as_ref());
        if !self.parts.health.set_settle_fault(fault.cloned()) {
            return;
        }
        self.parts.metrics.set_faulted(self.parts.health.is_faulted());
        match error.filter(|_| fault.is_some()) {
            Some(error) => self.parts.narrator.faulted(error),
            None => self.parts.narrator.settles_again(),
        }
    }
}
