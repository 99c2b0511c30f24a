//! Which messages SQS has confirmed to be deleted: for a time, and up to a number of them.
//!
//! Nearly all that a listener remembers is here, so a message takes some 20 bytes: a key, and nothing beside it. Keys are
//! kept in parts, in the order in which they came. A part is forgotten as a whole: when the last of it is due, or when there
//! are enough without it. So what should be remembered is, and up to a tenth more.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::pipeline::remembered::Key;

/// Parts of all that is remembered. The keys of a tenth of 65,536 are nine tenths of what a hash table of 8,192 takes.
const PARTS: usize = 10;

/// The messages that are gone.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    /// The oldest first.
    parts: VecDeque<Part>,
}

/// Messages that were confirmed one after the other.
#[derive(Debug)]
struct Part {
    keys: HashSet<Key>,
    began: Instant,
    /// When the last of them may be forgotten.
    until: Instant,
}

impl Confirmed {
    /// Remembers a message for so long, unless `capacity` others come after it.
    pub(super) fn remember(&mut self, key: Key, lasts: Duration, capacity: usize) {
        let now = Instant::now();
        self.expire(now);
        let part = capacity.div_ceil(PARTS);
        if part == 0 {
            return;
        }
        let parts = u32::try_from(PARTS).unwrap_or(u32::MAX);
        let has_room = |last: &Part| last.keys.len() < part && now < last.began + lasts / parts;
        if !self.parts.back().is_some_and(has_room) {
            self.parts.push_back(Part { keys: HashSet::new(), began: now, until: now });
        }
        if let Some(last) = self.parts.back_mut() {
            last.keys.insert(key);
            last.until = now + lasts;
        }
        while self.parts.front().is_some_and(|first| self.len() - first.keys.len() >= capacity) {
            self.parts.pop_front();
        }
    }

    /// Whether the message is remembered.
    pub(super) fn has(&mut self, key: &Key) -> bool {
        self.expire(Instant::now());
        // The latest first: a message that comes again comes soon.
        self.parts.iter().rev().any(|part| part.keys.contains(key))
    }

    /// How many are remembered; one that was confirmed twice may count as two.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.keys.len()).sum()
    }

    fn expire(&mut self, now: Instant) {
        while self.parts.front().is_some_and(|first| first.until <= now) {
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(600);
    const CAPACITY: usize = 1_000;

    fn key(number: u128) -> Key {
        number.to_le_bytes()
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_remembered_for_its_time_and_no_more_than_a_tenth_longer() {
        let mut confirmed = Confirmed::default();
        for number in 0..1_200 {
            confirmed.remember(key(number), LASTS, 100_000);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!((600..=660).contains(&confirmed.len()), "{}", confirmed.len());
        assert!((601..1_200).all(|number| confirmed.has(&key(number))));
        assert!((0..540).all(|number| !confirmed.has(&key(number))));
        tokio::time::advance(LASTS).await;
        assert!(!confirmed.has(&key(1_199)) && confirmed.len() == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn with_too_many_the_oldest_go_and_as_many_as_should_be_stay() {
        let mut confirmed = Confirmed::default();
        for number in 0..10_000 {
            confirmed.remember(key(number), LASTS, CAPACITY);
            let least = CAPACITY.min(usize::try_from(number).unwrap());
            assert!((least..=CAPACITY + CAPACITY / 10).contains(&confirmed.len()), "{}", confirmed.len());
        }
        assert!((9_000..10_000).all(|number| confirmed.has(&key(number))));
        assert!((0..8_900).all(|number| !confirmed.has(&key(number))));
    }

    #[tokio::test(start_paused = true)]
    async fn without_capacity_nothing_is_remembered() {
        let mut confirmed = Confirmed::default();
        confirmed.remember(key(1), LASTS, 0);
        assert!(!confirmed.has(&key(1)));
    }
}
