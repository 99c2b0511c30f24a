//! A result queue of a simulated world, whose calls fail by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::exchange::results::{ResultFacts, ResultForm, State};
use queuepost::localqueue::SendMessage;
use queuepost::pipeline::{ResultQueue, When};
use queuepost::policy::advice::queue::Named;
use queuepost::ports::{
    BatchResult, BoxFuture, EntryError, EntryErrorKind, Operation, Outbox, Outgoing, QueueError, QueueReason,
};
use tokio::time::Instant;

use super::simulated_queue::World;

/// How a call of the outbox behaves.
#[derive(Debug, Clone, Copy)]
pub enum Sends {
    /// The call is carried out.
    Work,
    /// It is refused as a whole.
    Refused(QueueReason),
    /// It is carried out, and its answer is lost.
    AnswerLost(QueueReason),
    /// It is carried out if so, and times out at the caller.
    NoAnswer { carried_out: bool },
    /// Each entry fails alone.
    EntriesFail(EntryErrorKind),
    /// Entries whose text is longer than so many bytes are refused.
    Longest(usize),
    /// Of each call the first entry works, and the others fail.
    OnlyFirst,
    /// The caller panics.
    Panics,
}

/// Timeout of a call, as in the adapter.
const LIMIT: Duration = Duration::from_secs(5);

/// A result queue.
pub struct SimOutbox {
    world: World,
    name: String,
    how: Mutex<Sends>,
    /// What the next calls do instead.
    next: Mutex<VecDeque<Sends>>,
    /// When each call began, and how many results it carried.
    calls: Mutex<Vec<(Instant, usize)>>,
}

impl SimOutbox {
    /// One in whose world a queue of this name exists.
    pub fn new(world: &World, name: &str) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            name: name.to_owned(),
            how: Mutex::new(Sends::Work),
            next: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    /// How every call behaves from now on.
    pub fn set(&self, how: Sends) {
        *self.how.lock().unwrap() = how;
    }

    /// How the next call behaves.
    pub fn once(&self, how: Sends) {
        self.next.lock().unwrap().push_back(how);
    }

    /// How many results each call carried that began at `since` or later.
    pub fn calls(&self, since: Instant) -> Vec<usize> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(at, _)| *at >= since).map(|(_, count)| *count).collect()
    }

    /// The texts of the results that were accepted, in order of acceptance.
    pub fn accepted(&self) -> Vec<String> {
        let all = self.world.look(|broker, now| broker.inspect(now, &self.name));
        all.into_iter().map(|message| message.body).collect()
    }

    fn put(&self, results: &[Outgoing]) -> Vec<Result<(), EntryError>> {
        let put = |result: &Outgoing| {
            let message = SendMessage {
                body: result.body.clone(),
                group_id: result.group_id.clone(),
                deduplication_id: result.deduplication_id.clone(),
                ..SendMessage::default()
            };
            self.world
                .with(|broker, now| broker.send(now, &self.name, message))
                .map(drop)
                .map_err(|error| EntryError { kind: EntryErrorKind::Refused, code: error.code().to_owned() })
        };
        results.iter().map(put).collect()
    }

    fn failure(&self, reason: QueueReason) -> QueueError {
        let (name, named) = (Arc::from(self.name.as_str()), Named::default());
        QueueError::new(Operation::Send, name, reason, &named, "by the script".into())
    }
}

fn failed(kind: EntryErrorKind) -> Result<(), EntryError> {
    Err(EntryError { kind, code: "ByTheScript".to_owned() })
}

impl Outbox for SimOutbox {
    fn name(&self) -> &str {
        &self.name
    }

    fn send<'a>(&'a self, messages: &'a [Outgoing]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            assert!((1..=10).contains(&messages.len()), "{} in one call", messages.len());
            let bytes: usize = messages.iter().map(Outgoing::bytes).sum();
            assert!(messages.len() == 1 || bytes <= Outgoing::BATCH_BYTES, "{bytes} bytes in one call");
            self.calls.lock().unwrap().push((Instant::now(), messages.len()));
            let next = self.next.lock().unwrap().pop_front();
            let mut how = next.unwrap_or(*self.how.lock().unwrap());
            if !self.world.look(|broker, _| broker.queue_exists(&self.name)) {
                how = Sends::Refused(QueueReason::QueueMissing);
            }
            match how {
                Sends::Work => Ok(self.put(messages)),
                Sends::Panics => panic!("by the script"),
                Sends::Refused(reason) => Err(self.failure(reason)),
                Sends::AnswerLost(reason) => {
                    self.put(messages);
                    Err(self.failure(reason))
                }
                Sends::NoAnswer { carried_out } => {
                    if carried_out {
                        self.put(messages);
                    }
                    tokio::time::sleep(LIMIT).await;
                    Err(self.failure(QueueReason::TimedOut))
                }
                Sends::EntriesFail(kind) => Ok(messages.iter().map(|_| failed(kind)).collect()),
                Sends::OnlyFirst => {
                    let mut results = self.put(&messages[..1]);
                    results.extend(messages[1..].iter().map(|_| failed(EntryErrorKind::Retryable)));
                    Ok(results)
                }
                Sends::Longest(most) => {
                    let each = messages.iter().map(|message| {
                        if message.body.len() > most {
                            failed(EntryErrorKind::Refused)
                        } else {
                            self.put(std::slice::from_ref(message)).remove(0)
                        }
                    });
                    Ok(each.collect())
                }
            }
        })
    }
}

/// A result in a line: state, body of the message, status, and the answer or why there is none.
#[derive(Debug)]
pub struct Line;

impl ResultForm for Line {
    fn of(&self, facts: &ResultFacts<'_>) -> Outgoing {
        let state = match facts.state {
            State::Success => "done",
            State::Failed => "failed",
        };
        let message = String::from_utf8_lossy(&facts.message.body);
        let answer = String::from_utf8_lossy(&facts.body.kept);
        let status = facts.status.unwrap_or_default();
        let why = facts.why.unwrap_or_default();
        assert!(facts.started.is_none_or(|started| started <= facts.ended), "it ended before it began");
        Outgoing::from(&format!("{state} {message} {status} {}{answer}{why}", facts.outcome.label()))
    }
}

/// Results in lines, of final outcomes alone.
pub fn results_to(outbox: &Arc<SimOutbox>) -> ResultQueue {
    ResultQueue { outbox: Arc::clone(outbox) as _, form: Arc::new(Line), on: When::Final }
}
