//! How often a closed gate may be probed: what the queue can afford.
//!
//! Each probe of an endpoint that refuses costs one message one receive. A large backlog with many receives
//! can afford frequent probes, and so finds out soon that the endpoint is back. A small backlog with few
//! receives cannot.
//! So pauses between probes stay short while probes in a row cost at most a twentieth of the spare receives.
//! Beyond that the pauses double. Even ten processes at one queue therefore leave half of the spare receives.

use std::time::Duration;

/// Longest pause of a gate, unless a 429 without Retry-After closed it.
pub const LONGEST: Duration = Duration::from_secs(60);
/// The part of the spare receives that probes may cost before pauses become long.
const PART: u64 = 20;

/// The receives a queue can spend on probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Messages in the queue, hidden ones included; `None` while unknown.
    pub backlog: Option<u64>,
    /// Receives of a message before the dead-letter queue; `None` without a redrive policy.
    pub max_receives: Option<u32>,
}

impl Budget {
    /// How many probes in a row the queue can afford at short pauses.
    pub fn probes(self) -> u32 {
        let Self { backlog: Some(backlog), max_receives } = self else { return 0 };
        let Some(max_receives) = max_receives else { return u32::MAX };
        let spare = backlog.saturating_mul(u64::from(max_receives.saturating_sub(1)));
        u32::try_from(spare / PART).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_of_the_spare_receives_may_be_spent_on_probes() {
        for (backlog, max_receives, expected) in [
            (Some(100_000), Some(10), 45_000),
            (Some(1_000), Some(3), 100),
            (Some(100), Some(3), 10),
            (Some(1), Some(10), 0),
            (Some(100_000), Some(1), 0),
            (Some(1), None, u32::MAX),
            (None, Some(10), 0),
            (None, None, 0),
        ] {
            assert_eq!(Budget { backlog, max_receives }.probes(), expected, "{backlog:?} {max_receives:?}");
        }
    }
}
