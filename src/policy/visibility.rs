//! Lease arithmetic: how long a receive hides messages, when a lease is extended, where SQS's twelve hours
//! end.
//!
//! Pure arithmetic. Lease and ceiling are counted from the request, because SQS may have started its clock
//! then. A lease whose answer came at once is counted from [`ANSWER_SLACK`] before the answer.

use std::time::Duration;

/// Total time a message may stay hidden after one receive: 12 hours less 5 s. Right after a receive SQS
/// refuses 43,200 s and accepts 43,195 s.
pub const CEILING: Duration = Duration::from_secs(43_195);
/// A lease begins at most this long before the answer: a margin for clocks that differ.
pub const ANSWER_SLACK: Duration = Duration::from_secs(5);
/// A call that was given up without an answer arrives so much later at most; a bound of ours, SQS states none.
pub const ARRIVES_WITHIN: Duration = Duration::from_secs(5);
/// How much longer a lease lasts than the request timeout.
const REQUEST_MARGIN: Duration = Duration::from_secs(30);
/// Shortest lease.
const LEASE_MIN: Duration = Duration::from_secs(30);
/// Lease of long requests. It is extended again and again instead of reserved at once, so that a message
/// returns soon after a crash.
const LEASE_LONG: Duration = Duration::from_secs(120);
/// Request timeouts above this use [`LEASE_LONG`].
const LONG_REQUEST: Duration = Duration::from_secs(120);
/// A lease is extended no later than this before its end.
const EXTEND_BEFORE: Duration = Duration::from_secs(20);

/// Visibility timeout of a receive, in whole seconds.
pub fn lease(request_timeout: Duration) -> Duration {
    if request_timeout > LONG_REQUEST {
        return LEASE_LONG;
    }
    let seconds = whole_seconds(request_timeout + REQUEST_MARGIN);
    Duration::from_secs(u64::from(seconds)).max(LEASE_MIN)
}

/// Time left of a lease when the lease extender extends it.
pub fn extend_when_left(lease: Duration) -> Duration {
    EXTEND_BEFORE.max(lease / 3)
}

/// A wait in SQS's unit: whole seconds rounded up, at most [`CEILING`].
pub fn whole_seconds(wait: Duration) -> u32 {
    let ceiled = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(ceiled.min(CEILING.as_secs())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_outlasts_the_request_and_long_requests_are_extended_instead() {
        let seconds = |timeout_ms| lease(Duration::from_millis(timeout_ms)).as_secs();
        assert_eq!(seconds(100), 31);
        assert_eq!(seconds(60_000), 90);
        assert_eq!(seconds(120_000), 150);
        assert_eq!(seconds(120_001), 120);
        assert_eq!(seconds(12 * 3_600_000), 120);
    }

    #[test]
    fn a_lease_is_extended_before_its_last_third_or_twenty_seconds() {
        assert_eq!(extend_when_left(Duration::from_secs(30)), Duration::from_secs(20));
        assert_eq!(extend_when_left(Duration::from_secs(120)), Duration::from_secs(40));
    }

    #[test]
    fn seconds_round_up_and_stop_below_twelve_hours() {
        assert_eq!(whole_seconds(Duration::from_millis(299_001)), 300);
        assert_eq!(whole_seconds(Duration::from_secs(300)), 300);
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_secs(86_400)), 43_195);
    }
}
