//! When a learned limit is worth a line in the log.
//!
//! It is once the limit is known, and when it has changed by half since the last line; then at most once a minute. What was
//! tried in the first moments after a refusal is not known yet. Nor is a rate that doubles after the first refusal.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::LearnedLimit;
use crate::limit::adaptive::Constraint;

/// A limit is known after so many POSTs without a refusal.
const KNOWN_AFTER: u32 = 10;
/// And after so long, however often the endpoint refuses. No two lines are closer.
const PERIOD: Duration = Duration::from_secs(60);
/// A change by this part of what was told is worth a line.
const MUCH: f64 = 0.5;

/// What was told of a limit, and what has happened to it.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Since when something is found to limit.
    since: Option<Instant>,
    /// POSTs that succeeded since the last refusal.
    succeeded: u32,
    told: Option<Told>,
}

/// The last line.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Instant,
    constraint: Constraint,
    value: f64,
}

impl News {
    /// A POST has ended, and that is learned by now; whether to tell it. It counts as told then.
    pub(super) fn ended(&mut self, succeeded: bool, learned: &LearnedLimit, now: Instant) -> bool {
        self.succeeded = if succeeded { self.succeeded.saturating_add(1) } else { 0 };
        let Some(constraint) = learned.constraint.filter(|_| learned.is_found) else {
            self.since = None;
            return false;
        };
        let since = *self.since.get_or_insert(now);
        let is_known = self.succeeded >= KNOWN_AFTER || now.duration_since(since) >= PERIOD;
        let value = match constraint {
            Constraint::Rate => learned.per_second.unwrap_or_default(),
            Constraint::Concurrency => f64::from(u32::try_from(learned.at_once).unwrap_or(u32::MAX)),
        };
        let tells = is_known && self.told.is_none_or(|told| told.is_outdated(constraint, value, now));
        if tells {
            self.told = Some(Told { at: now, constraint, value });
        }
        tells
    }
}

impl Told {
    fn is_outdated(self, constraint: Constraint, value: f64, now: Instant) -> bool {
        let has_changed = constraint != self.constraint || (value - self.value).abs() >= MUCH * self.value;
        has_changed && now.duration_since(self.at) >= PERIOD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn learned(at_once: usize, per_second: Option<f64>, constraint: Option<Constraint>) -> LearnedLimit {
        LearnedLimit { at_once, per_second, constraint, is_found: true, last_refusal: None }
    }

    fn rate(per_second: f64) -> LearnedLimit {
        learned(8, Some(per_second), Some(Constraint::Rate))
    }

    /// So many POSTs succeeded; how often that was told.
    fn lines(news: &mut News, posts: usize, learned: &LearnedLimit) -> usize {
        (0..posts).filter(|_| news.ended(true, learned, Instant::now())).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_told_after_ten_posts_without_a_refusal() {
        let mut news = News::default();
        assert_eq!(lines(&mut news, 100, &learned(1, None, None)), 0, "nothing was refused");
        assert!(!news.ended(false, &rate(40.0), Instant::now()));
        assert_eq!(lines(&mut news, 9, &rate(20.0)), 0);
        assert!(!news.ended(false, &rate(10.0), Instant::now()));
        assert_eq!(lines(&mut news, 9, &rate(5.0)), 0);
        assert_eq!(lines(&mut news, 100, &rate(5.0)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_doubles_is_not_told_until_the_endpoint_refuses_it() {
        let mut news = News::default();
        for per_second in [1.0, 2.0, 4.0, 8.0, 16.0] {
            assert_eq!(lines(&mut news, 20, &LearnedLimit { is_found: false, ..rate(per_second) }), 0);
            tokio::time::advance(PERIOD).await;
        }
        assert_eq!(lines(&mut news, 20, &rate(12.0)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_refused_all_the_time_is_told_after_a_minute() {
        let (mut news, mut told) = (News::default(), Vec::new());
        for second in 0..300 {
            for succeeded in [true, true, false] {
                if news.ended(succeeded, &rate(5.0), Instant::now()) {
                    told.push(second);
                }
            }
            tokio::time::advance(SECOND).await;
        }
        assert_eq!(told, [60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_by_half_or_of_what_limits_is_told_once_a_minute_and_a_smaller_one_never() {
        let mut news = News::default();
        assert_eq!(lines(&mut news, 20, &rate(10.0)), 1);
        tokio::time::advance(PERIOD).await;
        assert_eq!(lines(&mut news, 20, &rate(14.9)), 0);
        assert_eq!(lines(&mut news, 20, &rate(5.1)), 0);
        assert_eq!(lines(&mut news, 20, &rate(15.0)), 1);
        tokio::time::advance(59 * SECOND).await;
        assert_eq!(lines(&mut news, 20, &rate(1.0)), 0, "the last line is not a minute old");
        tokio::time::advance(SECOND).await;
        assert_eq!(lines(&mut news, 20, &rate(1.0)), 1);
        tokio::time::advance(PERIOD).await;
        assert_eq!(lines(&mut news, 20, &learned(1, None, Some(Constraint::Concurrency))), 1);
    }
}
