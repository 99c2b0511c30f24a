//! An open gate: what has been seen in a row, that is since the last success, and whether that is enough to close.
//!
//! Where a single message may be to blame, *distinct* messages have to agree. So one that always fails closes
//! nothing. Of rejections a success ends the row only if its POST started after the first of them was answered. Others,
//! which run for long, tell little of what the endpoint takes now: each takes one rejection off the row. Pure: time is an
//! argument, no tasks.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::evidence::{Circumstances, Evidence, Reason};
use crate::tuning::Gate as Tuning;

/// What has been seen since the last success, or since the gate was last closed.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Whether a message was ever taken.
    has_worked: bool,
    rejections: usize,
    /// When the first of them was answered.
    rejected_at: Option<Instant>,
    /// When the last Retry-After of the row was answered.
    asked_at: Option<Instant>,
    refused_credentials: usize,
    /// Messages that met 500 or no answer.
    failed: BTreeSet<u64>,
    /// Messages that met 404 and the like.
    misdirected: BTreeSet<u64>,
}

impl Judge {
    /// A row begins; the endpoint took a message just now, if it `has_worked`.
    pub(super) fn start_over(&mut self, has_worked: bool) {
        *self = Self { has_worked: has_worked || self.has_worked, ..Self::default() };
    }

    /// A POST that started at `began` succeeded.
    fn succeeded(&mut self, began: Instant) {
        let Self { rejections, rejected_at, asked_at, .. } = *self;
        self.start_over(true);
        if rejected_at.is_some_and(|rejected_at| began < rejected_at) {
            self.rejections = rejections.saturating_sub(1);
            self.rejected_at = rejected_at.filter(|_| self.rejections > 0);
            self.asked_at = asked_at;
        }
    }

    /// Takes note of what was let through; the reason to close, if there is one now.
    pub(super) fn consider(
        &mut self,
        evidence: Evidence,
        circumstances: &Circumstances,
        tuning: &Tuning,
        now: Instant,
    ) -> Option<Reason> {
        let clamped = |count: usize| count.min(tuning.rejections_max).max(tuning.rejections_min);
        let began = circumstances.began(now);
        let (reason, message) = match evidence {
            Evidence::Neutral => return None,
            Evidence::Success => {
                self.succeeded(began);
                return None;
            }
            Evidence::Asked(_) => (Reason::RetryAfter, 0),
            Evidence::Refused(reason, message) => (reason, message),
        };
        let enough = match reason {
            Reason::RetryAfter | Reason::Throttled | Reason::Overloaded | Reason::Unreachable => {
                self.rejections += 1;
                self.rejected_at.get_or_insert(now);
                let is_alone = circumstances.running <= 1;
                let asks_again = reason == Reason::RetryAfter
                    && self.asked_at.replace(now).is_some_and(|asked_at| began >= asked_at)
                    // A refusal is answered fast: what runs beside it may have been taken.
                    && is_alone;
                // Another POST may run for hours on a connection it had before.
                let cannot_connect = reason == Reason::Unreachable && is_alone;
                let at_once = circumstances.limit.min(circumstances.running);
                asks_again || cannot_connect || self.rejections >= clamped(at_once)
            }
            Reason::Failing | Reason::Unanswered => {
                self.failed.insert(message);
                self.failed.len() >= clamped(circumstances.limit)
            }
            Reason::Unauthorized => {
                self.refused_credentials += 1;
                self.refused_credentials >= tuning.faults || !self.has_worked
            }
            Reason::Misdirected => {
                self.misdirected.insert(message);
                self.misdirected.len() >= tuning.faults
            }
        };
        enough.then_some(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn closes(judge: &mut Judge, evidence: Evidence, limit: usize) -> bool {
        considered(judge, evidence, limit, limit).is_some()
    }

    fn considered(judge: &mut Judge, evidence: Evidence, limit: usize, running: usize) -> Option<Reason> {
        took(Duration::ZERO, judge, evidence, limit, running, Instant::now())
    }

    fn took(
        took: Duration,
        judge: &mut Judge,
        evidence: Evidence,
        limit: usize,
        running: usize,
        now: Instant,
    ) -> Option<Reason> {
        let throttle_delay = Duration::ZERO;
        let circumstances = Circumstances { limit, running, took, spare_receives: 0, throttle_delay };
        judge.consider(evidence, &circumstances, &Tuning::default(), now)
    }

    fn of_working() -> Judge {
        let mut judge = Judge::default();
        judge.start_over(true);
        judge
    }

    /// How often `evidence` comes in a row before the gate closes.
    fn needed(limit: usize, running: usize, mut evidence: impl FnMut(u64) -> Evidence) -> u64 {
        let (mut judge, now) = (of_working(), Instant::now());
        let mut close = |number| took(SECOND, &mut judge, evidence(number), limit, running, now).is_some();
        (1..1_000).find(|&number| close(number)).unwrap()
    }

    #[test]
    fn each_kind_of_evidence_closes_after_its_own_number_in_a_row() {
        assert_eq!(
            needed(6, 6, |_| Evidence::Asked(Duration::from_secs(60))),
            6,
            "of POSTs that ran side by side"
        );
        for (limit, running, reason, expected) in [
            (6, 6, Reason::Throttled, 6),
            (6, 1, Reason::Throttled, 3),
            (6, 6, Reason::Overloaded, 6),
            (256, 256, Reason::Throttled, 8),
            (2, 2, Reason::Throttled, 3),
            (1, 1, Reason::Throttled, 3),
            (6, 1, Reason::Unreachable, 1),
            (6, 6, Reason::Unreachable, 6),
            (6, 6, Reason::Unauthorized, 5),
        ] {
            let one = |_| Evidence::Refused(reason, 7);
            assert_eq!(needed(limit, running, one), expected, "{reason:?} at {running} of {limit}");
        }
        let distinct = |limit, reason| needed(limit, 1, |number| Evidence::Refused(reason, number));
        assert_eq!(distinct(6, Reason::Failing), 6);
        assert_eq!(distinct(256, Reason::Failing), 8);
        assert_eq!(distinct(1, Reason::Unanswered), 3);
        assert_eq!(distinct(16, Reason::Misdirected), 5);
    }

    #[test]
    fn a_retry_after_closes_when_a_post_that_started_after_it_meets_one_as_well_and_none_else_runs() {
        let asked = Evidence::Asked(Duration::from_secs(60));
        for (between, running, closes) in
            [(None, 1, true), (None, 2, false), (Some(SECOND / 10), 1, false), (Some(2 * SECOND), 1, true)]
        {
            let (mut judge, now) = (of_working(), Instant::now());
            assert_eq!(took(SECOND, &mut judge, asked, 64, 2, now), None, "the first");
            assert_eq!(took(SECOND, &mut judge, asked, 64, 1, now), None, "ran beside it");
            judge.rejections = 0;
            if let Some(between) = between {
                took(between, &mut judge, Evidence::Success, 64, 1, now + SECOND);
            }
            let again = took(SECOND / 10, &mut judge, asked, 64, running, now + 2 * SECOND);
            assert_eq!(again.is_some(), closes, "a success between that took {between:?}, {running} running");
        }
    }

    #[test]
    fn a_success_of_a_post_that_ran_before_the_first_rejection_takes_one_off_the_row_and_does_not_end_it() {
        let (mut judge, now) = (of_working(), Instant::now());
        let throttled = Evidence::Refused(Reason::Throttled, 0);
        let mut at = |second, evidence, lasted| {
            took(lasted, &mut judge, evidence, 4, 4, now + second * SECOND).is_some()
        };
        assert!(
            !at(1, throttled, SECOND / 10)
                && !at(2, throttled, SECOND / 10)
                && !at(3, throttled, SECOND / 10)
        );
        assert!(!at(3, Evidence::Success, 10 * SECOND));
        assert!(!at(4, throttled, SECOND / 10), "three of four");
        assert!(at(5, throttled, SECOND / 10));
    }

    #[test]
    fn one_message_that_always_fails_closes_nothing() {
        for reason in [Reason::Failing, Reason::Unanswered, Reason::Misdirected] {
            let mut judge = Judge::default();
            assert!((0..100).all(|_| !closes(&mut judge, Evidence::Refused(reason, 7), 1)), "{reason:?}");
        }
    }

    #[test]
    fn what_says_nothing_closes_nothing_and_a_success_ends_the_row() {
        let mut judge = of_working();
        assert!((0..100).all(|_| !closes(&mut judge, Evidence::Neutral, 1)));
        let throttled = Evidence::Refused(Reason::Throttled, 0);
        for _ in 0..100 {
            assert!(!closes(&mut judge, throttled, 3));
            assert!(!closes(&mut judge, throttled, 3));
            assert!(!closes(&mut judge, Evidence::Success, 3));
        }
    }

    #[test]
    fn credentials_that_never_worked_close_at_once() {
        assert!(closes(&mut Judge::default(), Evidence::Refused(Reason::Unauthorized, 0), 16));
    }
}
