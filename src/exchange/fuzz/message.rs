//! A message of bytes: the body, then an attribute in each part. Names that begin with `:` are properties of SQS.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::message::{Attribute, AttributeValue, Message, MessageId, ReceiptHandle, ReceiveCount};

/// Between the parts of an input.
pub(super) const PART: u8 = 0x1e;
/// Between a name and its value.
const VALUE: u8 = 0x1f;

/// The message that these parts say.
pub(super) fn of<'a>(mut parts: impl Iterator<Item = &'a [u8]>) -> Message {
    let body = Bytes::copy_from_slice(parts.next().unwrap_or_default());
    let mut message = Message::new(MessageId::new("m-1"), ReceiptHandle::new("handle"), body);
    for part in parts {
        let (name, value) = match part.iter().position(|byte| *byte == VALUE) {
            Some(at) => (part.get(..at).unwrap_or_default(), part.get(at + 1..).unwrap_or_default()),
            None => (part, &[][..]),
        };
        let name = String::from_utf8_lossy(name).into_owned();
        match name.strip_prefix(':') {
            Some(property) => set(&mut message, property, &String::from_utf8_lossy(value)),
            None => message.attributes.push(attribute(name, value)),
        }
    }
    message.attributes.sort_by(|a, b| a.name.cmp(&b.name));
    message.attributes.dedup_by(|a, b| a.name == b.name);
    message
}

/// An attribute; bytes that are no text are a binary one.
fn attribute(name: String, value: &[u8]) -> Attribute {
    match std::str::from_utf8(value) {
        Ok(text) => {
            Attribute { name, data_type: "String".to_owned(), value: AttributeValue::Text(text.to_owned()) }
        }
        Err(_) => Attribute {
            name,
            data_type: "Binary".to_owned(),
            value: AttributeValue::Binary(Bytes::copy_from_slice(value)),
        },
    }
}

fn set(message: &mut Message, property: &str, value: &str) {
    let text = || Some(value.to_owned());
    let instant = || SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(value.parse().ok()?));
    match property {
        "id" => message.id = MessageId::new(value),
        "count" => message.receive_count = ReceiveCount::new(value.parse().unwrap_or_default()),
        "sent" => message.sent_at = instant(),
        "first" => message.first_received_at = instant(),
        "group" => message.group_id = text(),
        "deduplication" => message.deduplication_id = text(),
        "sequence" => message.sequence_number = text(),
        "trace" => message.trace_header = text(),
        "sender" => message.sender_id = text(),
        _ => {}
    }
}
