//! Messages parked or deferred, until they are due.
//!
//! A standard queue may hand out a copy of a message that is hidden, and a hiding that SQS did not take lets its message
//! come back when its lease ends. Either comes too early: it is hidden for the rest of the time instead of being posted,
//! as a 429 or a back-off asked. Not so on its last receive, which would take it to the dead-letter queue: that one is
//! posted. Bounded: past [`CAPACITY`] those due first are forgotten. The memory is the process's own: another one,
//! or this one after a crash, posts such a copy at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::message::MessageId;
use crate::pipeline::ledger::Settled;

/// Ids remembered per listener: about 10 MiB at worst.
const CAPACITY: usize = 65_536;
/// SQS counts whole seconds on a clock of its own: a message that is due within so long is on time.
const SLACK: Duration = Duration::from_secs(2);

/// What a listener has parked and deferred.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    ids: BTreeMap<MessageId, (Instant, Settled)>,
    due: BTreeSet<(Instant, MessageId)>,
}

impl Hidden {
    /// The message is hidden until then.
    pub(super) fn remember(&self, id: &MessageId, until: Instant, how: Settled) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.expire();
        if let Some((before, _)) = memory.ids.insert(id.clone(), (until, how)) {
            memory.due.remove(&(before, id.clone()));
        }
        memory.due.insert((until, id.clone()));
        if memory.ids.len() > CAPACITY {
            memory.forget_first();
        }
    }

    /// Until when the message should have been hidden, and how, if it comes too early.
    pub(super) fn is_early(&self, id: &MessageId) -> Option<(Instant, Settled)> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.expire();
        memory.ids.get(id).copied()
    }
}

impl Memory {
    fn expire(&mut self) {
        let now = Instant::now();
        while self.due.first().is_some_and(|(until, _)| *until <= now + SLACK) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.due.pop_first() {
            self.ids.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn id(number: usize) -> MessageId {
        MessageId::new(format!("m-{number}"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_early_until_it_is_due() {
        let hidden = Hidden::default();
        let until = Instant::now() + 5 * MINUTE;
        hidden.remember(&id(1), Instant::now() + MINUTE, Settled::Parked);
        hidden.remember(&id(1), until, Settled::Parked);
        tokio::time::advance(4 * MINUTE).await;
        assert_eq!(hidden.is_early(&id(1)), Some((until, Settled::Parked)));
        assert_eq!(hidden.is_early(&id(2)), None);
        tokio::time::advance(MINUTE.saturating_sub(SLACK)).await;
        assert_eq!(hidden.is_early(&id(1)), None);
        let memory = hidden.memory.lock().unwrap();
        assert!(memory.ids.is_empty() && memory.due.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded_and_forgets_those_due_first() {
        let hidden = Hidden::default();
        let mut until = Instant::now() + MINUTE;
        for number in 0..CAPACITY + 10 {
            until += Duration::from_millis(1);
            hidden.remember(&id(number), until, Settled::Parked);
        }
        assert!(hidden.is_early(&id(9)).is_none() && hidden.is_early(&id(10)).is_some());
        let memory = hidden.memory.lock().unwrap();
        assert_eq!((memory.ids.len(), memory.due.len()), (CAPACITY, CAPACITY));
    }
}
