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
use std::time::Duration;

use tokio::time::Instant;

use crate::limit::{Probe, WorkerPermit};
use crate::message::Message;
use crate::pipeline::admit::{Admitted, Refused, Ticket, admit};
use crate::pipeline::in_house::{InHouse, Settled};
use crate::pipeline::lease::Lease;
use crate::pipeline::listener::Core;
use crate::pipeline::narrate::Posted;
use crate::pipeline::ports::{DeadLetterReason, EntryErrorKind};
use crate::pipeline::settlement::{Action, Settlement, Settler};
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::backoff;
use crate::policy::decide::{DeferReason, Disposition, FAULT_DELAY, Facts, Signal, decide};
use crate::policy::outcome::{Attempt, Outcome, classify};
use crate::shape::Request;
use crate::telemetry::labels::{ReleaseReason, Stage};

/// First pause before a message nothing could be sent of is posted again; doubles up to [`HOLD_PAUSE_MAX`].
const HOLD_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const HOLD_PAUSE_MAX: Duration = Duration::from_secs(60);
/// A probe without an answer for so long has been taken.
const SLOW_PROBE: Duration = Duration::from_secs(5);

/// A message in the house, and all that has to be given back when it leaves.
#[must_use]
pub(super) struct Delivery {
    pub(super) message: Message,
    pub(super) lease: Lease,
    pub(super) permit: WorkerPermit,
    pub(super) books: InHouse,
    pub(super) ticket: Ticket,
    pub(super) settler: Settler,
}

impl Delivery {
    /// Takes the message through the rest of its life in this process.
    pub(super) async fn run(mut self, core: Arc<Core>) {
        if core.finished.contains(&self.message.id) {
            core.metrics.duplicates_suppressed.inc();
            return self.delete(&core, Settled::Deleted).await;
        }
        let mut held_since: Option<Instant> = None;
        let mut tries = 0_u32;
        loop {
            let admitted = match admit(&mut self.ticket, &core.limits, &core.seat, &core.drain).await {
                Ok(admitted) => admitted,
                Err(refused) => return self.refuse(refused).await,
            };
            let Admitted { session, mut probe } = admitted;
            if !self.lease.is_ours() {
                // Dropping it counts it as abandoned; the lost lease has been counted already.
                let (id, fix) = (self.message.id.as_str(), EntryErrorKind::LeaseLost.fix());
                core.narrator.left_to_sqs(id, "keep a message", "its lease was lost", fix);
                return;
            }
            self.books.enter(Stage::Delivering);
            // Shaping again after a hold is cheaper than keeping a copy for every message that needs none.
            let shaped = core.settings.shape.request(&self.message);
            if held_since.is_none() {
                core.metrics.headers_dropped.inc_by(u64::from(shaped.headers_dropped));
            }
            let posted = post(&core, shaped.request, &mut probe).await;
            drop(session);
            let facts = Facts {
                receives: self.message.receive_count,
                status: posted.seen.status,
                retry_after: posted.retry_after,
                hideable: self.lease.hideable(),
                held: held_since.map(|since| since.elapsed()).unwrap_or_default(),
                unit: core.unit(),
            };
            let decision = decide(posted.outcome, &facts, &core.settings.policy);
            core.metrics.delivered(posted.outcome, posted.took);
            report(&core, decision.signal, probe);
            core.narrator.delivered(&self.message, &posted, decision.disposition);
            if decision.disposition != Disposition::Hold {
                return self.settle(&core, decision.disposition, &posted).await;
            }
            held_since.get_or_insert_with(Instant::now);
            self.books.enter(Stage::Held);
            let pause = backoff::doubled(HOLD_PAUSE, tries, HOLD_PAUSE_MAX).mul_f64(0.8 + 0.4 * core.unit());
            tries += 1;
            tokio::select! {
                biased;
                () = core.drain.draining() => return self.refuse(Refused::Draining).await,
                () = tokio::time::sleep(pause) => self.books.enter(Stage::Waiting),
            }
        }
    }

    /// Gives the message back unattempted.
    async fn refuse(self, refused: Refused) {
        let now = Instant::now();
        let (until, reason) = match refused {
            Refused::Draining => (now, ReleaseReason::Drain),
            Refused::GateClosed(pause) => (now + pause, ReleaseReason::Gate),
        };
        self.hide(until, Settled::Released(reason)).await;
    }

    async fn settle(self, core: &Core, disposition: Disposition, posted: &Posted) {
        let now = Instant::now();
        match disposition {
            Disposition::Delete => {
                core.completed(&self.message);
                self.delete(core, Settled::Deleted).await;
            }
            Disposition::Park { delay } => self.hide(now + delay, Settled::Parked).await,
            Disposition::Defer { delay, reason } => {
                self.hide(now + delay, Settled::Deferred(reason)).await;
            }
            Disposition::DeadLetter => self.dead_letter(core, posted).await,
            // Held messages stay; a hold that ends up here is deferred like any failure.
            Disposition::Hold => {
                self.hide(now + FAULT_DELAY, Settled::Deferred(DeferReason::Unreachable)).await;
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
                let until = Instant::now() + FAULT_DELAY;
                self.hide(until, Settled::Deferred(DeferReason::Message)).await;
            }
        }
    }

    async fn delete(mut self, core: &Core, how: Settled) {
        self.books.enter(Stage::Settling);
        core.finished.remember(&self.message.id);
        let Some(place) = self.settler.place().await else { return };
        let settlement = Settlement {
            id: self.message.id,
            receipt: self.message.receipt,
            action: Action::Delete { how, lease: self.lease },
            books: self.books,
        };
        place.fill(settlement).await;
        drop(self.permit);
    }

    async fn hide(mut self, until: Instant, how: Settled) {
        self.books.enter(Stage::Settling);
        // Room and probe are of no more use to this message.
        drop(self.ticket);
        let Some(place) = self.settler.place().await else { return };
        let settlement = Settlement {
            id: self.message.id,
            receipt: self.message.receipt,
            action: Action::Hide { until, how, lease: self.lease.close().await },
            books: self.books,
        };
        place.fill(settlement).await;
        drop(self.permit);
    }
}

/// Posts and names what came of it. A probe that runs for long opens the gate: who throttles answers fast.
async fn post(core: &Core, request: Request, probe: &mut Option<Probe>) -> Posted {
    let started = Instant::now();
    let mut answer = core.endpoint.post(request);
    let attempt = loop {
        tokio::select! {
            biased;
            attempt = &mut answer => break attempt,
            () = core.drain.aborting() => return Posted::not(Outcome::Aborted),
            () = tokio::time::sleep(SLOW_PROBE), if probe.is_some() => {
                if let Some(probe) = probe.take() {
                    probe.succeed();
                    core.narrator.gate_opened();
                }
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
            posted.retry_after = answer.retry_after.map(|value| value.wait(core.wall.now()));
        }
        Attempt::Broken(broken) => posted.why = Some(broken.text),
        Attempt::Unsent(unsent) => posted.why = Some(unsent.text),
        Attempt::TimedOut | Attempt::Endless => {}
    }
    posted
}

/// Tells the gate what the outcome means for the endpoint.
fn report(core: &Core, signal: Signal, probe: Option<Probe>) {
    if let Signal::Congestion { retry_after: Some(pause) } = signal
        && core.settings.retry_after_closes_gate
        && !pause.is_zero()
        && let Some(pause) = core.limits.gate.close(pause)
    {
        core.narrator.gate_closed(pause);
    }
    let Some(probe) = probe else { return };
    match signal {
        Signal::Congestion { .. } | Signal::Unanswered | Signal::Unreachable => probe.fail(),
        Signal::Success
        | Signal::Failure
        | Signal::EndpointFault
        | Signal::ListenerFault
        | Signal::Neutral => {
            probe.succeed();
            core.narrator.gate_opened();
        }
    }
}
