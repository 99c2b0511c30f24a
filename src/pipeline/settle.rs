//! Settlement: carrying out at SQS how each message leaves, until SQS has confirmed it.
//!
//! A delivery hands over its message and an [`Exit`], both by value. Settlement has so many places and no more. A slow SQS
//! therefore holds up deliveries and, behind them, receives; it does not fill the memory of the process. Each message is in
//! one of three lanes:
//!
//! * **deletes**, in batches of ten. They gather for 100 ms, on FIFO queues not at all: their groups wait for them.
//! * **hides** (park, defer, release), in batches gathered for 20 ms. The seconds are computed when the call is sent, so
//!   time spent here is not added to the delay.
//! * **forwards**: copies for the dead-letter queue, one call each. When its copy was accepted, the message goes on to the
//!   deletes. A forward without an answer is sent again, so a copy may arrive twice, but never not at all.
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
mod job;
mod lane;
pub(super) mod parked;
#[cfg(test)]
pub(super) mod taken_for_tests;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::drain::ABORT_GRACE;
use crate::message::{Message, ReceiptHandle};
use crate::observe::health::Tick;
use crate::pipeline::context::Context;
use crate::pipeline::lease::Lease;
use crate::pipeline::ledger::Settled;
use crate::pipeline::memory::Memory;
use crate::pipeline::settle::exit::{Exit, Fate, Successor};
use crate::pipeline::settle::job::{Job, change};
use crate::pipeline::settle::lane::{LAST_TRY_BEFORE, Lane, Outcome};
use crate::ports::{BATCH_MAX, QueueError};

/// How long deletes are gathered.
const DELETE_LINGER: Duration = Duration::from_millis(100);
/// How long hidings are gathered.
const HIDE_LINGER: Duration = Duration::from_millis(20);
/// Messages in settlement beyond the workers' own number.
const PLACES_MIN: usize = 512;
/// After an unanswered extension a hiding is sent once more so much later, with what is left of it.
const REPEAT_AFTER: Duration = Duration::from_secs(5);
/// Such calls under way at once.
const REPEATS_MAX: usize = 32;
/// How long the loop sleeps at most; its watchdog ticks that often.
const IDLE: Duration = Duration::from_secs(15);

/// Where deliveries hand over their messages.
///
/// Messages with a copy to forward have places of their own: a dead-letter queue that takes nothing must not keep others
/// from being deleted and hidden.
#[derive(Debug, Clone)]
pub(super) struct Settler {
    forward_places: Arc<Semaphore>,
    other_places: Arc<Semaphore>,
    sender: mpsc::Sender<Job>,
    memory: Arc<Memory>,
}

impl Settler {
    /// A way for so many messages at once that are forwarded, and as many others; and where they come out.
    fn new(each: usize, memory: Arc<Memory>) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(2 * each);
        let places = || Arc::new(Semaphore::new(each));
        (Self { forward_places: places(), other_places: places(), sender, memory }, receiver)
    }

    /// Takes a message over and remembers how it leaves. Waits for a place; the caller may free its worker then.
    pub(super) async fn settle(
        &self,
        mut message: Message,
        lease: Lease,
        mut successor: Successor,
        mut exit: Exit,
    ) {
        self.memory.left(&message.id, exit.clone());
        let forwards = matches!(exit, Exit::Delete { forward: Some(_), .. });
        if !forwards {
            (message.body, message.attributes) = (Bytes::new(), Vec::new());
        }
        let places = if forwards { &self.forward_places } else { &self.other_places };
        // Nobody closes them. When the loop has ended, its places are free and what is sent to it is dropped.
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        let mut hidden = None;
        if let Exit::Hide { until, .. } = &mut exit {
            // SQS refuses a visibility past its twelve hours.
            *until = lease.ceiling().min(*until);
            lease.close(*until).await;
            hidden = Some((std::mem::take(&mut successor), *until));
        }
        // The channel has as much room as there are places.
        self.sender.send(Job::new(message, exit, lease, successor, place)).await.ok();
        if let Some((successor, until)) = hidden {
            // Only now: what stands behind it in its group is released after it.
            successor.tell(Fate::Hidden(until));
        }
    }
}

/// The loop that settles; it ends when every [`Settler`] is gone and everything is settled.
pub(super) struct SettleLoop {
    ctx: Arc<Context>,
    memory: Arc<Memory>,
    tick: Tick,
    random: fastrand::Rng,
    receiver: mpsc::Receiver<Job>,
    /// Deletes, hides and forwards.
    lanes: [Lane; 3],
    /// Hidings sent once more, after their messages have left the ledger.
    repeats: JoinSet<()>,
    repeats_at_once: Arc<Semaphore>,
    hurry: bool,
}

impl SettleLoop {
    /// A loop, and the way to hand messages to it; `seed` drives its jitter.
    pub(super) fn new(ctx: Arc<Context>, memory: Arc<Memory>, seed: u64) -> (Settler, Self) {
        let (settler, receiver) = Settler::new(ctx.settings.workers.max(PLACES_MIN), Arc::clone(&memory));
        let delete_linger = if ctx.settings.is_fifo() { Duration::ZERO } else { DELETE_LINGER };
        let lane = |linger, most| Lane::new(linger, most, Arc::clone(&ctx.events));
        let settle_loop = Self {
            lanes: [lane(delete_linger, BATCH_MAX), lane(HIDE_LINGER, BATCH_MAX), lane(Duration::ZERO, 1)],
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
            for lane in &mut self.lanes {
                lane.send(&self.ctx.queue, self.hurry);
            }
            // What was left to SQS was the last of its lane, perhaps: nobody else would end its fault.
            self.settle_fault(None);
            if !open && self.repeats.is_empty() && self.lanes.iter().all(Lane::is_empty) {
                return;
            }
            let times = self.lanes.iter().filter_map(Lane::next_at);
            let wake_at = times.fold(Instant::now() + IDLE, Instant::min);
            let unit = self.random.f64();
            let [deletes, hides, forwards] = &mut self.lanes;
            tokio::select! {
                biased;
                Some(outcome) = deletes.answer(unit) => self.answered(outcome),
                Some(outcome) = hides.answer(unit) => self.answered(outcome),
                Some(outcome) = forwards.answer(unit) => self.answered(outcome),
                Some(_repeated) = self.repeats.join_next() => {}
                count = self.receiver.recv_many(&mut incoming, PLACES_MIN), if open => {
                    open = count > 0;
                    self.hurry |= !open;
                    for job in incoming.drain(..) { self.take(job); }
                }
                () = drain.draining(), if !self.hurry => self.hurry = true,
                () = &mut out_of_time => {
                    let listener = self.ctx.settings.name.as_str();
                    tracing::error!(listener, "some messages could not be settled in time; SQS will hand them out again");
                    return;
                }
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    fn take(&mut self, job: Job) {
        let [deletes, hides, forwards] = &mut self.lanes;
        match job.exit {
            Exit::Delete { forward: None, .. } => deletes.push(job),
            Exit::Delete { forward: Some(_), .. } => forwards.push(job),
            Exit::Hide { .. } => hides.push(job),
        }
    }

    fn answered(&mut self, (done, error): Outcome) {
        for job in done {
            self.done(job);
        }
        self.settle_fault(error.as_ref());
    }

    fn done(&mut self, job: Job) {
        let Job { message, exit, lease, successor, place, .. } = job;
        match exit {
            Exit::Delete { forward: None, how } => {
                self.memory.confirmed(&message.id);
                lease.settled(how);
                successor.tell(Fate::Deleted);
            }
            Exit::Delete { forward: Some(_), how } => {
                let exit = Exit::Delete { forward: None, how };
                self.memory.left(&message.id, exit.clone());
                self.take(Job::new(message, exit, lease, successor, place));
            }
            Exit::Hide { until, how } => {
                if how == Settled::Parked {
                    self.memory.parked.add(until);
                }
                if lease.is_uncertain() && until > Instant::now() + REPEAT_AFTER + LAST_TRY_BEFORE {
                    let at_once = Arc::clone(&self.repeats_at_once);
                    self.repeats.spawn(repeat(Arc::clone(&self.ctx), at_once, lease.handle(), until));
                }
                lease.settled(how);
            }
        }
    }

    /// Says once that a person has to act, and once that it works again. `error` is what the last call came to.
    fn settle_fault(&mut self, error: Option<&QueueError>) {
        let fault = self.lanes.iter_mut().fold(None, |fault, lane| fault.or(lane.fault()));
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
