//! Gathering for batch calls: the container of a lane.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Things to be sent in batches, in order of their time and then of arrival.
#[derive(Debug)]
pub(super) struct Batches<T> {
    items: BTreeMap<(Instant, u64), T>,
    next: u64,
    linger: Duration,
    /// Most in one batch.
    most: usize,
}

impl<T> Batches<T> {
    /// Empty; what comes in waits at most `linger` for a batch of `most`.
    pub(super) fn new(linger: Duration, most: usize) -> Self {
        Self { items: BTreeMap::new(), next: 0, linger, most }
    }

    /// One more.
    pub(super) fn push(&mut self, item: T) {
        self.push_at(Instant::now() + self.linger, item);
    }

    /// One more, to be sent at that time.
    pub(super) fn push_at(&mut self, at: Instant, item: T) {
        self.items.insert((at, self.next), item);
        self.next += 1;
    }

    /// A batch, if it is full, the time of its first has come or it is in a hurry. What is to be sent within the time
    /// of a linger goes along.
    pub(super) fn batch(&mut self, now: Instant, hurry: bool) -> Option<Vec<T>> {
        let soon = (now + self.linger, u64::MAX);
        let count = self.items.range(..=soon).take(self.most).count();
        let is_due = self.next_at().is_some_and(|at| at <= now);
        if count == 0 || !(hurry || is_due || count == self.most) {
            return None;
        }
        let first = std::iter::from_fn(|| self.items.pop_first());
        Some(first.take(count).map(|(_, item)| item).collect())
    }

    /// The time of the first.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.items.keys().next().map(|&(at, _)| at)
    }

    /// Whether there is nothing to send, now or later.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn a_batch_goes_when_it_is_full_has_waited_long_enough_or_is_in_a_hurry() {
        let mut batches = Batches::new(LINGER, 3);
        (0..7).for_each(|number| batches.push(number));
        let now = Instant::now();
        assert_eq!(batches.batch(now, false), Some(vec![0, 1, 2]));
        assert_eq!(batches.batch(now, false), Some(vec![3, 4, 5]));
        assert_eq!((batches.batch(now, false), batches.next_at()), (None, Some(now + LINGER)));
        assert_eq!(batches.batch(now + LINGER, false), Some(vec![6]));
        assert_eq!((batches.batch(now, true), batches.next_at(), batches.is_empty()), (None, None, true));
        batches.push(7);
        assert_eq!(batches.batch(now, true), Some(vec![7]));
    }

    #[tokio::test(start_paused = true)]
    async fn things_for_later_come_in_order_of_time_and_then_of_arrival() {
        let mut batches = Batches::new(LINGER, 3);
        let now = Instant::now();
        for (seconds, item) in [(2, "c"), (1, "a"), (1, "b")] {
            batches.push_at(now + Duration::from_secs(seconds), item);
        }
        assert_eq!(batches.next_at(), Some(now + Duration::from_secs(1)));
        assert_eq!(batches.batch(now, true), None, "not even in a hurry before their time");
        let then = now + Duration::from_secs(1);
        assert_eq!((batches.batch(then, false), batches.batch(then, true)), (Some(vec!["a", "b"]), None));
        assert_eq!(batches.batch(now + Duration::from_secs(2), false), Some(vec!["c"]));
        assert!(batches.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_not_waited_long_enough_goes_along_with_what_is_tried_again() {
        let mut batches = Batches::new(LINGER, 3);
        let now = Instant::now();
        batches.push_at(now + LINGER / 2, "again");
        batches.push("new");
        assert_eq!(batches.batch(now, false), None);
        assert_eq!(batches.batch(now + LINGER / 2, false), Some(vec!["again", "new"]));
    }
}
