//! One delivery, start to finish: admitted, attempted (`attempt.rs`), and what its messages do then.
//!
//! A [`Delivery`] owns one message or more. Those whose work was done before, and those that are no work, leave first
//! (`sift.rs`); claim checks are redeemed (`claim_checks/redeem.rs`). Lease, ledger and settlement stay per message: after a POST each leaves as decided,
//! and those that may be posted again stay for the next round.
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
use crate::pipeline::admit::{Admitted, Patience, Refused, Reservation};
use crate::pipeline::claim_checks::held::Fetches;
use crate::pipeline::claim_checks::leftover::Leftover;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::ledger::Settled;
use crate::policy::backoff;
use crate::policy::decide::{DeferReason, Disposition, FAULT_DELAY, hold_max};
use crate::policy::outcome::Outcome;
use crate::telemetry::labels::{ReleaseReason, Stage};
use crate::tuning::Hold;

/// The messages that one POST carries, at least one.
#[must_use]
pub(super) struct Delivery {
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) messages: Vec<InFlight>,
    pub(super) reservation: Reservation,
    pub(super) stay: Stay,
    /// Objects of messages that have left.
    pub(super) leftovers: Vec<Leftover>,
    /// What its claim checks have been through.
    pub(super) fetches: Fetches,
}

/// What the messages have been through since their receive.
#[derive(Debug, Default)]
pub(super) struct Stay {
    /// Nothing could be sent of them since then.
    pub(super) held_since: Option<Instant>,
    /// Tries since then while the gates were open.
    tries: u32,
    /// How often they have waited out a 429 here.
    pub(super) waited_out: u32,
    /// The end of the last of these waits.
    waits_until: Option<Instant>,
    /// How long they have waited at gates.
    at_gates: Duration,
}

/// A message, what a POST came to for it, and what to do with it.
pub(super) type Decided = (InFlight, Posted, Disposition);

/// A place to wait out a 429 in this process, and for how long.
type Place = (Duration, OwnedSemaphorePermit);

impl Delivery {
    /// Of these messages, at least one, with what their receive claimed for them.
    pub(super) fn new(dispatch: &Arc<Dispatch>, messages: Vec<InFlight>, reservation: Reservation) -> Self {
        let (dispatch, stay, leftovers) = (Arc::clone(dispatch), Stay::default(), Vec::new());
        let fetches = Fetches::default();
        Self { dispatch, messages, reservation, stay, leftovers, fetches }
    }

    /// Takes the messages through the rest of their life in this process.
    pub(super) async fn run(mut self) {
        self.settle_remembered().await;
        self.expire().await;
        self.settle_no_work().await;
        let mut end = self.redeem().await.err();
        while end.is_none() && !self.messages.is_empty() {
            end = self.round().await.err();
        }
        match end {
            Some(refused) => self.refuse(refused).await,
            None => self.dispatch.clear_up(self.leftovers).await,
        }
    }

    /// One attempt, and the wait before the next one. `Err`: there is none.
    async fn round(&mut self) -> Result<(), Refused> {
        let (patience, drain) = (self.patience(), &self.dispatch.ctx.drain);
        let admitted = self.dispatch.admission.admit(&mut self.reservation, patience, drain).await?;
        self.stay.at_gates += admitted.at_gates;
        self.leave_lost().await;
        self.expire().await;
        let others = self.beside_the_trial(&admitted);
        let (decided, left) = self.attempt(admitted).await;
        let places = self.part(decided).await;
        self.release_behind(left.behind).await;
        let all_left = self.messages.is_empty();
        self.messages.extend(left.others);
        self.messages.extend(others);
        if all_left {
            return Ok(());
        }
        self.enter(Stage::Held);
        let longest = places.iter().map(|(delay, _)| *delay).max();
        let until = match longest {
            Some(delay) => self.waits_out(delay),
            None => self.holds()?,
        };
        if let Some(until) = until {
            let wait = tokio::time::sleep_until(until);
            self.dispatch.ctx.drain.unless_draining(wait).await.ok_or(Refused::Draining)?;
            self.enter(Stage::Waiting);
        }
        Ok(())
    }

    /// A trial of a gate carries one message, so that a refusal costs one receive; the others wait for what comes of it. On
    /// a FIFO queue they go along: what is behind the trial in its group must not be posted apart from it.
    fn beside_the_trial(&mut self, admitted: &Admitted) -> Vec<InFlight> {
        let settings = self.dispatch.ctx.settings();
        let carries = settings.tuning.gate.probe_carries;
        if admitted.probes.is_empty() || self.messages.len() <= carries || settings.is_fifo() {
            return Vec::new();
        }
        self.messages.split_off(carries)
    }

    /// Parts with the messages that leave. The others stay: to wait out a 429 at these places, else held.
    async fn part(&mut self, mut decided: Vec<Decided>) -> Vec<Place> {
        let mut places = Vec::new();
        // Those that are done first: the others may have to wait for a place in settlement.
        decided.sort_by_key(|(.., disposition)| *disposition != Disposition::Delete);
        for (mut message, posted, disposition) in decided {
            let place = self.place(&message, &posted, disposition);
            message.tell(&self.dispatch, &posted, disposition, place.is_some());
            if disposition == Disposition::Hold || place.is_some() {
                places.extend(place);
                self.messages.push(message);
            } else {
                if disposition == Disposition::Delete {
                    self.leftovers.extend(self.dispatch.leaves_behind(&mut message));
                }
                let exit = message.way_out(&self.dispatch, disposition, &posted);
                message.exit(exit).await;
            }
        }
        places
    }

    /// A place to wait out a 429 in this process: to park the message were to dead-letter it.
    fn place(&self, message: &InFlight, posted: &Posted, disposition: Disposition) -> Option<Place> {
        let Disposition::Park { delay } = disposition else { return None };
        let waits_max = self.dispatch.ctx.settings().tuning.last_receive.waits_max;
        let may_wait = posted.outcome == Outcome::Throttled && self.stay.waited_out < waits_max;
        if !may_wait || !message.is_last_try() {
            return None;
        }
        Some((delay, self.dispatch.waits.place(delay, message.hideable())?))
    }

    /// The messages wait out a 429 in this process; until when.
    fn waits_out(&mut self, delay: Duration) -> Option<Instant> {
        for message in &self.messages {
            self.dispatch.ctx.events.kept(&message.message, delay);
        }
        let waits_until = Some(Instant::now() + delay);
        let Stay { waited_out, at_gates, .. } = self.stay;
        self.stay = Stay { waited_out: waited_out + 1, waits_until, at_gates, ..Stay::default() };
        waits_until
    }

    /// Nothing was sent: the messages are held until the next try. `None`: a gate says when that is.
    fn holds(&mut self) -> Result<Option<Instant>, Refused> {
        self.stay.held_since.get_or_insert_with(Instant::now);
        if !self.dispatch.admission.gates.are_open() {
            return Ok(None);
        }
        let Hold { pause, pause_max, .. } = self.dispatch.ctx.settings().tuning.hold;
        let spread = 0.8 + 0.4 * self.dispatch.ctx.unit();
        let until = Instant::now() + backoff::doubled(pause, self.stay.tries, pause_max).mul_f64(spread);
        self.stay.tries += 1;
        if until < self.last_start() { Ok(Some(until)) } else { Err(Refused::GateClosed(Duration::ZERO)) }
    }

    pub(super) fn enter(&self, stage: Stage) {
        for message in &self.messages {
            message.enter(stage);
        }
    }

    /// How the delivery waits at closed gates.
    fn patience(&self) -> Patience {
        // Posted again and refused a message would be dead-lettered, whether or not anything could be sent before.
        let is_last_try = self.messages.iter().any(InFlight::is_last_try);
        let rank = if is_last_try { Rank::FinalReceive } else { Rank::Held };
        let longest = if self.stay.held_since.is_some() || is_last_try {
            hold_max(self.messages.iter().any(|message| message.final_receive.is_some()))
        } else {
            self.dispatch.ctx.settings().tuning.hold.at_gates
        };
        let longest = longest.saturating_sub(self.stay.at_gates);
        Patience { rank, longest, until: self.last_start() }
    }

    /// A POST that begins later may outlast what SQS grants one receive.
    pub(super) fn last_start(&self) -> Instant {
        let longest_post = self.dispatch.ctx.longest_post();
        let first = self.messages.iter().map(|message| message.last_start(longest_post)).min();
        first.unwrap_or_else(Instant::now)
    }

    /// Releases messages that may not be posted now; at once only if they never were.
    async fn refuse(self, refused: Refused) {
        let Self { dispatch, messages, reservation, stay, leftovers, fetches } = self;
        drop((reservation, fetches));
        let (pause, reason) = match refused {
            Refused::GateClosed(pause) => (pause, ReleaseReason::Gate),
            Refused::Draining => (Duration::ZERO, ReleaseReason::Drain),
            Refused::StandingBy => (Duration::ZERO, ReleaseReason::StandBy),
        };
        let until = Instant::now() + pause;
        let waits_until = stay.waits_until.filter(|until| *until > Instant::now());
        for message in messages {
            message.last_word(&dispatch, refused.words());
            if let Some(until) = waits_until {
                // A drain stops its wait: SQS hides it for the rest of that.
                message.hide_until(until, Settled::Parked).await;
            } else if stay.held_since.is_some() && matches!(refused, Refused::GateClosed(_)) {
                let policy = &dispatch.ctx.settings().policy;
                let delay = policy.back_off(message.message.receive_count, dispatch.ctx.unit());
                message.hide(delay, Settled::Deferred(DeferReason::Unreachable)).await;
            } else if stay.waited_out > 0 {
                message.hide(pause.max(FAULT_DELAY), Settled::Parked).await;
            } else {
                message.release(&dispatch, until, reason).await;
            }
        }
        dispatch.clear_up(leftovers).await;
    }
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
