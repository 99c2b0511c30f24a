//! How many messages this process has parked that have not returned yet: an estimate for whoever scrapes or asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Messages parked by this process, by the second since `started` at which they return.
#[derive(Debug)]
pub(in crate::pipeline) struct Parked {
    started: Instant,
    by_second: Mutex<BTreeMap<u64, i64>>,
}

impl Default for Parked {
    fn default() -> Self {
        Self { started: Instant::now(), by_second: Mutex::default() }
    }
}

impl Parked {
    /// One more, until then.
    pub(in crate::pipeline) fn add(&self, until: Instant) {
        let returns = until.saturating_duration_since(self.started).as_secs() + 1;
        *self.waiting().entry(returns).or_default() += 1;
    }

    /// How many have not returned yet.
    pub(in crate::pipeline) fn count(&self) -> i64 {
        self.waiting().values().sum()
    }

    /// Those that have not returned yet; the others are forgotten.
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, i64>> {
        let passed = self.started.elapsed().as_secs();
        let mut by_second = self.by_second.lock().unwrap_or_else(PoisonError::into_inner);
        while by_second.first_key_value().is_some_and(|(second, _)| *second <= passed) {
            by_second.pop_first();
        }
        by_second
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_parked_message_has_returned_in_the_second_after_its_time_and_is_counted_once() {
        let parked = Parked::default();
        let now = Instant::now();
        assert_eq!(parked.count(), 0);
        parked.add(now + Duration::from_secs(9));
        parked.add(now + Duration::from_millis(9_500));
        parked.add(now + Duration::from_secs(20));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(parked.count(), 3);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((parked.count(), parked.count()), (1, 1));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(parked.count(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(parked.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_piles_up_when_nobody_asks() {
        let parked = Parked::default();
        for _ in 0..1_000 {
            parked.add(Instant::now() + Duration::from_secs(10));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let kept = parked.by_second.lock().unwrap().len();
        assert!(kept <= 12, "{kept}");
    }
}
