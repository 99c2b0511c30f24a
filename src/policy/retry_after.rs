//! `Retry-After` in both of its forms (RFC 9110 §10.2.3), turned into a wait.
//!
//! Parsing is separate from using it: an HTTP date means nothing without the time of the answer. Fractions of a
//! second, which some servers send, are kept: SQS gets them rounded up. Negative, absurd and unreadable values are no value at all: the
//! table's own delay then stands.

use std::time::{Duration, SystemTime};

/// Longest wait taken at its word (a year); beyond it the header is taken for a mistake.
const ABSURD_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

/// A readable `Retry-After` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long after the answer.
    Delay(Duration),
    /// At this time by the endpoint's clock.
    At(SystemTime),
}

impl RetryAfter {
    /// Reads the header's value; `None` when it is neither form or out of bounds.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if let Ok(seconds) = value.parse::<f64>() {
            return (0.0..=ABSURD_SECONDS)
                .contains(&seconds)
                .then(|| Self::Delay(Duration::from_secs_f64(seconds)));
        }
        httpdate::parse_http_date(value).ok().map(Self::At)
    }

    /// How long to wait, at wall-clock time `now`; a date in the past is no wait.
    pub fn wait(self, now: SystemTime) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::At(at) => at.duration_since(now).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(value: &str) -> Option<Duration> {
        RetryAfter::parse(value).map(|parsed| parsed.wait(SystemTime::UNIX_EPOCH))
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
        assert_eq!(parsed.wait(SystemTime::UNIX_EPOCH), Duration::from_secs(300));
        assert_eq!(parsed.wait(SystemTime::UNIX_EPOCH + Duration::from_secs(900)), Duration::ZERO);
    }

    #[test]
    fn nonsense_is_no_value() {
        for value in ["", "-5", "soon", "NaN", "inf", "1e300", "99999999999", "Thu, 99 Foo 2026"] {
            assert_eq!(RetryAfter::parse(value), None, "{value:?}");
        }
    }
}
