//! What is sent to another queue before a message leaves: a copy for the dead-letter queue, or a result.
//!
//! A copy is made of the message when it is sent. A result is worded when the outcome is known, because the answer is not
//! kept. The words may be left out later, for lack of room or because SQS refuses them. What is owed then is a short
//! result: it has neither the answer's body nor the contents of the message, and says why.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::exchange::results::{ResultFacts, State};
use crate::message::{Message, Outgoing};
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::results::{ResultQueue, Results};
use crate::policy::decide::Disposition;
use crate::policy::outcome::{Body, Outcome};
use crate::ports::DeadLetterReason;

/// Something that is sent before a message leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) enum Forward {
    /// A copy of the message, for the dead-letter queue.
    Copy(DeadLetterReason),
    /// A result, for the result queue of its state.
    Result(Owed),
}

impl Forward {
    /// The result that a message owes before it leaves so, if it has one. `is_last`: SQS hands it out no more.
    pub(in crate::pipeline) fn result(
        results: &Results,
        message: &Message,
        posted: &Posted,
        (disposition, is_last): (Disposition, bool),
        now: SystemTime,
    ) -> Option<Self> {
        let state = results.state(disposition, posted.outcome, is_last)?;
        let queue = results.queue(state)?;
        let started = posted.started;
        let ended = started.zip(posted.took).map_or(now, |(started, took)| started + took);
        let told = Told { state, outcome: posted.outcome, status: posted.seen.status, started, ended };
        Some(Self::Result(Owed::new(queue, told, message, (&posted.body, posted.why.as_deref()))))
    }

    /// Bytes kept for it that the message does not bring along.
    pub(in crate::pipeline) fn bytes(&self) -> usize {
        match self {
            Self::Copy(_) => 0,
            Self::Result(owed) => owed.bytes(),
        }
    }
}

/// A result that was not accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Owed {
    pub(in crate::pipeline) told: Told,
    /// Its words; `None` once they are forgotten.
    pub(in crate::pipeline) words: Option<Arc<Outgoing>>,
    /// It has been shortened.
    pub(in crate::pipeline) is_short: bool,
}

/// What every result says, however short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) struct Told {
    pub(in crate::pipeline) state: State,
    pub(in crate::pipeline) outcome: Outcome,
    pub(in crate::pipeline) status: Option<u16>,
    pub(in crate::pipeline) started: Option<SystemTime>,
    pub(in crate::pipeline) ended: SystemTime,
}

impl Owed {
    /// In full.
    pub(in crate::pipeline) fn new(
        queue: &ResultQueue,
        told: Told,
        message: &Message,
        (body, why): (&Body, Option<&str>),
    ) -> Self {
        let words = Some(Arc::new(queue.form.of(&told.facts(message, body, why))));
        Self { told, words, is_short: false }
    }

    /// Leaves out the answer's body and the contents of the message; `why` says so in its place.
    pub(in crate::pipeline) fn shorten(&mut self, queue: &ResultQueue, message: &Message, why: &str) {
        let message = Message { body: Bytes::new(), attributes: Vec::new(), ..message.clone() };
        let body = Body { is_whole: false, ..Body::default() };
        *self = Self::new(queue, self.told, &message, (&body, Some(why)));
        self.is_short = true;
    }

    fn bytes(&self) -> usize {
        self.words.as_ref().map_or(0, |words| words.bytes())
    }
}

impl Told {
    fn facts<'a>(self, message: &'a Message, body: &'a Body, why: Option<&'a str>) -> ResultFacts<'a> {
        let Self { state, outcome, status, started, ended } = self;
        ResultFacts { message, state, outcome, status, body, why, started, ended }
    }
}
