//! Reads an answer to a receive message by message when the SDK cannot read it.
//!
//! The SDK reads an answer as a whole or not at all. One attribute that is no base64, or has no type, would
//! block all messages of the answer. They would be received again and again until they are dead-lettered.
//! Amazon sends no such attribute; servers that imitate it do.
//! This file reads only answers that the SDK failed to read. A message that cannot be read here either is
//! counted and left out. An answer without a list of messages stays the SDK's failure.

use std::collections::HashMap;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::receive_message::{ReceiveMessageError, ReceiveMessageOutput};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// The result of a receive.
#[derive(Debug)]
pub(super) struct Answer {
    /// The messages that could be read.
    pub(super) messages: Vec<Message>,
    /// How many messages could not be read.
    pub(super) malformed: u64,
}

/// The messages read by the SDK, or those that can be read without it.
#[expect(clippy::result_large_err, reason = "the SDK's own result, passed on once per receive")]
pub(super) fn read(
    received: Result<ReceiveMessageOutput, SdkError<ReceiveMessageError, HttpResponse>>,
) -> Result<Answer, SdkError<ReceiveMessageError, HttpResponse>> {
    received
        .map(|output| Answer { messages: output.messages.unwrap_or_default(), malformed: 0 })
        .or_else(|error| by_message(&error).ok_or(error))
}

fn by_message(error: &SdkError<ReceiveMessageError, HttpResponse>) -> Option<Answer> {
    let response = error.raw_response().filter(|response| response.status().is_success())?;
    let whole: Whole = serde_json::from_slice(response.body().bytes()?).ok()?;
    let count = whole.messages.len();
    let messages: Vec<Message> = whole.messages.into_iter().filter_map(message).collect();
    let malformed = u64::try_from(count - messages.len()).unwrap_or(u64::MAX);
    Some(Answer { messages, malformed })
}

#[derive(Deserialize)]
struct Whole {
    #[serde(rename = "Messages")]
    messages: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<String>,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: Option<String>,
    #[serde(default)]
    attributes: HashMap<String, String>,
    #[serde(default)]
    message_attributes: HashMap<String, WrittenAttribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenAttribute {
    data_type: String,
    string_value: Option<String>,
    binary_value: Option<String>,
}

fn message(written: Value) -> Option<Message> {
    let written: Written = serde_json::from_value(written).ok()?;
    let named = |(name, value): (String, String)| (MessageSystemAttributeName::from(name.as_str()), value);
    let attributes: Option<HashMap<String, MessageAttributeValue>> =
        written.message_attributes.into_iter().map(|(name, value)| Some((name, attribute(value)?))).collect();
    Some(
        Message::builder()
            .set_message_id(written.message_id)
            .set_receipt_handle(written.receipt_handle)
            .set_body(written.body)
            .set_md5_of_body(written.md5_of_body)
            .set_attributes(Some(written.attributes.into_iter().map(named).collect()))
            .set_message_attributes(Some(attributes?))
            .build(),
    )
}

fn attribute(written: WrittenAttribute) -> Option<MessageAttributeValue> {
    let binary = written.binary_value.map(|text| STANDARD.decode(text).map(Blob::new)).transpose().ok()?;
    MessageAttributeValue::builder()
        .data_type(written.data_type)
        .set_string_value(written.string_value)
        .set_binary_value(binary)
        .build()
        .ok()
}
