//! The run-ahead: how many messages are received beyond the sessions, so that none of them waits for a receive.
//!
//! During one receive some sessions come free: sessions × time of a receive ÷ time of a POST. So many messages have to wait
//! in the process when a receive begins. Beside them there is room for a full one, so the receive can wait until it will be
//! full. No session stands idle meanwhile, whatever becomes of the POSTs.
//!
//! A message must not wait for long. So no more wait than POSTs end within a second: none where sessions are few and slow, or
//! while other listeners run on all of them. Nor must it be received in vain. So nothing runs ahead:
//!
//! - without a backlog, or while a gate is not open;
//! - after a 429, a 503 or a time-out, until a POST succeeds;
//! - where a message has one or two receives.
//!
//! Claim checks do not run ahead either: each would hold its object. Pure.

use std::time::Duration;

/// A mean that follows what is measured: each new value counts for a sixteenth. `None` before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Smoothed(Option<Duration>);

impl Smoothed {
    /// One more value.
    pub fn add(&mut self, value: Duration) {
        let mean = self.0.unwrap_or(value);
        self.0 = Some(mean.saturating_sub(mean / 16).saturating_add(value / 16));
    }

    /// The mean.
    pub fn get(self) -> Option<Duration> {
        self.0
    }
}

/// What a receive of several messages is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullReceive {
    /// How long one takes.
    pub takes: Duration,
    /// What it brings: messages, or the deliveries that they make.
    pub brings: usize,
}

/// How far receives may run ahead, and which of them are worth while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAhead {
    /// So many more may be on their way, or wait, than may be posted at once.
    pub most: usize,
    /// A receive waits until it may bring so many.
    pub enough: usize,
}

impl RunAhead {
    /// Nothing is received that could not be posted at once.
    pub const NONE: Self = Self { most: 0, enough: 1 };

    /// Of so many sessions whose POSTs take so long. What waits is posted within `longest`; zero: nothing waits.
    pub fn new(sessions: usize, post: Option<Duration>, receive: FullReceive, longest: Duration) -> Self {
        let Some(post) = post else { return Self::NONE };
        let post = post.as_nanos().max(1);
        let per_post =
            |time: Duration| u128::try_from(sessions).unwrap_or(u128::MAX).saturating_mul(time.as_nanos());
        let count = |of: u128| usize::try_from(of).unwrap_or(usize::MAX);
        let during_receive = count(per_post(receive.takes).div_ceil(post)).min(sessions);
        let within_longest = count(per_post(longest) / post);
        let most = during_receive.saturating_add(receive.brings).min(within_longest);
        Self { most, enough: most.saturating_sub(during_receive).clamp(1, receive.brings.max(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TEN: FullReceive = FullReceive { takes: Duration::from_millis(10), brings: 10 };

    /// The run-ahead of so many sessions whose POSTs take so many milliseconds.
    fn of(sessions: usize, post: u64) -> (usize, usize) {
        let RunAhead { most, enough } =
            RunAhead::new(sessions, Some(Duration::from_millis(post)), TEN, SECOND);
        (most, enough)
    }

    #[test]
    fn what_ends_during_a_receive_waits_and_a_full_receive_has_room_beside_it() {
        assert_eq!(of(16, 20), (18, 10));
        assert_eq!(of(64, 20), (42, 10));
        assert_eq!(of(64, 200), (14, 10), "rounded up");
        assert_eq!(of(64, 1), (74, 10), "as many as sessions at most, and a receive");
    }

    #[test]
    fn no_more_waits_than_is_posted_within_a_second() {
        assert_eq!(of(64, 8_000), (8, 7));
        assert_eq!(of(4, 2_000), (2, 1));
        assert_eq!(of(4, 10_000), (0, 1));
        assert_eq!(RunAhead::new(64, Some(SECOND), TEN, Duration::ZERO), RunAhead::NONE, "switched off");
        assert_eq!(RunAhead::new(64, None, TEN, SECOND), RunAhead::NONE, "nothing is known yet");
    }

    #[test]
    fn no_session_stands_idle_while_a_receive_waits_to_be_full() {
        for (sessions, post) in [(1, 5_u32), (3, 20), (10, 20), (16, 200), (64, 3_000), (512, 1)] {
            let (most, enough) = of(sessions, u64::from(post));
            let during_receive = (sessions * 10).div_ceil(usize::try_from(post).unwrap()).min(sessions);
            assert!(most - enough >= during_receive, "{sessions}, {post}");
        }
    }

    #[test]
    fn a_mean_follows_what_is_measured() {
        let mut mean = Smoothed::default();
        assert_eq!(mean.get(), None);
        mean.add(SECOND);
        assert_eq!(mean.get(), Some(SECOND));
        for _ in 0..100 {
            mean.add(3 * SECOND);
        }
        let now = mean.get().unwrap();
        assert!((now.as_secs_f64() - 3.0).abs() < 0.01, "{now:?}");
    }
}
