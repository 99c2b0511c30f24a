//! What closes a gate, and for how long: evidence in a row, and pauses that double.
//!
//! Pure: no clock, no tasks; randomness is an argument. *In a row* means without a success in between. Where a
//! single message may be to blame, *distinct* messages have to agree, so that one that always fails closes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

/// Longest pause taken from a Retry-After; what an endpoint asks beyond it is asked again by the probe.
const ASKED_MAX: Duration = Duration::from_secs(60);
/// Such a pause is lengthened by up to a fifth, so that processes do not come back together.
const ASKED_SPREAD: f64 = 0.2;
/// First pause of those that double.
const PAUSE: Duration = Duration::from_secs(1);
/// Those are lengthened or shortened by up to a fifth.
const SPREAD: f64 = 0.2;
/// What pauses double to while probes can be afforded, and where they cost no receive (nothing is sent of them,
/// and they are held).
const AFFORDED_PAUSE_MAX: Duration = Duration::from_secs(26);
/// Such a pause with its spread, at most: an endpoint that is back is at full speed within half a minute.
const AFFORDED_LONGEST: Duration = Duration::from_secs(29);
/// Fewest rejections in a row that close the gate, unless the limit is 1.
const REJECTIONS: usize = 3;
/// Most: a small backlog at a large limit would be used up before as many had been refused as may run at once.
const REJECTIONS_MAX: usize = 20;
/// Refused credentials, and messages without a taker, in a row that close a gate.
const FAULTS: usize = 5;

/// Why a gate is closed; label of `queuepost_gate_closed_seconds_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The endpoint asked for a pause.
    RetryAfter,
    /// 429 in a row, without a pause asked for.
    Throttled,
    /// 502, 503, 504 or 529 in a row.
    Overloaded,
    /// 500 for distinct messages in a row.
    Failing,
    /// No complete answer for distinct messages in a row.
    Unanswered,
    /// It cannot be connected to.
    Unreachable,
    /// 401, 403 or 407 in a row.
    Unauthorized,
    /// 404 and the like for distinct messages of one listener in a row.
    Misdirected,
}

impl Reason {
    /// Every reason, to initialise metrics.
    pub const ALL: [Self; 8] = [
        Self::RetryAfter,
        Self::Throttled,
        Self::Overloaded,
        Self::Failing,
        Self::Unanswered,
        Self::Unreachable,
        Self::Unauthorized,
        Self::Misdirected,
    ];

    /// Label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::RetryAfter => "retry_after",
            Self::Throttled => "throttled",
            Self::Overloaded => "overloaded",
            Self::Failing => "failing",
            Self::Unanswered => "unanswered",
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::Misdirected => "misdirected",
        }
    }

    /// What the endpoint does, for a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::RetryAfter => "the endpoint asked for a pause (Retry-After)",
            Self::Throttled => "the endpoint throttles every request (429)",
            Self::Overloaded => "the endpoint is overloaded or down (502, 503, 504)",
            Self::Failing => "the endpoint fails for different messages (500)",
            Self::Unanswered => "the endpoint does not answer in time, or breaks off",
            Self::Unreachable => "the endpoint cannot be connected to",
            Self::Unauthorized => "the endpoint refuses our credentials (401, 403, 407)",
            Self::Misdirected => {
                "the listener's path is refused for different messages (404, 405, 410, a redirect), or answers a 2xx \
                 that `success` does not list"
            }
        }
    }
}

/// What came of one POST, as far as a gate is concerned. Numbers tell messages apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The endpoint did the work.
    Success,
    /// Too much to do, and until when.
    Asked(Duration),
    /// 429.
    Throttled,
    /// 502, 503, 504, 529.
    Overloaded,
    /// 500 and what may be the endpoint's or the message's fault.
    Failing(u64),
    /// A time-out, or a connection that broke.
    Unanswered(u64),
    /// Nothing was sent.
    Unreachable {
        /// Whether no other POST had started and not ended.
        alone: bool,
    },
    /// Credentials were refused.
    Unauthorized,
    /// The listener points at the wrong place.
    Misdirected(u64),
    /// The endpoint answers; nothing more.
    Neutral,
}

impl Evidence {
    /// The reason for which a probe that met this leaves the gate closed; `None` opens it.
    pub(super) fn keeps_closed(self) -> Option<Reason> {
        match self {
            Self::Success | Self::Neutral => None,
            Self::Asked(_) => Some(Reason::RetryAfter),
            Self::Throttled => Some(Reason::Throttled),
            Self::Overloaded => Some(Reason::Overloaded),
            Self::Failing(_) => Some(Reason::Failing),
            Self::Unanswered(_) => Some(Reason::Unanswered),
            Self::Unreachable { .. } => Some(Reason::Unreachable),
            Self::Unauthorized => Some(Reason::Unauthorized),
            Self::Misdirected(_) => Some(Reason::Misdirected),
        }
    }

    pub(super) fn asked(self) -> Duration {
        if let Self::Asked(pause) = self { pause } else { Duration::ZERO }
    }
}

/// What a probe of a gate costs, as bounds of its pauses.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProbeCost {
    /// Probes in a row that may follow each other soon.
    pub affordable: u32,
    /// Longest pause beyond them.
    pub longest_pause: Duration,
}

/// What has been seen since the last success.
#[derive(Debug, Default)]
pub(super) struct Judge {
    rejections: usize,
    refusals: usize,
    /// Messages that met 500 or no answer.
    failed: BTreeSet<u64>,
    /// Messages that met 404 and the like.
    misdirected: BTreeSet<u64>,
    has_succeeded: bool,
    /// Closures in a row.
    closures: u32,
}

impl Judge {
    /// Takes note of what an open gate let through; the reason to close, if there is one now. `limit` is how
    /// many POSTs may run at once.
    pub(super) fn consider(&mut self, evidence: Evidence, limit: usize) -> Option<Reason> {
        let distinct = limit.clamp(REJECTIONS, REJECTIONS_MAX);
        let rejections = if limit <= 1 { 1 } else { distinct };
        let enough = match evidence {
            Evidence::Success => {
                self.succeeded();
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
                self.refusals += 1;
                self.refusals >= FAULTS || !self.has_succeeded
            }
            Evidence::Misdirected(message) => {
                self.misdirected.insert(message);
                self.misdirected.len() >= FAULTS
            }
        };
        if enough { evidence.keeps_closed() } else { None }
    }

    /// The endpoint works: what came before is over.
    pub(super) fn succeeded(&mut self) {
        *self = Self { has_succeeded: true, ..Self::default() };
    }

    /// Whether a probe has been refused since the last success.
    pub(super) fn has_refused_a_probe(&self) -> bool {
        self.closures > 1
    }

    /// Whether the next probe may follow soon.
    pub(super) fn can_afford(&self, cost: ProbeCost) -> bool {
        self.closures < cost.affordable
    }

    /// A gate closes: the length of its pause. `unit` is in `[0, 1)`.
    pub(super) fn pause(&mut self, reason: Reason, asked: Duration, cost: ProbeCost, unit: f64) -> Duration {
        let affordable = if reason == Reason::Unreachable { u32::MAX } else { cost.affordable };
        let afforded = doubled(PAUSE, self.closures.min(affordable)).min(AFFORDED_PAUSE_MAX);
        let beyond = doubled(afforded, self.closures.saturating_sub(affordable));
        let mut doubled = beyond.min(cost.longest_pause).mul_f64(1.0 - SPREAD + 2.0 * SPREAD * unit);
        if self.closures <= affordable {
            doubled = doubled.min(AFFORDED_LONGEST);
        }
        let asked = asked.min(ASKED_MAX).mul_f64(1.0 + ASKED_SPREAD * unit);
        let pause = match reason {
            // The first is exactly as asked; an endpoint that asks for a second for an hour is not asked each second.
            Reason::RetryAfter if self.closures == 0 => asked,
            _ => doubled.max(asked),
        };
        let closures = self.closures.saturating_add(1);
        *self = Self { has_succeeded: self.has_succeeded, closures, ..Self::default() };
        pause
    }
}

/// `pause` doubled so many times.
fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn cost(affordable: u32, longest_pause: u64) -> ProbeCost {
        ProbeCost { affordable, longest_pause: Duration::from_secs(longest_pause) }
    }

    /// How often `evidence` comes in a row before the gate closes.
    fn needed(limit: usize, mut evidence: impl FnMut(u64) -> Evidence) -> u64 {
        let mut judge = Judge::default();
        judge.succeeded();
        (1..1_000).find(|&number| judge.consider(evidence(number), limit).is_some()).unwrap()
    }

    #[test]
    fn each_kind_of_evidence_closes_after_its_own_number_in_a_row() {
        for (limit, evidence, expected) in [
            (16, Evidence::Asked(MINUTE), 1),
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
            assert!((0..100).all(|_| judge.consider(evidence, 1).is_none()), "{evidence:?}");
        }
    }

    #[test]
    fn what_says_nothing_closes_nothing_and_a_success_ends_the_row() {
        let mut judge = Judge::default();
        for _ in 0..100 {
            assert_eq!(judge.consider(Evidence::Neutral, 1), None);
            assert_eq!(judge.consider(Evidence::Asked(Duration::ZERO), 1), None);
        }
        for _ in 0..100 {
            assert_eq!(judge.consider(Evidence::Throttled, 3), None);
            assert_eq!(judge.consider(Evidence::Throttled, 3), None);
            assert_eq!(judge.consider(Evidence::Success, 3), None);
        }
    }

    #[test]
    fn credentials_that_never_worked_close_at_once() {
        let mut judge = Judge::default();
        assert_eq!(judge.consider(Evidence::Unauthorized, 16), Some(Reason::Unauthorized));
    }

    #[test]
    fn pauses_double_from_a_second_to_the_longest_and_start_over_after_a_success() {
        let mut judge = Judge::default();
        let mut pause = || judge.pause(Reason::Throttled, Duration::ZERO, cost(0, 300), 0.5).as_secs();
        let pauses: Vec<u64> = (0..40).map(|_| pause()).collect();
        assert_eq!(pauses[..11], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pauses[39], 300);
        judge.succeeded();
        assert_eq!(judge.pause(Reason::Throttled, Duration::ZERO, cost(0, 60), 0.0), PAUSE.mul_f64(0.8));
    }

    #[test]
    fn pauses_stay_short_while_probes_can_be_afforded() {
        let mut judge = Judge::default();
        let mut pause = || judge.pause(Reason::Throttled, Duration::ZERO, cost(8, 300), 0.5).as_secs();
        let pauses: Vec<u64> = (0..14).map(|_| pause()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 26, 26, 26, 26, 52, 104, 208, 300, 300]);
    }

    #[test]
    fn a_pause_asked_for_is_kept_and_doubles_only_when_it_is_asked_again_and_again() {
        let mut judge = Judge::default();
        let ten = Duration::from_secs(10);
        let mut pause = || judge.pause(Reason::RetryAfter, ten, cost(0, 60), 0.5).as_secs();
        let pauses: Vec<u64> = (0..8).map(|_| pause()).collect();
        assert_eq!(pauses, [11, 11, 11, 11, 16, 32, 60, 60]);
        let hour = Judge::default().pause(Reason::RetryAfter, 60 * MINUTE, cost(0, 60), 0.5);
        assert_eq!(hour.as_secs(), 66);
    }

    #[test]
    fn an_endpoint_that_cannot_be_connected_to_is_tried_often_because_that_costs_no_receive() {
        let mut judge = Judge::default();
        let mut pause = || judge.pause(Reason::Unreachable, Duration::ZERO, cost(0, 300), 0.5).as_secs();
        assert_eq!((0..6).map(|_| pause()).collect::<Vec<u64>>(), [1, 2, 4, 8, 16, 26]);
        let longest = judge.pause(Reason::Unreachable, Duration::ZERO, cost(0, 300), 0.999);
        assert_eq!(longest, AFFORDED_LONGEST);
    }
}
