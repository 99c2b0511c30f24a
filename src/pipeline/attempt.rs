//! One attempt of a delivery: shape, post, decide.
//!
//! The exchange makes the request and reads the answer; the table decides on each message. Limits and gates learn here what
//! the POST as a whole came to.

use std::time::Duration;

use tokio::time::Instant;

use crate::exchange::{Request, Unshapeable, Verdicts};
use crate::limit::Circumstances;
use crate::message::{Message, MessageId};
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::admit::Admitted;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::gates::{Probes, evidence, feedback};
use crate::pipeline::in_flight::InFlight;
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::decide::{Decision, Facts, Signal, decide};
use crate::policy::outcome::{Attempt, Outcome};
use crate::telemetry::labels::Stage;

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

/// A message that no request can be made of, and why.
pub(super) type Misshapen = (InFlight, String);

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
                if stay.held_since.is_none() && stay.waited_out == 0 {
                    dispatch.ctx.metrics.headers_dropped.inc_by(u64::from(request.headers_dropped));
                }
                return (Some(request), misshapen);
            }
            Err(Unshapeable { position, why }) => {
                misshapen.push((messages.remove(position.min(messages.len() - 1)), why));
            }
        }
    }
    (None, misshapen)
}

/// Lets a message that no request can be made of leave as the table says.
pub(super) async fn leave_misshapen((message, why): Misshapen, dispatch: &Dispatch, stay: &Stay) {
    let posted = Posted { why: Some(why), ..Posted::not(Outcome::Unshapeable) };
    let facts = facts(dispatch, &message, &posted, stay);
    let decision = decide(Outcome::Unshapeable, &facts, &dispatch.ctx.settings.policy);
    dispatch.ctx.metrics.delivered(Outcome::Unshapeable, None);
    message.tell(dispatch, &posted, decision.disposition, false);
    message.leave(dispatch, decision.disposition, &posted).await;
}

/// Posts the request, and tells limits and gates what came of that. For each message: what the POST came to for it, and
/// the decision on it.
pub(super) async fn attempt(
    messages: &mut [InFlight],
    dispatch: &Dispatch,
    admitted: Admitted,
    mut request: Request,
    stay: &Stay,
) -> Vec<(Posted, Decision)> {
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
    let alone = dispatch.admission.limits.sessions.running() <= 1;
    let decided = decided(messages, dispatch, &posted, &verdicts, stay);
    dispatch.ctx.metrics.delivered(posted.outcome, posted.took);
    let signal = match (&verdicts, decided.first()) {
        (Verdicts::All(_), Some((_, decision))) => decision.signal,
        // An endpoint whose answer tells its messages apart did its work.
        (Verdicts::Each(_), _) | (Verdicts::All(_), None) => Signal::Success,
    };
    let closes_gate = dispatch.ctx.settings.retry_after_closes_gate;
    session.end(feedback(signal, closes_gate, probing));
    if let Some(id) = ids.first().filter(|_| posted.outcome != Outcome::Aborted) {
        let evidence = evidence(posted.outcome, signal, closes_gate, id, alone);
        let circumstances = Circumstances {
            limit: dispatch.admission.limits.sessions.limit(),
            took: posted.took.unwrap_or_default(),
            spare_receives: dispatch.ctx.view.spare_receives(),
            throttle_delay: dispatch.ctx.settings.policy.throttle_delay,
        };
        let change = dispatch.admission.gates.report(evidence, probes, circumstances);
        dispatch.admission.limits.sessions.gate_changed(change);
    }
    decided
}

/// Posts the messages `ids`, and names what came of it: for the POST as a whole, and of each message.
async fn post(
    dispatch: &Dispatch,
    request: Request,
    ids: &[MessageId],
    probes: &Probes,
) -> (Posted, Verdicts) {
    let started = Instant::now();
    let runs_long = started + dispatch.admission.gates.shared.tuning().taken_after;
    let mut is_looked_at = !probes.is_empty();
    let mut answer = dispatch.ctx.endpoint.post(request);
    let attempt = loop {
        tokio::select! {
            biased;
            attempt = &mut answer => break attempt,
            () = dispatch.ctx.drain.aborting() => {
                return (Posted::not(Outcome::Aborted), Verdicts::All(Outcome::Aborted));
            }
            () = tokio::time::sleep_until(runs_long), if is_looked_at => {
                is_looked_at = false;
                let change = dispatch.admission.gates.run_long(probes);
                dispatch.admission.limits.sessions.gate_changed(change);
            }
        }
    };
    let verdicts = match &attempt {
        Attempt::Answered(answer) => dispatch.ctx.settings.exchange.verdicts(answer, ids),
        Attempt::TimedOut | Attempt::Endless => Verdicts::All(Outcome::TimedOut),
        Attempt::Broken(_) => Verdicts::All(Outcome::Broken),
        Attempt::Unsent(_) => Verdicts::All(Outcome::Unsent),
    };
    let outcome = match verdicts {
        Verdicts::All(outcome) => outcome,
        Verdicts::Each(_) => Outcome::Success,
    };
    let reason = EndpointReason::of(outcome, &attempt);
    let mut posted = Posted { reason, took: Some(started.elapsed()), ..Posted::not(outcome) };
    match attempt {
        Attempt::Answered(answer) => {
            dispatch.ctx.metrics.responded(answer.status);
            posted.seen = Seen { status: Some(answer.status), location: answer.redirects_to };
            posted.retry_after = answer.retry_after.and_then(|value| value.wait(dispatch.ctx.wall.now()));
            posted.answer = answer.beginning;
        }
        Attempt::Broken(broken) => posted.why = Some(broken.text),
        Attempt::Unsent(unsent) => posted.why = Some(unsent.text),
        Attempt::TimedOut | Attempt::Endless => {}
    }
    (posted, verdicts)
}

/// What becomes of each message.
fn decided(
    messages: &[InFlight],
    dispatch: &Dispatch,
    posted: &Posted,
    verdicts: &Verdicts,
    stay: &Stay,
) -> Vec<(Posted, Decision)> {
    let decide_on = |(position, message): (usize, &InFlight)| {
        let posted = match verdicts {
            Verdicts::All(_) => posted.clone(),
            // A message without a verdict has failed.
            Verdicts::Each(each) => posted.of(each.get(position).copied().unwrap_or(Outcome::Failed)),
        };
        let facts = facts(dispatch, message, &posted, stay);
        // A row for the status is about the answer, not about a message that the answer calls failed.
        let is_own = matches!(verdicts, Verdicts::Each(_)) && posted.outcome != Outcome::Success;
        let status = facts.status.filter(|_| !is_own);
        let decision = decide(posted.outcome, &Facts { status, ..facts }, &dispatch.ctx.settings.policy);
        (posted, decision)
    };
    messages.iter().enumerate().map(decide_on).collect()
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
