//! How long a message is hidden after a temporary failure; how long a loop waits after a failed SQS call.
//!
//! The delay of a message depends on its receive count alone. So the delay survives restarts, and this
//! process need not remember it.
//! The caller supplies jitter as `unit`, a number in `[0, 1)`. Jitter changes the upper half of a delay only:
//! a message never returns in less than half of its step.

use std::time::Duration;

use crate::message::ReceiveCount;

/// First step of the delay of a deferred message.
const DEFER_FIRST: Duration = Duration::from_secs(10);
/// Last step of the delay of a deferred message.
const DEFER_MAX: Duration = Duration::from_secs(900);
/// First step of the wait after a failed SQS call.
const CALL_FIRST: Duration = Duration::from_millis(200);
/// Last step of the wait after a failed SQS call.
const CALL_MAX: Duration = Duration::from_secs(30);

/// Delay of a deferred message: `min(900 s, 10 s × 2^(receives − 1))`, with jitter in the upper half.
pub fn defer(receives: ReceiveCount, unit: f64) -> Duration {
    let step = doubled(DEFER_FIRST, receives.get().saturating_sub(1), DEFER_MAX);
    step.mul_f64(0.5 + 0.5 * unit.clamp(0.0, 1.0))
}

/// Wait after `failures` failed calls in a row (1 for the first): full jitter up to 200 ms × 2ⁿ, at most 30
/// s.
pub fn call(failures: u32, unit: f64) -> Duration {
    doubled(CALL_FIRST, failures.saturating_sub(1), CALL_MAX).mul_f64(unit.clamp(0.0, 1.0))
}

/// `first × 2^exponent`, at most `max`.
pub fn doubled(first: Duration, exponent: u32, max: Duration) -> Duration {
    1_u32.checked_shl(exponent).and_then(|factor| first.checked_mul(factor)).map_or(max, |step| step.min(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deferral_doubles_with_the_receive_count_up_to_fifteen_minutes() {
        let steps: Vec<u64> =
            [1, 2, 3, 7, 8, 40, u32::MAX].map(|n| defer(ReceiveCount::new(n), 1.0).as_secs()).to_vec();
        assert_eq!(steps, [10, 20, 40, 640, 900, 900, 900]);
    }

    #[test]
    fn jitter_fills_only_the_upper_half_of_a_deferral() {
        assert_eq!(defer(ReceiveCount::FIRST, 0.0), Duration::from_secs(5));
        assert_eq!(defer(ReceiveCount::FIRST, 0.5), Duration::from_millis(7_500));
    }

    #[test]
    fn a_failed_call_waits_at_most_thirty_seconds() {
        assert_eq!(call(1, 1.0), Duration::from_millis(200));
        assert_eq!(call(3, 1.0), Duration::from_millis(800));
        assert_eq!(call(99, 1.0), Duration::from_secs(30));
        assert_eq!(call(99, 0.0), Duration::ZERO);
    }
}
