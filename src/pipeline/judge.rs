//! What an attempt came to, and the decision on each of its messages.
//!
//! Limits, memory, metrics and log are the caller's. A delivery and a trial POST both come here, so they judge alike.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::exchange::{Exchange, Verdicts};
use crate::message::{Message, MessageId};
use crate::observe::event_log::deliveries::Posted;
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::decide::{Decision, Disposition, Facts, Policy, decide};
use crate::policy::outcome::{Attempt, Outcome};
use crate::policy::quota::Quota;

/// What a POST of the messages `ids` came to: as a whole, of each message, and what its rate-limit headers say.
pub(super) fn read(
    attempt: Attempt,
    exchange: &dyn Exchange,
    ids: &[MessageId],
    now: SystemTime,
) -> (Posted, Verdicts, Option<Quota>) {
    let verdicts = match &attempt {
        Attempt::Answered(answer) => exchange.verdicts(answer, ids),
        Attempt::TimedOut | Attempt::Endless => Verdicts::All(Outcome::TimedOut),
        Attempt::Broken(_) => Verdicts::All(Outcome::Broken),
        Attempt::Unsent(_) => Verdicts::All(Outcome::Unsent),
    };
    let outcome = match verdicts {
        Verdicts::All(outcome) => outcome,
        Verdicts::Each(_) => Outcome::Success,
    };
    let reason = EndpointReason::of(outcome, &attempt);
    let mut posted = Posted { reason, ..Posted::not(outcome) };
    let mut quota = None;
    match attempt {
        Attempt::Answered(answer) => {
            quota = answer.quota;
            posted.seen = Seen { status: Some(answer.status), location: answer.redirects_to };
            posted.retry_after = answer.retry_after.and_then(|value| value.wait(now));
            posted.answer = answer.beginning;
            posted.body = answer.body;
        }
        Attempt::Broken(broken) => posted.why = Some(broken.text),
        Attempt::Unsent(unsent) => posted.why = Some(unsent.text),
        Attempt::TimedOut | Attempt::Endless => {}
    }
    (posted, verdicts, quota)
}

/// Whether one of so many messages may have caused what came of all: then each is posted alone next time.
pub(super) fn splits(together: usize, posted: &Posted, verdicts: &Verdicts) -> bool {
    together > 1 && matches!(verdicts, Verdicts::All(all) if all.may_be_of_one_message(posted.seen.status))
}

/// What the POST came to for each message, and the decision on it. `in_order`: they are of a FIFO queue.
pub(super) fn decisions(
    messages: &[(&Message, Facts)],
    (posted, verdicts): (&Posted, &Verdicts),
    policy: &Policy,
    in_order: bool,
) -> Vec<(Posted, Decision)> {
    let splits = splits(messages.len(), posted, verdicts);
    let mut behind_failures = BTreeSet::<&str>::new();
    let mut decisions = Vec::with_capacity(messages.len());
    for (position, (message, facts)) in messages.iter().enumerate() {
        let mut posted = match verdicts {
            Verdicts::All(_) => posted.clone(),
            // A message without a verdict has failed.
            Verdicts::Each(each) => posted.of(each.get(position).copied().unwrap_or(Outcome::Failed)),
        };
        let tells_apart = in_order && matches!(verdicts, Verdicts::Each(_));
        let group = message.group_id.as_ref().filter(|_| tells_apart);
        if group.is_some_and(|group| behind_failures.contains(group.as_str())) {
            // It comes again after the one that failed, in order.
            posted = posted.of(Outcome::Failed);
        }
        let mut facts = *facts;
        if splits || matches!(verdicts, Verdicts::Each(_)) && posted.outcome != Outcome::Success {
            // A row for the status is about the answer, not about a message that the answer calls failed. And what
            // is to become of a message at fault says nothing of those beside it.
            facts.status = None;
        }
        let decision = decide(posted.outcome, &facts, policy);
        if decision.disposition != Disposition::Delete {
            behind_failures.extend(group.map(String::as_str));
        }
        decisions.push((posted, decision));
    }
    decisions
}
