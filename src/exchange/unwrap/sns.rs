//! The envelope of SNS (Amazon SNS developer guide, "Parsing message formats").
//!
//! Its `Message` becomes the body, and its message attributes those of the message, as raw message delivery would have it.
//! A confirmation of a subscription stays in its envelope: the token that it is about is there.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::Unwrapped;
use super::object::Object;
use crate::message::{Attribute, AttributeValue};

/// A message that was published to a topic.
pub(super) const NOTIFICATION: &str = "Notification";
/// SNS asks, or has been asked, whether a queue is to be subscribed to a topic.
pub(super) const CONFIRMATIONS: [&str; 2] = ["SubscriptionConfirmation", "UnsubscribeConfirmation"];

const FIELDS: &[&str] = &[
    "Type",
    "TopicArn",
    "MessageId",
    "Subject",
    "Timestamp",
    "SequenceNumber",
    "Message",
    "MessageAttributes",
];

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "Type")]
    data_type: String,
    #[serde(rename = "Value")]
    value: String,
}

/// Takes the envelope off, if `body` is in one.
pub(super) fn unwrap(body: &Bytes, unwrapped: &mut Unwrapped<'_>) -> Result<(), String> {
    let Some(envelope) = Object::read(body, "SNS envelope", FIELDS) else { return Ok(()) };
    let Ok(Some(kind)) = envelope.text("Type") else { return Ok(()) };
    let is_notification = kind == NOTIFICATION;
    if envelope.raw("TopicArn").is_none() || !(is_notification || CONFIRMATIONS.contains(&kind.as_str())) {
        return Ok(());
    }
    let names = [
        ("x-queuepost-sns-topic-arn", "TopicArn"),
        ("x-queuepost-sns-message-id", "MessageId"),
        ("x-queuepost-sns-subject", "Subject"),
        ("x-queuepost-sns-timestamp", "Timestamp"),
        ("x-queuepost-sns-sequence-number", "SequenceNumber"),
    ];
    unwrapped.property("x-queuepost-sns-type", Some(kind));
    for (header, field) in names {
        unwrapped.property(header, envelope.text(field)?);
    }
    if is_notification {
        unwrapped.attributes(attributes(&envelope)?);
        let message = envelope.text("Message")?;
        unwrapped.body(message.ok_or("the SNS envelope has no `Message`")?);
    }
    Ok(())
}

fn attributes(envelope: &Object<'_>) -> Result<Vec<Attribute>, String> {
    const KIND: &str = "an object of attributes, each with a `Type` and a `Value` that are strings";
    let typed: Option<BTreeMap<String, Typed>> = envelope.read_as("MessageAttributes", KIND)?;
    let attribute = |(name, Typed { data_type, value }): (String, Typed)| {
        let value = if data_type == "Binary" || data_type.starts_with("Binary.") {
            let bytes = STANDARD.decode(value);
            AttributeValue::Binary(
                bytes.map_err(|_| "a binary attribute of the SNS envelope is not base64")?.into(),
            )
        } else {
            AttributeValue::Text(value)
        };
        Ok(Attribute { name, data_type, value })
    };
    typed.unwrap_or_default().into_iter().map(attribute).collect()
}
