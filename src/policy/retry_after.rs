//! `Retry-After` in both of its forms (RFC 9110 §10.2.3), turned into a wait.
//!
//! Parsing and use are separate, because an HTTP date means nothing without the time of the answer. Some
//! servers send fractions of a second; they are kept, and SQS gets them rounded up.
//! A negative or unreadable value counts as no value. So does a wait of more than a year, given in seconds or
//! as a date. Then the table's own delay applies.

use std::time::{Duration, SystemTime};

/// Longest wait that is believed: a year. A longer one is taken for a mistake.
const ABSURD: Duration = Duration::from_secs(365 * 24 * 3600);

/// A parsed `Retry-After` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// A delay after the answer.
    Delay(Duration),
    /// A time by the endpoint's clock.
    At(SystemTime),
}

impl RetryAfter {
    /// Reads the header's value; `None` when it has neither form or is out of bounds. Bounds of a date are
    /// checked by [`RetryAfter::wait`].
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if let Ok(seconds) = value.parse::<f64>() {
            let delay = Duration::try_from_secs_f64(seconds).ok()?;
            return (delay <= ABSURD).then_some(Self::Delay(delay));
        }
        httpdate::parse_http_date(value).ok().map(Self::At)
    }

    /// How long to wait at wall-clock time `now`. A date in the past is no wait; `None` when the wait is out
    /// of bounds.
    pub fn wait(self, now: SystemTime) -> Option<Duration> {
        let wait = match self {
            Self::Delay(delay) => delay,
            Self::At(at) => at.duration_since(now).unwrap_or_default(),
        };
        (wait <= ABSURD).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(value: &str) -> Option<Duration> {
        RetryAfter::parse(value)?.wait(SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn whole_seconds_and_fractions_are_read() {
        assert_eq!(delay("120"), Some(Duration::from_secs(120)));
        assert_eq!(delay(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(delay("0"), Some(Duration::ZERO));
    }

    #[test]
    fn a_date_is_a_wait_from_now_and_a_past_date_is_none() {
        let parsed = RetryAfter::parse("Thu, 01 Jan 1970 00:05:00 GMT").unwrap();
        assert_eq!(parsed.wait(SystemTime::UNIX_EPOCH), Some(Duration::from_secs(300)));
        assert_eq!(parsed.wait(SystemTime::UNIX_EPOCH + Duration::from_secs(900)), Some(Duration::ZERO));
    }

    #[test]
    fn what_lies_more_than_a_year_ahead_is_no_value_in_either_form() {
        let year = Duration::from_secs(31_536_000);
        assert_eq!([delay("31536000"), delay("Fri, 01 Jan 1971 00:00:00 GMT")], [Some(year); 2]);
        assert_eq!([delay("31536001"), delay("Fri, 01 Jan 1971 00:00:01 GMT")], [None; 2]);
    }

    #[test]
    fn nonsense_is_no_value() {
        for value in ["", "-5", "soon", "NaN", "inf", "1e300", "99999999999", "Thu, 99 Foo 2026"] {
            assert_eq!(RetryAfter::parse(value), None, "{value:?}");
        }
    }
}
