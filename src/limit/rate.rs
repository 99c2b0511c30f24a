//! Rate: starts per second at one endpoint.
//!
//! GCRA: each start moves a theoretical arrival time on by one interval. That may be as far ahead of the clock as the
//! burst allows. So starts in any time t never exceed burst + t ÷ interval. A learned rate without burst may hold below
//! that, the stricter of the two at any time. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::Rate;

/// A learned rate makes up for so much of a late start: the resolution of the runtime's timers. At 500 a second the rate
/// would else be a third lower.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);
/// Longest time between two starts at a learned rate; nothing is so slow.
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

/// When the next POST may start; without a rate at any time.
#[derive(Debug)]
pub(super) struct Pacer {
    rate: Option<Rate>,
    /// When the last start would have been, had all been an interval apart; `None` before the first.
    due: Option<Instant>,
    /// Time between two starts at the learned rate, which may change between any two.
    learned: Option<Duration>,
    /// When the last start was, as that counts it.
    last: Option<Instant>,
}

/// One start as the pacer counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    due: Option<Instant>,
    last: Option<Instant>,
    before: Option<Instant>,
}

impl Pacer {
    /// Allows `rate`, or everything.
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self { rate, due: None, learned: None, last: None }
    }

    /// From now on `rate` is allowed, or everything. Starts of which the burst has not recovered weigh as much at the new
    /// rate. A burst that grows has to be saved up: another process may just have used the rest. So a change of the rate is
    /// no second burst.
    pub(super) fn set_rate(&mut self, rate: Option<Rate>, now: Instant) {
        let owed = self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now));
        self.due = match (self.rate, rate) {
            (Some(old), Some(new)) => {
                let more = f64::from(new.burst.get().saturating_sub(old.burst.get()));
                let starts = more + owed.as_secs_f64() / old.interval.as_secs_f64().max(f64::MIN_POSITIVE);
                let owed = Duration::try_from_secs_f64(starts * new.interval.as_secs_f64());
                now.checked_add(owed.unwrap_or(INTERVAL_MAX))
            }
            (None, _) | (_, None) => None,
        };
        self.rate = rate;
    }

    /// From now on so many starts per second were found to be allowed, below the rate; `None`: any number.
    pub(super) fn learn(&mut self, per_second: Option<f64>) {
        let interval =
            |per_second: f64| Duration::try_from_secs_f64(per_second.recip()).unwrap_or(INTERVAL_MAX);
        self.learned = per_second.map(|per_second| interval(per_second).min(INTERVAL_MAX));
    }

    /// When the next start is allowed, if that is still to come.
    pub(super) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.by_rate().max(self.by_learned()).filter(|not_before| *not_before > now)
    }

    fn by_rate(&self) -> Option<Instant> {
        let rate = self.rate?;
        self.due?.checked_sub(rate.interval.saturating_mul(rate.burst.get() - 1))
    }

    fn by_learned(&self) -> Option<Instant> {
        self.last?.checked_add(self.learned?)
    }

    /// One POST starts; what [`Pacer::undo`] takes.
    pub(super) fn start(&mut self, now: Instant) -> Counted {
        if let Some(rate) = self.rate {
            self.due = self.due.map_or(now, |due| due.max(now)).checked_add(rate.interval).or(self.due);
        }
        let before = self.last;
        self.last =
            self.by_learned().max(now.checked_sub(TIMER_RESOLUTION)).map(|last| last.min(now)).or(Some(now));
        Counted { due: self.due, last: self.last, before }
    }

    /// That POST has not started after all. It stays counted when others have started behind it.
    pub(super) fn undo(&mut self, start: Counted) {
        if let (Some(rate), true) = (self.rate, self.due == start.due) {
            self.due = start.due.and_then(|due| due.checked_sub(rate.interval));
        }
        if self.last == start.last {
            self.last = start.before;
        }
    }

    /// The configured rate.
    pub(super) fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Starts per second at the configured rate; `None` without one.
    pub(super) fn most_per_second(&self) -> Option<f64> {
        self.rate.map(|rate| rate.interval.as_secs_f64().recip())
    }

    /// Time between two starts at the stricter rate; `None` without a rate.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.rate.map(|rate| rate.interval).max(self.learned)
    }

    /// Starts within that time at the stricter rate, at least one; `None` without a rate.
    pub(super) fn starts_in(&self, time: Duration) -> Option<usize> {
        let starts = time.as_nanos() / self.interval()?.as_nanos().max(1);
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
        let start = pacer.start(Instant::now());
        pacer.undo(start);
        pacer.learn(Some(f64::MIN_POSITIVE));
        pacer.start(Instant::now());
        assert_eq!((pacer.starts_in(SECOND), pacer.not_before(Instant::now()).is_some()), (Some(1), true));
        pacer.learn(Some(f64::INFINITY));
        pacer.start(Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_configured_and_a_learned_rate_the_stricter_holds() {
        let (mut pacer, now) = (Pacer::new(Some(rate(10, 1))), Instant::now());
        pacer.learn(Some(2.0));
        pacer.start(now);
        let next = now + SECOND / 2 - TIMER_RESOLUTION;
        assert_eq!((pacer.not_before(now), pacer.starts_in(SECOND)), (Some(next), Some(2)));
        pacer.learn(Some(50.0));
        assert_eq!((pacer.not_before(now), pacer.starts_in(SECOND)), (Some(now + SECOND / 10), Some(10)));
        pacer.learn(None);
        assert_eq!(pacer.not_before(now), Some(now + SECOND / 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_changes_again_and_again_grants_no_second_burst() {
        let (mut pacer, mut now) = (Pacer::new(Some(rate(10, 5))), Instant::now());
        let mut starts = 0;
        // Five seconds at 10 or 20 a second.
        for round in 0..200 {
            pacer.set_rate(Some(rate(if round % 2 == 0 { 20 } else { 10 }, 5)), now);
            while pacer.not_before(now).is_none() {
                pacer.start(now);
                starts += 1;
            }
            now += SECOND / 40;
        }
        assert!((50..=105).contains(&starts), "{starts} starts");
        pacer.set_rate(None, now);
        assert_eq!(pacer.not_before(now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_learned_rate_is_kept_although_timers_are_late_by_up_to_a_millisecond() {
        let (mut pacer, began) = (Pacer::new(None), Instant::now());
        pacer.learn(Some(400.0));
        let mut now = began;
        for _ in 0..400 {
            pacer.start(now);
            let due = pacer.not_before(now).unwrap() - began;
            // Timers fire at whole milliseconds.
            now = began
                + Duration::from_millis(
                    u64::try_from((due + Duration::from_micros(999)).as_millis()).unwrap(),
                );
        }
        assert_eq!(now + TIMER_RESOLUTION - began, SECOND);
        now += 10 * SECOND;
        pacer.start(now);
        assert!(pacer.not_before(now).unwrap() > now + Duration::from_millis(1), "a rest saves up nothing");
    }
}
