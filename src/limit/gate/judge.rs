//! An open gate: what has been seen in a row, that is since the last success, and whether that is enough to close.
//!
//! Where a single message may be to blame, *distinct* messages have to agree. So one that always fails closes
//! nothing. Pure: no clock, no tasks.

use std::collections::BTreeSet;

use super::evidence::{Evidence, Reason};
use crate::tuning::Gate as Tuning;

/// What has been seen since the last success.
#[derive(Debug, Default)]
pub(super) struct Judge {
    rejections: usize,
    refused_credentials: usize,
    /// Messages that met 500 or no answer.
    failed: BTreeSet<u64>,
    /// Messages that met 404 and the like.
    misdirected: BTreeSet<u64>,
}

impl Judge {
    /// Takes note of what was let through; the reason to close, if there is one now. `limit` is how many POSTs may
    /// run at once; `has_worked`: the endpoint has taken a message before.
    pub(super) fn consider(
        &mut self,
        evidence: Evidence,
        limit: usize,
        has_worked: bool,
        tuning: &Tuning,
    ) -> Option<Reason> {
        let distinct = limit.min(tuning.rejections_max).max(tuning.rejections_min);
        let rejections = if limit <= 1 { 1 } else { distinct };
        let enough = match evidence {
            Evidence::Success => {
                *self = Self::default();
                false
            }
            Evidence::Neutral => false,
            Evidence::Asked(pause) => !pause.is_zero(),
            Evidence::Throttled | Evidence::Overloaded => {
                self.rejections += 1;
                self.rejections >= rejections
            }
            // Another POST may run for hours on a connection it had before.
            Evidence::Unreachable { alone } => {
                self.rejections += 1;
                alone || self.rejections >= rejections
            }
            Evidence::Failing(message) | Evidence::Unanswered(message) => {
                self.failed.insert(message);
                self.failed.len() >= distinct
            }
            Evidence::Unauthorized => {
                self.refused_credentials += 1;
                self.refused_credentials >= tuning.faults || !has_worked
            }
            Evidence::Misdirected(message) => {
                self.misdirected.insert(message);
                self.misdirected.len() >= tuning.faults
            }
        };
        evidence.reason().filter(|_| enough)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn closes(judge: &mut Judge, evidence: Evidence, limit: usize) -> bool {
        judge.consider(evidence, limit, true, &Tuning::default()).is_some()
    }

    /// How often `evidence` comes in a row before the gate closes.
    fn needed(limit: usize, mut evidence: impl FnMut(u64) -> Evidence) -> u64 {
        let mut judge = Judge::default();
        (1..1_000).find(|&number| closes(&mut judge, evidence(number), limit)).unwrap()
    }

    #[test]
    fn each_kind_of_evidence_closes_after_its_own_number_in_a_row() {
        for (limit, evidence, expected) in [
            (16, Evidence::Asked(Duration::from_secs(60)), 1),
            (16, Evidence::Throttled, 16),
            (16, Evidence::Overloaded, 16),
            (256, Evidence::Throttled, 20),
            (2, Evidence::Throttled, 3),
            (1, Evidence::Throttled, 1),
            (16, Evidence::Unreachable { alone: true }, 1),
            (16, Evidence::Unreachable { alone: false }, 16),
            (16, Evidence::Unauthorized, 5),
        ] {
            assert_eq!(needed(limit, |_| evidence), expected, "{evidence:?} at a limit of {limit}");
        }
        assert_eq!(needed(16, Evidence::Failing), 16);
        assert_eq!(needed(256, Evidence::Failing), 20);
        assert_eq!(needed(1, Evidence::Unanswered), 3);
        assert_eq!(needed(16, Evidence::Misdirected), 5);
    }

    #[test]
    fn one_message_that_always_fails_closes_nothing() {
        for evidence in [Evidence::Failing(7), Evidence::Unanswered(7), Evidence::Misdirected(7)] {
            let mut judge = Judge::default();
            assert!((0..100).all(|_| !closes(&mut judge, evidence, 1)), "{evidence:?}");
        }
    }

    #[test]
    fn what_says_nothing_closes_nothing_and_a_success_ends_the_row() {
        let mut judge = Judge::default();
        for _ in 0..100 {
            assert!(!closes(&mut judge, Evidence::Neutral, 1));
            assert!(!closes(&mut judge, Evidence::Asked(Duration::ZERO), 1));
        }
        for _ in 0..100 {
            assert!(!closes(&mut judge, Evidence::Throttled, 3));
            assert!(!closes(&mut judge, Evidence::Throttled, 3));
            assert!(!closes(&mut judge, Evidence::Success, 3));
        }
    }

    #[test]
    fn credentials_that_never_worked_close_at_once() {
        let reason = Judge::default().consider(Evidence::Unauthorized, 16, false, &Tuning::default());
        assert_eq!(reason, Some(Reason::Unauthorized));
    }
}
