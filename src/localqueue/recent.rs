//! Remembers keys for the last five minutes, for FIFO queues.
//!
//! So a repeated send is harmless: a repeated deduplication id is accepted and dropped, even when the first
//! message is deleted already. A repeated receive is harmless too: the same attempt id returns the same
//! messages again. Older keys are dropped at the next use, oldest first, without a scan.

use std::collections::{BTreeMap, VecDeque};

use super::Timestamp;
use super::stored::Key;

/// How long keys are remembered: the deduplication interval of FIFO queues, 5 minutes.
const REACH_MILLIS: u64 = 300_000;

/// Values by key, each for 5 minutes.
#[derive(Clone, Debug)]
pub(super) struct Recent<K, V> {
    values: BTreeMap<K, (Timestamp, V)>,
    by_age: VecDeque<(Timestamp, K)>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), by_age: VecDeque::new() }
    }
}

impl<K: Ord + Clone, V> Recent<K, V> {
    /// The value remembered under this key in the last 5 minutes.
    pub(super) fn get(&mut self, now: Timestamp, key: &K) -> Option<&V> {
        while self.by_age.front().is_some_and(|(at, _)| is_over(now, *at)) {
            let Some((_, old)) = self.by_age.pop_front() else { break };
            // A later call may have remembered the key again.
            if self.values.get(&old).is_some_and(|(at, _)| is_over(now, *at)) {
                self.values.remove(&old);
            }
        }
        self.values.get(key).map(|(_, value)| value)
    }

    /// Remembers a value from now on; it replaces an earlier one.
    pub(super) fn remember(&mut self, now: Timestamp, key: K, value: V) {
        self.by_age.push_back((now, key.clone()));
        self.values.insert(key, (now, value));
    }
}

fn is_over(now: Timestamp, at: Timestamp) -> bool {
    now.millis_since(at) >= REACH_MILLIS
}

/// One message of a remembered receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) key: Key,
    pub(super) receipt: u64,
    /// When the message becomes visible; differs once its visibility was changed.
    pub(super) until: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_forgotten_after_five_minutes() {
        let mut memory = Recent::default();
        assert_eq!(memory.get(Timestamp(0), &"d"), None);
        memory.remember(Timestamp(0), "d", 1);
        assert_eq!(memory.get(Timestamp(299_999), &"d"), Some(&1));
        assert_eq!(memory.get(Timestamp(300_000), &"d"), None);
        assert!(memory.values.is_empty() && memory.by_age.is_empty());
    }

    #[test]
    fn remembering_again_starts_a_new_five_minutes() {
        let mut memory = Recent::default();
        memory.remember(Timestamp(0), "a", 1);
        memory.remember(Timestamp(200_000), "a", 2);
        assert_eq!(memory.get(Timestamp(300_000), &"a"), Some(&2));
        assert_eq!(memory.get(Timestamp(500_000), &"a"), None);
    }
}
