//! Messages we put on a queue: a person's, and copies for a dead-letter queue.
//!
//! Pure: what goes into `SendMessage`. A copy keeps body, attributes, trace header and group of its original and
//! says why it is there in up to three attributes of ours, while SQS's limits leave room: ten attributes, one
//! mebibyte in all. The user's attributes come first; the reason is worth less than they are.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};

use crate::message::{Attribute, AttributeValue, Message};
use crate::ports::DeadLetterReason;

/// Most attributes of a message (AWS limit).
const ATTRIBUTES_MAX: usize = 10;
/// Start of the names of our own attributes; a copy of a copy replaces them.
const OURS: &str = "queuepost.";

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Text as SQS allows it, at most 1 MiB with the attributes.
    pub body: String,
    /// At most ten.
    pub attributes: Vec<Attribute>,
    /// Hides the message at first; whole seconds, at most 15 minutes; not for single messages of FIFO queues.
    pub delay: Option<Duration>,
    /// Message group: required by FIFO queues, the tenant of fair ones.
    pub group_id: Option<String>,
    /// Deduplication id, for FIFO queues that do not take it from the body.
    pub deduplication_id: Option<String>,
    /// X-Ray trace header (`AWSTraceHeader`).
    pub trace_header: Option<String>,
}

/// One message of a batch that SQS did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Whether it may be taken when sent again.
    pub retryable: bool,
    /// What it means and what SQS said: code and message.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

impl Outgoing {
    /// Longest message, and most bytes of one batch of messages (AWS limit since 2025; a queue may allow less).
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// What it counts for in that limit: body and attributes together.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.attributes.iter().map(size_of).sum::<usize>()
    }
}

impl<T: ToString + ?Sized> From<&T> for Outgoing {
    /// A body and nothing else.
    fn from(body: &T) -> Self {
        Self { body: body.to_string(), ..Self::default() }
    }
}

/// A copy of `message` for a dead-letter queue; `None` when its body is no text, which SQS never sends.
pub(super) fn copy(message: &Message, reason: &DeadLetterReason, fifo: bool) -> Option<Outgoing> {
    let body = std::str::from_utf8(&message.body).ok()?.to_owned();
    let mut attributes: Vec<Attribute> =
        message.attributes.iter().filter(|attribute| !attribute.name.starts_with(OURS)).cloned().collect();
    let mut size = body.len() + attributes.iter().map(size_of).sum::<usize>();
    for attribute in explanation(message, reason) {
        let with_it = size + size_of(&attribute);
        if attributes.len() < ATTRIBUTES_MAX && with_it <= Outgoing::MAX_BYTES {
            size = with_it;
            attributes.push(attribute);
        }
    }
    Some(Outgoing {
        body,
        attributes,
        delay: None,
        group_id: message.group_id.clone().or_else(|| fifo.then(|| message.id.to_string())),
        // Not the original's: two originals may share one, by group or after five minutes, and the second
        // copy would be taken for a repetition and dropped.
        deduplication_id: fifo.then(|| message.id.to_string()),
        trace_header: message.trace_header.clone(),
    })
}

/// Why a message is in the dead-letter queue, the most telling attribute first.
fn explanation(message: &Message, reason: &DeadLetterReason) -> impl Iterator<Item = Attribute> {
    let ours = |name: &str, data_type: &str, value: String| Attribute {
        name: format!("{OURS}{name}"),
        data_type: data_type.to_owned(),
        value: AttributeValue::Text(value),
    };
    let status = reason.status.map(|status| ours("status", "Number", status.to_string()));
    [
        Some(ours("reason", "String", reason.outcome.to_owned())),
        status,
        Some(ours("source-message-id", "String", message.id.to_string())),
    ]
    .into_iter()
    .flatten()
}

/// What an attribute counts for: name, type and value (AWS's rule).
fn size_of(attribute: &Attribute) -> usize {
    let value = match &attribute.value {
        AttributeValue::Text(text) => text.len(),
        AttributeValue::Binary(bytes) => bytes.len(),
    };
    attribute.name.len() + attribute.data_type.len() + value
}

/// Name and value as the SDK takes them; `None` without a data type, which SQS does not allow.
pub(super) fn to_sdk(attribute: Attribute) -> Option<(String, MessageAttributeValue)> {
    let value = MessageAttributeValue::builder().data_type(attribute.data_type);
    let value = match attribute.value {
        AttributeValue::Text(text) => value.string_value(text),
        AttributeValue::Binary(bytes) => value.binary_value(Blob::new(bytes)),
    };
    Some((attribute.name, value.build().ok()?))
}

/// The trace header as the SDK takes it.
pub(super) fn trace(
    header: Option<String>,
) -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let value = MessageSystemAttributeValue::builder().data_type("String").string_value(header?);
    Some([(MessageSystemAttributeNameForSends::AwsTraceHeader, value.build().ok()?)].into())
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
