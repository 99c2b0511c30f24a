//! Rate: starts per second at one endpoint.
//!
//! GCRA: each start moves a theoretical arrival time on by one interval. That may be as far ahead of the clock as the
//! burst allows. So starts in any time t never exceed burst + t ÷ interval. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::Rate;

/// When the next POST may start; without a rate at any time.
#[derive(Debug)]
pub(super) struct Pacer {
    rate: Option<Rate>,
    /// When the last start would have been, had all been an interval apart; `None` before the first.
    due: Option<Instant>,
}

impl Pacer {
    /// Allows `rate`, or everything.
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self { rate, due: None }
    }

    /// When the next start is allowed, if that is still to come.
    pub(super) fn not_before(&self, now: Instant) -> Option<Instant> {
        let rate = self.rate?;
        let ahead = rate.interval.saturating_mul(rate.burst.get() - 1);
        self.due?.checked_sub(ahead).filter(|not_before| *not_before > now)
    }

    /// One POST starts; what [`Pacer::undo`] takes.
    pub(super) fn start(&mut self, now: Instant) -> Option<Instant> {
        let rate = self.rate?;
        self.due = self.due.map_or(now, |due| due.max(now)).checked_add(rate.interval).or(self.due);
        self.due
    }

    /// That POST has not started after all. It stays counted when others have started behind it.
    pub(super) fn undo(&mut self, start: Option<Instant>) {
        if let (Some(rate), true) = (self.rate, self.due == start) {
            self.due = start.and_then(|due| due.checked_sub(rate.interval));
        }
    }

    /// Starts within that time at the rate, at least one; `None` without a rate.
    pub(super) fn starts_in(&self, time: Duration) -> Option<usize> {
        let starts = time.as_nanos() / self.rate?.interval.as_nanos().max(1);
        Some(usize::try_from(starts).unwrap_or(usize::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { interval: SECOND / per_second, burst: NonZeroU32::new(burst).unwrap() }
    }

    #[tokio::test(start_paused = true)]
    async fn starts_never_exceed_burst_plus_rate_times_time() {
        let mut pacer = Pacer::new(Some(rate(50, 5)));
        let (began, mut now) = (Instant::now(), Instant::now());
        let mut starts = Vec::new();
        for _ in 0..200 {
            now = pacer.not_before(now).unwrap_or(now);
            pacer.start(now);
            starts.push((now - began).as_secs_f64());
        }
        for (first, from) in starts.iter().enumerate() {
            for (last, to) in starts.iter().enumerate().skip(first) {
                let allowed = 5.0 + (to - from) * 50.0 + 1e-6;
                assert!(f64::from(u32::try_from(last - first + 1).unwrap()) <= allowed.ceil());
            }
        }
        let expected = Duration::from_millis((200 - 5) * 20);
        assert_eq!(now - began, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_is_undone_is_free_for_the_next() {
        let (mut pacer, now) = (Pacer::new(Some(rate(1, 1))), Instant::now());
        let start = pacer.start(now);
        assert_eq!(pacer.not_before(now), Some(now + SECOND));
        pacer.undo(start);
        assert_eq!(pacer.not_before(now), None);
        let (first, _second) = (pacer.start(now), pacer.start(now + SECOND));
        pacer.undo(first);
        assert_eq!(pacer.not_before(now + SECOND), Some(now + 2 * SECOND), "another has started behind it");
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_interval_and_burst_overflow_nothing() {
        let slowest = Rate { interval: Duration::MAX / 4, burst: NonZeroU32::MAX };
        let mut pacer = Pacer::new(Some(slowest));
        assert_eq!((pacer.starts_in(SECOND), Pacer::new(None).starts_in(SECOND)), (Some(1), None));
        assert_eq!(pacer.not_before(Instant::now()), None);
        pacer.undo(None);
    }
}
