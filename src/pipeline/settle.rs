//! Settlement: carrying out at SQS how each message leaves, until SQS has confirmed it.
//!
//! A delivery hands over its message and an [`Exit`], both by value. Settlement has so many places and no more. A slow SQS
//! therefore holds up deliveries and, behind them, receives; it does not fill the memory of the process. Each message is in
//! one of these lanes:
//!
//! * **deletes**, in batches of ten. They gather for 100 ms, with a latency budget for a second. On FIFO queues they do not:
//!   their groups wait for them.
//! * **hides** (park, defer, release), in batches gathered for 20 ms. The seconds are computed when the call is sent, so
//!   time spent here is not added to the delay.
//! * **copies** for the dead-letter queue, one call each.
//! * **results**, a lane for each of the two queues, in batches like deletes.
//!
//! Copies and results are forwards. When one was accepted, the message goes on: to the next forward, then to its delete or
//! hiding. A forward without an answer is sent again, so it may arrive twice, but never not at all.
//!
//! A drain gathers nothing: everything is sent at once.
//!
//! When a call or an entry of it fails, that entry alone is sent again, with back-off. [`Job::end`] says until when. What was
//! confirmed beside it is settled. What cannot be settled is left to SQS and counted as abandoned. When such a message comes
//! again, the memory knows how it was to leave.
//!
//! While SQS refuses a lane for a reason a person has to mend, nothing more is received. That ends when a call of the
//! lane works or the lane is empty.

pub(super) mod exit;
pub(super) mod forward;
mod job;
mod lane;
mod lanes;
pub(super) mod parked;
mod settler;
#[cfg(test)]
pub(super) mod taken_for_tests;

pub(super) use settler::Settler;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::drain::ABORT_GRACE;
use crate::message::ReceiptHandle;
use crate::observe::health::Tick;
use crate::pipeline::context::Context;
use crate::pipeline::ledger::Settled;
use crate::pipeline::memory::Memory;
use crate::pipeline::results::Results;
use crate::pipeline::settle::exit::{Exit, Fate};
use crate::pipeline::settle::job::{Job, change, close};
use crate::pipeline::settle::lane::{LAST_TRY_BEFORE, Outcome};
use crate::pipeline::settle::lanes::Lanes;
use crate::policy::visibility::ARRIVES_WITHIN;
use crate::ports::{EntryErrorKind, QueueError};

/// Messages in settlement beyond the workers' own number.
const PLACES_MIN: usize = 512;
/// A message that was attempted is hidden for so long at least.
const HIDDEN_MIN: Duration = Duration::from_secs(1);
/// After an unanswered extension a hiding is sent once more so much later, with what is left of it.
const REPEAT_AFTER: Duration = ARRIVES_WITHIN;
/// Such calls under way at once.
const REPEATS_MAX: usize = 32;
/// How long the loop sleeps at most; its watchdog ticks that often.
const IDLE: Duration = Duration::from_secs(15);

/// The loop that settles; it ends when every [`Settler`] is gone and everything is settled.
pub(super) struct SettleLoop {
    ctx: Arc<Context>,
    memory: Arc<Memory>,
    tick: Tick,
    random: fastrand::Rng,
    receiver: mpsc::Receiver<Job>,
    lanes: Lanes,
    /// Messages whose leases are being closed: they are hidden next.
    closing: JoinSet<Job>,
    /// Hidings sent once more, after their messages have left the ledger.
    repeats: JoinSet<()>,
    repeats_at_once: Arc<Semaphore>,
    hurry: bool,
}

impl SettleLoop {
    /// A loop, and the way to hand messages to it; `seed` drives its jitter.
    pub(super) fn new(
        ctx: Arc<Context>,
        memory: Arc<Memory>,
        results: Arc<Results>,
        seed: u64,
    ) -> (Arc<Settler>, Self) {
        let lanes = Lanes::new(&ctx.queue, &results, ctx.settings().is_fifo(), &ctx.events);
        let places = ctx.settings().workers.max(PLACES_MIN);
        let (settler, receiver) = Settler::new(places, Arc::clone(&memory), results, ctx.wall);
        let settle_loop = Self {
            lanes,
            closing: JoinSet::new(),
            tick: ctx.health.watch("settle"),
            random: fastrand::Rng::with_seed(seed),
            receiver,
            repeats: JoinSet::new(),
            repeats_at_once: Arc::new(Semaphore::new(REPEATS_MAX)),
            hurry: false,
            ctx,
            memory,
        };
        (settler, settle_loop)
    }

    /// Settles until there is nothing left to settle and nobody left who could bring more. When an abort has left it no
    /// more time, what is left is abandoned: whoever runs the loop drops it then.
    /// After a panic it runs again: what it was settling by then has been left to SQS, and the rest is there.
    pub(super) async fn run(&mut self) {
        let mut open = true;
        let mut incoming = Vec::new();
        let drain = self.ctx.drain.clone();
        let mut out_of_time = pin!(async {
            drain.aborting().await;
            tokio::time::sleep(ABORT_GRACE).await;
        });
        loop {
            self.tick.touch();
            let settings = self.ctx.settings();
            self.lanes.set_latency_budget(settings.receiving.latency_budget, settings.is_fifo());
            self.lanes.send(self.hurry);
            // What was left to SQS was the last of its lane, perhaps: nobody else would end its fault.
            self.settle_fault(None);
            let is_idle = self.repeats.is_empty() && self.closing.is_empty() && self.lanes.are_empty();
            if !open && is_idle {
                return;
            }
            let idle = Instant::now() + IDLE;
            let wake_at = self.lanes.next_at().map_or(idle, |at| at.min(idle));
            let unit = self.random.f64();
            tokio::select! {
                biased;
                Some(outcome) = self.lanes.answer(unit) => self.answered(outcome),
                Some(Ok(closed)) = self.closing.join_next() => self.closed(closed),
                Some(_repeated) = self.repeats.join_next() => {}
                count = self.receiver.recv_many(&mut incoming, PLACES_MIN), if open => {
                    open = count > 0;
                    self.hurry |= !open;
                    for job in incoming.drain(..) { self.lanes.push(job); }
                }
                () = drain.draining(), if !self.hurry => self.hurry = true,
                () = &mut out_of_time => {
                    let settings = self.ctx.settings();
                    let listener = settings.name.as_str();
                    tracing::error!(listener, "some messages could not be settled in time; SQS will hand them out again");
                    return;
                }
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    fn answered(&mut self, (done, error): Outcome) {
        for job in done {
            self.done(job);
        }
        self.settle_fault(error.as_ref());
    }

    fn done(&mut self, job: Job) {
        let Job { message, exit, lease, successor, mut place, .. } = job;
        match exit {
            Exit::Delete { how } => {
                self.memory.confirmed(&message.id);
                lease.settled(how);
                successor.tell(Fate::Deleted);
            }
            Exit::After { then, .. } => {
                self.memory.left(&message.id, (*then).clone());
                place.room = None;
                self.goes_on(Job::new(message, *then, lease, successor, place));
            }
            Exit::Hide { until, how } => {
                match how {
                    Settled::Parked => self.memory.parked.add(until),
                    Settled::Deferred(_) => self.memory.deferred.add(until),
                    Settled::Deleted | Settled::DeadLettered | Settled::Released(_) => {}
                }
                if lease.is_uncertain() && until > Instant::now() + REPEAT_AFTER + LAST_TRY_BEFORE {
                    let at_once = Arc::clone(&self.repeats_at_once);
                    self.repeats.spawn(repeat(Arc::clone(&self.ctx), at_once, lease.handle(), until));
                }
                lease.settled(how);
            }
        }
    }

    /// The next step of a message whose forward was accepted.
    fn goes_on(&mut self, job: Job) {
        if !matches!(job.exit, Exit::Hide { .. }) {
            self.lanes.push(job);
        } else if job.lease.is_ours() {
            self.closing.spawn(async move {
                let mut job = job;
                if let Exit::Hide { until, .. } = &mut job.exit {
                    // Its delay may be over. It was attempted, so it is never made visible at once.
                    *until = (*until).max(Instant::now() + HIDDEN_MIN);
                    close(&job.lease, until).await;
                }
                job
            });
        } else {
            // Somebody else may have it, and a standard queue may take the older handle all the same.
            let fix = EntryErrorKind::LeaseLost.fix();
            self.ctx.events.abandoned(&job.message, job.what(), "its lease was lost", fix);
        }
    }

    /// Its lease is closed: it is hidden now, and what stands behind it in its group is released after it.
    fn closed(&mut self, mut job: Job) {
        let Exit::Hide { until, .. } = job.exit else { return };
        let successor = std::mem::take(&mut job.successor);
        self.lanes.push(job);
        successor.tell(Fate::Hidden(until));
    }

    /// Says once that a person has to act, and once that it works again. `error` is what the last call came to.
    fn settle_fault(&mut self, error: Option<&QueueError>) {
        let fault = self.lanes.fault();
        let is_faulted = fault.is_some();
        let ctx = &self.ctx;
        if !ctx.health.set_settle_fault(fault) {
            return;
        }
        ctx.metrics.set_faulted(ctx.health.is_faulted());
        match error.filter(|_| is_faulted) {
            Some(error) => ctx.events.faulted(error),
            None => ctx.events.settles_again(),
        }
    }
}

/// Sends a hiding once more, some time after it was confirmed: an extension without an answer may have arrived after it.
async fn repeat(ctx: Arc<Context>, at_once: Arc<Semaphore>, receipt: ReceiptHandle, until: Instant) {
    tokio::time::timeout(REPEAT_AFTER, ctx.drain.draining()).await.ok();
    let _place = at_once.acquire().await;
    // Later it would end the lease of whoever has the message then.
    if until > Instant::now() + LAST_TRY_BEFORE {
        // Best effort: the first call was confirmed.
        ctx.queue.change_visibility(&[change(receipt, until)]).await.ok();
    }
}
