//! How often something may happen: so many at once, and then one in each interval.
//!
//! It keeps one time: when it will be empty again (the generic cell rate algorithm). Waiting is the caller's.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens that refills with time.
#[derive(Debug)]
pub(super) struct Bucket {
    every: Duration,
    burst: u32,
    full_at: Mutex<Instant>,
}

impl Bucket {
    /// `burst` at once, and one more after each `every`.
    pub(super) fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst, full_at: Mutex::new(Instant::now()) }
    }

    /// Takes one.
    ///
    /// # Errors
    /// The time until there is one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*full_at).max(now) + self.every;
        let room = now + self.every * self.burst;
        if next > room {
            return Err(next - room);
        }
        *full_at = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_gives_its_burst_at_once_and_then_one_in_each_interval() {
        let bucket = Bucket::new(Duration::from_millis(100), 20);
        assert_eq!((0..30).filter(|_| bucket.take().is_ok()).count(), 20);
        assert_eq!(bucket.take(), Err(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!([bucket.take().is_ok(), bucket.take().is_ok()], [true, false]);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!((0..30).filter(|_| bucket.take().is_ok()).count(), 20);
    }
}
