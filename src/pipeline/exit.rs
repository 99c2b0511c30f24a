//! How a message leaves: its delete, its hiding, its release, or none of them when its lease is over.
//!
//! Each takes the message by value and hands it to settlement. What a message must be remembered for (done, or hidden
//! until a time) is noted before.

use std::time::Duration;

use tokio::time::Instant;

use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::completion::{Fate, Successor};
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::ledger::Settled;
use crate::pipeline::settlement::{Action, Settlement};
use crate::policy::decide::{DeferReason, Disposition, FAULT_DELAY};
use crate::policy::outcome::Outcome;
use crate::ports::{DeadLetterReason, EntryErrorKind};
use crate::telemetry::labels::{ReleaseReason, Stage};

impl InFlight {
    /// Leaves as decided.
    pub(super) async fn leave(self, dispatch: &Dispatch, disposition: Disposition, posted: &Posted) {
        match disposition {
            Disposition::Delete => {
                dispatch.completed(&self.message);
                self.delete(dispatch, Settled::Deleted).await;
            }
            Disposition::Park { delay } => self.keep_away(dispatch, delay, Settled::Parked).await,
            Disposition::Defer { delay, reason } => {
                self.keep_away(dispatch, delay, Settled::Deferred(reason)).await;
            }
            Disposition::DeadLetter => self.dead_letter(dispatch, posted).await,
            // Held messages stay; a hold that ends up here is deferred like any failure.
            Disposition::Hold => {
                self.keep_away(dispatch, FAULT_DELAY, Settled::Deferred(DeferReason::Unreachable)).await;
            }
        }
    }

    /// Releases the message unattempted, hidden until then. One whose lease is over is left to SQS: somebody else may
    /// have it, and a standard queue may take the older handle all the same.
    pub(super) async fn release(self, dispatch: &Dispatch, until: Instant, reason: ReleaseReason) {
        if !self.lease.is_ours() {
            return self.leave_to_sqs(dispatch);
        }
        self.hide(until, Settled::Released(reason)).await;
    }

    /// Its lease is over. Dropping it counts it as abandoned; the lost lease has been counted already.
    pub(super) fn leave_to_sqs(self, dispatch: &Dispatch) {
        let (id, fix) = (self.id().as_str(), EntryErrorKind::LeaseLost.fix());
        dispatch.ctx.events.left_to_sqs(id, "keep a message", "its lease was lost", fix);
        self.last_word(dispatch, "its lease was lost");
    }

    /// Sends a copy to the dead-letter queue, then deletes. If sending fails the message is deferred; if the
    /// delete fails it is in both queues until it comes again.
    async fn dead_letter(self, dispatch: &Dispatch, posted: &Posted) {
        let reason = DeadLetterReason { outcome: posted.outcome.label(), status: posted.seen.status };
        match dispatch.ctx.queue.dead_letter(&self.message, &reason).await {
            Ok(()) => self.delete(dispatch, Settled::DeadLettered).await,
            Err(error) => {
                dispatch.ctx.events.queue_error(&error);
                self.keep_away(dispatch, FAULT_DELAY, Settled::Deferred(DeferReason::Message)).await;
            }
        }
    }

    /// Parks or defers it, and remembers that for a copy that comes too early.
    pub(super) async fn keep_away(self, dispatch: &Dispatch, delay: Duration, how: Settled) {
        let until = Instant::now() + delay.min(self.hideable());
        dispatch.memory.hidden(self.id(), until, how);
        self.hide(until, how).await;
    }

    /// Deletes it.
    pub(super) async fn delete(mut self, dispatch: &Dispatch, how: Settled) {
        self.enter(Stage::Settling);
        dispatch.memory.done(self.id());
        let Some(place) = self.settler.place().await else { return };
        let settlement = Settlement {
            id: self.message.id,
            action: Action::Delete { how, lease: self.lease },
            ledger: self.ledger,
            successor: self.successor,
        };
        place.fill(settlement).await;
    }

    /// Hides it until then.
    pub(super) async fn hide(mut self, until: Instant, how: Settled) {
        // SQS refuses a visibility past its twelve hours.
        let until = until.min(self.lease.ceiling());
        self.enter(Stage::Settling);
        let Some(place) = self.settler.place().await else { return };
        let settlement = Settlement {
            id: self.message.id,
            action: Action::Hide { until, how, lease: self.lease.close(until).await },
            ledger: self.ledger,
            successor: Successor::default(),
        };
        place.fill(settlement).await;
        // Only now: what stands behind it in its group is released after it.
        self.successor.tell(Fate::Hidden(until));
    }

    /// Tells log and status what came of a POST. `waits`: the message is not parked at SQS, but waits in this process.
    pub(super) fn tell(&self, dispatch: &Dispatch, posted: &Posted, disposition: Disposition, waits: bool) {
        let last = self.final_receive.as_ref().filter(|_| !waits);
        dispatch.ctx.events.delivered(&self.message, posted, disposition, last);
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
