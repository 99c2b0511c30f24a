//! Finds the earlier holder of a key by one look-up.
//!
//! A configuration may have thousands of listeners. Each must learn whether its name, queue or endpoint is
//! used already. Comparing all pairs would take seconds. No code iterates this map, so the order of the keys
//! cannot matter.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// The first value of each key. The hasher has no random part, so the same file costs the same work.
pub(super) struct Firsts<K, V>(HashMap<Key<K>, V, BuildHasherDefault<DefaultHasher>>);

impl<K: Hash + Eq, V> Firsts<K, V> {
    /// The value recorded under `key` before; otherwise records this one.
    pub(super) fn earlier(&mut self, key: K, value: V) -> Option<&V> {
        match self.0.entry(Key(key)) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => {
                entry.insert(value);
                None
            }
        }
    }

    /// The value recorded under `key`.
    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.0.get(&Key(key))
    }
}

impl<K, V> Default for Firsts<K, V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

/// A key whose comparisons are counted in tests.
struct Key<K>(K);

impl<K: Hash> Hash for Key<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Eq> Eq for Key<K> {}

impl<K: PartialEq> PartialEq for Key<K> {
    fn eq(&self, other: &Self) -> bool {
        #[cfg(test)]
        COMPARISONS.with(|count| count.set(count.get() + 1));
        self.0 == other.0
    }
}

#[cfg(test)]
thread_local! {
    /// Comparisons of keys in this thread.
    static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many comparisons of keys `work` performs.
#[cfg(test)]
pub(super) fn comparisons(work: impl FnOnce()) -> usize {
    let before = COMPARISONS.with(std::cell::Cell::get);
    work();
    COMPARISONS.with(std::cell::Cell::get) - before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_key_stays() {
        let mut firsts = Firsts::default();
        assert_eq!(firsts.earlier("a", 1), None);
        assert_eq!(firsts.earlier("b", 2), None);
        assert_eq!(firsts.earlier("a", 3), Some(&1));
        assert_eq!((firsts.get("a"), firsts.get("c")), (Some(&1), None));
    }
}
