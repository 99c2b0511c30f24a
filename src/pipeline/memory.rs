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
//! be forgotten next. Confirmed deletes have room of their own (`confirmed.rs`). Results that are owed may have 8 MiB of each
//! kind. Past that the oldest is sent without its contents. A forgotten message may be posted twice, or too early. Above 109
//! messages a second the ten minutes are therefore fewer. The memory is the process's own: another process, or this one
//! after a crash, knows nothing of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::message::MessageId;
use crate::pipeline::confirmed::Confirmed;
use crate::pipeline::ledger::Settled;
use crate::pipeline::remembered::{Remembered, Worded, key};
use crate::pipeline::settle::exit::Exit;
use crate::pipeline::settle::parked::Parked;
use crate::tuning;

/// The messages a listener remembers. Its successor at the same queue goes on with them.
#[derive(Debug, Default)]
pub struct Memory {
    numbers: tuning::Memory,
    kinds: Mutex<Kinds>,
    /// How many were parked and have not returned, bounded or not.
    pub(super) parked: Parked,
    /// How many were deferred and have not returned.
    pub(super) deferred: Parked,
}

#[derive(Debug, Default)]
struct Kinds {
    /// Their deletes are not confirmed.
    done: Remembered<BoxedExit>,
    confirmed: Confirmed,
    hidden: Remembered<BoxedExit>,
    /// The most messages that the next batch of each may have.
    suspects: Remembered<usize>,
}

/// `None` is the plain delete, which most of them are: an exit takes four times the room.
type BoxedExit = Option<Box<Exit>>;

impl Worded for BoxedExit {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |exit| exit.bytes())
    }

    fn forget_words(&mut self) {
        if let Some(exit) = self {
            exit.forget_words();
        }
    }
}

impl Worded for usize {}

/// Longer than a process runs: until SQS has confirmed a delete.
const UNCONFIRMED: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

impl Memory {
    /// Nothing is remembered yet.
    pub fn new(numbers: tuning::Memory) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// A message leaves. One that was never attempted is not remembered.
    pub(super) fn left(&self, id: &MessageId, exit: Exit) {
        match *exit.last() {
            Exit::Delete { .. } => {
                let (key, mut kinds) = (key(id), self.lock());
                kinds.suspects.forget(key);
                kinds.done.remember(key, boxed(exit), Instant::now() + UNCONFIRMED, self.numbers.done_max);
            }
            // The last step is never a forward.
            Exit::Hide { how: Settled::Released(_), .. } | Exit::After { .. } => {}
            Exit::Hide { until, .. } => {
                let due = until.checked_sub(self.numbers.slack).unwrap_or(until);
                self.lock().hidden.remember(key(id), boxed(exit), due, self.numbers.hidden_max);
            }
        }
    }

    /// SQS confirmed the delete.
    pub(super) fn confirmed(&self, id: &MessageId) {
        let (key, mut kinds) = (key(id), self.lock());
        kinds.done.forget(key);
        kinds.confirmed.remember(key, self.numbers.confirmed_for, self.numbers.done_max);
    }

    /// How a message that comes now has left before.
    pub(super) fn seen(&self, id: &MessageId) -> Option<Exit> {
        let (key, mut kinds) = (key(id), self.lock());
        if let Some(exit) = kinds.done.get(&key) {
            return Some(exit.map_or(Exit::DELETE, |exit| *exit));
        }
        if kinds.confirmed.has(&key) {
            return Some(Exit::DELETE);
        }
        kinds.hidden.get(&key).map(|exit| exit.map_or(Exit::DELETE, |exit| *exit))
    }

    /// The message was one of so many that failed together.
    pub(super) fn suspect(&self, id: &MessageId, together: usize) {
        let (key, mut kinds) = (key(id), self.lock());
        let most = if kinds.suspects.get(&key).is_some() { 1 } else { together.div_ceil(2) };
        let until = Instant::now() + self.numbers.suspected_for;
        kinds.suspects.remember(key, most, until, self.numbers.suspects_max);
    }

    /// The most messages of a batch with this one, if it is a suspect.
    pub(super) fn suspected(&self, id: &MessageId) -> Option<usize> {
        self.lock().suspects.get(&key(id))
    }

    fn lock(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn boxed(exit: Exit) -> BoxedExit {
    (exit != Exit::DELETE).then(|| Box::new(exit))
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
        (kinds.done.size().0 + kinds.confirmed.len(), kinds.hidden.size().0)
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
        assert_eq!(memory.seen(&id(0)), Some(Exit::DELETE));
        let (confirmed, _) = remembered(&memory);
        assert!((CAPACITY..=CAPACITY + CAPACITY / 10 + 1).contains(&confirmed), "{confirmed}");
        assert_eq!(memory.seen(&id(2 * CAPACITY)), Some(Exit::DELETE));
        assert_eq!(memory.seen(&id(CAPACITY / 2)), None, "the oldest confirmed ones go first");
        for number in 0..CAPACITY + 10 {
            memory.left(&id(number), Exit::DELETE);
            tokio::time::advance(Duration::from_nanos(1)).await;
        }
        assert_eq!((memory.seen(&id(9)), memory.seen(&id(10))), (None, Some(Exit::DELETE)));
        assert_eq!(memory.lock().done.size().0, CAPACITY);
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
        assert_eq!(memory.lock().done.size().1, 0);
        memory.left(&id(11), owing(mib));
        assert_eq!((words(11), memory.lock().done.size().1), (Some((mib, 1)), mib));
        memory.left(&id(11), owing(1));
        assert_eq!((words(11), memory.lock().done.size().1), (Some((1, 1)), 1));
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
