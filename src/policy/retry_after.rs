//! `Retry-After` in both of its forms (RFC 9110 §10.2.3), turned into a wait.
//!
//! Parsing is separate from using it: an HTTP date means nothing without the time of the answer. Fractions of a
//! second, which some servers send, are kept: SQS gets them rounded up. Negative and unreadable values are no value at all, nor
//! is what lies further ahead than a year, be it seconds or a date: the table's own delay then stands.

use std::time::{Duration, SystemTime};

/// Longest wait taken at its word (a year); beyond it the header is taken for a mistake.
const ABSURD: Duration = Duration::from_secs(365 * 24 * 3600);

/// A readable `Retry-After` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long after the answer.
    Delay(Duration),
    /// At this time by the endpoint's clock.
    At(SystemTime),
}

impl RetryAfter {
    /// Reads the header's value; `None` when it is neither form or out of bounds. Of a date only [`RetryAfter::wait`] knows.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if let Ok(seconds) = value.parse::<f64>() {
            let delay = Duration::try_from_secs_f64(seconds).ok()?;
            return (delay <= ABSURD).then_some(Self::Delay(delay));
        }
        httpdate::parse_http_date(value).ok().map(Self::At)
    }

    /// How long to wait, at wall-clock time `now`; a date in the past is a wait of nothing. `None` when it is absurd.
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
