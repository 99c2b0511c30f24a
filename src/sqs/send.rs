//! Messages that this program sends: those of the command `send`, and copies for a dead-letter queue.
//!
//! Pure: the content of `SendMessage`. A copy keeps body, attributes, trace header and group of its original.
//! Up to eight more attributes say why it was sent and what it is a copy of. SQS's limits leave room for as many: ten
//! attributes, 1 MiB in all. The user's attributes take precedence over ours.

use std::collections::HashMap;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};

use crate::message::{Attribute, AttributeValue, Message, Outgoing};
use crate::ports::DeadLetterReason;

/// Bytes of the endpoint's answer that go along.
const ANSWER_MAX: usize = 200;
/// Prefix of our own attributes; a copy of a copy replaces them.
const OURS: &str = "queuepost.";

/// One message of a batch that SQS did not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Whether SQS may accept the message when it is sent again.
    pub retryable: bool,
    /// The meaning, and the code and text of SQS.
    pub why: String,
    /// The fix.
    pub fix: String,
}

/// Whether an attribute is one of this program's own.
pub fn is_ours(attribute: &Attribute) -> bool {
    attribute.name.starts_with(OURS)
}

/// Whether a message is a dead-letter copy of ours. A result has attributes of ours too, and is none.
pub fn is_copy(message: &Message) -> bool {
    let is_reason = |attribute: &Attribute| attribute.name.strip_prefix(OURS) == Some("reason");
    message.attributes.iter().any(is_reason)
}

/// What a dead-letter copy of ours says of its original: `source-queue` (its name), `source-message-id`,
/// `source-group-id` and `source-deduplication-id`.
pub fn source_of<'a>(message: &'a Message, what: &str) -> Option<&'a str> {
    if !is_copy(message) {
        return None;
    }
    let named = |attribute: &&Attribute| attribute.name.strip_prefix(OURS) == Some(what);
    match &message.attributes.iter().find(named)?.value {
        AttributeValue::Text(text) => Some(text),
        AttributeValue::Binary(_) => None,
    }
}

/// A copy of `message` of the queue `source` for a dead-letter queue. `None` when its body is no text, which SQS never sends.
pub(super) fn copy(
    message: &Message,
    source: &str,
    reason: &DeadLetterReason,
    fifo: bool,
) -> Option<Outgoing> {
    let body = std::str::from_utf8(&message.body).ok()?.to_owned();
    let mut attributes: Vec<Attribute> =
        message.attributes.iter().filter(|attribute| !is_ours(attribute)).cloned().collect();
    let mut size = body.len() + attributes.iter().map(Attribute::bytes).sum::<usize>();
    for attribute in explanation(message, source, reason, fifo) {
        let with_it = size + attribute.bytes();
        if attributes.len() < Outgoing::ATTRIBUTES_MAX && with_it <= Outgoing::MAX_BYTES {
            size = with_it;
            attributes.push(attribute);
        }
    }
    Some(Outgoing {
        body,
        attributes,
        delay: None,
        group_id: message.group_id.clone().or_else(|| fifo.then(|| message.id.to_string())),
        // Not the original's id. Two originals may share one, by group or after five minutes. SQS would drop
        // the second copy as a duplicate.
        deduplication_id: fifo.then(|| message.id.to_string()),
        trace_header: message.trace_header.clone(),
    })
}

/// Why the message is in the dead-letter queue, most important attribute first.
fn explanation(
    message: &Message,
    source: &str,
    reason: &DeadLetterReason,
    fifo: bool,
) -> impl Iterator<Item = Attribute> {
    let attribute = |name: &str, data_type: &str, value: String| Attribute {
        name: format!("{OURS}{name}"),
        data_type: data_type.to_owned(),
        value: AttributeValue::Text(value),
    };
    let text = |name: &str, value: Option<&str>| {
        // SQS refuses an empty value.
        value.filter(|value| !value.is_empty()).map(|value| attribute(name, "String", value.to_owned()))
    };
    let answer = reason.answer.as_deref().map(sendable);
    let group = message.group_id.as_deref().filter(|_| fifo);
    let deduplication = message.deduplication_id.as_deref().filter(|_| fifo);
    [
        text("reason", Some(reason.outcome)),
        reason.status.map(|status| attribute("status", "Number", status.to_string())),
        text("answer", answer.as_deref()),
        text("source-message-id", Some(message.id.as_str())),
        text("source-queue", Some(source)),
        text("source-group-id", group),
        text("source-deduplication-id", deduplication),
        text("listener", reason.listener.as_deref()),
    ]
    .into_iter()
    .flatten()
}

/// The beginning of an answer in the characters of XML 1.0: SQS carries no others.
fn sendable(answer: &str) -> String {
    let is_carried = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    let carried: String = answer.chars().filter(is_carried).collect();
    let (beginning, _) = carried.split_at(carried.floor_char_boundary(ANSWER_MAX));
    beginning.to_owned()
}

/// Name and value in the SDK's types; `None` without a data type, which SQS does not allow.
pub(super) fn to_sdk(attribute: Attribute) -> Option<(String, MessageAttributeValue)> {
    let value = MessageAttributeValue::builder().data_type(attribute.data_type);
    let value = match attribute.value {
        AttributeValue::Text(text) => value.string_value(text),
        AttributeValue::Binary(bytes) => value.binary_value(Blob::new(bytes)),
    };
    Some((attribute.name, value.build().ok()?))
}

/// The trace header in the SDK's types.
pub(super) fn trace(
    header: Option<String>,
) -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let value = MessageSystemAttributeValue::builder().data_type("String").string_value(header?);
    Some([(MessageSystemAttributeNameForSends::AwsTraceHeader, value.build().ok()?)].into())
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
