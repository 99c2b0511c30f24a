//! How many messages this process has parked that have not returned yet: the gauge of parked messages, an estimate.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Messages parked by this process, by the second since `started` at which they return.
#[derive(Debug)]
pub(super) struct Parked {
    started: Instant,
    by_second: BTreeMap<u64, i64>,
}

impl Parked {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), by_second: BTreeMap::new() }
    }

    /// One more, until then.
    pub(super) fn add(&mut self, until: Instant) {
        let returns = until.saturating_duration_since(self.started).as_secs() + 1;
        *self.by_second.entry(returns).or_default() += 1;
    }

    /// How many have returned since this was asked last.
    pub(super) fn returned(&mut self, now: Instant) -> i64 {
        let passed = now.duration_since(self.started).as_secs();
        let later = self.by_second.split_off(&(passed + 1));
        std::mem::replace(&mut self.by_second, later).into_values().sum()
    }

    /// When the next returns.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_second.keys().next().map(|second| self.started + Duration::from_secs(*second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_parked_message_has_returned_in_the_second_after_its_time_and_is_counted_once() {
        let mut parked = Parked::new();
        let now = Instant::now();
        assert_eq!((parked.next(), parked.returned(now)), (None, 0));
        parked.add(now + Duration::from_secs(9));
        parked.add(now + Duration::from_millis(9_500));
        parked.add(now + Duration::from_secs(20));
        assert_eq!(parked.next(), Some(now + Duration::from_secs(10)));
        assert_eq!(parked.returned(now + Duration::from_secs(9)), 0);
        assert_eq!(parked.returned(now + Duration::from_secs(10)), 2);
        assert_eq!(parked.returned(now + Duration::from_secs(10)), 0);
        assert_eq!(parked.next(), Some(now + Duration::from_secs(21)));
    }
}
