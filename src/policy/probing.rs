//! How long a gate stays closed between probes, at most.
//!
//! Each probe of an endpoint that refuses costs one message one receive. A large backlog with many receives to
//! spend can afford to find out soon that the endpoint is back; a small one with few cannot. So the longest
//! pause follows from what is there to spend: a process uses up a hundredth of it per hour at most.

use std::time::Duration;

/// No pause is shorter for being affordable.
pub const AFFORDABLE: Duration = Duration::from_secs(20);
/// Longest pause of gates closed for another reason than 429 without Retry-After.
pub const LONGEST: Duration = Duration::from_secs(60);
/// The part of the receives to spend that one process may spend on probes in an hour.
const SPENT_PER_HOUR: f64 = 0.01;
const HOUR_SECONDS: f64 = 3_600.0;

/// What a queue has to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Messages in the queue, hidden ones included; `None` while unknown.
    pub backlog: Option<u64>,
    /// Receives of a message before the dead-letter queue; `None` without a redrive policy.
    pub max_receives: Option<u32>,
}

/// The longest pause for this budget: between [`AFFORDABLE`] and `longest`.
pub fn longest_pause(longest: Duration, budget: Budget) -> Duration {
    let Budget { backlog: Some(backlog), max_receives } = budget else { return longest };
    let shortest = AFFORDABLE.min(longest);
    let Some(max_receives) = max_receives else { return shortest };
    let backlog = f64::from(u32::try_from(backlog).unwrap_or(u32::MAX));
    let spare = backlog * f64::from(max_receives.saturating_sub(1));
    // Nothing to spend makes this infinite.
    let seconds = HOUR_SECONDS / (spare * SPENT_PER_HOUR);
    Duration::try_from_secs_f64(seconds).unwrap_or(longest).clamp(shortest, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_follows_from_what_the_backlog_can_spend() {
        let throttle_delay = Duration::from_secs(300);
        for (backlog, max_receives, expected) in [
            (Some(100_000), Some(10), 20),
            (Some(1_000), Some(10), 40),
            (Some(1_000), Some(3), 180),
            (Some(100), Some(3), 300),
            (Some(0), Some(3), 300),
            (Some(100_000), Some(1), 300),
            (Some(1), None, 20),
            (None, Some(10), 300),
            (None, None, 300),
        ] {
            let budget = Budget { backlog, max_receives };
            assert_eq!(longest_pause(throttle_delay, budget).as_secs(), expected, "{budget:?}");
        }
        let budget = Budget { backlog: Some(100_000), max_receives: Some(10) };
        assert_eq!(longest_pause(Duration::from_secs(5), budget).as_secs(), 5);
    }
}
