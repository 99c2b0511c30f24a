//! Gathering for batch calls, and doing things later: the two small containers of a lane.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Things gathered for one kind of batch call.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    items: VecDeque<T>,
    /// When the oldest has waited long enough.
    due: Option<Instant>,
    linger: Duration,
    /// Most in one batch.
    most: usize,
}

/// Things to do at a time, in order of time and then of arrival.
#[derive(Debug)]
pub(super) struct Later<T> {
    items: BTreeMap<(Instant, u64), T>,
    next: u64,
}

impl<T> Buffer<T> {
    /// Empty; what comes in waits at most `linger` for a batch of `most`.
    pub(super) fn new(linger: Duration, most: usize) -> Self {
        Self { items: VecDeque::new(), due: None, linger, most }
    }

    /// One more.
    pub(super) fn push(&mut self, item: T) {
        self.due.get_or_insert_with(|| Instant::now() + self.linger);
        self.items.push_back(item);
    }

    /// A batch, if it is full, has waited long enough or is in a hurry.
    pub(super) fn batch(&mut self, now: Instant, hurry: bool) -> Option<Vec<T>> {
        let ready = hurry || self.items.len() >= self.most || self.due.is_some_and(|due| due <= now);
        if !ready || self.items.is_empty() {
            return None;
        }
        let batch: Vec<T> = self.items.drain(..self.items.len().min(self.most)).collect();
        self.due = (!self.items.is_empty()).then(|| now + self.linger);
        Some(batch)
    }

    /// When the oldest has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether nothing is gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<T> Default for Later<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), next: 0 }
    }
}

impl<T> Later<T> {
    /// One more, to be done at `at`.
    pub(super) fn push(&mut self, at: Instant, item: T) {
        self.items.insert((at, self.next), item);
        self.next += 1;
    }

    /// Whether there is nothing to do later.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Time of the first.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.items.keys().next().map(|&(at, _)| at)
    }

    /// The first, if its time has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<T> {
        let entry = self.items.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn a_batch_goes_when_it_is_full_has_waited_long_enough_or_is_in_a_hurry() {
        let mut buffer = Buffer::new(LINGER, 3);
        (0..7).for_each(|number| buffer.push(number));
        let now = Instant::now();
        assert_eq!(buffer.batch(now, false), Some(vec![0, 1, 2]));
        assert_eq!(buffer.batch(now, false), Some(vec![3, 4, 5]));
        assert_eq!((buffer.batch(now, false), buffer.due()), (None, Some(now + LINGER)));
        assert_eq!(buffer.batch(now + LINGER, false), Some(vec![6]));
        assert_eq!((buffer.batch(now, true), buffer.due(), buffer.is_empty()), (None, None, true));
        buffer.push(7);
        assert_eq!(buffer.batch(now, true), Some(vec![7]));
    }

    #[tokio::test(start_paused = true)]
    async fn things_for_later_come_in_order_of_time_and_then_of_arrival() {
        let mut later = Later::default();
        let now = Instant::now();
        for (seconds, item) in [(2, "c"), (1, "a"), (1, "b")] {
            later.push(now + Duration::from_secs(seconds), item);
        }
        assert_eq!((later.next_at(), later.due(now)), (Some(now + Duration::from_secs(1)), None));
        let then = now + Duration::from_secs(1);
        assert_eq!([later.due(then), later.due(then), later.due(then)], [Some("a"), Some("b"), None]);
        assert_eq!(later.due(now + Duration::from_secs(2)), Some("c"));
        assert!(later.is_empty());
    }
}
