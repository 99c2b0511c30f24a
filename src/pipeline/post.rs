//! One POST, from the request to what came of it, and what a gate is told beside that.

use tokio::time::Instant;

use crate::exchange::{Request, Verdicts};
use crate::limit::Circumstances;
use crate::message::MessageId;
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::gates::Probes;
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::outcome::{Attempt, Outcome};

/// Posts the messages `ids`, and names what came of it: for the POST as a whole, and of each message.
pub(super) async fn post(
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
                let change = probes.run_long(&dispatch.ctx.events);
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

/// What else bears on closing a gate.
pub(super) fn circumstances(dispatch: &Dispatch, posted: &Posted) -> Circumstances {
    Circumstances {
        limit: dispatch.admission.limits.sessions.limit(),
        took: posted.took.unwrap_or_default(),
        spare_receives: dispatch.ctx.view.spare_receives(),
        throttle_delay: dispatch.ctx.settings.policy.throttle_delay,
    }
}
