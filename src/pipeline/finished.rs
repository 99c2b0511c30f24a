//! Messages whose work is done but whose delete SQS has not confirmed.
//!
//! When such a message comes again (the delete failed or its answer was lost) it is deleted, not posted again.
//! Bounded: past [`CAPACITY`] the oldest is forgotten, and what is forgotten may be posted twice. The memory
//! is the process's own: another process, or this one after a crash, posts again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::message::MessageId;

/// Ids remembered per listener: about 10 MiB at worst.
const CAPACITY: usize = 65_536;

/// The unconfirmed deletes of one listener.
#[derive(Debug, Default)]
pub(super) struct Finished {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The number tells a renewed entry from its former place in `order`.
    ids: BTreeMap<MessageId, u64>,
    order: VecDeque<(u64, MessageId)>,
    next: u64,
}

impl Finished {
    /// The message's work is done; its delete is on the way.
    pub(super) fn remember(&self, id: &MessageId) {
        let mut memory = self.lock();
        let number = memory.next;
        memory.next += 1;
        memory.ids.insert(id.clone(), number);
        memory.order.push_back((number, id.clone()));
        memory.tidy();
    }

    /// SQS confirmed the delete.
    pub(super) fn forget(&self, id: &MessageId) {
        let mut memory = self.lock();
        memory.ids.remove(id);
        memory.tidy();
    }

    /// Whether the message's work is done already.
    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.lock().ids.contains_key(id)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Drops places whose entry is gone, and the oldest entries past the capacity.
    fn tidy(&mut self) {
        while let Some((number, id)) = self.order.front() {
            let current = self.ids.get(id) == Some(number);
            if current && self.ids.len() <= CAPACITY && self.order.len() <= 2 * CAPACITY {
                break;
            }
            if current {
                self.ids.remove(id);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> MessageId {
        MessageId::new(format!("m-{number}"))
    }

    #[test]
    fn an_id_is_remembered_until_its_delete_is_confirmed() {
        let finished = Finished::default();
        finished.remember(&id(1));
        finished.remember(&id(1));
        assert!(finished.contains(&id(1)) && !finished.contains(&id(2)));
        finished.forget(&id(1));
        assert!(!finished.contains(&id(1)));
        assert!(finished.lock().order.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let finished = Finished::default();
        for number in 0..CAPACITY + 10 {
            finished.remember(&id(number));
        }
        assert!(!finished.contains(&id(9)) && finished.contains(&id(10)));
        assert_eq!(finished.lock().ids.len(), CAPACITY);
        assert!(finished.lock().order.len() <= 2 * CAPACITY);
    }
}
