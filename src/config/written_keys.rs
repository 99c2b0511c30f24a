//! What was written for a listener, key by key, so that a later reading can be compared with it.
//!
//! A key has the name that `check --explain` gives it; those of the listener's endpoint start with `endpoint.`. Of a value only
//! a hash is kept, so that no secret stays in memory for it. A `${VAR}` counts as written: variables of a process do not
//! change.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::config::file::{File, Listener};
use crate::config::keys::{self, Slot};
use crate::config::nested_keys;
use crate::config::problem::Written;

/// The keys written for one listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenKeys(BTreeMap<String, u64>);

impl WrittenKeys {
    /// The keys that are new, gone or have another value in `later`.
    pub fn changed(&self, later: &Self) -> Vec<String> {
        let mut keys: Vec<&String> = self.0.keys().chain(later.0.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().filter(|key| self.0.get(*key) != later.0.get(*key)).cloned().collect()
    }

    fn put(&mut self, key: String, written: &[&Written]) {
        if written.is_empty() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        for text in written {
            text.raw.hash(&mut hasher);
        }
        self.0.insert(key, hasher.finish());
    }

    fn put_all(&mut self, prefix: &str, keys: &[(&'static str, Slot<'_>)]) {
        for (key, slot) in keys {
            match slot {
                Slot::Named(named) => {
                    for (name, written) in named.iter() {
                        self.put(format!("{prefix}{key}.{}", name.raw), &[written]);
                    }
                }
                Slot::One(_) | Slot::List(_) => self.put(format!("{prefix}{key}"), &slot.written()),
            }
        }
    }
}

/// The keys of each listener, in the order of the file.
pub(super) fn of(mut file: File) -> Vec<WrittenKeys> {
    let mut listeners = std::mem::take(&mut file.listeners);
    listeners.iter_mut().map(|listener| of_one(listener, &mut file)).collect()
}

fn of_one(listener: &mut Listener, file: &mut File) -> WrittenKeys {
    let mut all = WrittenKeys::default();
    all.put_all("", &keys::of_listener(listener));
    for (key, written) in nested_keys::of_listener(listener) {
        all.put(key, &written);
    }
    for (number, row) in listener.on_response.iter().enumerate() {
        let texts = row.status.iter().flatten().chain(&row.action).chain(&row.delay);
        all.put(format!("on_response[{number}]"), &texts.collect::<Vec<_>>());
    }
    let named = listener.endpoint.as_ref().and_then(|name| name.text.clone());
    let endpoint = file.endpoints.iter_mut().find(|endpoint| Some(&endpoint.name.raw) == named.as_ref());
    let endpoint = endpoint.unwrap_or(&mut listener.own);
    all.put_all("endpoint.", &keys::of_endpoint(endpoint));
    for (key, written) in nested_keys::of_endpoint(endpoint) {
        all.put(format!("endpoint.{key}"), &written);
    }
    all
}
