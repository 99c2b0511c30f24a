//! What a result says: the message that goes to a result queue when the outcome of a message is final.
//!
//! Pure: facts → the message to be sent. Which messages have a result, and when it goes out, is settlement's business.

use std::fmt::Debug;
use std::time::SystemTime;

use crate::message::{Message, Outgoing};
use crate::policy::outcome::{Body, Outcome};

/// How the results of one queue are worded.
pub trait ResultForm: Debug + Send + Sync {
    /// The result. Never fails: what cannot be worded is said in another form.
    fn of(&self, facts: &ResultFacts<'_>) -> Outgoing;
}

/// What a result tells of a message.
#[derive(Debug, Clone)]
pub struct ResultFacts<'a> {
    /// The message, as received.
    pub message: &'a Message,
    /// Whether its work is done.
    pub state: State,
    /// What its last POST came to.
    pub outcome: Outcome,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The beginning of the answer's body; empty when there was no answer.
    pub body: &'a Body,
    /// What was wrong, if no answer came.
    pub why: Option<&'a str>,
    /// When the last POST began; `None` when nothing was posted.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub ended: SystemTime,
}

/// Whether the work of a message is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The endpoint has done it.
    Success,
    /// It has not, and is not asked again.
    Failed,
}
