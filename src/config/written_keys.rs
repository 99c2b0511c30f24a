//! What was written for a listener, key by key, so that a later reading can be compared with it.
//!
//! A key has the name that `check --explain` gives it; those of the listener's endpoint start with `endpoint.`. Of a value only
//! a hash is kept, so that no secret stays in memory for it. A `${VAR}` counts as written: variables of a process do not
//! change.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::config::problem::Written;

/// The keys written for one listener.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WrittenKeys(BTreeMap<String, u64>);

impl fmt::Debug for WrittenKeys {
    /// Prints none of them: plans of the same meaning print the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenKeys").finish_non_exhaustive()
    }
}

impl WrittenKeys {
    /// The keys that are new, gone or have another value in `later`.
    pub fn changed(&self, later: &Self) -> Vec<String> {
        let mut keys: Vec<&String> = self.0.keys().chain(later.0.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().filter(|key| self.0.get(*key) != later.0.get(*key)).cloned().collect()
    }

    /// Adds a key with what is written there.
    pub(super) fn put(&mut self, key: String, written: &[&Written]) {
        if written.is_empty() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        for text in written {
            text.raw.hash(&mut hasher);
        }
        self.0.insert(key, hasher.finish());
    }
}
