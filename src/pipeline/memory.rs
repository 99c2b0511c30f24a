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
//! Bounded: [`tuning::Memory`] says how many ids of each kind are remembered. Past that the one is forgotten that would
//! be forgotten next, so unconfirmed deletes go last. Results that are owed may have 8 MiB of each kind. Past that the
//! oldest is sent without its contents. A forgotten message may be posted twice, or too early. Above 109
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
    done: Exits,
    hidden: Exits,
}

/// Messages of one kind, and how each leaves.
#[derive(Debug, Default)]
struct Exits {
    /// `None` is the plain delete, which most of them are: an exit takes four times the room.
    /// Beside it, when the message is forgotten.
    by_key: BTreeMap<Key, (Option<Box<Exit>>, Instant)>,
    /// First what is forgotten first. Messages of one instant have no order.
    by_time: BTreeSet<(Instant, Key)>,
    /// Those that owe a result whose words are kept, in the same order.
    worded: BTreeSet<(Instant, Key)>,
    /// Bytes of these words.
    bytes: usize,
}

/// Stands for an id, in a fifth of the room: the first half of its SHA-256 sum.
///
/// Of two ids with one key, the second message would be deleted without a POST. On some compatible servers a sender
/// can choose the ids. Two with one key take about 2⁶⁴ tries to find; for MD5 there are known pairs.
type Key = [u8; 16];

/// Bytes that owed results may have here, of messages that are done, and of hidden ones: 8 MiB. Those of messages still
/// in settlement count here too, and have no second copy.
const WORDS_MAX: usize = 8 * 1024 * 1024;

/// Longer than a process runs: until SQS has confirmed a delete.
const UNCONFIRMED: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

impl Memory {
    /// Nothing is remembered yet.
    pub(super) fn new(numbers: tuning::Memory) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// A message leaves. One that was never attempted is not remembered.
    pub(super) fn left(&self, id: &MessageId, exit: Exit) {
        match *exit.last() {
            Exit::Delete { .. } => {
                self.lock().done.remember(id, exit, Instant::now() + UNCONFIRMED, self.numbers.done_max);
            }
            // The last step is never a forward.
            Exit::Hide { how: Settled::Released(_), .. } | Exit::After { .. } => {}
            Exit::Hide { until, .. } => {
                let due = until.checked_sub(self.numbers.slack).unwrap_or(until);
                self.lock().hidden.remember(id, exit, due, self.numbers.hidden_max);
            }
        }
    }

    /// SQS confirmed the delete.
    pub(super) fn confirmed(&self, id: &MessageId) {
        let until = Instant::now() + self.numbers.confirmed_for;
        self.lock().done.remember(id, Exit::DELETE, until, self.numbers.done_max);
    }

    /// How a message that comes now has left before.
    pub(super) fn seen(&self, id: &MessageId) -> Option<Exit> {
        let mut kinds = self.lock();
        kinds.done.get(id).or_else(|| kinds.hidden.get(id))
    }

    fn lock(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exits {
    fn get(&mut self, id: &MessageId) -> Option<Exit> {
        self.expire();
        self.by_key.get(&key(id)).map(|(exit, _)| exit.as_deref().cloned().unwrap_or(Exit::DELETE))
    }

    fn remember(&mut self, id: &MessageId, exit: Exit, until: Instant, capacity: usize) {
        self.expire();
        let (key, bytes) = (key(id), exit.bytes());
        self.forget(key);
        let exit = (exit != Exit::DELETE).then(|| Box::new(exit));
        self.by_key.insert(key, (exit, until));
        self.by_time.insert((until, key));
        if bytes > 0 {
            self.worded.insert((until, key));
            self.bytes += bytes;
        }
        self.forget_words();
        if self.by_key.len() > capacity {
            self.forget_first();
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.by_time.first().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(&(_, key)) = self.by_time.first() {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: Key) {
        let Some((exit, until)) = self.by_key.remove(&key) else { return };
        self.by_time.remove(&(until, key));
        if self.worded.remove(&(until, key)) {
            self.bytes -= exit.map_or(0, |exit| exit.bytes());
        }
    }

    /// Without room for their words the results of the oldest are remembered as owed, and no more.
    fn forget_words(&mut self) {
        while self.bytes > WORDS_MAX
            && let Some((_, key)) = self.worded.pop_first()
        {
            if let Some((Some(exit), _)) = self.by_key.get_mut(&key) {
                self.bytes -= exit.bytes();
                exit.forget_words();
            }
        }
    }
}

fn key(id: &MessageId) -> Key {
    let (key, _) = Sha256::digest(id.as_str()).split::<U16>();
    key.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::exchange::results::State;
    use crate::message::Outgoing;
    use crate::pipeline::settle::forward::{Forward, Owed, Told};
    use crate::policy::decide::DeferReason;
    use crate::policy::outcome::Outcome;
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
        let reason =
            DeadLetterReason { outcome: "rejected", status: Some(422), ..DeadLetterReason::default() };
        let owing = Exit::Delete { how: Settled::DeadLettered }.after(Some(Forward::Copy(reason)));
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

    /// Owes a result of so many bytes.
    fn owing(bytes: usize) -> Exit {
        let told = Told {
            state: State::Success,
            outcome: Outcome::Success,
            status: Some(200),
            started: None,
            ended: SystemTime::UNIX_EPOCH,
        };
        let words = Some(Arc::new(Outgoing::from(&"x".repeat(bytes))));
        Exit::DELETE.after(Some(Forward::Result(Owed { told, words, is_short: false })))
    }

    #[tokio::test(start_paused = true)]
    async fn results_that_are_owed_have_8_mib_and_past_that_the_oldest_are_owed_without_their_words() {
        let memory = Memory::default();
        let mib = 1024 * 1024;
        for number in 0..10 {
            memory.left(&id(number), owing(mib));
            tokio::time::advance(Duration::from_nanos(1)).await;
        }
        let words = |number| memory.seen(&id(number)).map(|exit| (exit.bytes(), exit.forwards().count()));
        assert_eq!([words(0), words(1)], [Some((0, 1)); 2], "owed all the same");
        assert!((2..10).all(|number| words(number) == Some((mib, 1))));
        for number in 2..10 {
            memory.confirmed(&id(number));
        }
        assert_eq!(memory.lock().done.bytes, 0);
        memory.left(&id(11), owing(mib));
        assert_eq!((words(11), memory.lock().done.bytes), (Some((mib, 1)), mib));
        memory.left(&id(11), owing(1));
        assert_eq!((words(11), memory.lock().done.bytes), (Some((1, 1)), 1));
    }
}
