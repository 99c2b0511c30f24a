//! The adaptive limit: how many POSTs at once an endpoint takes, found from its answers.
//!
//! Additive increase, multiplicative decrease, with three changes that keep refusals rare.
//!
//! - One cut per *epoch*: what was posted before the last cut says nothing about the limit after it.
//! - After a cut the limit climbs to one below the level that was refused, not to it. Refusals with no success in between
//!   are one outage, which says nothing about capacity: the level stays what it was before.
//! - Beyond that level the limit rises by one at intervals, while it is used to the full. Each interval without
//!   a refusal is a third of the one before, then the steps grow. Halves took twice as long to find capacity that came
//!   back; quarters met more than 3.5 % refusals with ten processes.
//!
//! Pure: time is an argument. Several processes at one endpoint run one each and share the
//! capacity without talking: who holds more is refused more often.

use std::time::Duration;

use tokio::time::Instant;

use crate::tuning::Learned;

/// The limit of one endpoint, and what it learned.
#[derive(Debug, Clone)]
pub(super) struct Adaptive {
    numbers: Learned,
    /// Configured cap.
    max: f64,
    /// At least 1, at most `max`; its integer part is in force.
    limit: f64,
    /// The level that was refused last; `None` until there was one (slow start).
    refused: Option<f64>,
    /// When the limit was last cut.
    cut_at: Option<Instant>,
    /// Whether a POST that began after that succeeded.
    proven: bool,
    /// Next step above the last good level.
    step_at: Instant,
    interval: Duration,
    /// How much such a step adds.
    step: f64,
}

impl Adaptive {
    /// For a cap of `max` POSTs, at least one.
    pub(super) fn new(max: usize, numbers: Learned, now: Instant) -> Self {
        let max = f64::from(u32::try_from(max).unwrap_or(u32::MAX)).max(1.0);
        Self {
            numbers,
            max,
            limit: numbers.initial.clamp(1.0, max),
            refused: None,
            cut_at: None,
            proven: false,
            step_at: now,
            interval: numbers.interval,
            step: 1.0,
        }
    }

    /// Changes the cap, at least one; what was learned below it stays.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = f64::from(u32::try_from(max).unwrap_or(u32::MAX)).max(1.0);
        self.limit = self.limit.min(self.max);
    }

    /// The limit in force: at least 1, at most the cap.
    pub(super) fn limit(&self) -> usize {
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and a number of sessions"
        )]
        let whole = self.limit as usize;
        whole.max(1)
    }

    /// A POST that began at `began` succeeded. `saturated`: the limit was then used to the full.
    pub(super) fn succeeded(&mut self, began: Instant, saturated: bool, now: Instant) {
        self.proven |= self.cut_at.is_none_or(|cut_at| began > cut_at);
        if !saturated || self.limit >= self.max {
            return;
        }
        let limit = match self.refused {
            None => self.limit + 1.0,
            Some(refused) if self.limit < refused - 1.0 => (self.limit + 1.0 / self.limit).min(refused - 1.0),
            Some(_) if now >= self.step_at => self.step_up(now),
            Some(_) => return,
        };
        self.limit = limit.min(self.max);
    }

    /// A POST that began at `began` was refused for lack of capacity; whether that cut the limit.
    pub(super) fn refused(&mut self, began: Instant, retry_after: Duration, now: Instant) -> bool {
        if self.cut_at.is_some_and(|cut_at| began <= cut_at) {
            return false;
        }
        if self.proven {
            self.refused = Some(self.limit);
        }
        self.proven = false;
        let numbers = self.numbers;
        let rare = numbers.interval.mul_f64((numbers.small / self.limit).clamp(1.0, numbers.rarer_max));
        self.limit = (self.limit * numbers.cut).max(1.0);
        self.cut_at = Some(now);
        let asked = retry_after.min(numbers.retry_after_max);
        let coupled = asked.saturating_mul(numbers.interval_per_retry_after);
        self.interval = rare.max(coupled);
        self.step = 1.0;
        self.step_at = now + self.interval;
        true
    }

    /// What was refused since the last success was an outage, not a lack of capacity: one cut stands for all of it.
    pub(super) fn forgive(&mut self) {
        if let (false, Some(refused)) = (self.proven, self.refused) {
            self.limit = self.limit.max(refused * self.numbers.cut);
        }
    }

    /// An outage is over: the pauses it asked for say nothing of what a step costs now.
    pub(super) fn outage_ended(&mut self, now: Instant) {
        self.interval = self.interval.min(self.numbers.interval);
        self.step_at = self.step_at.min(now + self.interval);
    }

    fn step_up(&mut self, now: Instant) -> f64 {
        if self.interval <= self.numbers.interval_min {
            self.step *= 2.0;
        }
        self.interval = (self.interval / self.numbers.faster).max(self.numbers.interval_min);
        self.step_at = now + self.interval;
        self.limit.floor() + self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// A limiter of at most 64 that was refused at 21.
    fn refused_at_21(start: Instant) -> Adaptive {
        let mut adaptive = Adaptive::new(64, Learned::default(), start);
        for _ in 0..17 {
            adaptive.succeeded(start, true, start);
        }
        assert_eq!(adaptive.limit(), 21);
        assert!(adaptive.refused(at(start, 1), Duration::ZERO, at(start, 1)));
        adaptive
    }

    #[tokio::test]
    async fn a_new_limit_starts_low_and_doubles_with_each_round_of_successes() {
        let now = Instant::now();
        let mut adaptive = Adaptive::new(64, Learned::default(), now);
        for expected in [4, 8, 16, 32, 64, 64] {
            assert_eq!(adaptive.limit(), expected);
            for _ in 0..expected {
                adaptive.succeeded(now, true, now);
            }
        }
        assert_eq!(Adaptive::new(1, Learned::default(), now).limit(), 1);
    }

    #[tokio::test]
    async fn a_limit_that_is_not_used_does_not_grow() {
        let now = Instant::now();
        let mut adaptive = Adaptive::new(64, Learned::default(), now);
        for _ in 0..1_000 {
            adaptive.succeeded(now, false, now);
        }
        assert_eq!(adaptive.limit(), 4);
    }

    #[tokio::test]
    async fn a_burst_of_refusals_cuts_once() {
        let start = Instant::now();
        let mut adaptive = refused_at_21(start);
        assert_eq!(adaptive.limit(), 14);
        for _ in 0..20 {
            assert!(!adaptive.refused(at(start, 1), Duration::ZERO, at(start, 2)), "posted before the cut");
        }
        assert_eq!(adaptive.limit(), 14);
        assert!(adaptive.refused(at(start, 2), Duration::ZERO, at(start, 2)));
        assert_eq!(adaptive.limit(), 10);
    }

    #[tokio::test]
    async fn of_an_outage_one_cut_remains() {
        let start = Instant::now();
        let mut adaptive = refused_at_21(start);
        for second in 2..10 {
            adaptive.refused(at(start, second), Duration::ZERO, at(start, second));
        }
        assert_eq!(adaptive.limit(), 1);
        adaptive.forgive();
        assert_eq!(adaptive.limit(), 14);
        adaptive.succeeded(at(start, 10), true, at(start, 10));
        adaptive.refused(at(start, 11), Duration::ZERO, at(start, 11));
        adaptive.succeeded(at(start, 12), false, at(start, 12));
        let limit = adaptive.limit();
        adaptive.forgive();
        assert_eq!(adaptive.limit(), limit, "there was a success in between");
    }

    #[tokio::test]
    async fn what_an_outage_at_the_start_asked_for_does_not_keep_the_limit_low() {
        let start = Instant::now();
        let mut adaptive = Adaptive::new(64, Learned::default(), start);
        adaptive.refused(at(start, 1), 60 * SECOND, at(start, 1));
        adaptive.forgive();
        adaptive.outage_ended(at(start, 70));
        for _ in 0..100 {
            adaptive.succeeded(at(start, 71), true, at(start, 71));
        }
        assert_eq!(adaptive.limit(), 64, "nothing is known of it yet");
        adaptive.refused(at(start, 80), 3_600 * SECOND, at(start, 80));
        adaptive.outage_ended(at(start, 90));
        for second in 91..130 {
            for _ in 0..64 {
                adaptive.succeeded(at(start, second), true, at(start, second));
            }
        }
        assert_eq!(adaptive.limit(), 64);
    }

    #[tokio::test]
    async fn a_limit_never_falls_below_one() {
        let start = Instant::now();
        let mut adaptive = Adaptive::new(64, Learned::default(), start);
        adaptive.succeeded(start, false, start);
        for second in 1..50 {
            adaptive.refused(at(start, second), Duration::ZERO, at(start, second));
        }
        assert_eq!(adaptive.limit(), 1);
        for _ in 0..10 {
            adaptive.succeeded(at(start, 80), true, at(start, 80));
        }
        assert_eq!(adaptive.limit(), 4, "and leaves it again");
    }

    #[tokio::test]
    async fn after_a_cut_it_climbs_to_one_below_what_was_refused_and_waits_there() {
        let start = Instant::now();
        let mut adaptive = refused_at_21(start);
        for _ in 0..1_000 {
            adaptive.succeeded(at(start, 2), true, at(start, 2));
        }
        assert_eq!(adaptive.limit(), 20);
        adaptive.succeeded(at(start, 11), true, at(start, 11));
        assert_eq!(adaptive.limit(), 21, "a step after ten seconds");
        adaptive.succeeded(at(start, 11), true, at(start, 11));
        assert_eq!(adaptive.limit(), 21, "and not another");
    }

    #[tokio::test]
    async fn refusals_without_a_success_in_between_do_not_lower_the_level_it_climbs_back_to() {
        let start = Instant::now();
        let mut adaptive = refused_at_21(start);
        for second in 2..6 {
            adaptive.succeeded(start, true, at(start, second));
            assert!(adaptive.refused(at(start, second), Duration::ZERO, at(start, second)));
        }
        assert_eq!(adaptive.limit(), 3, "an outage");
        for _ in 0..1_000 {
            adaptive.succeeded(at(start, 7), true, at(start, 7));
        }
        assert_eq!(adaptive.limit(), 20, "and its end");
        assert!(adaptive.refused(at(start, 8), Duration::ZERO, at(start, 8)));
        adaptive.succeeded(at(start, 9), true, at(start, 9));
        assert!(adaptive.refused(at(start, 10), Duration::ZERO, at(start, 10)));
        for _ in 0..1_000 {
            adaptive.succeeded(at(start, 11), true, at(start, 11));
        }
        assert_eq!(adaptive.limit(), 13, "less capacity");
    }

    #[tokio::test]
    async fn capacity_that_came_back_is_found_within_half_a_minute() {
        let start = Instant::now();
        let mut adaptive = refused_at_21(start);
        for _ in 0..1_000 {
            adaptive.succeeded(at(start, 2), true, at(start, 2));
        }
        let mut now = at(start, 11);
        while adaptive.limit() < 64 {
            adaptive.succeeded(now, true, now);
            now += SECOND / 10;
        }
        assert!(now - at(start, 11) < 30 * SECOND, "{:?}", now - start);
    }

    #[tokio::test]
    async fn a_pause_that_was_asked_for_makes_steps_rare() {
        let start = Instant::now();
        let mut adaptive = Adaptive::new(64, Learned::default(), start);
        adaptive.succeeded(start, false, start);
        adaptive.refused(at(start, 1), 3 * SECOND, at(start, 1));
        for _ in 0..100 {
            adaptive.succeeded(at(start, 30), true, at(start, 30));
        }
        assert_eq!(adaptive.limit(), 3);
        adaptive.succeeded(at(start, 31), true, at(start, 31));
        assert_eq!(adaptive.limit(), 4);
    }
}
