//! The numbers of the demonstration: what both sides have in common, and when the endpoint fails.

use std::time::Duration;

/// Messages on each of the two queues.
pub(super) const MESSAGES: usize = 200;
/// POSTs at once.
pub(super) const WORKERS: usize = 4;
/// Receives before a message is dead-lettered. Five is what many queues have.
pub(super) const MAX_RECEIVES: u32 = 5;
/// How long a message stays hidden after a 429: a second for each minute of the five that are the default.
pub(super) const THROTTLE_DELAY: Duration = Duration::from_secs(5);
/// The queue of queuepost, and that of the plain worker.
pub(super) const QUEUES: [&str; 2] = ["demo", "plain"];
/// How long the work of a message takes.
pub(super) const WORK: Duration = Duration::from_millis(200);

/// POSTs that the endpoint takes before it is overloaded: enough for a limit to be known, which an overload does not change.
pub(super) const TAKEN_BEFORE: usize = 20;

/// The longest window of a quota that queuepost learns: two and a half minutes in earnest.
///
/// By the clock of the demonstration the overload is no such window either.
pub(super) const WINDOW_MAX: Duration = Duration::from_millis(2_500);

/// `Retry-After` of the later refusals, in seconds. A short one is believed soon.
pub(super) const RETRY_AFTER_SECONDS: u64 = 3;

/// How the overload goes, as times from the first POST.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    /// From then on it says when to ask again.
    pub(super) says_when: Duration,
    /// From then on it works.
    pub(super) works_again: Duration,
}

impl Scenario {
    /// An overload of 24 s: a message that is posted every five seconds is refused five times.
    pub(super) const DEMO: Self =
        Self { says_when: Duration::from_secs(5), works_again: Duration::from_secs(24) };

    /// What happens when, in words.
    pub(super) fn events(&self) -> [(Duration, &'static str); 3] {
        [
            (Duration::ZERO, "the endpoint does 20 messages; then it is overloaded, and answers 429"),
            (self.says_when, "it now says when to ask again: Retry-After: 3"),
            (self.works_again, "the endpoint works again"),
        ]
    }
}

/// Messages that so many POSTs at once can have done in a second.
pub(super) fn per_second() -> u128 {
    let each = WORK.as_millis().max(1);
    u128::try_from(WORKERS).unwrap_or(u128::MAX).saturating_mul(1_000) / each
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overload_outlasts_a_message_that_is_posted_whenever_it_is_visible() {
        assert!(THROTTLE_DELAY * (MAX_RECEIVES - 1) + WORK < Scenario::DEMO.works_again);
        assert!(WINDOW_MAX < Scenario::DEMO.works_again);
    }
}
