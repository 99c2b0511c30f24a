//! Whether the pauses that an endpoint asks for (Retry-After) are to be believed.
//!
//! Many endpoints write a fixed number that has nothing to do with when they take the next request. So a pause is kept to
//! only once it is believed: the endpoint has refused for as long as it asked for, or a probe after such a pause was taken. It
//! is believed no longer when a POST succeeds that started well before its end. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// A success that starts after so much of a pause that was asked for does not disprove it.
const DUE_AFTER: f64 = 0.8;

/// What is known of the pauses an endpoint asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The last pause, and when it was asked for; `None` once a POST that started after that has succeeded.
    last: Option<(Instant, Duration)>,
    is_believed: bool,
}

impl Asked {
    /// The endpoint asks for a pause, after it has refused for a time. Whether it is to be kept to.
    pub(super) fn asks(&mut self, pause: Duration, refused_for: Duration, now: Instant) -> bool {
        self.last = Some((now, pause));
        self.is_believed |= refused_for >= pause;
        self.is_believed
    }

    /// A POST that started at `began` succeeded; `is_probe`: nothing else ran meanwhile.
    pub(super) fn succeeded(&mut self, began: Instant, is_probe: bool) {
        let Some((at, pause)) = self.last.filter(|(at, _)| began >= *at) else { return };
        let is_due = began - at >= pause.mul_f64(DUE_AFTER);
        self.is_believed = if is_probe { is_due } else { is_due && self.is_believed };
        self.last = None;
    }

    /// Whether the endpoint keeps to what it asks for.
    pub(super) fn is_believed(&self) -> bool {
        self.is_believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_believed_once_the_endpoint_has_refused_for_as_long() {
        let (mut asked, now) = (Asked::default(), Instant::now());
        assert!(!asked.asks(30 * SECOND, Duration::ZERO, now));
        assert!(!asked.asks(30 * SECOND, 29 * SECOND, now + 29 * SECOND));
        assert!(asked.asks(30 * SECOND, 30 * SECOND, now + 30 * SECOND));
        assert!(asked.asks(60 * SECOND, Duration::ZERO, now + 31 * SECOND), "and the next one too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_succeeds_at_the_end_of_a_pause_confirms_it_and_a_post_well_before_disproves_it() {
        let (mut asked, now) = (Asked::default(), Instant::now());
        for (began, is_probe, believed) in [
            (8, true, true),
            (9, false, true),
            (7, false, false),
            (9, false, false),
            (8, true, true),
            (7, true, false),
        ] {
            asked.asks(10 * SECOND, Duration::ZERO, now);
            asked.succeeded(now - SECOND, true);
            asked.succeeded(now + began * SECOND, is_probe);
            assert_eq!(asked.is_believed(), believed, "one that began after {began} s");
        }
        asked.succeeded(now + SECOND, true);
        assert!(!asked.is_believed(), "one success counts for one pause");
    }
}
