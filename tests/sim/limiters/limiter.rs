//! What an endpoint takes, and how it says no.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use queuepost::limit::Rate;
use queuepost::policy::outcome::{Answer, Attempt};
use queuepost::policy::quota::Quota;
use queuepost::policy::retry_after::RetryAfter;

/// What an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limiter {
    /// So many a second, and so many at once after a rest.
    Bucket { per_second: f64, burst: f64 },
    /// So many in each window, counted from the start.
    Fixed { count: f64, window: Duration },
    /// So many in any time as long as the window.
    Sliding { count: f64, window: Duration },
    /// So many at once.
    AtOnce(f64),
    /// So many a second without a burst, and so many at once.
    Both { per_second: f64, at_once: f64 },
}

/// How an endpoint says no.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    Bare,
    RetryAfter(u64),
    /// The seconds until it takes the next, rounded up; 1 where nobody knows.
    Exact,
    Unavailable,
}

impl Limiter {
    /// The same one with its limit multiplied.
    pub fn scaled(self, by: f64) -> Self {
        match self {
            Self::Bucket { per_second, burst } => {
                let burst = if burst > 1.0 { (burst * by).max(1.0) } else { burst };
                Self::Bucket { per_second: per_second * by, burst }
            }
            Self::Fixed { count, window } => Self::Fixed { count: (count * by).floor(), window },
            Self::Sliding { count, window } => Self::Sliding { count: (count * by).floor(), window },
            Self::AtOnce(count) => Self::AtOnce((count * by).floor().max(1.0)),
            Self::Both { per_second, at_once } => Self::Both { per_second: per_second * by, at_once },
        }
    }

    /// POSTs per second that it takes, of whatever length; `None` if it does not limit them.
    pub fn per_second(self) -> Option<f64> {
        match self {
            Self::Bucket { per_second, .. } | Self::Both { per_second, .. } => Some(per_second),
            Self::Fixed { count, window } | Self::Sliding { count, window } => {
                Some(count / window.as_secs_f64())
            }
            Self::AtOnce(_) => None,
        }
    }

    /// POSTs that it takes at once; `None` if it does not limit them.
    pub fn at_once(self) -> Option<f64> {
        match self {
            Self::AtOnce(at_once) | Self::Both { at_once, .. } => Some(at_once),
            Self::Bucket { .. } | Self::Fixed { .. } | Self::Sliding { .. } => None,
        }
    }

    /// The exact part of one of so many processes: the sessions and the rate that a person would write. A rate in place of
    /// sessions where there is less than one for each; their mean time is `latency`.
    pub fn part(self, processes: usize, workers: usize, latency: Duration) -> (usize, Option<Rate>) {
        let of = processes as f64;
        let burst = match self {
            Self::Bucket { burst, .. } => (burst / of).floor().max(1.0),
            _ => 1.0,
        };
        let sessions = self.at_once().map(|at_once| at_once / of);
        let turns = sessions.filter(|part| *part < 1.0).map(|part| part / latency.as_secs_f64());
        let per_second = self.per_second().map(|all| all / of).into_iter().chain(turns).reduce(f64::min);
        let rate = per_second.map(|per_second| Rate {
            interval: Duration::from_secs_f64(per_second.recip()),
            burst: NonZeroU32::new(burst as u32).unwrap(),
        });
        (sessions.map_or(workers, |part| (part as usize).clamp(1, workers)), rate)
    }
}

impl Refusal {
    /// The answer; the endpoint takes the next after that time.
    pub fn answer(self, after: Duration) -> Attempt {
        let (status, seconds) = match self {
            Self::Bare => (429, None),
            Self::RetryAfter(seconds) => (429, Some(seconds)),
            Self::Exact => (429, Some(after.as_secs_f64().ceil().max(1.0) as u64)),
            Self::Unavailable => (503, None),
        };
        let retry_after = seconds.map(|seconds| RetryAfter::Delay(Duration::from_secs(seconds)));
        Attempt::Answered(Answer { status, retry_after, ..Answer::default() })
    }
}

/// What the rate-limit headers of every answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// There are none.
    Absent,
    /// What is left of a fixed window, in whole seconds as usual; of other limiters nothing.
    True,
    /// Always that nothing is left for so long.
    Empty(Duration),
}

/// A limiter at work.
#[derive(Debug)]
pub struct Counting {
    pub limiter: Limiter,
    tokens: f64,
    tokens_at: Duration,
    window: u128,
    in_window: f64,
    taken: VecDeque<Duration>,
}

impl Counting {
    pub fn new(limiter: Limiter) -> Self {
        let tokens = if let Limiter::Bucket { burst, .. } = limiter { burst } else { 1.0 };
        let (tokens_at, taken) = (Duration::ZERO, VecDeque::new());
        Self { limiter, tokens, tokens_at, window: 0, in_window: 0.0, taken }
    }

    /// Takes a POST beside so many that run; or how long until it takes the next.
    pub fn take(&mut self, now: Duration, running: usize) -> Result<(), Duration> {
        if self.limiter.at_once().is_some_and(|at_once| running as f64 >= at_once) {
            return Err(Duration::from_secs(1));
        }
        match self.limiter {
            Limiter::Bucket { per_second, burst } => self.token(now, per_second, burst),
            Limiter::Both { per_second, .. } => self.token(now, per_second, 1.0),
            Limiter::Fixed { count, window } => self.in_fixed(now, count, window),
            Limiter::Sliding { count, window } => self.in_sliding(now, count, window),
            Limiter::AtOnce(_) => Ok(()),
        }
    }

    /// What those headers say of it now.
    pub fn stated(&self, headers: Headers, now: Duration) -> Option<Quota> {
        match (headers, self.limiter) {
            (Headers::Empty(resets_in), _) => Some(Quota { remaining: 0, resets_in }),
            (Headers::True, Limiter::Fixed { count, window }) => {
                let left = window.mul_f64(self.window as f64 + 1.0).saturating_sub(now).as_secs_f64().ceil();
                let resets_in = Duration::from_secs_f64(left);
                Some(Quota { remaining: (count - self.in_window).max(0.0) as u32, resets_in })
            }
            (Headers::Absent | Headers::True, _) => None,
        }
    }

    fn token(&mut self, now: Duration, per_second: f64, burst: f64) -> Result<(), Duration> {
        self.tokens = (self.tokens + (now - self.tokens_at).as_secs_f64() * per_second).min(burst);
        self.tokens_at = now;
        // Sums of fractions: a start exactly at the rate is within it.
        if self.tokens < 1.0 - 1e-6 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / per_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn in_fixed(&mut self, now: Duration, count: f64, window: Duration) -> Result<(), Duration> {
        let number = now.as_nanos() / window.as_nanos();
        if self.window != number {
            (self.window, self.in_window) = (number, 0.0);
        }
        if self.in_window >= count {
            return Err(window.mul_f64(number as f64 + 1.0) - now);
        }
        self.in_window += 1.0;
        Ok(())
    }

    fn in_sliding(&mut self, now: Duration, count: f64, window: Duration) -> Result<(), Duration> {
        while self.taken.front().is_some_and(|at| *at + window <= now) {
            self.taken.pop_front();
        }
        if self.taken.len() as f64 >= count {
            return Err(self.taken.front().map_or(window, |at| *at + window - now));
        }
        self.taken.push_back(now);
        Ok(())
    }
}
