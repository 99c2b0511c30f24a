//! The messages of one queue, indexed so that no operation scans them.
//!
//! `messages` owns all messages. The other fields are ordered indexes over it, so equal inputs give equal
//! orders:
//!
//! - `ready`: the messages that a receive may return now, oldest visibility first. Standard queue: every
//!   visible message. FIFO queue: the first message of each group while it is visible.
//! - `hidden`: delayed and in-flight messages by the time they become visible.
//! - `ages`: every message by its sent time, for retention.
//!
//! A message is in exactly one of the states of [`State`]. Only [`Store::set_state`] moves it between the
//! indexes. No message becomes visible by itself: [`Store::advance`] makes it so, and every operation calls
//! that first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use super::groups::Groups;
use super::stored::{Key, State, Stored};
use super::{Inspected, MessageState, Timestamp};

/// All messages of one queue, with their indexes.
#[derive(Clone, Debug)]
pub(super) struct Store {
    messages: BTreeMap<Key, Stored>,
    ready: BTreeSet<(Timestamp, Key)>,
    hidden: BTreeSet<(Timestamp, Key)>,
    ages: BTreeSet<(Timestamp, Key)>,
    groups: Option<Groups>,
    in_flight: usize,
    delayed: usize,
    next_key: u64,
}

impl Store {
    /// An empty store; a FIFO store keeps the order within message groups.
    pub(super) fn new(fifo: bool) -> Self {
        Self {
            messages: BTreeMap::new(),
            ready: BTreeSet::new(),
            hidden: BTreeSet::new(),
            ages: BTreeSet::new(),
            groups: fifo.then(Groups::default),
            in_flight: 0,
            delayed: 0,
            next_key: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn delayed(&self) -> usize {
        self.delayed
    }

    pub(super) fn visible(&self) -> usize {
        self.len() - self.in_flight - self.delayed
    }

    /// Whether a receive would return a message.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn get(&self, key: Key) -> Option<&Stored> {
        self.messages.get(&key)
    }

    /// Access to every field but the state, which only [`Store::set_state`] may change, and the group.
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Stored> {
        self.messages.get_mut(&key)
    }

    /// Adds a message at the end of the queue (and of its group).
    pub(super) fn insert(&mut self, stored: Stored) -> Key {
        let key = Key(self.next_key);
        self.next_key += 1;
        self.ages.insert((stored.sent_at, key));
        if let Some(groups) = &mut self.groups {
            groups.insert(group_of(&stored), key);
        }
        let state = stored.state;
        self.messages.insert(key, stored);
        self.enter(key, state);
        key
    }

    /// Removes a message, whatever its state.
    pub(super) fn remove(&mut self, key: Key) -> Option<Stored> {
        let stored = self.messages.remove(&key)?;
        self.ages.remove(&(stored.sent_at, key));
        self.leave(key, stored.state);
        if let Some(groups) = &mut self.groups {
            groups.remove(group_of(&stored), key);
            groups.refresh(group_of(&stored), &self.messages, &mut self.ready);
        }
        Some(stored)
    }

    /// Moves a message to another state.
    pub(super) fn set_state(&mut self, key: Key, state: State) {
        let Some(stored) = self.messages.get_mut(&key) else { return };
        let old = std::mem::replace(&mut stored.state, state);
        self.leave(key, old);
        self.enter(key, state);
    }

    fn leave(&mut self, key: Key, state: State) {
        match state {
            State::Visible(since) => {
                // In a FIFO store this may remove a group's candidate; the refresh below restores it.
                self.ready.remove(&(since, key));
            }
            State::Delayed(until) => {
                self.hidden.remove(&(until, key));
                self.delayed -= 1;
            }
            State::InFlight(until) => {
                self.hidden.remove(&(until, key));
                self.in_flight -= 1;
            }
        }
    }

    fn enter(&mut self, key: Key, state: State) {
        match state {
            State::Visible(since) => {
                if self.groups.is_none() {
                    self.ready.insert((since, key));
                }
            }
            State::Delayed(until) => {
                self.hidden.insert((until, key));
                self.delayed += 1;
            }
            State::InFlight(until) => {
                self.hidden.insert((until, key));
                self.in_flight += 1;
            }
        }
        if let (Some(groups), Some(stored)) = (&mut self.groups, self.messages.get(&key)) {
            groups.refresh(group_of(stored), &self.messages, &mut self.ready);
        }
    }

    /// Advances the store to `now`: hidden messages become visible; messages older than `retention` seconds
    /// are dropped.
    pub(super) fn advance(&mut self, now: Timestamp, retention: u32) {
        while let Some(&(until, key)) = self.hidden.first().filter(|(until, _)| *until <= now) {
            self.set_state(key, State::Visible(until));
        }
        while let Some(&(_, key)) = self.ages.first().filter(|(sent, _)| sent.plus_seconds(retention) <= now)
        {
            self.remove(key);
        }
    }

    /// Up to `limit` receivable messages, in order; of a FIFO group those before its first hidden message.
    pub(super) fn ready(&self, limit: usize) -> Vec<Key> {
        let heads = self.ready.iter().map(|(_, key)| *key);
        match &self.groups {
            None => heads.take(limit).collect(),
            Some(groups) => heads
                .filter_map(|head| self.messages.get(&head))
                .flat_map(|head| groups.visible_prefix(group_of(head), &self.messages))
                .take(limit)
                .collect(),
        }
    }

    /// The first time after `now` at which a hidden message becomes visible.
    pub(super) fn next_return(&self, now: Timestamp) -> Option<Timestamp> {
        self.hidden.range((Excluded((now, Key(u64::MAX))), Unbounded)).next().map(|(until, _)| *until)
    }

    /// Makes the delayed messages visible this many seconds after they were sent.
    pub(super) fn change_delay(&mut self, seconds: u32) {
        let sent_at = |key: &Key| match self.get(*key) {
            Some(stored) if matches!(stored.state, State::Delayed(_)) => Some((*key, stored.sent_at)),
            _ => None,
        };
        let delayed: Vec<_> = self.hidden.iter().filter_map(|(_, key)| sent_at(key)).collect();
        for (key, sent_at) in delayed {
            self.set_state(key, State::Delayed(sent_at.plus_seconds(seconds)));
        }
    }

    /// Drops every message; keys go on growing, so old handles stay invalid.
    pub(super) fn clear(&mut self) {
        *self = Self { next_key: self.next_key, ..Self::new(self.groups.is_some()) };
    }

    /// The messages stored at the time `now`, in the order of arrival; changes nothing.
    pub(super) fn inspect(&self, now: Timestamp, retention: u32) -> Vec<Inspected> {
        let kept = |stored: &&Stored| stored.sent_at.plus_seconds(retention) > now;
        let look = |stored: &Stored| Inspected {
            message_id: stored.id.clone(),
            body: stored.body.clone(),
            state: match stored.state {
                State::Delayed(until) if until > now => MessageState::Delayed { until },
                State::InFlight(until) if until > now => MessageState::InFlight { until },
                State::Visible(_) | State::Delayed(_) | State::InFlight(_) => MessageState::Visible,
            },
            receive_count: stored.receive_count,
        };
        self.messages.values().filter(kept).map(look).collect()
    }
}

/// The group of a message in a FIFO store, where every message has one.
fn group_of(stored: &Stored) -> &str {
    stored.group_id.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: u32 = 60;

    fn message(group: Option<&str>, state: State) -> Stored {
        Stored {
            id: String::new(),
            body: String::new(),
            attributes: BTreeMap::new(),
            group_id: group.map(str::to_owned),
            deduplication_id: None,
            sequence_number: None,
            trace_header: None,
            dead_letter_source: None,
            sent_at: Timestamp(0),
            first_received_at: None,
            last_received_at: Timestamp(0),
            receive_count: 0,
            receipt: 0,
            state,
        }
    }

    #[test]
    fn a_hidden_message_comes_back_at_its_time_and_not_before() {
        let mut store = Store::new(false);
        let key = store.insert(message(None, State::InFlight(Timestamp(50))));
        store.advance(Timestamp(49), RETENTION);
        assert!(store.ready(10).is_empty());
        assert_eq!(store.next_return(Timestamp(49)), Some(Timestamp(50)));
        store.advance(Timestamp(50), RETENTION);
        assert_eq!(store.ready(10), [key]);
        assert_eq!((store.visible(), store.in_flight()), (1, 0));
    }

    #[test]
    fn counts_follow_every_change_of_state() {
        let mut store = Store::new(false);
        let key = store.insert(message(None, State::Delayed(Timestamp(5))));
        assert_eq!((store.visible(), store.delayed(), store.in_flight()), (0, 1, 0));
        store.set_state(key, State::InFlight(Timestamp(9)));
        assert_eq!((store.visible(), store.delayed(), store.in_flight()), (0, 0, 1));
        store.remove(key);
        assert_eq!((store.len(), store.visible(), store.in_flight()), (0, 0, 0));
        assert_eq!(store.next_return(Timestamp(0)), None);
    }

    #[test]
    fn retention_drops_a_message_whatever_its_state() {
        let mut store = Store::new(false);
        store.insert(message(None, State::InFlight(Timestamp(900_000))));
        store.advance(Timestamp(59_999), RETENTION);
        assert_eq!(store.len(), 1);
        store.advance(Timestamp(60_000), RETENTION);
        assert_eq!((store.len(), store.in_flight()), (0, 0));
    }

    #[test]
    fn in_a_group_only_what_stands_before_the_first_hidden_message_is_ready() {
        let mut store = Store::new(true);
        let visible = State::Visible(Timestamp(0));
        let keys = [(); 3].map(|()| store.insert(message(Some("g"), visible)));
        let other = store.insert(message(Some("h"), visible));
        assert_eq!(store.ready(10), [keys[0], keys[1], keys[2], other]);
        store.set_state(keys[1], State::InFlight(Timestamp(9)));
        assert_eq!(store.ready(10), [keys[0], other]);
        store.set_state(keys[0], State::InFlight(Timestamp(9)));
        assert_eq!(store.ready(10), [other]);
        store.remove(keys[0]);
        store.remove(keys[1]);
        assert_eq!(store.ready(10), [keys[2], other]);
    }
}
