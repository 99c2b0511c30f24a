//! The message groups of a FIFO queue: order within a group, independence between groups.
//!
//! A message may be received when no earlier message of its group is hidden. So the first message of a group
//! decides whether the group has receivable messages. While it is visible, it is the group's candidate in the
//! store's `ready` index.
//! Amazon's service was recorded to follow this rule: a head made visible again comes back alone while its
//! successors are in flight.

use std::collections::{BTreeMap, BTreeSet};

use super::Timestamp;
use super::stored::{Key, State, Stored};

/// Every group that has messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    by_name: BTreeMap<String, Group>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// All messages of the group, in order.
    keys: BTreeSet<Key>,
    /// The entry of this group in the `ready` index.
    candidate: Option<(Timestamp, Key)>,
}

impl Groups {
    /// Adds a new message at the end of its group.
    pub(super) fn insert(&mut self, name: &str, key: Key) {
        if let Some(group) = self.by_name.get_mut(name) {
            group.keys.insert(key);
        } else {
            self.by_name.insert(name.to_owned(), Group { keys: [key].into(), candidate: None });
        }
    }

    /// Removes a message.
    pub(super) fn remove(&mut self, name: &str, key: Key) {
        if let Some(group) = self.by_name.get_mut(name) {
            group.keys.remove(&key);
        }
    }

    /// Updates the `ready` index for this group; an empty group is removed.
    pub(super) fn refresh(
        &mut self,
        name: &str,
        messages: &BTreeMap<Key, Stored>,
        ready: &mut BTreeSet<(Timestamp, Key)>,
    ) {
        let Some(group) = self.by_name.get_mut(name) else { return };
        let head = group.keys.first().and_then(|key| messages.get(key).map(|head| (*key, head.state)));
        let candidate = match head {
            Some((key, State::Visible(since))) => Some((since, key)),
            _ => None,
        };
        if let Some(old) = std::mem::replace(&mut group.candidate, candidate) {
            ready.remove(&old);
        }
        ready.extend(candidate);
        if group.keys.is_empty() {
            self.by_name.remove(name);
        }
    }

    /// The messages of a group, in order, up to the first hidden one.
    pub(super) fn visible_prefix<'a>(
        &'a self,
        name: &str,
        messages: &'a BTreeMap<Key, Stored>,
    ) -> impl Iterator<Item = Key> + use<'a> {
        let visible = |key: &Key| matches!(messages.get(key), Some(Stored { state: State::Visible(_), .. }));
        self.by_name.get(name).into_iter().flat_map(|group| group.keys.iter().copied()).take_while(visible)
    }
}
