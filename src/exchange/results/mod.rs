//! What a result says: the message that goes to a result queue when the outcome of a message is final.
//!
//! Pure: facts → the message to be sent. Which messages have a result, and when it goes out, is settlement's business.
//!
//! - `form`: how the results of one queue are worded; a wording that fails is replaced by the default one.
//! - `json`: the default wording; `matillion`: that of Matillion's own SQS listener.
//! - `packed`: what SQS takes as a body, gzip, and the limit of 256 KiB that every server takes.

mod form;
mod json;
mod matillion;
mod packed;

pub use form::{Form, Format, Worded, Wording};

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

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

impl<'a> ResultFacts<'a> {
    /// What was wrong, in words: always there if a POST has no answer.
    pub(in crate::exchange) fn error(&self) -> Option<&'a str> {
        let of_outcome = match (self.status, self.outcome) {
            (None, Outcome::TimedOut) => Some("no complete answer came in time"),
            (None, Outcome::Aborted) => Some("the POST was cut off at the end of the process"),
            _ => None,
        };
        self.why.or(of_outcome)
    }
}

/// Whether the work of a message is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The endpoint has done it.
    Success,
    /// It has not, and is not asked again.
    Failed,
}

impl State {
    /// As results say it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        }
    }
}

/// Milliseconds since 1970; `None` for times before that.
pub(in crate::exchange) fn epoch_ms(at: SystemTime) -> Option<u64> {
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The body as text, without a character that its end cuts in two; `None` when it is no UTF-8.
pub(in crate::exchange) fn text_of(body: &Body) -> Option<&str> {
    match std::str::from_utf8(&body.kept) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && !body.is_whole => {
            std::str::from_utf8(body.kept.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
    }
}

/// The beginning of a text, of at most so many bytes.
fn beginning(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
