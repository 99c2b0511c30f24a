//! One attempt of a delivery: shape, post, decide.
//!
//! The exchange makes the request and reads the answer; the table decides on each message. Limits and gates learn here what
//! the POST as a whole came to.

use std::time::Duration;

use tokio::time::Instant;

use crate::exchange::{Request, Unshapeable, Verdicts};
use crate::message::{Message, MessageId};
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::admit::Admitted;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::gates::{evidence, feedback};
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::post::{circumstances, post};
use crate::policy::decide::{Decision, DeferReason, Disposition, FAULT_DELAY, Facts, Signal, decide};
use crate::policy::outcome::Outcome;
use crate::telemetry::labels::Stage;

/// A POST, and what it came to for each of its messages.
pub(super) struct Answered {
    posted: Posted,
    decisions: Vec<Decision>,
    /// The outcome of each message, where the answer tells them apart.
    outcomes: Option<Vec<Outcome>>,
}

/// What the messages have been through since their receive.
#[derive(Debug, Default)]
pub(super) struct Stay {
    /// Nothing could be sent of them since then.
    pub(super) held_since: Option<Instant>,
    /// Tries since then while the gates were open.
    pub(super) tries: u32,
    /// How often they have waited out a 429 here.
    pub(super) waited_out: u32,
    /// How long they have waited at gates.
    pub(super) at_gates: Duration,
}

impl Stay {
    /// Whether nothing was tried yet.
    pub(super) fn is_new(&self) -> bool {
        self.held_since.is_none() && self.waited_out == 0
    }
}

/// The request that carries the messages, and those that no request can be made of. `None` when none is left.
pub(super) fn request(
    messages: &mut Vec<InFlight>,
    dispatch: &Dispatch,
    stay: &Stay,
) -> (Option<Request>, Vec<Misshapen>) {
    let mut misshapen = Vec::new();
    while !messages.is_empty() {
        // Shaping again after a hold is cheaper than keeping a copy for every message that needs none.
        let carried: Vec<&Message> = messages.iter().map(|message| &message.message).collect();
        match dispatch.ctx.settings.exchange.request(&carried) {
            Ok(request) => {
                if stay.is_new() {
                    dispatch.ctx.metrics.headers_dropped.inc_by(u64::from(request.headers_dropped));
                }
                return (Some(request), misshapen);
            }
            Err(Unshapeable { position, why }) => {
                let message = messages.remove(position.min(messages.len() - 1));
                misshapen.push(Misshapen { message, why });
            }
        }
    }
    (None, misshapen)
}

/// A message that no request can be made of.
pub(super) struct Misshapen {
    message: InFlight,
    why: String,
}

impl Misshapen {
    /// Leaves as the table says of such a message.
    pub(super) async fn leave(self, dispatch: &Dispatch, stay: &Stay) {
        let Self { message, why } = self;
        let posted = Posted { why: Some(why), ..Posted::not(Outcome::Unshapeable) };
        let facts = facts(dispatch, &message, &posted, stay);
        let decision = decide(Outcome::Unshapeable, &facts, &dispatch.ctx.settings.policy);
        dispatch.ctx.metrics.delivered(Outcome::Unshapeable, None);
        message.tell(dispatch, &posted, decision.disposition, false);
        message.leave(dispatch, decision.disposition, &posted).await;
    }
}

/// Posts the request, and tells limits and gates what came of that.
pub(super) async fn attempt(
    messages: &mut [InFlight],
    dispatch: &Dispatch,
    admitted: Admitted,
    mut request: Request,
    stay: &Stay,
) -> Answered {
    let Admitted { mut session, probes, .. } = admitted;
    for message in messages.iter_mut() {
        message.enter(Stage::Delivering);
    }
    let probing = !probes.is_empty();
    session.starts();
    let endpoint = &dispatch.admission.limits.name;
    let traced = messages.first().map(|message| message.trace.post(endpoint, &mut request.headers));
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id().clone()).collect();
    let (posted, verdicts) = post(dispatch, request, &ids, &probes).await;
    if let (Some(traced), Some(message)) = (traced, messages.first()) {
        traced.ended(&message.trace, posted.outcome, posted.seen.status);
    }
    let alone = dispatch.admission.limits.sessions.started() <= 1;
    let answered = decided(messages, dispatch, posted, verdicts, stay);
    dispatch.ctx.metrics.delivered(answered.posted.outcome, answered.posted.took);
    let signal = answered.signal();
    let closes_gate = dispatch.ctx.settings.retry_after_closes_gate;
    session.end(feedback(signal, closes_gate, probing));
    let outcome = answered.posted.outcome;
    if let Some(id) = ids.first().filter(|_| outcome != Outcome::Aborted) {
        let evidence = evidence(outcome, signal, closes_gate, id, alone);
        let circumstances = circumstances(dispatch, &answered.posted);
        let change = dispatch.admission.gates.report(evidence, probes, circumstances, &dispatch.ctx.events);
        dispatch.admission.limits.sessions.gate_changed(change);
    }
    answered
}

/// What becomes of each message.
fn decided(
    messages: &[InFlight],
    dispatch: &Dispatch,
    posted: Posted,
    verdicts: Verdicts,
    stay: &Stay,
) -> Answered {
    let outcomes = match verdicts {
        Verdicts::All(_) => None,
        Verdicts::Each(outcomes) => Some(outcomes),
    };
    let decision = |(position, message): (usize, &InFlight)| {
        let outcome = outcomes.as_ref().map_or(posted.outcome, |outcomes| {
            // A message without a verdict has failed.
            outcomes.get(position).copied().unwrap_or(Outcome::Failed)
        });
        let facts = facts(dispatch, message, &posted, stay);
        // A row for the status is about the answer, not about a message that the answer calls failed.
        let is_own = outcomes.is_some() && outcome != Outcome::Success;
        let status = facts.status.filter(|_| !is_own);
        decide(outcome, &Facts { status, ..facts }, &dispatch.ctx.settings.policy)
    };
    let decisions = messages.iter().enumerate().map(decision).collect();
    Answered { posted, decisions, outcomes }
}

impl Answered {
    /// What the POST as a whole says of the endpoint: where the answer tells its messages apart, it did its work.
    fn signal(&self) -> Signal {
        match (&self.outcomes, self.decisions.first()) {
            (None, Some(decision)) => decision.signal,
            (Some(_), _) | (None, None) => Signal::Success,
        }
    }

    /// What it came to for one message.
    pub(super) fn of(&self, position: usize) -> (Posted, Disposition) {
        // There is a decision for each message.
        let unknown = Disposition::Defer { delay: FAULT_DELAY, reason: DeferReason::Unknown };
        let disposition = self.decisions.get(position).map_or(unknown, |decision| decision.disposition);
        let outcome = self.outcomes.as_ref().and_then(|outcomes| outcomes.get(position).copied());
        (outcome.map_or_else(|| self.posted.clone(), |outcome| self.posted.of(outcome)), disposition)
    }
}

/// What a decision on one message rests on.
fn facts(dispatch: &Dispatch, message: &InFlight, posted: &Posted, stay: &Stay) -> Facts {
    Facts {
        receives: message.message.receive_count,
        final_receive: message.final_receive.is_some(),
        status: posted.seen.status,
        retry_after: posted.retry_after,
        hideable: message.hideable(),
        held: stay.held_since.map(|since| since.elapsed()).unwrap_or_default(),
        unit: dispatch.ctx.unit(),
    }
}
