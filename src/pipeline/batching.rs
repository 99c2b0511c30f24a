//! Gathering for batch calls, and doing things later: the two small containers of the settle loop.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::BATCH_MAX;

/// Things gathered for one kind of batch call.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    items: VecDeque<T>,
    /// When the oldest has waited long enough.
    due: Option<Instant>,
    linger: Duration,
}

/// Things to do at a time, in order of time and then of arrival.
#[derive(Debug)]
pub(super) struct Later<T> {
    items: BTreeMap<(Instant, u64), T>,
    next: u64,
}

impl<T> Buffer<T> {
    /// Empty; what comes in waits at most `linger` for company.
    pub(super) fn new(linger: Duration) -> Self {
        Self { items: VecDeque::new(), due: None, linger }
    }

    /// One more.
    pub(super) fn push(&mut self, item: T) {
        self.due.get_or_insert_with(|| Instant::now() + self.linger);
        self.items.push_back(item);
    }

    /// Up to ten, if they are ten, have waited long enough or are in a hurry.
    pub(super) fn batch(&mut self, now: Instant, hurry: bool) -> Option<Vec<T>> {
        let ready = hurry || self.items.len() >= BATCH_MAX || self.due.is_some_and(|due| due <= now);
        if !ready || self.items.is_empty() {
            return None;
        }
        let batch: Vec<T> = self.items.drain(..self.items.len().min(BATCH_MAX)).collect();
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
        self.due_or_hurried(now, false)
    }

    /// The first, if its time has come or there is no time to wait.
    pub(super) fn due_or_hurried(&mut self, now: Instant, hurry: bool) -> Option<T> {
        let entry = self.items.first_entry()?;
        (hurry || entry.key().0 <= now).then(|| entry.remove())
    }
}
