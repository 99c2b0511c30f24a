//! One POST, from the request to what came of it, and what a gate is told beside that.

use std::time::Duration;

use tokio::time::Instant;

use crate::exchange::{Request, Verdicts};
use crate::limit::{Circumstances, ProbeCost};
use crate::message::MessageId;
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::gates::Probes;
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::outcome::{Attempt, Outcome};
use crate::policy::probing;

/// A probe without an answer for so long has probably been taken: who throttles or refuses answers fast.
const SLOW_PROBE: Duration = Duration::from_secs(5);
/// When a probe without an answer is looked at. The second time it is most likely connected.
const LONG_PROBE: [Duration; 2] = [SLOW_PROBE, Duration::from_secs(10)];

/// Posts the messages `ids`, and names what came of it: for the POST as a whole, and of each message.
pub(super) async fn post(
    dispatch: &Dispatch,
    request: Request,
    ids: &[MessageId],
    probes: &mut Probes,
) -> (Posted, Verdicts) {
    let started = Instant::now();
    let mut answer = dispatch.ctx.endpoint.post(request);
    let mut looks = LONG_PROBE.into_iter();
    let mut look = looks.next();
    let attempt = loop {
        tokio::select! {
            biased;
            attempt = &mut answer => break attempt,
            () = dispatch.ctx.drain.aborting() => {
                return (Posted::not(Outcome::Aborted), Verdicts::All(Outcome::Aborted));
            }
            () = tokio::time::sleep_until(started + look.unwrap_or_default()),
                if look.is_some() && !probes.is_empty() =>
            {
                let cost = probe_cost(dispatch, Outcome::TimedOut);
                probes.run_long(started.elapsed(), cost, &dispatch.ctx.events);
                look = looks.next();
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
    let probes = probe_cost(dispatch, posted.outcome);
    let slow = posted.took.is_some_and(|took| took > SLOW_PROBE);
    Circumstances { limit: dispatch.admission.limits.sessions.limit(), probes, slow }
}

/// What the next probes cost, after such an outcome.
fn probe_cost(dispatch: &Dispatch, outcome: Outcome) -> ProbeCost {
    let longest_pause = match outcome {
        Outcome::Throttled => dispatch.ctx.settings.policy.throttle_delay.max(probing::LONGEST),
        _ => probing::LONGEST,
    };
    ProbeCost { affordable: dispatch.ctx.view.budget().probes(), longest_pause }
}
