//! Whether deliveries fail, since when, and why: what the status shows and what a recovery is measured by.
//!
//! A streak begins with a failure and ends with the next success. So one message at fault among others that succeed makes no
//! streak. A delivery that the end of the process cut off is no failure.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A streak that is worth a word: while it lasts in the status, when it is over in the log.
const LASTING: Duration = Duration::from_secs(60);
/// A shorter streak is no news: the first back-off takes 5 s at least.
const WORTH_A_LINE: Duration = Duration::from_secs(5);
/// After so long without another failure nothing is known any more: the longest back-off is 15 minutes.
const STALE: Duration = Duration::from_secs(1_000);

/// What a listener knows of its failures.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    deliveries: u64,
    final_receives: u64,
    streak: Option<Streak>,
}

#[derive(Debug)]
struct Streak {
    since: Instant,
    last: Instant,
    deliveries: u64,
    why: String,
}

/// The end of a streak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Deliveries that failed.
    pub(crate) failed: u64,
    /// From the first failure to the success.
    pub(crate) after: Duration,
}

/// Failures of a listener at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// Deliveries that failed since the start.
    pub deliveries: u64,
    /// Those of them on the final receive before the dead-letter queue.
    pub final_receives: u64,
    /// Time since the first failure after the last success; `None` after a success.
    pub lasting: Option<Duration>,
    /// Deliveries that failed in that time.
    pub in_a_row: u64,
    /// What the last of them came to, in words.
    pub why: Option<String>,
    /// Time since the last of them.
    pub last: Option<Duration>,
}

impl Failures {
    /// Why deliveries fail, in words, if they have for a minute.
    pub(crate) fn trouble(&self) -> Option<String> {
        let lasting = self.lasting.filter(|lasting| *lasting >= LASTING)?.as_secs();
        let last = self.last.filter(|last| *last <= STALE)?.as_secs();
        let why = self.why.as_deref().unwrap_or_default();
        Some(format!("no delivery has succeeded for {lasting} s; the last failed {last} s ago: {why}"))
    }
}

impl Failing {
    /// A delivery failed; `is_final`: SQS dead-letters the message instead of handing it out again.
    pub(crate) fn failed(&self, why: String, is_final: bool) {
        let now = Instant::now();
        let mut state = self.lock();
        state.deliveries += 1;
        state.final_receives += u64::from(is_final);
        let streak =
            state.streak.get_or_insert(Streak { since: now, last: now, deliveries: 0, why: String::new() });
        streak.deliveries += 1;
        (streak.last, streak.why) = (now, why);
    }

    /// A delivery succeeded; the streak that this ended, if that is worth a line.
    pub(crate) fn succeeded(&self) -> Option<Recovery> {
        let streak = self.lock().streak.take()?;
        let after = streak.since.elapsed();
        (after >= WORTH_A_LINE).then_some(Recovery { failed: streak.deliveries, after })
    }

    /// What there is to say of it now.
    pub(crate) fn now(&self) -> Failures {
        let state = self.lock();
        let streak = state.streak.as_ref();
        Failures {
            deliveries: state.deliveries,
            final_receives: state.final_receives,
            lasting: streak.map(|streak| streak.since.elapsed()),
            in_a_row: streak.map_or(0, |streak| streak.deliveries),
            why: streak.map(|streak| streak.why.clone()),
            last: streak.map(|streak| streak.last.elapsed()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_for_a_minute_without_a_success_are_trouble_until_one() {
        let failing = Failing::default();
        failing.failed("the endpoint answered 500".to_owned(), false);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(failing.now().trouble(), None);
        failing.failed("the endpoint answered 400".to_owned(), true);
        tokio::time::advance(Duration::from_secs(1)).await;
        let words = "no delivery has succeeded for 60 s; the last failed 1 s ago: the endpoint answered 400";
        assert_eq!(failing.now().trouble().as_deref(), Some(words));
        assert_eq!(failing.succeeded(), Some(Recovery { failed: 2, after: LASTING }));
        assert_eq!(failing.succeeded(), None, "a recovery is one");
        let now = failing.now();
        assert_eq!((now.trouble(), now.deliveries, now.final_receives, now.in_a_row), (None, 2, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_among_successes_is_neither_trouble_nor_a_recovery() {
        let failing = Failing::default();
        for _ in 0..100 {
            failing.failed("the endpoint answered 400".to_owned(), false);
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!((failing.now().trouble(), failing.succeeded()), (None, None));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_of_a_queue_that_is_empty_now_is_forgotten() {
        let failing = Failing::default();
        failing.failed("the endpoint answered 400".to_owned(), true);
        tokio::time::advance(STALE + Duration::from_secs(1)).await;
        assert_eq!(failing.now().trouble(), None);
    }
}
