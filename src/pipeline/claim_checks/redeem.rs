//! Between flow and admission the bodies of claim checks are fetched from where the messages say they are.
//!
//! No session is held meanwhile, and gates learn nothing: neither a bad claim check nor an unreachable store says anything of
//! the endpoint. The message is in flight, so its lease is extended. It is never changed itself: a copy for the dead-letter
//! queue is the claim check as it came. What is fetched stays with its message.
//!
//! A message names bucket and key, so only buckets that the listener allows are asked. Which failures are held for another
//! fetch (`held.rs`) and which leave is in the table. On a FIFO queue the others of a delivery wait for them, else these go
//! first.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::exchange::Pointer;
use crate::limit::Slot;
use crate::message::Message;
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::admit::{Refused, Reservation};
use crate::pipeline::claim_checks::held::{Redeemer, needs_no_slot};
use crate::pipeline::deliver::Delivery;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::in_flight::InFlight;
use crate::policy::advice::endpoint::EndpointReason;
use crate::policy::decide::{Disposition, Facts, decide, hold_max};
use crate::ports::{ObjectError, ObjectErrorKind, ObjectOperation};
use crate::telemetry::labels::Stage;

impl InFlight {
    /// The message that the endpoint gets.
    pub(in crate::pipeline) fn carried(&self) -> Cow<'_, Message> {
        match &self.redeemed {
            Some(body) => Cow::Owned(Pointer::redeemed(&self.message, body.clone())),
            None => Cow::Borrowed(&self.message),
        }
    }

    /// Whether it is a claim check whose object is to be fetched.
    fn is_unfetched(&self) -> bool {
        self.redeemed.is_none() && !matches!(Pointer::of(&self.message), Ok(None))
    }

    /// Its slot, if it can wait for its object without.
    fn slot_to_spare(&self) -> Option<&Arc<Slot>> {
        let spares = self.redeemed.is_none() && needs_no_slot(&self.message, &self.slot);
        spares.then_some(&self.slot)
    }
}

impl Delivery {
    /// Fetches the bodies of messages that are claim checks, and parts with those that cannot be redeemed. Waits for those
    /// that cannot be fetched yet. `Err`: the drain began.
    pub(in crate::pipeline) async fn redeem(&mut self) -> Result<(), Refused> {
        let dispatch = Arc::clone(&self.dispatch);
        let Some(redeemer) = &dispatch.claim_checks else { return Ok(()) };
        if self.messages.iter().any(InFlight::is_unfetched) {
            // Others may have the room of these meanwhile.
            self.reservation.free_room();
        }
        loop {
            self.fetch(redeemer).await?;
            if !self.messages.iter().any(InFlight::is_unfetched) {
                self.fetches.end();
                self.free_unused_reservation();
                return Ok(());
            }
            self.wait_for_objects(redeemer).await?;
        }
    }

    /// Fetches what is to be fetched. Messages that leave for what came of it do so.
    async fn fetch(&mut self, redeemer: &Redeemer) -> Result<(), Refused> {
        let mut at = 0;
        while let Some(message) = self.messages.get_mut(at) {
            at += 1;
            if !message.is_unfetched() || (redeemer.is_silent() && !self.fetches.have_failed()) {
                continue;
            }
            let fetched = self.dispatch.fetched(redeemer, &message.message);
            match self.dispatch.ctx.drain.unless_draining(fetched).await.ok_or(Refused::Draining)? {
                Ok(body) => message.redeemed = body,
                Err((reason, why)) => {
                    at -= 1;
                    let message = self.messages.remove(at);
                    if let Some(held) = Box::pin(self.unless_it_leaves(message, reason, why)).await {
                        self.messages.insert(at, held);
                        at += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// What becomes of a message that could not be redeemed is in the table. The message, if it is held.
    async fn unless_it_leaves(
        &self,
        message: InFlight,
        reason: EndpointReason,
        why: String,
    ) -> Option<InFlight> {
        let ctx = &self.dispatch.ctx;
        if !message.lease.is_ours() {
            message.leave_to_sqs(&self.dispatch);
            return None;
        }
        let outcome = reason.kind();
        ctx.metrics.delivered(outcome, None);
        let posted = Posted { reason, why: Some(why), ..Posted::not(outcome) };
        let too_late = message.last_start(ctx.longest_post()) <= Instant::now();
        let held = if too_late { Duration::MAX } else { self.fetches.held() };
        let facts = Facts { held, ..self.facts(&message, &posted) };
        let disposition = decide(outcome, &facts, &ctx.settings().policy).disposition;
        message.tell(&self.dispatch, &posted, disposition, false);
        if disposition == Disposition::Hold {
            return Some(message);
        }
        let exit = message.way_out(&self.dispatch, disposition, &posted);
        message.exit(exit).await;
        None
    }

    /// Waits until the objects may be fetched again. `Err`: the drain began.
    async fn wait_for_objects(&mut self, redeemer: &Redeemer) -> Result<(), Refused> {
        for probe in std::mem::take(&mut self.reservation.probes) {
            // Dropped, the turn would come again at once, with one more receive.
            probe.found_nothing(false);
        }
        self.reservation = Reservation::default();
        self.enter(Stage::Held);
        let longest = hold_max(self.messages.iter().any(|message| message.final_receive.is_some()));
        let (until, unit) = ((longest, self.last_start()), self.dispatch.ctx.unit());
        // A listener with claim checks posts each message alone.
        let slot = if let [message] = self.messages.as_slice() { message.slot_to_spare() } else { None };
        let waits = self.fetches.next(redeemer, slot, until, unit);
        self.dispatch.ctx.drain.unless_draining(waits).await.ok_or(Refused::Draining)?;
        for lost in self.messages.extract_if(.., |message| !message.lease.is_ours()) {
            lost.leave_to_sqs(&self.dispatch);
        }
        self.enter(Stage::Waiting);
        if self.fetches.are_over() {
            for message in std::mem::take(&mut self.messages) {
                let why = "no place to fetch it again came in time".to_owned();
                let leaves = self.unless_it_leaves(message, EndpointReason::ObjectUnavailable, why);
                let held = Box::pin(leaves).await;
                self.messages.extend(held);
            }
        }
        Ok(())
    }
}

impl Dispatch {
    /// The body that a message stands for; `None` if it is no claim check.
    async fn fetched(
        &self,
        redeemer: &Redeemer,
        message: &Message,
    ) -> Result<Option<Bytes>, (EndpointReason, String)> {
        let pointer = Pointer::of(message).map_err(|why| (EndpointReason::ClaimCheck, why.to_owned()))?;
        let Some(pointer) = pointer else { return Ok(None) };
        let settings = &redeemer.settings;
        if !settings.allows(&pointer) {
            return Err((
                EndpointReason::BucketNotAllowed,
                "its bucket is none of claim_check.buckets".to_owned(),
            ));
        }
        let fetched = settings.store.fetch(&pointer, settings.max_size).await;
        let failure = fetched.as_ref().err().map(|error| error.kind);
        redeemer.heard(failure != Some(ObjectErrorKind::Unavailable));
        self.ctx.metrics.object_request(ObjectOperation::Fetch, failure);
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
