//! Claim checks: between flow and admission the body of a message is fetched from where the message says it is.
//!
//! No session is held meanwhile, and gates learn nothing: neither a bad claim check nor an unreachable store says anything of
//! the endpoint. The message is in flight, so its lease is extended. It is never changed itself: a copy for the dead-letter
//! queue is the claim check as it came. What is fetched stays with its message, so a listener holds at most one object for
//! each of its slots.
//!
//! A message names bucket and key, so only buckets that the listener allows are asked. If the listener deletes objects, it does
//! so when SQS has confirmed the delete of the message: until then the message may come again. That is tried once.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::Pointer;
use crate::message::Message;
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::admit::Refused;
use crate::pipeline::claims::{ClaimChecks, Leftover};
use crate::pipeline::deliver::Delivery;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::settle::exit::Fate;
use crate::policy::advice::endpoint::EndpointReason;
use crate::policy::decide::decide;
use crate::ports::{ObjectError, ObjectErrorKind, ObjectOperation};

impl InFlight {
    /// The message that the endpoint gets.
    pub(super) fn carried(&self) -> Cow<'_, Message> {
        match &self.redeemed {
            Some(body) => Cow::Owned(Pointer::redeemed(&self.message, body.clone())),
            None => Cow::Borrowed(&self.message),
        }
    }
}

impl Delivery {
    /// Fetches the bodies of messages that are claim checks, and parts with those that cannot be redeemed.
    /// `Err`: the drain began.
    pub(super) async fn redeem(&mut self) -> Result<(), Refused> {
        let Some(claims) = self.dispatch.claims.clone() else { return Ok(()) };
        if self.messages.iter().any(|message| !matches!(Pointer::of(&message.message), Ok(None))) {
            // Others may have the room of these meanwhile.
            self.reservation.free_room();
        }
        let mut failed = Vec::new();
        for at in 0..self.messages.len() {
            let Some(message) = self.messages.get_mut(at) else { break };
            let fetched =
                self.dispatch.ctx.drain.unless_draining(self.dispatch.fetched(&claims, &message.message));
            match fetched.await.ok_or(Refused::Draining)? {
                Ok(redeemed) => message.redeemed = redeemed,
                Err(failure) => failed.push((at, failure)),
            }
        }
        let mut unredeemed = Vec::new();
        for (at, failure) in failed.into_iter().rev() {
            unredeemed.push((self.messages.remove(at), failure));
        }
        self.free_unused_reservation();
        for (message, (reason, why)) in unredeemed {
            self.leaves_unposted(message, reason, why).await;
        }
        Ok(())
    }

    /// What becomes of a message that cannot be redeemed is in the table.
    async fn leaves_unposted(&self, message: InFlight, reason: EndpointReason, why: String) {
        if !message.lease.is_ours() {
            return message.leave_to_sqs(&self.dispatch);
        }
        let outcome = reason.kind();
        self.dispatch.ctx.metrics.delivered(outcome, None);
        let posted = Posted { reason, why: Some(why), ..Posted::not(outcome) };
        let decision = decide(outcome, &self.facts(&message, &posted), &self.dispatch.ctx.settings.policy);
        message.tell(&self.dispatch, &posted, decision.disposition, false);
        message.leave(&self.dispatch, decision.disposition, &posted).await;
    }
}

impl Dispatch {
    /// The object that goes with a message whose work is done, if it has one and the listener deletes objects.
    pub(super) fn leaves_behind(&self, message: &mut InFlight) -> Option<Leftover> {
        let claims = self.claims.as_ref().filter(|claims| claims.deletes)?;
        let pointer = Pointer::of(&message.message).ok()?.filter(|pointer| claims.allows(pointer))?;
        Some(Leftover { pointer, fate: message.fate(), slot: Arc::clone(&message.slot) })
    }

    /// Deletes what messages have left behind that SQS has deleted.
    pub(super) async fn clear_up(&self, leftovers: Vec<Leftover>) {
        let Some(claims) = &self.claims else { return };
        let ctx = &self.ctx;
        for leftover in leftovers {
            let Leftover { pointer, fate, slot } = leftover;
            if fate.await != Ok(Fate::Deleted) {
                continue;
            }
            let deleted = tokio::select! {
                biased;
                deleted = claims.store.delete(&pointer) => deleted,
                () = ctx.drain.aborting() => return,
            };
            ctx.metrics
                .object_request(ObjectOperation::Delete, deleted.as_ref().err().map(|error| error.kind));
            if let Err(error) = deleted {
                ctx.events.object_not_deleted(&error);
            }
            drop(slot);
        }
    }

    /// The body that a message stands for; `None` if it is no claim check.
    async fn fetched(
        &self,
        claims: &ClaimChecks,
        message: &Message,
    ) -> Result<Option<Bytes>, (EndpointReason, String)> {
        let pointer = Pointer::of(message).map_err(|why| (EndpointReason::ClaimCheck, why.to_owned()))?;
        let Some(pointer) = pointer else { return Ok(None) };
        if !claims.allows(&pointer) {
            return Err((
                EndpointReason::BucketNotAllowed,
                "its bucket is none of claim_check.buckets".to_owned(),
            ));
        }
        let fetched = claims.store.fetch(&pointer, claims.max_size).await;
        self.ctx
            .metrics
            .object_request(ObjectOperation::Fetch, fetched.as_ref().err().map(|error| error.kind));
        let body = fetched.map_err(|ObjectError { kind, text }| {
            let reason = match kind {
                ObjectErrorKind::Missing => EndpointReason::ObjectMissing,
                ObjectErrorKind::TooLarge => EndpointReason::ObjectTooLarge,
                ObjectErrorKind::Denied => EndpointReason::ObjectDenied,
                ObjectErrorKind::Unavailable => EndpointReason::ObjectUnavailable,
            };
            (reason, text)
        })?;
        Ok(Some(body))
    }
}
