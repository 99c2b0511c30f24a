//! A message in flight: received, and not yet settled by us; and how it leaves.
//!
//! [`InFlight`] owns the message and all that is freed when it leaves: lease and slot. Intake makes it once, and the stages
//! move it by value. Each way out consumes it and hands it to settlement with its [`Exit`], so a message cannot be settled
//! twice. A panic or the end of the process may drop it on the way. Then its slot is free, its lease ends and the ledger
//! counts it as abandoned: SQS hands it out again.
//!
//! Whether this is the message's final receive is computed by intake, once, and read everywhere else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::limit::Slot;
use crate::message::{Message, MessageId};
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::lease::Lease;
use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::Settler;
use crate::pipeline::settle::exit::{Exit, Fate, Successor};
use crate::pipeline::settle::forward::Forward;
use crate::policy::decide::{DeferReason, Disposition, FAULT_DELAY};
use crate::policy::final_receive::FinalReceive;
use crate::policy::outcome::Outcome;
use crate::ports::{DeadLetterReason, EntryErrorKind};
use crate::telemetry::labels::{ReleaseReason, Stage};
use crate::telemetry::trace::Journey;

/// In the result of a message that was released on its final receive.
const NOT_POSTED: &str = "it was not posted on its final receive: the endpoint took nothing, a message before it in its group \
     failed, or the process stopped";

/// A message in flight, and what is freed when it leaves.
#[must_use]
pub(super) struct InFlight {
    /// In a box, like its job later: both are moved by value many times.
    pub(super) message: Box<Message>,
    pub(super) lease: Lease,
    /// Messages of one group share a slot: one of them is delivered at a time.
    pub(super) slot: Arc<Slot>,
    /// What is special about this receive, if it is the message's final one.
    pub(super) final_receive: Option<FinalReceive>,
    /// Bytes of a request with several messages that it takes at most, and at least its own.
    pub(super) share_of_request: usize,
    /// The body that it stands for, if it is a claim check that has been redeemed.
    pub(super) redeemed: Option<Bytes>,
    /// Who waits for its end.
    pub(super) successor: Successor,
    pub(super) settler: Arc<Settler>,
    pub(super) trace: Journey,
}

impl InFlight {
    /// Its id.
    pub(super) fn id(&self) -> &MessageId {
        &self.message.id
    }

    /// Whether refusing it once more would dead-letter it, though other receives of it could have succeeded.
    pub(super) fn is_last_try(&self) -> bool {
        self.final_receive.as_ref().is_some_and(FinalReceive::follows_others)
    }

    /// It moves on, in the ledger.
    pub(super) fn enter(&self, stage: Stage) {
        self.lease.enter(stage);
    }

    /// How much longer SQS lets this receive be hidden.
    pub(super) fn hideable(&self) -> Duration {
        self.lease.hideable()
    }

    /// The time after which a POST that takes so long would outlast what SQS grants one receive.
    pub(super) fn last_start(&self, longest_post: Duration) -> Instant {
        self.lease.ceiling() - longest_post
    }

    /// Lets it share the slot of a message of its group.
    pub(super) fn share_slot_of(&mut self, other: &Self) {
        other.slot.take_over(&self.slot);
        self.slot = Arc::clone(&other.slot);
    }

    /// How to learn what becomes of it.
    pub(super) fn fate(&mut self) -> oneshot::Receiver<Fate> {
        self.successor.joined()
    }

    /// How it leaves as decided: after its result was sent, if it has one.
    pub(super) fn way_out(&self, dispatch: &Dispatch, disposition: Disposition, posted: &Posted) -> Exit {
        let result = self.settler.result(&self.message, posted, (disposition, self.final_receive.is_some()));
        let exit = match disposition {
            Disposition::Delete => {
                dispatch.completed(&self.message);
                Exit::DELETE
            }
            Disposition::Park { delay } => self.hidden(delay, Settled::Parked),
            Disposition::Defer { delay, reason } => self.hidden(delay, Settled::Deferred(reason)),
            Disposition::DeadLetter => {
                let reason = DeadLetterReason {
                    outcome: posted.outcome.label(),
                    status: posted.seen.status,
                    answer: posted.answer.clone(),
                    listener: Some(dispatch.ctx.settings().name.as_str().into()),
                };
                Exit::Delete { how: Settled::DeadLettered }.after(Some(Forward::Copy(reason)))
            }
            // Held messages stay; a hold that ends up here is deferred like any failure.
            Disposition::Hold => self.hidden(FAULT_DELAY, Settled::Deferred(DeferReason::Unreachable)),
        };
        exit.after(result)
    }

    /// Releases the message unattempted, hidden until then. One whose lease is over is left to SQS: somebody else may
    /// have it, and a standard queue may take the older handle all the same.
    pub(super) async fn release(self, dispatch: &Dispatch, until: Instant, reason: ReleaseReason) {
        if !self.lease.is_ours() {
            return self.leave_to_sqs(dispatch);
        }
        // Few messages leave so: in a box it makes no delivery's task larger.
        Box::pin(self.hide_until(until, Settled::Released(reason))).await;
    }

    /// Its lease is over. Dropping it counts it as abandoned; the lost lease has been counted already.
    pub(super) fn leave_to_sqs(self, dispatch: &Dispatch) {
        let fix = EntryErrorKind::LeaseLost.fix();
        let (events, why) = (&dispatch.ctx.events, "its lease was lost");
        match &self.final_receive {
            None => events.abandoned(&self.message, "keep a message", why, fix),
            Some(last) => {
                events.left_to_sqs(self.id().as_str(), "keep a message", why, fix);
                events.given_back(&self.message, why, last);
            }
        }
    }

    /// Hides it for so long, within what SQS grants this receive. It is not posted any more in this receive.
    pub(super) async fn hide(self, delay: Duration, how: Settled) {
        let until = Instant::now() + delay.min(self.hideable());
        Box::pin(self.hide_until(until, how)).await;
    }

    /// Hides it until then, after its result was sent, if SQS hands it out no more.
    pub(super) async fn hide_until(self, until: Instant, how: Settled) {
        // Whatever it was refused for: nothing more is sent of it.
        let posted = Posted { why: Some(NOT_POSTED.to_owned()), ..Posted::not(Outcome::Unsent) };
        let leaves = (Disposition::Hold, self.final_receive.is_some());
        let result = self.settler.result(&self.message, &posted, leaves);
        self.exit(Exit::Hide { until, how }.after(result)).await;
    }

    /// How it is hidden for so long, within what SQS grants this receive.
    fn hidden(&self, delay: Duration, how: Settled) -> Exit {
        Exit::Hide { until: Instant::now() + delay.min(self.hideable()), how }
    }

    /// Hands the message to settlement. Its slot is free once that has a place for it.
    pub(super) async fn exit(self, exit: Exit) {
        self.enter(Stage::Settling);
        let Self { message, lease, successor, settler, slot, redeemed, .. } = self;
        drop(redeemed);
        settler.settle(message, lease, successor, exit).await;
        drop(slot);
    }

    /// Tells log and status what came of a POST. `waits`: the message is not parked at SQS, but waits in this process.
    pub(super) fn tell(&self, dispatch: &Dispatch, posted: &Posted, disposition: Disposition, waits: bool) {
        let last = self.final_receive.as_ref().filter(|_| !waits);
        dispatch.ctx.events.delivered(&self.message, posted, disposition, last, waits);
        if disposition != Disposition::Delete && posted.outcome != Outcome::Aborted {
            let goes = matches!(disposition, Disposition::Park { .. } | Disposition::Defer { .. });
            dispatch.ctx.health.failing.failed(posted.meaning(), goes && last.is_some());
        }
    }

    /// Says where the message goes if SQS does not hand it out again.
    pub(super) fn last_word(&self, dispatch: &Dispatch, why: &'static str) {
        if let Some(last) = &self.final_receive {
            dispatch.ctx.events.given_back(&self.message, why, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::kit_for_tests::{MINUTE, Setup};

    #[tokio::test(start_paused = true)]
    async fn one_that_is_dropped_is_abandoned_its_slot_is_free_and_its_lease_ended() {
        let kit = Setup::default().kit();
        let messages = kit.messages(1).await;
        assert_eq!((kit.slots.counts().in_use, kit.leases.lock().by_key.len()), (1, 1));
        drop(messages);
        assert_eq!((kit.slots.counts().in_use, kit.leases.lock().by_key.len()), (0, 0));
        let metrics = &kit.dispatch.ctx.metrics;
        assert_eq!((kit.abandoned(), metrics.in_progress().map(|(_, count)| count)), (1, [0; 4]));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_final_receive_that_others_came_before_is_a_last_try() {
        let kit = Setup::default().kit();
        let mut message = kit.last_try().await;
        assert!(message.is_last_try());
        message.final_receive = Some(FinalReceive { max: 1, dead_letter_queue: None });
        assert!(!message.is_last_try(), "with a single receive none could be spared");
        message.final_receive = None;
        assert!(!message.is_last_try());
    }

    #[tokio::test(start_paused = true)]
    async fn a_post_may_start_as_long_as_it_ends_within_the_hours_of_its_receive() {
        let kit = Setup::default().kit();
        let received = Instant::now();
        let messages = kit.messages(1).await;
        let hours = Duration::from_secs(43_195);
        assert_eq!(messages[0].last_start(MINUTE), received + hours - MINUTE);
        tokio::time::advance(MINUTE).await;
        assert_eq!(messages[0].hideable(), hours.saturating_sub(MINUTE));
    }

    #[tokio::test(start_paused = true)]
    async fn messages_that_share_a_slot_free_it_with_the_last_of_them() {
        let kit = Setup::default().kit();
        let mut messages = kit.messages(2).await;
        let (head, tail) = messages.split_first_mut().unwrap();
        tail[0].share_slot_of(head);
        assert_eq!(kit.slots.counts().in_use, 1);
        messages.pop();
        assert_eq!(kit.slots.counts().in_use, 1);
        messages.pop();
        assert_eq!(kit.slots.counts().in_use, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_one_that_is_dropped_learns_that_it_was_left_to_sqs() {
        let kit = Setup::default().kit();
        let mut message = kit.messages(1).await.remove(0);
        let fate = message.fate();
        drop(message);
        assert!(fate.await.is_err());
    }
}
