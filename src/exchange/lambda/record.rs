//! A message as a record of the event that AWS Lambda makes of messages of SQS.
//!
//! Names, and values that are texts even where they are numbers, are Lambda's. What the queue did not say of a message is
//! left out. Both MD5 sums are computed of what is sent: `unwrap` may have changed the body. Source of the sum of attributes:
//! SQS developer guide, "Calculating the MD5 message digest for message attributes".

use std::io::{Error, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::message::{Attribute, AttributeValue, Message};

const EVENT_SOURCE: &str = "aws:sqs";
/// Marks of a text and of a binary value in the sum of attributes.
const TEXT: u8 = 1;
const BINARY: u8 = 2;
/// Digits of an MD5 sum.
const SUM_DIGITS: usize = 32;

/// What all records of a listener have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queue<'a> {
    pub(super) arn: &'a str,
    pub(super) region: &'a str,
}

/// One record; the order of its members is Lambda's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    body: &'a str,
    attributes: System<'a>,
    #[serde(serialize_with = "attributes")]
    message_attributes: &'a [Attribute],
    #[serde(skip_serializing_if = "Option::is_none")]
    md5_of_message_attributes: Option<String>,
    md5_of_body: String,
    event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'a str,
}

/// The attributes that SQS gave a message.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct System<'a> {
    approximate_receive_count: String,
    #[serde(rename = "AWSTraceHeader", skip_serializing_if = "Option::is_none")]
    trace_header: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_deduplication_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_first_receive_timestamp: Option<String>,
}

/// An attribute that a sender gave a message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Given<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
    string_list_values: [(); 0],
    binary_list_values: [(); 0],
    data_type: &'a str,
}

/// Writes the record of a message.
///
/// # Errors
/// Why there is none, without words of the message.
pub(super) fn write(message: &Message, queue: Queue<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    let sums = (of_body(&message.body), of_attributes(&message.attributes));
    serialise(message, queue, sums, out)
}

/// Bytes of the record of a message; `None` if there is none.
pub(super) fn size_of(message: &Message, queue: Queue<'_>) -> Option<usize> {
    let sum = || "0".repeat(SUM_DIGITS);
    let of_attributes = (!message.attributes.is_empty()).then(sum);
    let mut count = Count(0);
    serialise(message, queue, (sum(), of_attributes), &mut count).ok().map(|()| count.0)
}

fn serialise(
    message: &Message,
    queue: Queue<'_>,
    (md5_of_body, md5_of_message_attributes): (String, Option<String>),
    out: impl Write,
) -> Result<(), String> {
    let body = std::str::from_utf8(&message.body).map_err(|_| "its body is no UTF-8".to_owned())?;
    let record = Record {
        message_id: message.id.as_str(),
        receipt_handle: message.receipt.expose(),
        body,
        attributes: System {
            approximate_receive_count: message.receive_count.get().to_string(),
            trace_header: message.trace_header.as_deref(),
            sent_timestamp: message.sent_at.and_then(millis),
            sequence_number: message.sequence_number.as_deref(),
            message_group_id: message.group_id.as_deref(),
            sender_id: message.sender_id.as_deref(),
            message_deduplication_id: message.deduplication_id.as_deref(),
            approximate_first_receive_timestamp: message.first_received_at.and_then(millis),
        },
        message_attributes: &message.attributes,
        md5_of_message_attributes,
        md5_of_body,
        event_source: EVENT_SOURCE,
        event_source_arn: queue.arn,
        aws_region: queue.region,
    };
    serde_json::to_writer(out, &record).map_err(|_| "its record makes no JSON".to_owned())
}

fn attributes<S: Serializer>(attributes: &[Attribute], serializer: S) -> Result<S::Ok, S::Error> {
    let mut members = serializer.serialize_map(Some(attributes.len()))?;
    for attribute in attributes {
        let (string_value, binary_value) = match &attribute.value {
            AttributeValue::Text(text) => (Some(text.as_str()), None),
            AttributeValue::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        let data_type = attribute.data_type.as_str();
        let (string_list_values, binary_list_values) = ([], []);
        let value = Given { string_value, binary_value, string_list_values, binary_list_values, data_type };
        members.serialize_entry(&attribute.name, &value)?;
    }
    members.end()
}

/// Milliseconds since 1970, as SQS writes times.
fn millis(at: SystemTime) -> Option<String> {
    at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_millis().to_string())
}

fn of_body(body: &[u8]) -> String {
    hex(Md5::digest(body).into())
}

/// The 16 bytes of a sum, as the digits SQS writes.
fn hex(sum: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(sum))
}

/// The sum of attributes, which are in the order of their names; `None` without any.
fn of_attributes(attributes: &[Attribute]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut sum = Md5::new();
    let field = |sum: &mut Md5, bytes: &[u8]| {
        // Messages have 1 MiB at most, so a length always fits.
        sum.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        sum.update(bytes);
    };
    for attribute in attributes {
        field(&mut sum, attribute.name.as_bytes());
        field(&mut sum, attribute.data_type.as_bytes());
        match &attribute.value {
            AttributeValue::Text(text) => {
                sum.update([TEXT]);
                field(&mut sum, text.as_bytes());
            }
            AttributeValue::Binary(bytes) => {
                sum.update([BINARY]);
                field(&mut sum, bytes);
            }
        }
    }
    Some(hex(sum.finalize().into()))
}

/// Counts what is written.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
