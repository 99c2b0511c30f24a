//! How messages were to leave that are no longer in flight here: the next receive of one leaves in the same way.
//!
//! A message whose work is done is never posted again: its delete failed, the answer was lost, SQS handed it out twice or
//! forgot the delete, as standard queues may. What it still owes is sent first, then it is deleted. It is remembered until
//! SQS has confirmed the delete, and for ten minutes after.
//!
//! A parked or deferred message that comes too early is not posted, but hidden for the rest of the time. A standard queue
//! may hand out a copy of a hidden message. A hiding that SQS did not take lets it come back with the end of its lease.
//! On its final receive it is posted all the same; that is the caller's business.
//!
//! A message whose batch has failed as a whole may be the one at fault: it is remembered as a suspect, with the most messages
//! that its next batch may have. First half of those that failed together, then none beside it. Suspects are never put
//! together with others. What is forgotten of that costs nobody anything: a message on its final receive goes alone.
//!
//! Bounded: [`tuning::Memory`] says how many ids of each kind are remembered. Past that the one is forgotten that would
//! be forgotten next, so unconfirmed deletes go last. A forgotten message may be posted twice, or too early. Above 109
//! messages a second the ten minutes are therefore fewer. The memory is the process's own: another process, or this one
//! after a crash, knows nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::digest::consts::U16;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::message::MessageId;
use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::exit::Exit;
use crate::pipeline::settle::parked::Parked;
use crate::tuning;

/// The messages a listener remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    numbers: tuning::Memory,
    kinds: Mutex<Kinds>,
    /// How many were parked and have not returned, bounded or not.
    pub(super) parked: Parked,
}

#[derive(Debug, Default)]
struct Kinds {
    done: Remembered<BoxedExit>,
    hidden: Remembered<BoxedExit>,
    /// The most messages that the next batch of each may have.
    suspects: Remembered<usize>,
}

/// `None` is the plain delete, which most of them are: an exit takes four times the room.
type BoxedExit = Option<Box<Exit>>;

/// What is remembered of messages of one kind.
#[derive(Debug)]
struct Remembered<T> {
    /// Beside it, when the message is forgotten.
    by_key: BTreeMap<Key, (T, Instant)>,
    /// First what is forgotten first. Messages of one instant have no order.
    by_time: BTreeSet<(Instant, Key)>,
}

/// Stands for an id, in a fifth of the room: the first half of its SHA-256 sum.
///
/// Of two ids with one key, the second message would be deleted without a POST. On some compatible servers a sender
/// can choose the ids. Two with one key take about 2⁶⁴ tries to find; for MD5 there are known pairs.
type Key = [u8; 16];

/// Longer than a process runs: until SQS has confirmed a delete.
const UNCONFIRMED: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

impl Memory {
    /// Nothing is remembered yet.
    pub(super) fn new(numbers: tuning::Memory) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// A message leaves. One that was never attempted is not remembered.
    pub(super) fn left(&self, id: &MessageId, exit: Exit) {
        match exit {
            Exit::Delete { .. } => {
                let mut kinds = self.lock();
                kinds.suspects.forget(id);
                kinds.done.remember(id, boxed(exit), Instant::now() + UNCONFIRMED, self.numbers.done_max);
            }
            Exit::Hide { how: Settled::Released(_), .. } => {}
            Exit::Hide { until, .. } => {
                let due = until.checked_sub(self.numbers.slack).unwrap_or(until);
                self.lock().hidden.remember(id, boxed(exit), due, self.numbers.hidden_max);
            }
        }
    }

    /// SQS confirmed the delete.
    pub(super) fn confirmed(&self, id: &MessageId) {
        let until = Instant::now() + self.numbers.confirmed_for;
        self.lock().done.remember(id, None, until, self.numbers.done_max);
    }

    /// How a message that comes now has left before.
    pub(super) fn seen(&self, id: &MessageId) -> Option<Exit> {
        let mut kinds = self.lock();
        let exit = kinds.done.get(id).or_else(|| kinds.hidden.get(id))?;
        Some(exit.map_or(Exit::DELETE, |exit| *exit))
    }

    /// The message was one of so many that failed together.
    pub(super) fn suspect(&self, id: &MessageId, together: usize) {
        let mut kinds = self.lock();
        let most = if kinds.suspects.get(id).is_some() { 1 } else { together.div_ceil(2) };
        let until = Instant::now() + self.numbers.suspected_for;
        kinds.suspects.remember(id, most, until, self.numbers.suspects_max);
    }

    /// The most messages of a batch with this one, if it is a suspect.
    pub(super) fn suspected(&self, id: &MessageId) -> Option<usize> {
        self.lock().suspects.get(id)
    }

    fn lock(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<T: Clone> Remembered<T> {
    fn get(&mut self, id: &MessageId) -> Option<T> {
        self.expire();
        if self.by_key.is_empty() {
            return None;
        }
        self.by_key.get(&key(id)).map(|(what, _)| what.clone())
    }

    fn remember(&mut self, id: &MessageId, what: T, until: Instant, capacity: usize) {
        self.expire();
        let key = key(id);
        if let Some((_, before)) = self.by_key.insert(key, (what, until)) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((until, key));
        if self.by_key.len() > capacity {
            self.forget_first();
        }
    }

    fn forget(&mut self, id: &MessageId) {
        if self.by_key.is_empty() {
            return;
        }
        let key = key(id);
        if let Some((_, until)) = self.by_key.remove(&key) {
            self.by_time.remove(&(until, key));
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.by_time.first().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.by_time.pop_first() {
            self.by_key.remove(&key);
        }
    }
}

fn boxed(exit: Exit) -> BoxedExit {
    (exit != Exit::DELETE).then(|| Box::new(exit))
}

fn key(id: &MessageId) -> Key {
    let (key, _) = Sha256::digest(id.as_str()).split::<U16>();
    key.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::decide::DeferReason;
    use crate::ports::DeadLetterReason;
    use crate::telemetry::labels::ReleaseReason;

    const CAPACITY: usize = 65_536;
    const CONFIRMED_FOR: Duration = Duration::from_secs(600);
    const SLACK: Duration = Duration::from_secs(2);
    const MINUTE: Duration = Duration::from_secs(60);

    fn id(number: usize) -> MessageId {
        MessageId::new(format!("m-{number}"))
    }

    /// Ids remembered as done and as hidden.
    fn remembered(memory: &Memory) -> (usize, usize) {
        let kinds = memory.lock();
        assert_eq!(kinds.done.by_key.len(), kinds.done.by_time.len());
        assert_eq!(kinds.hidden.by_key.len(), kinds.hidden.by_time.len());
        (kinds.done.by_key.len(), kinds.hidden.by_key.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_done_until_its_delete_is_confirmed_and_ten_minutes_more() {
        let memory = Memory::default();
        memory.left(&id(1), Exit::DELETE);
        memory.left(&id(1), Exit::DELETE);
        tokio::time::advance(20 * CONFIRMED_FOR).await;
        assert_eq!([memory.seen(&id(1)), memory.seen(&id(2))], [Some(Exit::DELETE), None]);
        memory.confirmed(&id(1));
        tokio::time::advance(Duration::from_millis(599_999)).await;
        assert_eq!(memory.seen(&id(1)), Some(Exit::DELETE));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((memory.seen(&id(1)), remembered(&memory)), (None, (0, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn two_ids_with_one_md5_sum_are_two_messages() {
        // A collision by Marc Stevens, the author of HashClash (issue 38 of cr-marcstevens/hashclash shows it).
        let [one, other] = ["A", "E"].map(|letter| {
            let end = "cKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak";
            MessageId::new(format!("TEXTCOLLBYfGiJUETHQ4h{letter}{end}"))
        });
        let memory = Memory::default();
        memory.left(&one, Exit::DELETE);
        assert_eq!([memory.seen(&one), memory.seen(&other)], [Some(Exit::DELETE), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delete_confirmed_again_is_remembered_from_then_on() {
        let memory = Memory::default();
        memory.left(&id(1), Exit::DELETE);
        memory.confirmed(&id(1));
        tokio::time::advance(CONFIRMED_FOR / 2).await;
        memory.left(&id(1), Exit::DELETE);
        tokio::time::advance(CONFIRMED_FOR).await;
        assert_eq!(memory.seen(&id(1)), Some(Exit::DELETE), "its second delete is on the way");
        memory.confirmed(&id(1));
        tokio::time::advance(CONFIRMED_FOR / 2).await;
        assert_eq!(memory.seen(&id(1)), Some(Exit::DELETE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hidden_message_is_early_until_it_is_due() {
        let memory = Memory::default();
        let until = Instant::now() + 5 * MINUTE;
        memory.left(&id(1), Exit::Hide { until: Instant::now() + MINUTE, how: Settled::Parked });
        memory.left(&id(1), Exit::Hide { until, how: Settled::Parked });
        tokio::time::advance(4 * MINUTE).await;
        assert_eq!(memory.seen(&id(1)), Some(Exit::Hide { until, how: Settled::Parked }));
        tokio::time::advance(MINUTE.saturating_sub(SLACK)).await;
        assert_eq!((memory.seen(&id(1)), remembered(&memory)), (None, (0, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_was_hidden_and_then_delivered_is_done() {
        let memory = Memory::default();
        memory.left(&id(1), Exit::Hide { until: Instant::now() + MINUTE, how: Settled::Parked });
        memory.left(&id(1), Exit::DELETE);
        assert_eq!(memory.seen(&id(1)), Some(Exit::DELETE));
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!((memory.seen(&id(1)), memory.seen(&id(2))), (Some(Exit::DELETE), None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_message_still_owes_is_remembered_until_it_was_sent() {
        let memory = Memory::default();
        let reason = DeadLetterReason { outcome: "rejected", status: Some(422) };
        let owing = Exit::Delete { forward: Some(reason), how: Settled::DeadLettered };
        memory.left(&id(1), owing.clone());
        tokio::time::advance(20 * CONFIRMED_FOR).await;
        assert_eq!(memory.seen(&id(1)), Some(owing));
        memory.left(&id(1), Exit::DELETE);
        assert_eq!((memory.seen(&id(1)), remembered(&memory)), (Some(Exit::DELETE), (1, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_message_is_not_remembered_and_a_deferred_one_is() {
        let memory = Memory::default();
        let until = Instant::now() + MINUTE;
        let deferred = Exit::Hide { until, how: Settled::Deferred(DeferReason::Failure) };
        memory.left(&id(1), Exit::Hide { until, how: Settled::Released(ReleaseReason::Gate) });
        memory.left(&id(2), deferred.clone());
        assert_eq!([memory.seen(&id(1)), memory.seen(&id(2))], [None, Some(deferred)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded_and_unconfirmed_deletes_are_forgotten_last_the_oldest_first() {
        let memory = Memory::default();
        memory.left(&id(0), Exit::DELETE);
        for number in 1..=2 * CAPACITY {
            memory.confirmed(&id(number));
            tokio::time::advance(Duration::from_nanos(1)).await;
        }
        assert_eq!((memory.seen(&id(0)), remembered(&memory)), (Some(Exit::DELETE), (CAPACITY, 0)));
        assert_eq!(memory.seen(&id(2 * CAPACITY)), Some(Exit::DELETE));
        assert_eq!(memory.seen(&id(CAPACITY)), None, "the oldest confirmed ones go first");
        for number in 0..CAPACITY + 10 {
            memory.left(&id(number), Exit::DELETE);
            tokio::time::advance(Duration::from_nanos(1)).await;
        }
        assert_eq!((memory.seen(&id(9)), memory.seen(&id(10))), (None, Some(Exit::DELETE)));
        assert_eq!(remembered(&memory), (CAPACITY, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn of_hidden_messages_those_due_first_are_forgotten_and_no_done_ones() {
        let memory = Memory::default();
        memory.confirmed(&id(0));
        for number in 1..=CAPACITY + 10 {
            let until = Instant::now() + MINUTE + Duration::from_millis(number.try_into().unwrap());
            memory.left(&id(number), Exit::Hide { until, how: Settled::Parked });
        }
        assert_eq!((memory.seen(&id(10)), remembered(&memory)), (None, (1, CAPACITY)));
        assert!(memory.seen(&id(11)).is_some() && memory.seen(&id(0)) == Some(Exit::DELETE));
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_done_over_and_over_takes_the_room_of_one() {
        let memory = Memory::default();
        for _ in 0..CAPACITY {
            memory.left(&id(1), Exit::DELETE);
            memory.confirmed(&id(1));
        }
        assert_eq!((memory.seen(&id(1)), remembered(&memory)), (Some(Exit::DELETE), (1, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn messages_that_failed_together_go_in_halves_and_then_alone_until_one_is_done() {
        let memory = Memory::default();
        assert_eq!(memory.suspected(&id(1)), None);
        memory.suspect(&id(1), 9);
        memory.suspect(&id(2), 2);
        assert_eq!([1, 2].map(|number| memory.suspected(&id(number))), [Some(5), Some(1)]);
        memory.suspect(&id(1), 5);
        assert_eq!(memory.suspected(&id(1)), Some(1));
        memory.left(&id(1), Exit::Hide { until: Instant::now() + MINUTE, how: Settled::Parked });
        assert_eq!(memory.suspected(&id(1)), Some(1));
        memory.left(&id(1), Exit::DELETE);
        assert_eq!([1, 2].map(|number| memory.suspected(&id(number))), [None, Some(1)]);
        tokio::time::advance(1_440 * MINUTE).await;
        assert_eq!(memory.suspected(&id(2)), None);
    }
}
