//! The last failures of a listener: which messages, when and why, for whoever asks after the log has gone by.
//!
//! Kept in memory, in a ring: a hundred entries, 128 KiB at most for a listener, and nothing after a restart. A
//! success leaves it alone. Texts are those of the log: escaped, without credentials, never a message's body.
//!
//! An entry is one attempt of one message that was no success, whatever became of the message. Three more are failures: a
//! message deleted as too old, one left to SQS, and one released on its final receive. What merely waits is none. So an
//! outage in which nothing can be sent is one entry. It names the message held last, and counts.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::limit::clock::Wall;
use crate::message::{Message, MessageId};
use crate::policy::advice::endpoint::EndpointReason;
use crate::policy::advice::fill;
use crate::policy::final_receive::FinalReceive;

/// Failures remembered of a listener.
const FAILURES_MAX: usize = 100;
/// Bytes of each text: as much of an answer as the log shows.
const TEXT_MAX: usize = 200;
/// Held again within this time, messages are held by the same outage: a gate tries every five minutes at least.
const SAME_OUTAGE: Duration = Duration::from_secs(600);

/// Something that happened to a message and was no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The message.
    pub id: MessageId,
    /// When it happened.
    pub at: SystemTime,
    /// Which receive of the message this was, from 1.
    pub receive: u32,
    /// The most receives of it, if this was its last: SQS dead-letters it instead of handing it out again.
    pub final_of: Option<u32>,
    /// Label of the outcome; `expired`, `released` or `abandoned` where there was no POST.
    pub outcome: &'static str,
    /// Its class, as the log's `reason`.
    pub reason: String,
    /// What became of the message, in words.
    pub then: String,
    /// What there is to read of it.
    pub texts: Texts,
    /// Messages held together, each try counted; 0: this is one message that is not held.
    pub held: u64,
}

/// What an endpoint or a connection said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The beginning of the answer, if there was one and answers are recorded.
    pub answer: Option<String>,
    /// The error, where there was no answer.
    pub error: Option<String>,
}

impl Failure {
    /// Of a message of which nothing could be sent, or that leaves for `reason`.
    pub(crate) fn new(message: &Message, outcome: &'static str, reason: &str, then: &str) -> Self {
        Self {
            id: message.id.clone(),
            at: SystemTime::UNIX_EPOCH,
            receive: message.receive_count.get(),
            final_of: None,
            outcome,
            reason: cut(reason),
            then: cut(then),
            texts: Texts::default(),
            held: 0,
        }
    }

    /// The same, with what was said.
    pub(crate) fn saying(self, status: Option<u16>, answer: Option<&str>, error: Option<&str>) -> Self {
        Self { texts: Texts { status, answer: answer.map(cut), error: error.map(cut) }, ..self }
    }

    /// The same; `last` says that SQS does not hand the message out again.
    pub(crate) fn on(self, last: Option<&FinalReceive>) -> Self {
        Self { final_of: last.map(|last| last.max), ..self }
    }

    /// What to do about it, where that is known of its class.
    pub fn fix(&self) -> Option<String> {
        let class = EndpointReason::ALL.iter().find(|class| class.label() == self.reason)?;
        let status = self.texts.status.map(|status| status.to_string()).unwrap_or_default();
        Some(fill(class.fix(), &[("status", &status)]))
    }

    /// Bytes that it takes.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        let Texts { answer, error, .. } = &self.texts;
        let texts = [Some(&self.reason), Some(&self.then), answer.as_ref(), error.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        size_of::<Self>() + self.id.as_str().len() + texts
    }
}

/// The beginning of a text, with dots for the rest.
fn cut(text: &str) -> String {
    let (beginning, rest) = text.split_at(text.floor_char_boundary(TEXT_MAX));
    let more = if rest.is_empty() || beginning.ends_with('…') { "" } else { "…" };
    beginning.to_owned() + more
}

/// The ring of one listener.
#[derive(Debug)]
pub(crate) struct Recent {
    wall: Wall,
    failures: Mutex<VecDeque<Failure>>,
}

impl Recent {
    /// Empty; `wall` dates what happens.
    pub(crate) fn new(wall: Wall) -> Self {
        Self { wall, failures: Mutex::default() }
    }

    /// It happened now. The oldest is forgotten where there is no room.
    pub(crate) fn add(&self, failure: Failure) {
        let failure = Failure { at: self.wall.now(), ..failure };
        let mut failures = self.lock();
        failures.truncate(FAILURES_MAX - 1);
        failures.push_front(failure);
    }

    /// Nothing could be sent of a message, which is held. It joins those that the same outage holds.
    pub(crate) fn hold(&self, failure: Failure) {
        let now = self.wall.now();
        let mut failures = self.lock();
        let is_of_same = |other: &Failure| {
            let since = now.duration_since(other.at).unwrap_or_default();
            other.held > 0 && other.reason == failure.reason && since <= SAME_OUTAGE
        };
        let same = failures.iter().position(is_of_same).and_then(|at| failures.remove(at));
        let held = 1 + same.map_or(0, |same| same.held);
        failures.truncate(FAILURES_MAX - 1);
        failures.push_front(Failure { at: now, held, ..failure });
    }

    /// All of them, the newest first.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::message::ReceiptHandle;

    const DLQ_NAME_MAX: usize = 80;

    fn recent() -> Recent {
        Recent::new(Wall::Anchored { at: SystemTime::UNIX_EPOCH, instant: Instant::now() })
    }

    fn message(number: usize) -> Message {
        Message::new(MessageId::new(format!("m-{number}")), ReceiptHandle::new("r"), "the body")
    }

    fn failure(number: usize) -> Failure {
        Failure::new(&message(number), "failed", "server_error", "deferred for 10 s")
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_hundred_are_kept_newest_first_and_in_bounded_memory() {
        let recent = recent();
        let long = "ä".repeat(10_000);
        let id = MessageId::new("i".repeat(256));
        for number in 0..250 {
            let message = Message { id: id.clone(), ..message(number) };
            let then = format!("final receive (1000 of 1000): {} next", "q".repeat(DLQ_NAME_MAX));
            let failure = Failure::new(&message, "failed", &long, &then);
            recent.add(failure.saying(Some(500), Some(&long), Some(&long)));
        }
        let newest = Failure { id: MessageId::new("newest"), ..failure(0) };
        recent.add(newest);
        let failures = recent.failures();
        assert_eq!((failures.len(), failures[0].id.as_str()), (FAILURES_MAX, "newest"));
        assert!(
            failures[1].then.ends_with(" next") && failures[1].texts.answer.as_ref().unwrap().ends_with('…')
        );
        let bytes: usize = failures.iter().map(Failure::bytes).sum();
        assert!(bytes <= 128 * 1024, "{bytes} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_one_entry_that_counts_and_names_the_message_held_last() {
        let recent = recent();
        let held =
            |number| Failure::new(&message(number), "unsent", "refused", "held: nothing could be sent");
        recent.add(failure(1));
        for number in 2..500 {
            recent.hold(held(number));
            tokio::time::advance(Duration::from_secs(300)).await;
        }
        let failures = recent.failures();
        let seen: Vec<_> = failures.iter().map(|each| (each.id.as_str(), each.held)).collect();
        assert_eq!(seen, [("m-499", 498), ("m-1", 0)]);
        recent.hold(Failure { reason: "dns".to_owned(), ..held(500) });
        tokio::time::advance(2 * SAME_OUTAGE).await;
        recent.hold(held(501));
        assert_eq!(recent.failures().len(), 4, "another reason and another outage are others");
        assert_eq!(recent.failures()[0].held, 1);
    }
}
