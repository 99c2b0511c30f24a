//! The shape `lambda`: messages as the event that AWS Lambda makes of messages of SQS, and its answer for each of them.
//!
//! [`record`] is the event, [`failures`] the answer. A success without `batchItemFailures` is one of all messages. One that
//! cannot be read, or names a message that was not sent, is a failure of all: so Lambda does it, and no message is deleted
//! that nobody has worked on. The Invoke API answers 200 also when a function failed, and says so in a header.
//!
//! Source: AWS Lambda developer guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event source".

mod failures;
mod record;

use std::borrow::Cow;
use std::collections::HashSet;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue};

use self::record::Queue;
use crate::exchange::{AGENT, ANSWER_KEPT, BatchShape, Request, Unshapeable, Verdicts};
use crate::message::{Message, MessageId};
use crate::policy::outcome::{Answer, Outcome};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BEGINNING: &[u8] = b"{\"Records\":[";
const END: &[u8] = b"]}";
/// What an entry of `batchItemFailures` takes, in bytes: an id of 36 characters, its key, and the spaces of printed JSON.
const ENTRY_BYTES: usize = 200;
/// Longest answer that is read: 10,000 entries.
const ANSWER_KEPT_MAX: usize = 2 * 1024 * 1024;

/// The shape of a listener's requests.
#[derive(Debug, Clone)]
pub struct Lambda {
    /// `eventSourceARN`.
    pub source_arn: String,
    /// `awsRegion`.
    pub region: String,
    /// Whether the answer names the messages that failed; else its status is the verdict on all.
    pub partial_failures: bool,
}

impl Lambda {
    fn queue(&self) -> Queue<'_> {
        Queue { arn: &self.source_arn, region: &self.region }
    }
}

impl BatchShape for Lambda {
    fn request_of(&self, messages: &[Cow<'_, Message>]) -> Result<Request, Unshapeable> {
        let bytes = messages.iter().map(|message| message.body.len()).sum::<usize>();
        let mut body = Vec::with_capacity(bytes + messages.len() * 1024);
        body.extend_from_slice(BEGINNING);
        for (position, message) in messages.iter().enumerate() {
            if position > 0 {
                body.push(b',');
            }
            let written = record::write(message, self.queue(), &mut body);
            written.map_err(|why| Unshapeable { position, why })?;
        }
        body.extend_from_slice(END);
        let headers = [(CONTENT_TYPE, JSON), (USER_AGENT, HeaderValue::from_static(AGENT))];
        Ok(Request::new(HeaderMap::from_iter(headers), body.into()))
    }

    fn size_of(&self, message: &Message) -> usize {
        // A comma comes before it, or the frame's brackets around the first.
        record::size_of(message, self.queue()).unwrap_or(message.body.len()) + 1
    }

    fn answer_kept(&self, most: usize) -> usize {
        most.saturating_mul(ENTRY_BYTES).clamp(ANSWER_KEPT, ANSWER_KEPT_MAX)
    }

    fn verdicts(&self, answer: &Answer, ids: &[MessageId]) -> Verdicts {
        if answer.function_error {
            return Verdicts::All(Outcome::Failed);
        }
        if !self.partial_failures {
            return Verdicts::All(Outcome::Success);
        }
        let Ok(failed) = failures::read(&answer.body) else { return Verdicts::All(Outcome::Failed) };
        let failed: HashSet<String> = failed.into_iter().collect();
        let known = ids.iter().filter(|id| failed.contains(id.as_str())).count();
        if known < failed.len() {
            return Verdicts::All(Outcome::Failed);
        }
        if failed.is_empty() {
            return Verdicts::All(Outcome::Success);
        }
        let verdict =
            |id: &MessageId| if failed.contains(id.as_str()) { Outcome::Failed } else { Outcome::Success };
        Verdicts::Each(ids.iter().map(verdict).collect())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
