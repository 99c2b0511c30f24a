//! What is remembered of messages by their ids: for a time, up to a number of them, and up to a number of bytes.

use std::collections::{BTreeMap, BTreeSet};

use sha2::digest::consts::U16;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::message::MessageId;

/// Bytes that the words of what is remembered may have: 8 MiB. Those of messages still in settlement count here too, and
/// have no second copy.
const WORDS_MAX: usize = 8 * 1024 * 1024;

/// Stands for an id, in a fifth of the room: the first half of its SHA-256 sum.
///
/// Of two ids with one key, the second message would be deleted without a POST. On some compatible servers a sender
/// can choose the ids. Two with one key take about 2⁶⁴ tries to find; for MD5 there are known pairs.
pub(super) type Key = [u8; 16];

/// Something that may have words, which can be forgotten before the rest.
pub(super) trait Worded: Clone {
    /// Bytes of its words.
    fn bytes(&self) -> usize {
        0
    }

    /// Forgets the words.
    fn forget_words(&mut self) {}
}

/// What is remembered of messages of one kind.
#[derive(Debug)]
pub(super) struct Remembered<T> {
    /// Beside it, when the message is forgotten.
    by_key: BTreeMap<Key, (T, Instant)>,
    /// First what is forgotten first. Messages of one instant have no order.
    by_time: BTreeSet<(Instant, Key)>,
    /// Those whose words are kept, in the same order.
    worded: BTreeSet<(Instant, Key)>,
    /// Bytes of these words.
    bytes: usize,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        let (by_key, by_time) = (BTreeMap::new(), BTreeSet::new());
        Self { by_key, by_time, worded: BTreeSet::new(), bytes: 0 }
    }
}

impl<T: Worded> Remembered<T> {
    /// What is remembered of a message.
    pub(super) fn get(&mut self, key: &Key) -> Option<T> {
        self.expire();
        self.by_key.get(key).map(|(what, _)| what.clone())
    }

    /// Remembers it until then, and up to `capacity` of its kind.
    pub(super) fn remember(&mut self, key: Key, what: T, until: Instant, capacity: usize) {
        self.expire();
        let bytes = what.bytes();
        self.forget(key);
        self.by_key.insert(key, (what, until));
        self.by_time.insert((until, key));
        if bytes > 0 {
            self.worded.insert((until, key));
            self.bytes += bytes;
        }
        self.forget_words();
        if self.by_key.len() > capacity {
            self.forget_first();
        }
    }

    /// Forgets what is remembered of a message.
    pub(super) fn forget(&mut self, key: Key) {
        let Some((what, until)) = self.by_key.remove(&key) else { return };
        self.by_time.remove(&(until, key));
        if self.worded.remove(&(until, key)) {
            self.bytes -= what.bytes();
        }
    }

    /// How many there are, and the bytes of their words.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        assert_eq!(self.by_key.len(), self.by_time.len());
        (self.by_key.len(), self.bytes)
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.by_time.first().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(&(_, key)) = self.by_time.first() {
            self.forget(key);
        }
    }

    /// Without room for all words those of the oldest go.
    fn forget_words(&mut self) {
        while self.bytes > WORDS_MAX
            && let Some((_, key)) = self.worded.pop_first()
        {
            if let Some((what, _)) = self.by_key.get_mut(&key) {
                self.bytes -= what.bytes();
                what.forget_words();
            }
        }
    }
}

/// The key of a message.
pub(super) fn key(id: &MessageId) -> Key {
    let (key, _) = Sha256::digest(id.as_str()).split::<U16>();
    key.into()
}
