//! From the SDK's message to ours.
//!
//! No answer of SQS stops the loop, and no gap in the answer of a compatible server. A missing or unreadable
//! time or count becomes no value; a missing body becomes an empty one. Three kinds of messages are left out:
//!
//! - a message without id or receipt handle, because it could never be settled;
//! - one whose id or handle is longer than SQS's, because this process remembers both;
//! - one whose body does not match its MD5 sum, because it was damaged on the way.
//!
//! SQS hands them out again when their visibility ends.

use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::{self, MessageAttributeValue, MessageSystemAttributeName as Name};
use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::message::{Attribute, AttributeValue, Message, MessageId, ReceiptHandle, ReceiveCount};
use crate::ports::LeftOut;

/// Longest message id that is accepted, in bytes. Amazon's have 36 characters.
const ID_MAX: usize = 256;
/// Longest receipt handle that is accepted, in bytes. Amazon's have about 400 characters, 1,024 at most.
const HANDLE_MAX: usize = 4 * 1024;

/// Converts one message; an error for a message that must be left out.
pub(super) fn message(received: types::Message) -> Result<Message, LeftOut> {
    let (Some(id), Some(receipt)) = (received.message_id, received.receipt_handle) else {
        return Err(LeftOut::Unidentified);
    };
    // Neither could be named in a call.
    if id.is_empty() || receipt.is_empty() {
        return Err(LeftOut::Unidentified);
    }
    if id.len() > ID_MAX || receipt.len() > HANDLE_MAX {
        return Err(LeftOut::TooLong);
    }
    let body = received.body.unwrap_or_default();
    if received.md5_of_body.is_some_and(|sum| !is_md5_of(&sum, &body)) {
        return Err(LeftOut::Damaged);
    }
    let mut system = received.attributes.unwrap_or_default();
    Ok(Message {
        id: MessageId::new(id),
        receipt: ReceiptHandle::new(receipt),
        body: Bytes::from(body),
        receive_count: system
            .get(&Name::ApproximateReceiveCount)
            .and_then(|count| count.parse().ok())
            .map_or(ReceiveCount::FIRST, ReceiveCount::new),
        sent_at: system.get(&Name::SentTimestamp).and_then(|at| instant(at)),
        first_received_at: system.get(&Name::ApproximateFirstReceiveTimestamp).and_then(|at| instant(at)),
        group_id: system.remove(&Name::MessageGroupId),
        deduplication_id: system.remove(&Name::MessageDeduplicationId),
        sequence_number: system.remove(&Name::SequenceNumber),
        trace_header: system.remove(&Name::AwsTraceHeader),
        sender_id: system.remove(&Name::SenderId),
        attributes: attributes(received.message_attributes.into_iter().flatten()),
    })
}

/// Whether `sum` is the MD5 sum of `body`, in hexadecimal digits.
fn is_md5_of(sum: &str, body: &str) -> bool {
    let digest = Md5::digest(body.as_bytes());
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = sum.as_bytes().chunks(2);
    sum.len() == digest.len() * 2
        && pairs.zip(digest).all(|(pair, byte)| match pair {
            [high, low] => nibble(*high) == Some(byte >> 4) && nibble(*low) == Some(byte & 0xF),
            _ => false,
        })
}

/// The user attributes, sorted by name: the SDK's map has no order.
fn attributes(received: impl Iterator<Item = (String, MessageAttributeValue)>) -> Vec<Attribute> {
    let mut attributes: Vec<Attribute> = received
        .map(|(name, attribute)| {
            let value = match (attribute.string_value, attribute.binary_value) {
                (Some(text), _) => AttributeValue::Text(text),
                (None, Some(blob)) => AttributeValue::Binary(Bytes::from(blob.into_inner())),
                (None, None) => AttributeValue::Text(String::new()),
            };
            Attribute { name, data_type: attribute.data_type, value }
        })
        .collect();
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    attributes
}

/// A time in SQS's format: milliseconds since 1970.
fn instant(millis: &str) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::primitives::Blob;

    use super::*;

    fn bare() -> types::builders::MessageBuilder {
        types::Message::builder().message_id("4a1b").receipt_handle("AQEB")
    }

    fn attribute(data_type: &str) -> types::builders::MessageAttributeValueBuilder {
        MessageAttributeValue::builder().data_type(data_type)
    }

    #[test]
    fn every_property_arrives() {
        let received = bare()
            .body("{}")
            .attributes(Name::ApproximateReceiveCount, "3")
            .attributes(Name::SentTimestamp, "1700000000123")
            .attributes(Name::ApproximateFirstReceiveTimestamp, "1700000001000")
            .attributes(Name::MessageGroupId, "g")
            .attributes(Name::MessageDeduplicationId, "d")
            .attributes(Name::SequenceNumber, "18849496460467696128")
            .attributes(Name::AwsTraceHeader, "Root=1-2-3")
            .attributes(Name::SenderId, "AIDA")
            .message_attributes("b", attribute("Binary").binary_value(Blob::new([0, 255])).build().unwrap())
            .message_attributes("a", attribute("Number").string_value("7").build().unwrap())
            .build();
        let message = message(received).unwrap();
        let at = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        assert_eq!(message.id.as_str(), "4a1b");
        assert_eq!(message.receipt.expose(), "AQEB");
        assert_eq!(message.body, "{}");
        assert_eq!(message.receive_count.get(), 3);
        assert_eq!(message.sent_at, at(1_700_000_000_123));
        assert_eq!(message.first_received_at, at(1_700_000_001_000));
        assert_eq!(message.group_id.as_deref(), Some("g"));
        assert_eq!(message.deduplication_id.as_deref(), Some("d"));
        assert_eq!(message.sequence_number.as_deref(), Some("18849496460467696128"));
        assert_eq!(message.trace_header.as_deref(), Some("Root=1-2-3"));
        assert_eq!(message.sender_id.as_deref(), Some("AIDA"));
        let names: Vec<&str> = message.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(message.attributes[0].value, AttributeValue::Text("7".to_owned()));
        assert_eq!(message.attributes[1].value, AttributeValue::Binary(Bytes::from_static(&[0, 255])));
    }

    #[test]
    fn what_is_missing_or_nonsense_is_no_value() {
        let received = bare()
            .attributes(Name::ApproximateReceiveCount, "many")
            .attributes(Name::SentTimestamp, "-1")
            .attributes(Name::ApproximateFirstReceiveTimestamp, "99999999999999999999")
            .message_attributes("a", attribute("String").build().unwrap())
            .build();
        let message = message(received).unwrap();
        assert!(message.body.is_empty());
        assert_eq!(message.receive_count, ReceiveCount::FIRST);
        assert_eq!((message.sent_at, message.first_received_at), (None, None));
        assert_eq!(message.attributes[0].value, AttributeValue::Text(String::new()));
    }

    #[test]
    fn a_message_that_could_not_be_settled_is_left_out() {
        let without_handle = types::Message::builder().message_id("4a1b").build();
        let without_id = types::Message::builder().receipt_handle("AQEB").build();
        let with_an_empty_handle = types::Message::builder().message_id("4a1b").receipt_handle("").build();
        let with_an_empty_id = types::Message::builder().message_id("").receipt_handle("AQEB").build();
        for theirs in [without_handle, without_id, with_an_empty_handle, with_an_empty_id] {
            assert_eq!(message(theirs).unwrap_err(), LeftOut::Unidentified);
        }
    }

    #[test]
    fn an_id_or_a_handle_longer_than_any_of_sqs_leaves_its_message_out() {
        let with = |id: usize, handle: usize| {
            let (id, handle) = ("i".repeat(id), "h".repeat(handle));
            message(bare().message_id(id).receipt_handle(handle).build()).map(drop)
        };
        assert_eq!(with(256, 4096), Ok(()));
        assert_eq!(with(257, 1), Err(LeftOut::TooLong));
        assert_eq!(with(1, 4097), Err(LeftOut::TooLong));
    }

    #[test]
    fn a_body_that_does_not_match_its_md5_sum_leaves_its_message_out() {
        let with = |sum: &str| message(bare().body("hello").md5_of_body(sum).build()).map(drop);
        assert_eq!(with("5d41402abc4b2a76b9719d911017c592"), Ok(()));
        assert_eq!(with("5D41402ABC4B2A76B9719D911017C592"), Ok(()));
        for wrong in [
            "5d41402abc4b2a76b9719d911017c593",
            "",
            "5d41402abc4b2a76b9719d911017c5",
            "é".repeat(16).as_str(),
        ] {
            assert_eq!(with(wrong), Err(LeftOut::Damaged), "{wrong}");
        }
    }
}
