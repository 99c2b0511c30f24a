//! How messages gather at SQS before the next receive, so that it brings several: the latency budget.
//!
//! - The next receive starts when it will be full but for one, by the rate of the last second. Then it tells that it has left
//!   none.
//! - It starts within the budget of the moment when the queue was last found empty. So no message waits longer for others.
//! - A receive that was full as the rate said counts as one that left little, once. SQS hands out about the older ones first, so
//!   what it left came lately. Twice in a row the rate may be a higher one.
//! - Nothing gathers without a budget, after a receive that brought nothing, or while there is a backlog.
//!
//! Non-guarantee: several processes at one queue gather each for itself.
//!
//! Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The rate is that of about so long.
const RATE_OVER: Duration = Duration::from_secs(1);
/// A full receive is as expected if so much of it was, by the rate.
const EXPECTED: f64 = 0.8;
/// What a full receive leaves that was expected came within so much of the budget before its end.
const LEFT_SINCE: f64 = 0.25;
/// Shortest time over which a rate is computed: two receives may end at the same instant.
const RATE_OVER_MIN: Duration = Duration::from_micros(100);

/// What one receive brought, as far as gathering goes by it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brought {
    /// Messages.
    pub(super) count: usize,
    /// Whether there may be more: it brought as many as it asked for, and was no long poll of an idle listener.
    pub(super) is_full: bool,
    /// Whether a message had waited for longer than the budget: then they wait for workers, or for receives.
    pub(super) is_backlog: bool,
}

/// When the next receive starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// When messages have gathered, and alone: another one would wait for the next message and bring no more.
    At(Instant),
    /// At once, and alone.
    Alone,
    /// At once, and side by side with others while they come back full.
    AtOnce,
}

/// What is known of the messages that gather.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// Messages per second, lately.
    rate: f64,
    /// When the last receive ended.
    ended: Option<Instant>,
    /// When a receive last left nothing at SQS.
    emptied: Option<Instant>,
    /// Messages that the last receive has left there, by the rate.
    left: f64,
    /// Whether a full receive was taken for one that left little, since the queue was last found empty.
    trusted: bool,
    /// Whether the last receive was followed at once, since what it left could wait no longer.
    was_late: bool,
}

impl Gather {
    /// A receive ended; the next may bring `most` messages.
    pub(super) fn answered(&mut self, brought: Brought, most: usize, budget: Duration, now: Instant) -> Next {
        if budget.is_zero() {
            *self = Self::default();
            return Next::AtOnce;
        }
        let was_late = std::mem::take(&mut self.was_late);
        let count = number(brought.count);
        let gathered = self.left + self.came(count, now);
        if brought.is_full {
            self.left = (gathered - count).max(0.0);
        } else {
            (self.left, self.emptied, self.trusted) = (0.0, Some(now), false);
        }
        let Some(emptied) = self.emptied.filter(|_| brought.count > 0 && !brought.is_backlog) else {
            return Next::AtOnce;
        };
        let wanted = (number(most.saturating_sub(1).max(1)) - self.left).max(0.0);
        // A rate of next to nothing is no time that could be counted.
        let full = Duration::try_from_secs_f64(wanted / self.rate).unwrap_or(budget);
        let full_at = now + full.min(budget);
        let mut latest = emptied + budget;
        if brought.is_full && latest < full_at && gathered >= EXPECTED * count && !self.trusted {
            self.trusted = true;
            latest = now + budget.mul_f64(1.0 - LEFT_SINCE);
            self.emptied = latest.checked_sub(budget);
        }
        let at = full_at.min(latest);
        if at > now {
            return Next::At(at);
        }
        self.was_late = true;
        if was_late { Next::AtOnce } else { Next::Alone }
    }

    /// How many messages came since the last receive, by the rate until then; this one's `count` changes it.
    fn came(&mut self, count: f64, now: Instant) -> f64 {
        let Some(ended) = self.ended.replace(now) else { return 0.0 };
        let time = now.saturating_duration_since(ended).max(RATE_OVER_MIN).as_secs_f64();
        let kept = (-time / RATE_OVER.as_secs_f64()).exp();
        let came = self.rate * time;
        self.rate = self.rate * kept + count / time * (1.0 - kept);
        came
    }
}

/// Far below 2³²: a receive brings ten messages.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_millis(50);
    const FEW: Brought = Brought { count: 3, is_full: false, is_backlog: false };
    const FULL: Brought = Brought { count: 10, is_full: true, is_backlog: false };

    /// Receives of ten messages at most; after each, in how many milliseconds the next one starts.
    struct Bench(Gather, Instant);

    impl Bench {
        fn new() -> Self {
            Self(Gather::default(), Instant::now())
        }

        fn after(&mut self, millis: u64, brought: Brought) -> Result<u128, Next> {
            self.1 += Duration::from_millis(millis);
            match self.0.answered(brought, 10, BUDGET, self.1) {
                Next::At(at) => Ok((at - self.1).as_millis()),
                next => Err(next),
            }
        }

        /// After seconds of messages that came so many milliseconds apart, the last receive left none.
        fn at_one_each(millis: u64) -> Self {
            let mut bench = Self::new();
            for _ in 0..500 {
                bench.after(5 * millis, Brought { count: 5, ..FEW }).ok();
            }
            bench
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_gather_for_the_budget_where_few_come() {
        assert_eq!(Bench::new().after(0, FEW), Ok(50), "no rate is known yet");
        assert_eq!(Bench::at_one_each(100).after(60, FEW), Ok(50));
        assert_eq!(Bench::at_one_each(10).after(60, FEW), Ok(50));
    }

    #[tokio::test(start_paused = true)]
    async fn where_many_come_they_gather_until_a_receive_is_full() {
        let next = Bench::at_one_each(1).after(10, Brought { is_full: false, ..FULL });
        assert!(matches!(next, Ok(8..=10)), "{next:?}");
        let next = Bench::at_one_each(3).after(15, Brought { count: 5, ..FEW });
        assert!(matches!(next, Ok(26..=28)), "{next:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_full_receive_left_is_asked_for_within_the_budget_of_its_arrival() {
        let mut bench = Bench::at_one_each(10);
        assert_eq!(
            bench.after(30, FULL),
            Ok(20),
            "more came than by the rate: 50 ms since the queue was empty"
        );
        assert_eq!(bench.after(20, FULL), Err(Next::Alone), "some may have waited for 50 ms");
        assert_eq!(bench.after(1, FULL), Err(Next::AtOnce), "one at a time is not enough");
        assert!(bench.after(1, FEW).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_receive_that_was_expected_counts_as_one_that_left_little_once() {
        let mut bench = Bench::at_one_each(3);
        let next = bench.after(31, FULL);
        assert!(matches!(next, Ok(26..=28)), "{next:?}");
        let next = bench.after(28, FULL);
        assert!(matches!(next, Ok(8..=10)), "37 ms since then: {next:?}");
        assert_eq!(bench.after(50, FULL), Err(Next::Alone));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_gathers_while_nothing_comes_while_there_is_a_backlog_or_without_a_budget() {
        let mut bench = Bench::at_one_each(10);
        assert_eq!(bench.after(60, Brought { count: 0, ..FEW }), Err(Next::AtOnce));
        assert_eq!(bench.after(60, Brought { is_backlog: true, ..FEW }), Err(Next::AtOnce));
        assert_eq!(bench.after(60, FEW), Ok(50));
        assert_eq!(bench.0.answered(FEW, 10, Duration::ZERO, bench.1), Next::AtOnce);
        assert_eq!(Bench::new().after(0, FULL), Err(Next::AtOnce), "nobody has seen the queue empty");
    }
}
