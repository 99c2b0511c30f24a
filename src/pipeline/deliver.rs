//! One delivery, start to finish: admitted, attempted (`attempt.rs`), and what its messages do then.
//!
//! A [`Delivery`] owns one message or more. Lease, ledger and settlement stay per message: after a POST each leaves as
//! decided, and those that may be posted again stay for the next round.
//!
//! Only waiting is raced against the drain. A POST that runs is awaited until the drain aborts; its outcome is
//! then unknown, so its messages are deferred and never made visible at once. A POST does not begin with a message
//! whose lease has been lost: somebody else may have it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::limit::Rank;
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::admit::{Patience, Refused, Reservation};
use crate::pipeline::attempt::{Stay, attempt, leave_misshapen, request};
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::exit::Exit;
use crate::policy::backoff;
use crate::policy::decide::{Decision, DeferReason, Disposition, FAULT_DELAY, hold_max};
use crate::policy::outcome::Outcome;
use crate::telemetry::labels::{ReleaseReason, Stage};
use crate::tuning::Hold;

/// The messages that one POST carries, at least one.
#[must_use]
pub(super) struct Delivery {
    messages: Vec<InFlight>,
    reservation: Reservation,
}

/// Places to wait out a 429 in this process, and for how long.
type Places = (Duration, Vec<OwnedSemaphorePermit>);

impl Delivery {
    /// Of these messages, at least one, with what their receive claimed for them.
    pub(super) fn new(messages: Vec<InFlight>, reservation: Reservation) -> Self {
        Self { messages, reservation }
    }

    /// Takes the messages through the rest of their life in this process.
    pub(super) async fn run(mut self, dispatch: Arc<Dispatch>) {
        self.settle_remembered(&dispatch).await;
        let mut stay = Stay::default();
        while !self.messages.is_empty() {
            let patience = self.patience(&dispatch, &stay);
            let admitted =
                dispatch.admission.admit(&mut self.reservation, patience, &dispatch.ctx.drain).await;
            let admitted = match admitted {
                Ok(admitted) => admitted,
                Err(refused) => return self.refuse(&dispatch, refused, &stay).await,
            };
            stay.at_gates += admitted.at_gates;
            self.leave_lost(&dispatch);
            let (request, misshapen) = request(&mut self.messages, &dispatch, &stay);
            let places = if let Some(request) = request {
                let answered = attempt(&mut self.messages, &dispatch, admitted, request, &stay).await;
                self.part(&dispatch, answered, &stay).await
            } else {
                drop(admitted);
                None
            };
            // Only now: the others have a session, which must not wait for these.
            for message in misshapen {
                leave_misshapen(message, &dispatch, &stay).await;
            }
            if self.messages.is_empty() {
                return;
            }
            if let Some((delay, _places)) = places {
                stay = Stay { waited_out: stay.waited_out + 1, at_gates: stay.at_gates, ..Stay::default() };
                if let Err(until) = self.wait_out(&dispatch, delay).await {
                    return self.give_up_waiting(&dispatch, until).await;
                }
            } else if let Err(refused) = self.hold(&dispatch, &mut stay).await {
                return self.refuse(&dispatch, refused, &stay).await;
            }
        }
    }

    /// Parts with the messages that have left before: their work is done, or they came too early.
    async fn settle_remembered(&mut self, dispatch: &Dispatch) {
        let mut remembered = Vec::new();
        for message in std::mem::take(&mut self.messages) {
            let exit = dispatch.memory.seen(message.id());
            match exit.filter(|exit| matches!(exit, Exit::Delete { .. }) || !message.is_last_try()) {
                Some(exit) => remembered.push((message, exit)),
                None => self.messages.push(message),
            }
        }
        if self.messages.is_empty() {
            // Room and probe are of no use to these messages.
            self.reservation = Reservation::default();
        }
        for (message, exit) in remembered {
            dispatch.ctx.metrics.duplicates_suppressed.inc();
            message.exit(exit).await;
        }
    }

    /// Leaves the messages to SQS whose lease is over.
    fn leave_lost(&mut self, dispatch: &Dispatch) {
        for lost in self.messages.extract_if(.., |message| !message.lease.is_ours()) {
            lost.leave_to_sqs(dispatch);
        }
    }

    /// Parts with the messages that leave; places for those that wait out a 429, if that is what the others do.
    async fn part(
        &mut self,
        dispatch: &Dispatch,
        answered: Vec<(Posted, Decision)>,
        stay: &Stay,
    ) -> Option<Places> {
        let mut places: Option<Places> = None;
        for (message, (posted, decision)) in std::mem::take(&mut self.messages).into_iter().zip(answered) {
            let disposition = decision.disposition;
            let place = place(dispatch, &message, &posted, disposition, stay);
            message.tell(dispatch, &posted, disposition, place.is_some());
            if let Some((delay, place)) = place {
                let (longest, places) = places.get_or_insert((delay, Vec::new()));
                *longest = delay.max(*longest);
                places.push(place);
                self.messages.push(message);
            } else if disposition == Disposition::Hold {
                self.messages.push(message);
            } else {
                message.leave(dispatch, disposition, &posted).await;
            }
        }
        places
    }

    /// Waits so long; `Err` is the end of the wait when the drain begins before.
    async fn wait_out(&mut self, dispatch: &Dispatch, delay: Duration) -> Result<(), Instant> {
        let until = Instant::now() + delay;
        for message in &mut self.messages {
            dispatch.ctx.events.kept(&message.message, delay);
            message.enter(Stage::Held);
        }
        dispatch.ctx.drain.unless_draining(tokio::time::sleep_until(until)).await.ok_or(until)?;
        self.enter(Stage::Waiting);
        Ok(())
    }

    /// The drain has begun while the messages waited out a 429.
    async fn give_up_waiting(self, dispatch: &Dispatch, until: Instant) {
        for message in self.messages {
            message.last_word(dispatch, Refused::Draining.words());
            message.exit(Exit::Hide { until, how: Settled::Parked }).await;
        }
    }

    /// Nothing was sent: waits for the next try.
    async fn hold(&mut self, dispatch: &Dispatch, stay: &mut Stay) -> Result<(), Refused> {
        stay.held_since.get_or_insert_with(Instant::now);
        self.enter(Stage::Held);
        if !dispatch.admission.gates.are_open() {
            // The gate says when to try again.
            return Ok(());
        }
        let Hold { pause, pause_max, .. } = dispatch.ctx.settings.tuning.hold;
        let pause = backoff::doubled(pause, stay.tries, pause_max).mul_f64(0.8 + 0.4 * dispatch.ctx.unit());
        stay.tries += 1;
        if Instant::now() + pause >= self.last_start(dispatch) {
            return Err(Refused::GateClosed(Duration::ZERO));
        }
        dispatch.ctx.drain.unless_draining(tokio::time::sleep(pause)).await.ok_or(Refused::Draining)?;
        self.enter(Stage::Waiting);
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        for message in &mut self.messages {
            message.enter(stage);
        }
    }

    /// How the delivery waits at closed gates.
    fn patience(&self, dispatch: &Dispatch, stay: &Stay) -> Patience {
        // Posted again and refused a message would be dead-lettered, whether or not anything could be sent before.
        let is_last_try = self.messages.iter().any(InFlight::is_last_try);
        let rank = if is_last_try { Rank::FinalReceive } else { Rank::Held };
        let longest = if stay.held_since.is_some() || is_last_try {
            hold_max(self.messages.iter().any(|message| message.final_receive.is_some()))
        } else {
            dispatch.ctx.settings.tuning.hold.at_gates
        };
        let longest = longest.saturating_sub(stay.at_gates);
        Patience { rank, longest, until: self.last_start(dispatch) }
    }

    /// A POST that begins later may outlast what SQS grants one receive.
    fn last_start(&self, dispatch: &Dispatch) -> Instant {
        let longest_post = dispatch.ctx.longest_post();
        let first = self.messages.iter().map(|message| message.last_start(longest_post)).min();
        first.unwrap_or_else(Instant::now)
    }

    /// Releases messages that may not be posted now; at once only if they never were.
    async fn refuse(self, dispatch: &Dispatch, refused: Refused, stay: &Stay) {
        let Self { messages, reservation } = self;
        drop(reservation);
        let (pause, reason) = match refused {
            Refused::GateClosed(pause) => (pause, ReleaseReason::Gate),
            Refused::Draining => (Duration::ZERO, ReleaseReason::Drain),
        };
        let until = Instant::now() + pause;
        for message in messages {
            message.last_word(dispatch, refused.words());
            if stay.held_since.is_some() && refused != Refused::Draining {
                let delay = backoff::defer(message.message.receive_count, dispatch.ctx.unit());
                message.hide(delay, Settled::Deferred(DeferReason::Unreachable)).await;
            } else if stay.waited_out > 0 {
                message.hide(pause.max(FAULT_DELAY), Settled::Parked).await;
            } else {
                message.release(dispatch, until, reason).await;
            }
        }
    }
}

/// A place to wait out a 429 in this process, and for how long: to park the message were to dead-letter it.
fn place(
    dispatch: &Dispatch,
    message: &InFlight,
    posted: &Posted,
    disposition: Disposition,
    stay: &Stay,
) -> Option<(Duration, OwnedSemaphorePermit)> {
    let Disposition::Park { delay } = disposition else { return None };
    if posted.outcome != Outcome::Throttled
        || stay.waited_out >= dispatch.ctx.settings.tuning.last_receive.waits_max
        || !message.is_last_try()
    {
        return None;
    }
    Some((delay, dispatch.waits.place(delay, message.hideable())?))
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
