//! How a message in flight leaves: as decided, released, or left to SQS when its lease is over.
//!
//! Each way takes the message by value and hands it to settlement with its [`Exit`].

use std::time::Duration;

use tokio::time::Instant;

use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::exit::Exit;
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
                self.exit(Exit::DELETE).await;
            }
            Disposition::Park { delay } => self.hide(delay, Settled::Parked).await,
            Disposition::Defer { delay, reason } => self.hide(delay, Settled::Deferred(reason)).await,
            Disposition::DeadLetter => {
                let reason = DeadLetterReason { outcome: posted.outcome.label(), status: posted.seen.status };
                self.exit(Exit::Delete { forward: Some(reason), how: Settled::DeadLettered }).await;
            }
            // Held messages stay; a hold that ends up here is deferred like any failure.
            Disposition::Hold => self.hide(FAULT_DELAY, Settled::Deferred(DeferReason::Unreachable)).await,
        }
    }

    /// Releases the message unattempted, hidden until then. One whose lease is over is left to SQS: somebody else may
    /// have it, and a standard queue may take the older handle all the same.
    pub(super) async fn release(self, dispatch: &Dispatch, until: Instant, reason: ReleaseReason) {
        if !self.lease.is_ours() {
            return self.leave_to_sqs(dispatch);
        }
        self.exit(Exit::Hide { until, how: Settled::Released(reason) }).await;
    }

    /// Its lease is over. Dropping it counts it as abandoned; the lost lease has been counted already.
    pub(super) fn leave_to_sqs(self, dispatch: &Dispatch) {
        let (id, fix) = (self.id().as_str(), EntryErrorKind::LeaseLost.fix());
        dispatch.ctx.events.left_to_sqs(id, "keep a message", "its lease was lost", fix);
        self.last_word(dispatch, "its lease was lost");
    }

    /// Hides it for so long, within what SQS grants this receive.
    pub(super) async fn hide(self, delay: Duration, how: Settled) {
        let until = Instant::now() + delay.min(self.hideable());
        self.exit(Exit::Hide { until, how }).await;
    }

    /// Hands the message to settlement. Its slot is free once that has a place for it.
    pub(super) async fn exit(self, exit: Exit) {
        self.enter(Stage::Settling);
        let Self { message, lease, successor, settler, slot, .. } = self;
        settler.settle(message, lease, successor, exit).await;
        drop(slot);
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
