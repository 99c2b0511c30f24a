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

use crate::message::ReceiptHandle;
use crate::observe::health::Tick;
use crate::pipeline::batching::{Buffer, Later};
use crate::pipeline::context::Context;
use crate::pipeline::ledger::Settled;
use crate::pipeline::memory::Memory;
use crate::pipeline::settlement::{Action, Job, Pending, Settlement, Settler, change};
use crate::policy::advice::entry::{TOO_LATE, TOO_LATE_FIX};
use crate::policy::backoff;
use crate::ports::{BatchResult, EntryError, EntryErrorKind, QueueError, QueueErrorKind};

/// How long deletes are gathered.
const DELETE_LINGER: Duration = Duration::from_millis(100);
/// How long hidings are gathered.
const HIDE_LINGER: Duration = Duration::from_millis(20);
/// Calls under way at once.
const CALLS_MAX: usize = 32;
/// Settlements under way beyond the workers' own number.
const PLACES_MIN: usize = 512;
/// After an unanswered extension a hiding is sent once more so much later, with what is left of it.
const REPEAT_AFTER: Duration = Duration::from_secs(5);
/// The last try comes so long before the end, for the way of the call.
const LAST_TRY_BEFORE: Duration = Duration::from_secs(2);
/// How long the loop sleeps at most; its watchdog ticks that often.
const IDLE: Duration = Duration::from_secs(15);

/// What the loop works with.
pub(super) struct Parts {
    pub(super) ctx: Arc<Context>,
    pub(super) memory: Arc<Memory>,
    pub(super) tick: Tick,
    pub(super) random: fastrand::Rng,
}

/// The loop that settles; it ends when every [`Settler`] is gone and everything is settled.
pub(super) struct SettleLoop {
    parts: Parts,
    receiver: mpsc::Receiver<Job>,
    deletes: Lane,
    hides: Lane,
    retries: Later<Job>,
    repeats: Later<VisibilityRepeat>,
    parked: Parked,
    calls: JoinSet<Answered>,
    hurry: bool,
}

/// One kind of settlement.
#[derive(Debug)]
struct Lane {
    waiting: Buffer<Job>,
    /// Its jobs, wherever they are.
    pending: Pending,
    /// Why it fails until a person acts.
    fault: Option<String>,
}

impl Lane {
    fn new(linger: Duration) -> Self {
        Self { waiting: Buffer::new(linger), pending: Pending::default(), fault: None }
    }
}

/// Messages parked by this process, by the second since `started` at which they return.
#[derive(Debug)]
struct Parked {
    started: Instant,
    by_second: BTreeMap<u64, i64>,
}

impl Parked {
    /// One more, until then.
    fn add(&mut self, until: Instant) {
        let returns = until.saturating_duration_since(self.started).as_secs() + 1;
        *self.by_second.entry(returns).or_default() += 1;
    }

    /// How many have returned since this was asked last.
    fn returned(&mut self, now: Instant) -> i64 {
        let passed = now.duration_since(self.started).as_secs();
        let later = self.by_second.split_off(&(passed + 1));
        std::mem::replace(&mut self.by_second, later).into_values().sum()
    }

    /// When the next returns.
    fn next(&self) -> Option<Instant> {
        self.by_second.keys().next().map(|second| self.started + Duration::from_secs(*second))
    }
}

/// A hiding sent once more after its message has left the ledger.
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
    /// A loop, and the way to hand settlements to it.
    pub(super) fn new(parts: Parts) -> (Settler, Self) {
        let settings = &parts.ctx.settings;
        let places = settings.workers.max(PLACES_MIN);
        let (settler, receiver) = Settler::new(places);
        let settle_loop = Self {
            deletes: Lane::new(if settings.fifo { Duration::ZERO } else { DELETE_LINGER }),
            parts,
            receiver,
            hides: Lane::new(HIDE_LINGER),
            retries: Later::default(),
            repeats: Later::default(),
            parked: Parked { started: Instant::now(), by_second: BTreeMap::new() },
            calls: JoinSet::new(),
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
        let drain = self.parts.ctx.drain.clone();
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
                        job.pending = Some(self.lane(job.is_delete()).pending.one());
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
            && self.deletes.waiting.is_empty()
            && self.hides.waiting.is_empty()
            && self.retries.is_empty()
            && self.repeats.is_empty()
    }

    fn gather(&mut self, job: Job) {
        self.lane(job.is_delete()).waiting.push(job);
    }

    fn lane(&mut self, is_delete: bool) -> &mut Lane {
        if is_delete { &mut self.deletes } else { &mut self.hides }
    }

    fn take_due(&mut self) {
        let now = Instant::now();
        while let Some(job) = self.retries.due(now) {
            self.gather(job);
        }
        self.parts.ctx.metrics.parked_current.sub(self.parked.returned(now));
    }

    /// Sends what has been gathered long enough, as far as calls may run.
    fn send(&mut self) {
        let now = Instant::now();
        while self.calls.len() < CALLS_MAX {
            let queue = Arc::clone(&self.parts.ctx.queue);
            if let Some(jobs) = self.hides.waiting.batch(now, self.hurry) {
                let mut jobs = self.without_late(jobs, now);
                if jobs.is_empty() {
                    continue;
                }
                self.calls.spawn(async move {
                    let changes: Vec<_> = jobs.iter_mut().map(Job::change).collect();
                    let result = queue.change_visibility(&changes).await;
                    Answered::Settle(jobs, result)
                });
            } else if let Some(mut jobs) = self.deletes.waiting.batch(now, self.hurry) {
                self.calls.spawn(async move {
                    let handles: Vec<_> = jobs.iter_mut().map(Job::handle).collect();
                    let result = queue.delete(&handles).await;
                    Answered::Settle(jobs, result)
                });
            } else if let Some(repeat) = self.repeats.due_or_hurried(now, self.hurry) {
                if repeat.until <= now + LAST_TRY_BEFORE {
                    // Later it would end the lease of whoever has the message then.
                    continue;
                }
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

    /// Those that may be sent: the time of one that is sent again may have passed while it waited for a call to end, or
    /// while the process stood still.
    fn without_late(&self, jobs: Vec<Job>, now: Instant) -> Vec<Job> {
        let is_late = |job: &Job| {
            (job.unanswered || job.attempts > 0) && job.settlement.action.end(job.unanswered) <= now
        };
        let (late, in_time): (Vec<_>, Vec<_>) = jobs.into_iter().partition(is_late);
        for job in late {
            self.give_up(job, TOO_LATE, TOO_LATE_FIX);
        }
        in_time
    }

    fn wake_at(&self) -> Instant {
        let idle = Instant::now() + IDLE;
        let pending = if self.calls.len() < CALLS_MAX {
            [
                self.deletes.waiting.due(),
                self.hides.waiting.due(),
                self.retries.next_at(),
                self.repeats.next_at(),
            ]
        } else {
            [None; 4]
        };
        pending.into_iter().flatten().chain(self.parked.next()).fold(idle, Instant::min)
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
                self.lane(is_delete).fault = None;
                let mut results = results.into_iter();
                for job in jobs {
                    self.entry(job, results.next(), unit);
                }
                None
            }
            Err(error) => {
                self.parts.ctx.events.queue_error(&error);
                self.lane(is_delete).fault = error.kind.is_fault().then(|| error.to_string());
                for mut job in jobs {
                    job.unanswered |= error.may_be_carried_out();
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
            Action::Delete { .. } => self.parts.memory.confirmed(&id),
            Action::Hide { until, how, lease } => {
                if how == Settled::Parked {
                    self.parts.ctx.metrics.parked_current.inc();
                    self.parked.add(until);
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
        self.parts.ctx.events.left_to_sqs(id.as_str(), what, why, fix);
    }

    /// Says once that a person has to act, and once that it works again. `error` is what the last call came to.
    fn settle_fault(&mut self, error: Option<&QueueError>) {
        for lane in [&mut self.deletes, &mut self.hides] {
            if lane.pending.is_empty() {
                // Only a new message can find out whether it works again.
                lane.fault = None;
            }
        }
        let fault = self.deletes.fault.as_ref().or(self.hides.fault.as_ref());
        if !self.parts.ctx.health.set_settle_fault(fault.cloned()) {
            return;
        }
        self.parts.ctx.metrics.set_faulted(self.parts.ctx.health.is_faulted());
        match error.filter(|_| fault.is_some()) {
            Some(error) => self.parts.ctx.events.faulted(error),
            None => self.parts.ctx.events.settles_again(),
        }
    }
}
