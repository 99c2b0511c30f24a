//! Rate: starts per second at one endpoint.
//!
//! GCRA by governor, on the runtime's clock so that tests can pause it. Starts in any time t never exceed
//! burst + t ÷ interval. One line: whoever waits first starts first, and only the first in the line sleeps.
//!
//! A busy receive claims its messages' places in the line beforehand. All listeners of the endpoint together claim as many
//! as may start within a second. So messages are not received only to wait here.

use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::limit::Rate;
use crate::tuning::Ahead;

type Limiter = RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Moment>>;

/// The rate limit of one endpoint; without a rate every start is free.
#[derive(Debug)]
pub struct RateLimit {
    rate: Option<Rate>,
    limiter: Option<Limiter>,
    line: Mutex<()>,
    claims: Arc<Semaphore>,
}

impl RateLimit {
    /// Allows `rate`, or everything.
    pub fn new(rate: Option<Rate>, ahead: Ahead) -> Self {
        let limiter = rate.and_then(|rate| {
            let quota = Quota::with_period(rate.interval)?.allow_burst(rate.burst);
            Some(RateLimiter::direct_with_clock(quota, RuntimeClock))
        });
        let claims = Arc::new(Semaphore::new(rate.map_or(0, |rate| starts_in(ahead.starts, rate))));
        Self { rate, limiter, line: Mutex::new(()), claims }
    }

    /// Claims 1 to `most` places in the line, waiting until there is one; without a rate there is no line.
    ///
    /// # Cancel safety
    /// Dropping the future claims nothing.
    pub async fn claim(&self, most: usize) -> Option<RateClaims> {
        self.rate?;
        let mut permit = Arc::clone(&self.claims).acquire_owned().await.ok()?;
        let more = u32::try_from(self.claims.available_permits().min(most.saturating_sub(1))).unwrap_or(0);
        if let Ok(rest) = Arc::clone(&self.claims).try_acquire_many_owned(more) {
            permit.merge(rest);
        }
        Some(RateClaims(permit))
    }

    /// Waits until one more start is allowed and takes it.
    ///
    /// # Cancel safety
    /// Dropping the future takes nothing.
    pub async fn start(&self) {
        let Some(limiter) = &self.limiter else { return };
        let _first_in_line = self.line.lock().await;
        while let Err(not_until) = limiter.check() {
            tokio::time::sleep_until(not_until.earliest_possible().0).await;
        }
    }
}

/// Starts within that time at the rate; at least 1.
fn starts_in(time: Duration, rate: Rate) -> usize {
    let starts = time.as_nanos() / rate.interval.as_nanos().max(1);
    usize::try_from(starts).unwrap_or(Semaphore::MAX_PERMITS).clamp(1, Semaphore::MAX_PERMITS)
}

/// Places in the line claimed for one receive.
#[derive(Debug)]
pub struct RateClaims(OwnedSemaphorePermit);

impl RateClaims {
    /// How many are left.
    pub fn len(&self) -> usize {
        self.0.num_permits()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them, freed when its message has started.
    pub fn take(&mut self) -> Option<Self> {
        self.0.split(1).map(Self)
    }
}

/// The runtime's clock, as governor wants it.
#[derive(Debug, Clone)]
struct RuntimeClock;

impl Clock for RuntimeClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

/// A point in the runtime's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, nanos: Nanos) -> Self {
        Self(self.0.checked_sub(nanos.into()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const AHEAD: Ahead = Ahead { sessions_per_message: 5, starts: Duration::from_secs(1) };

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { interval: Duration::from_secs(1) / per_second, burst: NonZeroU32::new(burst).unwrap() }
    }

    #[tokio::test(start_paused = true)]
    async fn starts_never_exceed_burst_plus_rate_times_time() {
        let limit = RateLimit::new(Some(rate(50, 5)), AHEAD);
        let began = Instant::now();
        let mut starts = Vec::new();
        for _ in 0..200 {
            limit.start().await;
            starts.push(began.elapsed());
        }
        for (first, from) in starts.iter().enumerate() {
            for (last, to) in starts.iter().enumerate().skip(first) {
                let allowed = 5.0 + (to.as_secs_f64() - from.as_secs_f64()) * 50.0 + 1e-6;
                assert!(f64::from(u32::try_from(last - first + 1).unwrap()) <= allowed.ceil());
            }
        }
        let expected = Duration::from_millis((200 - 5) * 20);
        assert!(starts.last().unwrap().abs_diff(expected) <= Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_first_starts_first() {
        let limit = Arc::new(RateLimit::new(Some(rate(1, 1)), AHEAD));
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..5 {
            let (limit, order) = (Arc::clone(&limit), Arc::clone(&order));
            tasks.spawn(async move {
                limit.start().await;
                order.lock().unwrap().push(number);
            });
        }
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_receives_together_claim_at_most_a_second_of_starts() {
        assert!(RateLimit::new(None, AHEAD).claim(10).await.is_none());
        let limit = RateLimit::new(Some(rate(7, 1)), AHEAD);
        let mut first = limit.claim(5).await.unwrap();
        let second = limit.claim(5).await.unwrap();
        assert_eq!((first.len(), second.len()), (5, 2));
        assert!(tokio::time::timeout(Duration::from_secs(9), limit.claim(1)).await.is_err());
        drop(first.take());
        assert_eq!(limit.claim(5).await.map(|claims| claims.len()), Some(1));
        let slow = Rate { interval: Duration::from_secs(10), burst: NonZeroU32::MIN };
        assert_eq!(RateLimit::new(Some(slow), AHEAD).claim(10).await.map(|claims| claims.len()), Some(1));
    }
}
