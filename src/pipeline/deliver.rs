//! One message, start to finish: shape, admit, post, decide, settle.
//!
//! A [`Delivery`] owns the message, its lease, its worker's permit and its entry in the books; settling takes
//! it by value, so a message cannot be settled twice. If it is dropped on the way (a panic, the end of the
//! process), its permit is freed, its lease ends and it is counted as abandoned: SQS hands it out again.
//!
//! Only waiting is raced against the drain. A POST that runs is awaited until the drain aborts; its outcome is
//! then unknown, so the message is deferred and never made visible at once. A POST does not begin when the
//! lease has been lost: somebody else may have the message.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::limit::{Circumstances, ProbeCost, Rank, WorkerPermit};
use crate::message::Message;
use crate::pipeline::admit::{Admitted, GATE_WAIT_MAX, Patience, Refused, Ticket, admit};
use crate::pipeline::gates::{Probes, evidence, feedback};
use crate::pipeline::group::{Fate, Successor};
use crate::pipeline::in_house::{InHouse, Settled};
use crate::pipeline::keep::KEPT_MAX;
use crate::pipeline::lease::Lease;
use crate::pipeline::listener::Core;
use crate::pipeline::narrate::deliveries::Posted;
use crate::pipeline::ports::{DeadLetterReason, EntryErrorKind};
use crate::pipeline::settlement::{Action, Settlement, Settler};
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::backoff;
use crate::policy::decide::{
    DeferReason, Disposition, FAULT_DELAY, Facts, HOLD_MAX_FINAL, Signal, decide, hold_max,
};
use crate::policy::outcome::{Attempt, Outcome, classify};
use crate::policy::probing;
use crate::policy::visibility::CEILING;
use crate::shape::Request;
use crate::telemetry::labels::{ReleaseReason, Stage};
use crate::telemetry::trace::Journey;

/// First pause before a message nothing could be sent of is posted again; doubles up to [`HOLD_PAUSE_MAX`].
const HOLD_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const HOLD_PAUSE_MAX: Duration = Duration::from_secs(60);
/// A probe without an answer for so long has probably been taken: who throttles or refuses answers fast.
const SLOW_PROBE: Duration = Duration::from_secs(5);

/// A message in the house, and all that has to be given back when it leaves.
#[must_use]
pub(super) struct Delivery {
    pub(super) message: Message,
    pub(super) lease: Lease,
    /// Shared by the messages of a group, of which one runs at a time.
    pub(super) permit: Arc<WorkerPermit>,
    pub(super) books: InHouse,
    pub(super) ticket: Ticket,
    pub(super) settler: Settler,
    /// Who waits for its end (FIFO).
    pub(super) successor: Successor,
    /// Its trace.
    pub(super) journey: Journey,
}

/// A place to wait out a 429 in the house, and for how long.
type Place = (Duration, OwnedSemaphorePermit);

/// What a message has been through in the house.
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
    pub(super) async fn run(mut self, core: Arc<Core>) {
        if core.finished.contains(&self.message.id) {
            core.metrics.duplicates_suppressed.inc();
            return self.delete(&core, Settled::Deleted).await;
        }
        if let Some((until, how)) = core.hidden.is_early(&self.message.id)
            && !core.is_last_chance(&self.message)
        {
            core.metrics.duplicates_suppressed.inc();
            return self.hide(until, how).await;
        }
        let mut stay = Stay::default();
        loop {
            let patience = self.patience(&core, &stay);
            let ticket = &mut self.ticket;
            let admitted = admit(ticket, patience, &core.gates, &core.limits, &core.seat, &core.drain).await;
            let admitted = match admitted {
                Ok(admitted) => admitted,
                Err(refused) => return self.refuse(&core, refused, &stay).await,
            };
            if !self.lease.is_ours() {
                // Dropping it counts it as abandoned; the lost lease has been counted already.
                let (id, fix) = (self.message.id.as_str(), EntryErrorKind::LeaseLost.fix());
                core.narrator.left_to_sqs(id, "keep a message", "its lease was lost", fix);
                return;
            }
            let (posted, disposition, place) = self.attempt(&core, admitted, &stay).await;
            if let Some((delay, _place)) = place {
                stay = Stay { kept: stay.kept + 1, ..Stay::default() };
                if let Err(until) = self.wait_out(&core, delay).await {
                    self.last_word(&core, Refused::Draining.words());
                    return self.hide(until, Settled::Parked).await;
                }
            } else if disposition != Disposition::Hold {
                return self.settle(&core, disposition, &posted).await;
            } else if let Err(refused) = self.hold(&core, &mut stay).await {
                return self.refuse(&core, refused, &stay).await;
            }
        }
    }

    /// Posts it, and tells limits, gates, books and log what came of that.
    async fn attempt(
        &mut self,
        core: &Core,
        admitted: Admitted,
        stay: &Stay,
    ) -> (Posted, Disposition, Option<Place>) {
        let Admitted { mut session, mut probes } = admitted;
        self.enter(Stage::Delivering);
        // Shaping again after a hold is cheaper than keeping a copy for every message that needs none.
        let shaped = core.settings.shape.request(&self.message);
        if stay.is_new() {
            core.metrics.headers_dropped.inc_by(u64::from(shaped.headers_dropped));
        }
        let probing = !probes.is_empty();
        session.starts();
        let mut request = shaped.request;
        let traced = self.journey.post(&core.limits.name, &mut request.headers);
        let posted = post(core, request, &mut probes).await;
        traced.ended(&self.journey, posted.outcome, posted.seen.status);
        let alone = core.limits.sessions.started() <= 1;
        let facts = Facts {
            receives: self.message.receive_count,
            final_receive: core.is_last_chance(&self.message),
            status: posted.seen.status,
            retry_after: posted.retry_after,
            hideable: self.lease.hideable(),
            held: stay.held_since.map(|since| since.elapsed()).unwrap_or_default(),
            unit: core.unit(),
        };
        let decision = decide(posted.outcome, &facts, &core.settings.policy);
        core.metrics.delivered(posted.outcome, posted.took);
        let place = self.place(core, &posted, decision.disposition, stay);
        self.tell(core, &posted, decision.disposition, place.is_some());
        let closes_gate = core.settings.retry_after_closes_gate;
        session.end(feedback(decision.signal, closes_gate, probing));
        if posted.outcome != Outcome::Aborted {
            let evidence = evidence(posted.outcome, decision.signal, closes_gate, &self.message.id, alone);
            let change = core.gates.report(evidence, probes, circumstances(core, &posted), &core.narrator);
            core.limits.sessions.gate_changed(change);
            if probing {
                core.probe_refused.store(decision.signal != Signal::Success, Ordering::Relaxed);
            }
        }
        (posted, decision.disposition, place)
    }

    /// The place, if to park the message were to dead-letter it.
    fn place(&self, core: &Core, posted: &Posted, disposition: Disposition, stay: &Stay) -> Option<Place> {
        let Disposition::Park { delay } = disposition else { return None };
        let throttled = posted.outcome == Outcome::Throttled;
        let may = throttled && stay.kept < KEPT_MAX && core.is_last_chance(&self.message);
        let place = may.then(|| core.keeper.place(delay, self.lease.hideable()))??;
        Some((delay, place))
    }

    /// Waits so long; `Err` is the end of the wait when the drain begins before.
    async fn wait_out(&mut self, core: &Core, delay: Duration) -> Result<(), Instant> {
        let until = Instant::now() + delay;
        core.narrator.kept(&self.message, delay);
        self.enter(Stage::Held);
        tokio::select! {
            biased;
            () = core.drain.draining() => return Err(until),
            () = tokio::time::sleep_until(until) => self.enter(Stage::Waiting),
        }
        Ok(())
    }

    /// Nothing was sent: waits for the next try.
    async fn hold(&mut self, core: &Core, stay: &mut Stay) -> Result<(), Refused> {
        stay.held_since.get_or_insert_with(Instant::now);
        self.enter(Stage::Held);
        if !core.gates.are_open() {
            // The gate says when to try again.
            return Ok(());
        }
        let pause = backoff::doubled(HOLD_PAUSE, stay.tries, HOLD_PAUSE_MAX).mul_f64(0.8 + 0.4 * core.unit());
        stay.tries += 1;
        tokio::select! {
            biased;
            () = core.drain.draining() => return Err(Refused::Draining),
            () = tokio::time::sleep(pause) => self.enter(Stage::Waiting),
        }
        Ok(())
    }

    /// How it waits at closed gates.
    fn patience(&self, core: &Core, stay: &Stay) -> Patience {
        let final_receive = core.is_last_chance(&self.message);
        let (rank, longest) = if stay.held_since.is_some() {
            (Rank::Held, hold_max(final_receive))
        } else if final_receive {
            (Rank::HeldLastReceive, HOLD_MAX_FINAL)
        } else {
            (Rank::Held, GATE_WAIT_MAX)
        };
        // A POST that begins later may outlast what SQS grants one receive.
        let until = self.lease.ceiling() - core.settings.timeout.min(CEILING / 2);
        Patience { rank, longest, until }
    }

    /// Gives back a message that may not be posted now; at once only if it never was.
    async fn refuse(self, core: &Core, refused: Refused, stay: &Stay) {
        let now = Instant::now();
        self.last_word(core, refused.words());
        match refused {
            Refused::GateClosed(_) if stay.held_since.is_some() => {
                let delay = backoff::defer(self.message.receive_count, core.unit());
                self.keep_away(core, delay, Settled::Deferred(DeferReason::Unreachable)).await;
            }
            Refused::GateClosed(pause) if stay.kept > 0 => {
                self.keep_away(core, pause.max(FAULT_DELAY), Settled::Parked).await;
            }
            Refused::Draining if stay.kept > 0 => self.keep_away(core, FAULT_DELAY, Settled::Parked).await,
            Refused::GateClosed(pause) => self.give_back(now + pause, ReleaseReason::Gate).await,
            Refused::Draining => self.give_back(now, ReleaseReason::Drain).await,
        }
    }

    /// Gives the message back unattempted, hidden until then.
    pub(super) async fn give_back(self, until: Instant, reason: ReleaseReason) {
        self.hide(until, Settled::Released(reason)).await;
    }

    async fn settle(self, core: &Core, disposition: Disposition, posted: &Posted) {
        match disposition {
            Disposition::Delete => {
                core.completed(&self.message);
                self.delete(core, Settled::Deleted).await;
            }
            Disposition::Park { delay } => self.keep_away(core, delay, Settled::Parked).await,
            Disposition::Defer { delay, reason } => {
                self.keep_away(core, delay, Settled::Deferred(reason)).await;
            }
            Disposition::DeadLetter => self.dead_letter(core, posted).await,
            // Held messages stay; a hold that ends up here is deferred like any failure.
            Disposition::Hold => {
                self.keep_away(core, FAULT_DELAY, Settled::Deferred(DeferReason::Unreachable)).await;
            }
        }
    }

    /// Sends a copy to the dead-letter queue, then deletes. If sending fails the message is deferred; if the
    /// delete fails it is in both queues until it comes again.
    async fn dead_letter(self, core: &Core, posted: &Posted) {
        let reason = DeadLetterReason { outcome: posted.outcome.label(), status: posted.seen.status };
        match core.queue.dead_letter(&self.message, &reason).await {
            Ok(()) => self.delete(core, Settled::DeadLettered).await,
            Err(error) => {
                core.narrator.queue_error(&error);
                self.keep_away(core, FAULT_DELAY, Settled::Deferred(DeferReason::Message)).await;
            }
        }
    }

    /// It moves on, in the books too.
    fn enter(&mut self, stage: Stage) {
        self.books.enter(stage);
        self.lease.enter(stage);
    }

    /// Parks or defers it, and remembers that for a copy that comes too early.
    async fn keep_away(self, core: &Core, delay: Duration, how: Settled) {
        let until = Instant::now() + delay.min(self.lease.hideable());
        core.hidden.remember(&self.message.id, until, how);
        self.hide(until, how).await;
    }

    async fn delete(mut self, core: &Core, how: Settled) {
        self.enter(Stage::Settling);
        // Room and probe are of no more use to this message.
        drop(std::mem::take(&mut self.ticket));
        core.finished.remember(&self.message.id);
        let Some(place) = self.settler.place().await else { return };
        let settlement = Settlement {
            id: self.message.id,
            action: Action::Delete { how, lease: self.lease },
            books: self.books,
            successor: self.successor,
        };
        place.fill(settlement).await;
        drop(self.permit);
    }

    async fn hide(mut self, until: Instant, how: Settled) {
        // SQS refuses a visibility past its twelve hours.
        let until = until.min(self.lease.ceiling());
        self.enter(Stage::Settling);
        // Room and probe are of no more use to this message.
        drop(self.ticket);
        let Some(place) = self.settler.place().await else { return };
        let settlement = Settlement {
            id: self.message.id,
            action: Action::Hide { until, how, lease: self.lease.close(until).await },
            books: self.books,
            successor: Successor::default(),
        };
        place.fill(settlement).await;
        // Only now: what stands behind it in its group is given back after it.
        self.successor.tell(Fate::Hidden(until));
        drop(self.permit);
    }
}

/// Posts and names what came of it.
async fn post(core: &Core, request: Request, probes: &mut Probes) -> Posted {
    let started = Instant::now();
    let mut answer = core.endpoint.post(request);
    let mut slow = false;
    let attempt = loop {
        tokio::select! {
            biased;
            attempt = &mut answer => break attempt,
            () = core.drain.aborting() => return Posted::not(Outcome::Aborted),
            () = tokio::time::sleep(SLOW_PROBE), if !slow && !probes.is_empty() => {
                slow = true;
                probes.run_long(probe_cost(core, Outcome::TimedOut), &core.narrator);
            }
        }
    };
    let outcome =
        classify(&attempt, &core.settings.policy.success, core.settings.policy.error_in_body_is_failure);
    let reason = EndpointReason::of(outcome, &attempt);
    let mut posted = Posted { reason, took: Some(started.elapsed()), ..Posted::not(outcome) };
    match attempt {
        Attempt::Answered(answer) => {
            core.metrics.responded(answer.status);
            posted.seen = Seen { status: Some(answer.status), location: answer.redirects_to };
            posted.retry_after = answer.retry_after.and_then(|value| value.wait(core.wall.now()));
            posted.answer = answer.beginning;
        }
        Attempt::Broken(broken) => posted.why = Some(broken.text),
        Attempt::Unsent(unsent) => posted.why = Some(unsent.text),
        Attempt::TimedOut | Attempt::Endless => {}
    }
    posted
}

/// What else bears on closing a gate.
fn circumstances(core: &Core, posted: &Posted) -> Circumstances {
    let probes = probe_cost(core, posted.outcome);
    let slow = posted.took.is_some_and(|took| took > SLOW_PROBE);
    Circumstances { limit: core.limits.sessions.limit(), probes, slow }
}

/// What the next probes cost, after such an outcome.
fn probe_cost(core: &Core, outcome: Outcome) -> ProbeCost {
    let longest_pause = match outcome {
        Outcome::Throttled => core.settings.policy.throttle_delay.max(probing::LONGEST),
        _ => probing::LONGEST,
    };
    ProbeCost { affordable: core.budget().probes(), longest_pause }
}
