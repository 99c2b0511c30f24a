//! Messages whose work is done: until SQS has confirmed their delete, and for ten minutes after.
//!
//! When such a message comes again (its delete failed, the answer was lost, SQS handed it out twice or forgot the
//! delete, as standard queues may) it is deleted, not posted again. Bounded: past [`CAPACITY`] the confirmed
//! delete that is oldest is forgotten, and only without any the oldest unconfirmed one; what is forgotten may be
//! posted twice. Above 109 messages a second the ten minutes are therefore fewer. The memory is the process's own:
//! another process, or this one after a crash, posts again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::message::MessageId;

/// Ids remembered per listener: about 10 MiB at worst.
const CAPACITY: usize = 65_536;
/// How long a confirmed delete is remembered.
const CONFIRMED_FOR: Duration = Duration::from_secs(600);

/// The deletes of one listener.
#[derive(Debug, Default)]
pub(super) struct Finished {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The number is the id's place in `unconfirmed` or in `confirmed`.
    ids: BTreeMap<MessageId, u64>,
    unconfirmed: BTreeMap<u64, MessageId>,
    /// Oldest first. An id remembered or confirmed again since has another number in `ids`.
    confirmed: VecDeque<(Instant, u64, MessageId)>,
    next: u64,
}

impl Finished {
    /// The message's work is done; its delete is on the way.
    pub(super) fn remember(&self, id: &MessageId) {
        let mut memory = self.lock();
        let number = memory.note(id);
        memory.unconfirmed.insert(number, id.clone());
        memory.shrink();
    }

    /// SQS confirmed the delete.
    pub(super) fn confirm(&self, id: &MessageId) {
        let mut memory = self.lock();
        let number = memory.note(id);
        memory.confirmed.push_back((Instant::now(), number, id.clone()));
        memory.shrink();
    }

    /// Whether the message's work is done already.
    pub(super) fn contains(&self, id: &MessageId) -> bool {
        let mut memory = self.lock();
        memory.expire();
        memory.ids.contains_key(id)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// A new number for an id, which it has in no other place any more.
    fn note(&mut self, id: &MessageId) -> u64 {
        let number = self.next;
        self.next += 1;
        if let Some(earlier) = self.ids.insert(id.clone(), number) {
            self.unconfirmed.remove(&earlier);
        }
        number
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.confirmed.front().is_some_and(|(at, ..)| now.duration_since(*at) >= CONFIRMED_FOR) {
            self.forget_confirmed();
        }
    }

    fn shrink(&mut self) {
        self.expire();
        while self.unconfirmed.len() + self.confirmed.len() > CAPACITY {
            if !self.forget_confirmed()
                && let Some((_, oldest)) = self.unconfirmed.pop_first()
            {
                self.ids.remove(&oldest);
            }
        }
    }

    /// Forgets the oldest confirmed delete; whether there was one.
    fn forget_confirmed(&mut self) -> bool {
        let Some((_, number, id)) = self.confirmed.pop_front() else { return false };
        if self.ids.get(&id) == Some(&number) {
            self.ids.remove(&id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> MessageId {
        MessageId::new(format!("m-{number}"))
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_is_remembered_until_its_delete_is_confirmed_and_ten_minutes_more() {
        let finished = Finished::default();
        finished.remember(&id(1));
        finished.remember(&id(1));
        tokio::time::advance(20 * CONFIRMED_FOR).await;
        assert!(finished.contains(&id(1)) && !finished.contains(&id(2)));
        finished.confirm(&id(1));
        tokio::time::advance(Duration::from_millis(599_999)).await;
        assert!(finished.contains(&id(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!finished.contains(&id(1)));
        let memory = finished.lock();
        assert!(memory.ids.is_empty() && memory.unconfirmed.is_empty() && memory.confirmed.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_delete_confirmed_again_is_remembered_from_then_on() {
        let finished = Finished::default();
        finished.remember(&id(1));
        finished.confirm(&id(1));
        tokio::time::advance(CONFIRMED_FOR / 2).await;
        finished.remember(&id(1));
        tokio::time::advance(CONFIRMED_FOR).await;
        assert!(finished.contains(&id(1)), "its second delete is on the way");
        finished.confirm(&id(1));
        tokio::time::advance(CONFIRMED_FOR / 2).await;
        assert!(finished.contains(&id(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let finished = Finished::default();
        for number in 0..CAPACITY + 10 {
            finished.remember(&id(number));
        }
        assert!(!finished.contains(&id(9)) && finished.contains(&id(10)));
        let memory = finished.lock();
        assert_eq!((memory.ids.len(), memory.unconfirmed.len()), (CAPACITY, CAPACITY));
    }

    #[tokio::test(start_paused = true)]
    async fn confirmed_deletes_never_push_out_an_unconfirmed_one_and_are_bounded_too() {
        let finished = Finished::default();
        finished.remember(&id(0));
        for number in 1..=3 * CAPACITY {
            finished.remember(&id(number));
            finished.confirm(&id(number));
        }
        assert!(finished.contains(&id(0)) && finished.contains(&id(3 * CAPACITY)));
        assert!(!finished.contains(&id(2 * CAPACITY)), "the oldest confirmed ones go first");
        let memory = finished.lock();
        assert_eq!((memory.ids.len(), memory.confirmed.len()), (CAPACITY, CAPACITY - 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_finished_over_and_over_takes_bounded_room() {
        let finished = Finished::default();
        for _ in 0..3 * CAPACITY {
            finished.remember(&id(1));
            finished.confirm(&id(1));
        }
        assert!(finished.contains(&id(1)));
        assert!(finished.lock().confirmed.len() <= CAPACITY);
    }
}
