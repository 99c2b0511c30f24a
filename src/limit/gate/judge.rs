//! An open gate: what has been seen in a row, that is since the last success, and whether that is enough to close.
//!
//! Where a single message may be to blame, *distinct* messages have to agree. So one that always fails closes
//! nothing. Pure: no clock, no tasks.

use std::collections::BTreeSet;

use super::evidence::{Circumstances, Evidence, Reason};
use crate::tuning::Gate as Tuning;

/// What has been seen since the last success, or since the gate was last closed.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Whether a message was ever taken.
    has_worked: bool,
    rejections: usize,
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

    /// Takes note of what was let through; the reason to close, if there is one now.
    pub(super) fn consider(
        &mut self,
        evidence: Evidence,
        circumstances: &Circumstances,
        tuning: &Tuning,
    ) -> Option<Reason> {
        let distinct = circumstances.limit.min(tuning.rejections_max).max(tuning.rejections_min);
        let rejections = if circumstances.limit <= 1 { 1 } else { distinct };
        let (reason, message) = match evidence {
            Evidence::Neutral => return None,
            Evidence::Success => {
                self.start_over(true);
                return None;
            }
            Evidence::Asked(pause) => return (!pause.is_zero()).then_some(Reason::RetryAfter),
            Evidence::Refused(reason, message) => (reason, message),
        };
        let enough = match reason {
            Reason::RetryAfter | Reason::Throttled | Reason::Overloaded | Reason::Unreachable => {
                self.rejections += 1;
                // Another POST may run for hours on a connection it had before.
                let cannot_connect = reason == Reason::Unreachable && circumstances.alone;
                cannot_connect || self.rejections >= rejections
            }
            Reason::Failing | Reason::Unanswered => {
                self.failed.insert(message);
                self.failed.len() >= distinct
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

    fn closes(judge: &mut Judge, evidence: Evidence, limit: usize) -> bool {
        considered(judge, evidence, limit, false).is_some()
    }

    fn considered(judge: &mut Judge, evidence: Evidence, limit: usize, alone: bool) -> Option<Reason> {
        let (took, throttle_delay) = (Duration::ZERO, Duration::ZERO);
        let circumstances = Circumstances { limit, alone, took, spare_receives: 0, throttle_delay };
        judge.consider(evidence, &circumstances, &Tuning::default())
    }

    fn of_working() -> Judge {
        let mut judge = Judge::default();
        judge.start_over(true);
        judge
    }

    /// How often `evidence` comes in a row before the gate closes.
    fn needed(limit: usize, alone: bool, mut evidence: impl FnMut(u64) -> Evidence) -> u64 {
        let mut judge = of_working();
        (1..1_000).find(|&number| considered(&mut judge, evidence(number), limit, alone).is_some()).unwrap()
    }

    #[test]
    fn each_kind_of_evidence_closes_after_its_own_number_in_a_row() {
        assert_eq!(needed(16, false, |_| Evidence::Asked(Duration::from_secs(60))), 1);
        for (limit, alone, reason, expected) in [
            (16, false, Reason::Throttled, 16),
            (16, true, Reason::Throttled, 16),
            (16, false, Reason::Overloaded, 16),
            (256, false, Reason::Throttled, 20),
            (2, false, Reason::Throttled, 3),
            (1, false, Reason::Throttled, 1),
            (16, true, Reason::Unreachable, 1),
            (16, false, Reason::Unreachable, 16),
            (16, false, Reason::Unauthorized, 5),
        ] {
            let one = |_| Evidence::Refused(reason, 7);
            assert_eq!(needed(limit, alone, one), expected, "{reason:?} at a limit of {limit}");
        }
        let distinct = |limit, reason| needed(limit, false, |number| Evidence::Refused(reason, number));
        assert_eq!(distinct(16, Reason::Failing), 16);
        assert_eq!(distinct(256, Reason::Failing), 20);
        assert_eq!(distinct(1, Reason::Unanswered), 3);
        assert_eq!(distinct(16, Reason::Misdirected), 5);
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
        for _ in 0..100 {
            assert!(!closes(&mut judge, Evidence::Neutral, 1));
            assert!(!closes(&mut judge, Evidence::Asked(Duration::ZERO), 1));
        }
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
