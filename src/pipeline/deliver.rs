//! One message, start to finish: shape, admit, post, decide, settle.
//!
//! A [`Delivery`] owns the message, its lease, its worker's permit and its entry in the ledger; settling takes
//! it by value, so a message cannot be settled twice. If it is dropped on the way (a panic, the end of the
//! process), its permit is freed, its lease ends and it is counted as abandoned: SQS hands it out again.
//!
//! Only waiting is raced against the drain. A POST that runs is awaited until the drain aborts; its outcome is
//! then unknown, so the message is deferred and never made visible at once. A POST does not begin when the
//! lease has been lost: somebody else may have the message.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::limit::{Rank, WorkerPermit};
use crate::message::Message;
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::admit::{Admitted, GATE_WAIT_MAX, Patience, Refused, Ticket};
use crate::pipeline::completion::Successor;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::gates::{evidence, feedback};
use crate::pipeline::lease::Lease;
use crate::pipeline::ledger::LedgerEntry;
use crate::pipeline::post::{circumstances, post};
use crate::pipeline::settle::exit::{Exit, Forward};
use crate::pipeline::settle::settler::{Leaving, Settler};
use crate::pipeline::wait_out::WAITS_MAX;
use crate::policy::backoff;
use crate::policy::decide::{DeferReason, Disposition, FAULT_DELAY, Facts, decide, hold_max};
use crate::policy::outcome::Outcome;
use crate::policy::visibility::CEILING;
use crate::ports::{DeadLetterReason, EntryErrorKind};
use crate::telemetry::labels::{ReleaseReason, Stage};
use crate::telemetry::trace::Journey;

/// First pause before a message nothing could be sent of is posted again; doubles up to [`HOLD_PAUSE_MAX`].
const HOLD_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const HOLD_PAUSE_MAX: Duration = Duration::from_secs(60);

/// A message in flight here, and all that has to be freed when it leaves.
#[must_use]
pub(super) struct Delivery {
    pub(super) message: Message,
    pub(super) lease: Lease,
    /// Shared by the messages of a group, of which one runs at a time.
    pub(super) permit: Arc<WorkerPermit>,
    pub(super) ledger: LedgerEntry,
    pub(super) ticket: Ticket,
    pub(super) settler: Settler,
    /// Who waits for its end (FIFO).
    pub(super) successor: Successor,
    /// Its trace.
    pub(super) journey: Journey,
}

/// A place to wait out a 429 in this process, and for how long.
type Place = (Duration, OwnedSemaphorePermit);

/// What a message has been through since its receive.
#[derive(Debug, Default)]
struct Stay {
    /// Nothing could be sent of it since then.
    held_since: Option<Instant>,
    /// Tries since then while the gates were open.
    tries: u32,
    /// How often it has waited out a 429 here.
    kept: u32,
}

impl Stay {
    /// Whether nothing was tried yet.
    fn is_new(&self) -> bool {
        self.held_since.is_none() && self.kept == 0
    }
}

impl Delivery {
    /// Takes the message through the rest of its life in this process.
    pub(super) async fn run(mut self, dispatch: Arc<Dispatch>) {
        if let Some(exit) = dispatch.memory.seen(&self.message.id) {
            let is_done = matches!(exit, Exit::Delete { .. });
            if is_done || !dispatch.ctx.view.is_final_receive(&self.message) {
                dispatch.ctx.metrics.duplicates_suppressed.inc();
                return self.leave(exit).await;
            }
        }
        let mut stay = Stay::default();
        loop {
            let patience = self.patience(&dispatch, &stay);
            let ticket = &mut self.ticket;
            let admitted = dispatch.admission.admit(ticket, patience, &dispatch.ctx.drain).await;
            let admitted = match admitted {
                Ok(admitted) => admitted,
                Err(refused) => return self.refuse(&dispatch, refused, &stay).await,
            };
            if !self.lease.is_ours() {
                return self.leave_to_sqs(&dispatch);
            }
            let (posted, disposition, place) = self.attempt(&dispatch, admitted, &stay).await;
            if let Some((delay, _place)) = place {
                stay = Stay { kept: stay.kept + 1, ..Stay::default() };
                if let Err(until) = self.wait_out(&dispatch, delay).await {
                    self.last_word(&dispatch, Refused::Draining.words());
                    return self.leave(Exit::Park { until }).await;
                }
            } else if disposition != Disposition::Hold {
                return self.settle(&dispatch, disposition, &posted).await;
            } else if let Err(refused) = self.hold(&dispatch, &mut stay).await {
                return self.refuse(&dispatch, refused, &stay).await;
            }
        }
    }

    /// Posts it, and tells limits, gates, ledger and log what came of that.
    async fn attempt(
        &mut self,
        dispatch: &Dispatch,
        admitted: Admitted,
        stay: &Stay,
    ) -> (Posted, Disposition, Option<Place>) {
        let Admitted { mut session, mut probes } = admitted;
        self.enter(Stage::Delivering);
        // Shaping again after a hold is cheaper than keeping a copy for every message that needs none.
        let shaped = dispatch.ctx.settings.shape.request(&self.message);
        if stay.is_new() {
            dispatch.ctx.metrics.headers_dropped.inc_by(u64::from(shaped.headers_dropped));
        }
        let probing = !probes.is_empty();
        session.starts();
        let mut request = shaped.request;
        let traced = self.journey.post(&dispatch.admission.limits.name, &mut request.headers);
        let posted = post(dispatch, request, &mut probes).await;
        traced.ended(&self.journey, posted.outcome, posted.seen.status);
        let alone = dispatch.admission.limits.sessions.started() <= 1;
        let facts = Facts {
            receives: self.message.receive_count,
            final_receive: dispatch.ctx.view.final_receive(&self.message).is_some(),
            status: posted.seen.status,
            retry_after: posted.retry_after,
            hideable: self.lease.hideable(),
            held: stay.held_since.map(|since| since.elapsed()).unwrap_or_default(),
            unit: dispatch.ctx.unit(),
        };
        let decision = decide(posted.outcome, &facts, &dispatch.ctx.settings.policy);
        dispatch.ctx.metrics.delivered(posted.outcome, posted.took);
        let place = self.place(dispatch, &posted, decision.disposition, stay);
        self.tell(dispatch, &posted, decision.disposition, place.is_some());
        let closes_gate = dispatch.ctx.settings.retry_after_closes_gate;
        session.end(feedback(decision.signal, closes_gate, probing));
        if posted.outcome != Outcome::Aborted {
            let evidence = evidence(posted.outcome, decision.signal, closes_gate, &self.message.id, alone);
            let change = dispatch.admission.gates.report(
                evidence,
                probes,
                circumstances(dispatch, &posted),
                &dispatch.ctx.events,
            );
            dispatch.admission.limits.sessions.gate_changed(change);
        }
        (posted, decision.disposition, place)
    }

    /// The place, if to park the message were to dead-letter it.
    fn place(
        &self,
        dispatch: &Dispatch,
        posted: &Posted,
        disposition: Disposition,
        stay: &Stay,
    ) -> Option<Place> {
        let Disposition::Park { delay } = disposition else { return None };
        let throttled = posted.outcome == Outcome::Throttled;
        let may = throttled && stay.kept < WAITS_MAX && dispatch.ctx.view.is_final_receive(&self.message);
        let place = may.then(|| dispatch.waits.place(delay, self.lease.hideable()))??;
        Some((delay, place))
    }

    /// Waits so long; `Err` is the end of the wait when the drain begins before.
    async fn wait_out(&mut self, dispatch: &Dispatch, delay: Duration) -> Result<(), Instant> {
        let until = Instant::now() + delay;
        dispatch.ctx.events.kept(&self.message, delay);
        self.enter(Stage::Held);
        tokio::select! {
            biased;
            () = dispatch.ctx.drain.draining() => return Err(until),
            () = tokio::time::sleep_until(until) => self.enter(Stage::Waiting),
        }
        Ok(())
    }

    /// Nothing was sent: waits for the next try.
    async fn hold(&mut self, dispatch: &Dispatch, stay: &mut Stay) -> Result<(), Refused> {
        stay.held_since.get_or_insert_with(Instant::now);
        self.enter(Stage::Held);
        if !dispatch.admission.gates.are_open() {
            // The gate says when to try again.
            return Ok(());
        }
        let pause =
            backoff::doubled(HOLD_PAUSE, stay.tries, HOLD_PAUSE_MAX).mul_f64(0.8 + 0.4 * dispatch.ctx.unit());
        stay.tries += 1;
        if Instant::now() + pause >= self.last_start(dispatch) {
            return Err(Refused::GateClosed(Duration::ZERO));
        }
        tokio::select! {
            biased;
            () = dispatch.ctx.drain.draining() => return Err(Refused::Draining),
            () = tokio::time::sleep(pause) => self.enter(Stage::Waiting),
        }
        Ok(())
    }

    /// How it waits at closed gates.
    fn patience(&self, dispatch: &Dispatch, stay: &Stay) -> Patience {
        let view = &dispatch.ctx.view;
        // Posted again and refused it would be dead-lettered, whether or not anything could be sent before.
        let rank = if view.is_final_receive(&self.message) { Rank::HeldLastReceive } else { Rank::Held };
        let longest = if stay.held_since.is_some() || rank == Rank::HeldLastReceive {
            hold_max(view.final_receive(&self.message).is_some())
        } else {
            GATE_WAIT_MAX
        };
        Patience { rank, longest, until: self.last_start(dispatch) }
    }

    /// A POST that begins later may outlast what SQS grants one receive.
    fn last_start(&self, dispatch: &Dispatch) -> Instant {
        self.lease.ceiling() - dispatch.ctx.settings.timeout.min(CEILING / 2)
    }

    /// Releases a message that may not be posted now; at once only if it never was.
    async fn refuse(self, dispatch: &Dispatch, refused: Refused, stay: &Stay) {
        let now = Instant::now();
        self.last_word(dispatch, refused.words());
        match refused {
            Refused::GateClosed(_) if stay.held_since.is_some() => {
                let delay = backoff::defer(self.message.receive_count, dispatch.ctx.unit());
                self.defer(delay, DeferReason::Unreachable).await;
            }
            Refused::GateClosed(pause) if stay.kept > 0 => self.park(pause.max(FAULT_DELAY)).await,
            Refused::Draining if stay.kept > 0 => self.park(FAULT_DELAY).await,
            Refused::GateClosed(pause) => self.release(dispatch, now + pause, ReleaseReason::Gate).await,
            Refused::Draining => self.release(dispatch, now, ReleaseReason::Drain).await,
        }
    }

    /// Releases the message unattempted, hidden until then. One whose lease is over is left to SQS: somebody else may
    /// have it, and a standard queue may take the older handle all the same.
    pub(super) async fn release(self, dispatch: &Dispatch, until: Instant, reason: ReleaseReason) {
        if !self.lease.is_ours() {
            return self.leave_to_sqs(dispatch);
        }
        self.leave(Exit::Release { until, reason }).await;
    }

    /// Its lease is over. Dropping it counts it as abandoned; the lost lease has been counted already.
    fn leave_to_sqs(self, dispatch: &Dispatch) {
        let (id, fix) = (self.message.id.as_str(), EntryErrorKind::LeaseLost.fix());
        dispatch.ctx.events.left_to_sqs(id, "keep a message", "its lease was lost", fix);
        self.last_word(dispatch, "its lease was lost");
    }

    async fn settle(self, dispatch: &Dispatch, disposition: Disposition, posted: &Posted) {
        match disposition {
            Disposition::Delete => {
                dispatch.completed(&self.message);
                self.leave(Exit::DELETE).await;
            }
            Disposition::Park { delay } => self.park(delay).await,
            Disposition::Defer { delay, reason } => self.defer(delay, reason).await,
            Disposition::DeadLetter => {
                let reason = DeadLetterReason { outcome: posted.outcome.label(), status: posted.seen.status };
                self.leave(Exit::Delete { first: vec![Forward::DeadLetter(reason)] }).await;
            }
            // Held messages stay; a hold that ends up here is deferred like any failure.
            Disposition::Hold => self.defer(FAULT_DELAY, DeferReason::Unreachable).await,
        }
    }

    /// It moves on, in the ledger too.
    fn enter(&mut self, stage: Stage) {
        self.ledger.enter(stage);
        self.lease.enter(stage);
    }

    async fn park(self, delay: Duration) {
        let until = self.after(delay);
        self.leave(Exit::Park { until }).await;
    }

    async fn defer(self, delay: Duration, reason: DeferReason) {
        let until = self.after(delay);
        self.leave(Exit::Defer { until, reason }).await;
    }

    /// So long from now, within what SQS grants this receive.
    fn after(&self, delay: Duration) -> Instant {
        Instant::now() + delay.min(self.lease.hideable())
    }

    /// Hands the message to settlement. Its worker is free once that has a place for it; room and probe, of no more use
    /// to it, are free at once.
    async fn leave(self, exit: Exit) {
        let Self { message, lease, permit, ledger, ticket, settler, successor, journey: _journey } = self;
        drop(ticket);
        settler.settle(Leaving { message, lease, ledger, successor }, exit).await;
        drop(permit);
    }
}
