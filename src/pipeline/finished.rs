//! Messages whose work is done but whose delete SQS has not confirmed.
//!
//! When such a message comes again (the delete failed or its answer was lost) it is deleted, not posted again.
//! Bounded: past [`CAPACITY`] the oldest is forgotten, and what is forgotten may be posted twice. The memory
//! is the process's own: another process, or this one after a crash, posts again.

use std::collections::BTreeMap;
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
    /// The number is the id's place in `order`.
    ids: BTreeMap<MessageId, u64>,
    order: BTreeMap<u64, MessageId>,
    next: u64,
}

impl Finished {
    /// The message's work is done; its delete is on the way.
    pub(super) fn remember(&self, id: &MessageId) {
        let mut memory = self.lock();
        let number = memory.next;
        memory.next += 1;
        memory.forget(id);
        memory.ids.insert(id.clone(), number);
        memory.order.insert(number, id.clone());
        if memory.ids.len() > CAPACITY
            && let Some((_, oldest)) = memory.order.pop_first()
        {
            memory.ids.remove(&oldest);
        }
    }

    /// SQS confirmed the delete.
    pub(super) fn forget(&self, id: &MessageId) {
        self.lock().forget(id);
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
    fn forget(&mut self, id: &MessageId) {
        if let Some(number) = self.ids.remove(id) {
            self.order.remove(&number);
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
        let memory = finished.lock();
        assert_eq!((memory.ids.len(), memory.order.len()), (CAPACITY, CAPACITY));
    }

    #[test]
    fn confirmed_deletes_never_push_out_an_unconfirmed_one() {
        let finished = Finished::default();
        finished.remember(&id(0));
        for number in 1..=3 * CAPACITY {
            finished.remember(&id(number));
            finished.forget(&id(number));
        }
        assert!(finished.contains(&id(0)));
    }
}
