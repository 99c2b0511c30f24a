//! Settlement: carrying out at SQS how each message leaves, until SQS has confirmed it.
//!
//! A delivery hands over its message and an [`Exit`](exit::Exit), both by value. Each message is in one of three lanes:
//!
//! * **deletes**, in batches of ten. They gather for 100 ms, on FIFO queues not at all: their groups wait for them.
//! * **hides** (park, defer, release), in batches gathered for 20 ms. The seconds are computed when the call is sent, so
//!   time spent here is not added to the delay.
//! * **forwards**: what must be sent before a message is deleted, such as its copy for the dead-letter queue. One call
//!   each. The message goes on to the deletes once all its forwards were accepted.
//!
//! A drain gathers nothing: everything is sent at once.
//!
//! When a call or an entry of it fails, that entry alone is sent again, with back-off. What was confirmed beside it is
//! settled. Until when it is sent again depends on the lane:
//!
//! * A delete or a forward is tried while its message can be leased, twelve hours at most. The message
//!   stays under its lease meanwhile, because its work is done and nobody else may get it.
//! * A hiding has given its lease up, because an extension would undo it. It is tried until just before that lease ends.
//! * A hiding without an answer may have been carried out. It is not sent again once its own time is over, at once for a
//!   release: somebody else may have the message by then.
//!
//! What cannot be settled is left to SQS and counted as abandoned. When such a message comes again, the memory knows how
//! it was to leave. A message whose work is done is not posted again: first the forwards that are still owed are sent,
//! then it is deleted. A forward without an answer is sent again, so a copy may arrive twice, but never not at all.
//!
//! While SQS refuses a lane for a reason a person has to mend, nothing more is received. That ends when a call of the
//! lane works or the lane is empty.

mod batching;
pub(super) mod exit;
mod lane;
mod parked;
pub(super) mod settler;
#[cfg(test)]
pub(super) mod taken_for_tests;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::drain::{ABORT_GRACE, Drain};
use crate::message::ReceiptHandle;
use crate::observe::health::Tick;
use crate::pipeline::completion::Fate;
use crate::pipeline::context::Context;
use crate::pipeline::ledger::Settled;
use crate::pipeline::memory::Memory;
use crate::pipeline::settle::exit::Exit;
use crate::pipeline::settle::lane::{Done, LAST_TRY_BEFORE, Lane};
use crate::pipeline::settle::parked::Parked;
use crate::pipeline::settle::settler::{Incoming, Places, Settler};
use crate::pipeline::settle::work::{Delete, Hide, Owing, change};
use crate::ports::QueueError;

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
    receiver: mpsc::Receiver<Incoming>,
    deletes: Lane<Delete>,
    hides: Lane<Hide>,
    forwards: Lane<Owing>,
    parked: Parked,
    /// Hidings sent once more, after their messages have left the ledger.
    repeats: JoinSet<()>,
    repeats_at_once: Arc<Semaphore>,
    places: Places,
    hurry: bool,
}

impl SettleLoop {
    /// A loop, and the way to hand messages to it.
    pub(super) fn new(parts: Parts) -> (Settler, Self) {
        let settings = &parts.ctx.settings;
        let (settler, receiver) = Settler::new(settings.workers.max(PLACES_MIN), Arc::clone(&parts.memory));
        let delete_linger = if settings.fifo { Duration::ZERO } else { DELETE_LINGER };
        let events = || Arc::clone(&parts.ctx.events);
        let settle_loop = Self {
            deletes: Lane::new(delete_linger, events()),
            hides: Lane::new(HIDE_LINGER, events()),
            forwards: Lane::new(Duration::ZERO, events()),
            parked: Parked::new(),
            repeats: JoinSet::new(),
            repeats_at_once: Arc::new(Semaphore::new(REPEATS_MAX)),
            hurry: false,
            places: settler.places(),
            receiver,
            parts,
        };
        (settler, settle_loop)
    }

    /// Settles until there is nothing left to settle and nobody left who could bring more. When an abort has left it no
    /// more time, what is left is abandoned.
    /// After a panic it runs again: what it was settling by then has been left to SQS, and the rest is there.
    pub(super) async fn run(&mut self) {
        // If what was left to SQS was the last of its kind, nobody else would end a fault.
        self.settle_fault(None);
        let mut open = true;
        let mut incoming = Vec::new();
        let drain = self.parts.ctx.drain.clone();
        let out_of_time = out_of_time(drain.clone());
        tokio::pin!(out_of_time);
        loop {
            self.parts.tick.touch();
            self.parts.ctx.metrics.parked_current.sub(self.parked.returned(Instant::now()));
            self.send();
            // What came too late was the last of its lane, perhaps: nobody else would end its fault.
            self.settle_fault(None);
            if !open && self.is_done() {
                return;
            }
            let wake_at = self.wake_at();
            tokio::select! {
                biased;
                Some(answer) = self.deletes.answer() => {
                    let outcome = self.deletes.answered(answer, self.parts.random.f64());
                    for done in outcome.done { self.deleted(done); }
                    self.settle_fault(outcome.error.as_ref());
                }
                Some(answer) = self.hides.answer() => {
                    let outcome = self.hides.answered(answer, self.parts.random.f64());
                    for done in outcome.done { self.hidden(done.work); }
                    self.settle_fault(outcome.error.as_ref());
                }
                Some(answer) = self.forwards.answer() => {
                    let outcome = self.forwards.answered(answer, self.parts.random.f64());
                    for done in outcome.done { self.forwarded(done.work); }
                    self.settle_fault(outcome.error.as_ref());
                }
                Some(_repeated) = self.repeats.join_next() => {}
                count = self.receiver.recv_many(&mut incoming, PLACES_MIN), if open => {
                    open = count > 0;
                    self.hurry |= !open;
                    for each in incoming.drain(..) { self.take(each); }
                }
                () = drain.draining(), if !self.hurry => self.hurry = true,
                () = &mut out_of_time => return self.abandon(),
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    /// Leaves to SQS whatever has not been settled: dropping it counts it as abandoned.
    fn abandon(&mut self) {
        let listener = self.parts.ctx.settings.name.as_str();
        tracing::error!(listener, "some messages could not be settled in time; SQS will hand them out again");
        self.places.close();
        self.receiver.close();
        while self.receiver.try_recv().is_ok() {}
        self.deletes.abandon();
        self.hides.abandon();
        self.forwards.abandon();
        self.repeats.abort_all();
    }

    fn is_done(&self) -> bool {
        self.deletes.is_empty()
            && self.hides.is_empty()
            && self.forwards.is_empty()
            && self.repeats.is_empty()
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Delete(delete) => self.deletes.push(delete),
            Incoming::Hide(hide) => self.hides.push(hide),
            Incoming::Owing(owing) => self.forwards.push(*owing),
        }
    }

    fn send(&mut self) {
        let queue = &self.parts.ctx.queue;
        self.hides.send(queue, self.hurry);
        self.deletes.send(queue, self.hurry);
        self.forwards.send(queue, self.hurry);
    }

    fn wake_at(&self) -> Instant {
        let times =
            [self.deletes.next_at(), self.hides.next_at(), self.forwards.next_at(), self.parked.next()];
        times.into_iter().flatten().fold(Instant::now() + IDLE, Instant::min)
    }

    fn deleted(&mut self, done: Done<Delete>) {
        let Delete { leaver, how, successor } = done.work;
        self.parts.memory.confirmed(&leaver.id);
        leaver.settled(how);
        if done.is_sure {
            successor.tell(Fate::Deleted);
        }
    }

    fn hidden(&mut self, hide: Hide) {
        let Hide { leaver, how, until } = hide;
        if how == Settled::Parked {
            self.parts.ctx.metrics.parked_current.inc();
            self.parked.add(until);
        }
        if leaver.lease.is_uncertain() && until > Instant::now() + REPEAT_AFTER + LAST_TRY_BEFORE {
            self.repeats.spawn(repeat(
                Arc::clone(&self.parts.ctx),
                Arc::clone(&self.repeats_at_once),
                leaver.lease.as_ref().handle(),
                until,
            ));
        }
        leaver.settled(how);
    }

    /// One of what a message owes was accepted: the next, or the delete.
    fn forwarded(&mut self, owing: Owing) {
        let Owing { message, mut owed, delete } = owing;
        owed.remove(0);
        self.parts.memory.left(&message.id, Exit::Delete { first: owed.clone(), how: delete.how });
        self.take(Incoming::owing(message, owed, delete));
    }

    /// Says once that a person has to act, and once that it works again. `error` is what the last call came to.
    fn settle_fault(&mut self, error: Option<&QueueError>) {
        let faults = [self.deletes.fault(), self.hides.fault(), self.forwards.fault()];
        let fault = faults.into_iter().flatten().next().map(str::to_owned);
        let is_faulted = fault.is_some();
        let ctx = &self.parts.ctx;
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

/// Completes when an abort has left no more time to settle.
async fn out_of_time(drain: Drain) {
    drain.aborting().await;
    tokio::time::sleep(ABORT_GRACE).await;
}

/// Sends a hiding once more, some time after it was confirmed: an extension without an answer may have arrived after it.
async fn repeat(ctx: Arc<Context>, at_once: Arc<Semaphore>, receipt: ReceiptHandle, until: Instant) {
    tokio::select! {
        biased;
        () = ctx.drain.draining() => {}
        () = tokio::time::sleep(REPEAT_AFTER) => {}
    }
    let _place = at_once.acquire().await;
    // Later it would end the lease of whoever has the message then.
    if until > Instant::now() + LAST_TRY_BEFORE {
        // Best effort: the first call was confirmed.
        ctx.queue.change_visibility(&[change(receipt, until)]).await.ok();
    }
}
