//! Where a listener's results go, how they are worded, and which ends of a message have one.
//!
//! A success has one. A failure has one when nobody is asked again: the message is dead-lettered or deleted by a row of the
//! listener, or SQS will not hand it out again. A listener may want one of every POST that failed. A 429 is flow control,
//! and what was never posted is no try: those have a result only at the end.
//! Messages that are deleted as too old or as no work have none.

use std::sync::Arc;

use crate::exchange::results::{ResultForm, State};
use crate::observe::metered::MeteredOutbox;
use crate::policy::decide::Disposition;
use crate::policy::outcome::Outcome;
use crate::ports::Outbox;
use crate::telemetry::handles::ListenerMetrics;

/// The result queues of a listener; by default there are none.
#[derive(Clone, Default)]
pub struct Results {
    /// For messages whose work is done.
    pub success: Option<ResultQueue>,
    /// For messages whose outcome is a failure.
    pub failure: Option<ResultQueue>,
}

/// A queue that results are sent to.
#[derive(Clone)]
pub struct ResultQueue {
    /// The queue.
    pub outbox: Arc<dyn Outbox>,
    /// How a result is worded.
    pub form: Arc<dyn ResultForm>,
    /// Which failures have a result. Of a success there is always one.
    pub on: When,
}

/// Which failures have a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// The last one: the outcome is final for this listener.
    #[default]
    Final,
    /// Each POST that failed.
    EveryTry,
}

impl Results {
    /// The same, whose calls are counted.
    pub(super) fn metered(self, metrics: &Arc<ListenerMetrics>) -> Self {
        let metered = |queue: ResultQueue| {
            let (outbox, metrics) = (queue.outbox, Arc::clone(metrics));
            ResultQueue { outbox: Arc::new(MeteredOutbox { outbox, metrics }), ..queue }
        };
        Self { success: self.success.map(metered), failure: self.failure.map(metered) }
    }

    /// The queue for results of this state.
    pub(super) fn queue(&self, state: State) -> Option<&ResultQueue> {
        match state {
            State::Success => self.success.as_ref(),
            State::Failed => self.failure.as_ref(),
        }
    }

    /// Which result a message has that leaves so; `None`: it has none. `is_last`: SQS hands it out no more.
    pub(super) fn state(&self, disposition: Disposition, outcome: Outcome, is_last: bool) -> Option<State> {
        let every_try = self.failure.as_ref().is_some_and(|queue| queue.on == When::EveryTry);
        state(disposition, outcome, is_last, every_try)
    }
}

fn state(disposition: Disposition, outcome: Outcome, is_last: bool, every_try: bool) -> Option<State> {
    let failed = |has_one: bool| has_one.then_some(State::Failed);
    match disposition {
        Disposition::Delete => match outcome {
            // A row may delete what the listener does not list as a success.
            Outcome::Success | Outcome::UnlistedSuccess => Some(State::Success),
            _ => Some(State::Failed),
        },
        Disposition::DeadLetter => Some(State::Failed),
        Disposition::Park { .. } | Disposition::Hold => failed(is_last),
        Disposition::Defer { .. } => {
            let was_posted = !matches!(
                outcome,
                Outcome::Unsent | Outcome::Unshapeable | Outcome::Unfetched | Outcome::Aborted
            );
            failed(is_last || every_try && was_posted)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::decide::DeferReason;

    const PARK: Disposition = Disposition::Park { delay: Duration::ZERO };
    const DEFER: Disposition = Disposition::Defer { delay: Duration::ZERO, reason: DeferReason::Failure };

    #[test]
    fn a_success_has_a_result_and_so_has_what_a_row_deletes_or_dead_letters() {
        let of = |disposition, outcome| state(disposition, outcome, false, false);
        assert_eq!(of(Disposition::Delete, Outcome::Success), Some(State::Success));
        assert_eq!(of(Disposition::Delete, Outcome::UnlistedSuccess), Some(State::Success));
        assert_eq!(of(Disposition::Delete, Outcome::Rejected), Some(State::Failed));
        assert_eq!(of(Disposition::DeadLetter, Outcome::Failed), Some(State::Failed));
    }

    #[test]
    fn what_comes_again_has_no_result_before_its_final_receive() {
        for disposition in [PARK, DEFER, Disposition::Hold] {
            assert_eq!(state(disposition, Outcome::Failed, false, false), None);
            assert_eq!(state(disposition, Outcome::Failed, true, false), Some(State::Failed));
        }
    }

    #[test]
    fn every_try_is_a_post_that_failed_and_neither_a_429_nor_what_was_never_posted() {
        let of = |disposition, outcome| state(disposition, outcome, false, true).is_some();
        let tries: Vec<Outcome> = Outcome::ALL.into_iter().filter(|outcome| of(DEFER, *outcome)).collect();
        for outcome in [Outcome::Failed, Outcome::TimedOut, Outcome::Broken, Outcome::Rejected] {
            assert!(tries.contains(&outcome), "{outcome:?}");
        }
        for outcome in [Outcome::Unsent, Outcome::Unshapeable, Outcome::Unfetched, Outcome::Aborted] {
            assert!(!tries.contains(&outcome), "{outcome:?}");
        }
        assert!(!of(PARK, Outcome::Throttled) && !of(Disposition::Hold, Outcome::Unsent));
    }
}
