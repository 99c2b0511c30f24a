//! `SendMessage` and `SendMessageBatch`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attribute::{self, Attribute};
use super::{Call, batch, json, parse, queue_name, unsigned};
use crate::localqueue::checks::MAX_MESSAGE_BYTES;
use crate::localqueue::{AttributeData, AttributeValue, BrokerError, SendMessage, digest};

/// The one system attribute that a sender may set.
const TRACE_HEADER: &str = "AWSTraceHeader";

/// One message: a request of its own, or an entry of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    id: String,
    queue_url: Option<String>,
    message_body: Option<String>,
    message_attributes: Option<BTreeMap<String, Attribute>>,
    message_system_attributes: Option<BTreeMap<String, Attribute>>,
    delay_seconds: Option<i64>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    queue_url: Option<String>,
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    md5_of_body: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_attributes: Option<String>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_system_attributes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
}

/// `SendMessage`.
pub(super) fn one(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let message: Entry = parse(body)?;
    let queue = queue_name(message.queue_url.as_deref())?.to_owned();
    json(&send(call, &queue, None, message.read()?)?)
}

/// `SendMessageBatch`.
pub(super) fn batch(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let request: Batch = parse(body)?;
    let queue = queue_name(request.queue_url.as_deref())?;
    if !call.broker.queue_exists(queue) {
        return Err(BrokerError::QueueDoesNotExist);
    }
    batch::check_ids(request.entries.iter().map(|entry| entry.id.as_str()))?;
    let entries: Vec<_> = request.entries.into_iter().map(|entry| (entry.id.clone(), entry.read())).collect();
    let sent = entries.iter().filter_map(|(_, message)| message.as_ref().ok()).map(SendMessage::size).sum();
    if sent > MAX_MESSAGE_BYTES {
        return Err(BrokerError::BatchRequestTooLong { limit: MAX_MESSAGE_BYTES, sent });
    }
    let mut answer = batch::Answer::new();
    for (place, (id, message)) in entries.into_iter().enumerate() {
        let message = call.spared(place).and(message);
        let result = message.and_then(|message| send(call, queue, Some(id.clone()), message));
        answer.push(id, result);
    }
    json(&answer)
}

impl Entry {
    fn read(self) -> Result<SendMessage, BrokerError> {
        Ok(SendMessage {
            body: self.message_body.unwrap_or_default(),
            attributes: attribute::read_all(self.message_attributes)?,
            delay_seconds: unsigned(
                "DelaySeconds",
                self.delay_seconds,
                "DelaySeconds must be >= 0 and <= 900.",
            )?,
            group_id: self.message_group_id,
            deduplication_id: self.message_deduplication_id,
            trace_header: trace_header(self.message_system_attributes)?,
        })
    }
}

fn trace_header(attributes: Option<BTreeMap<String, Attribute>>) -> Result<Option<String>, BrokerError> {
    let mut header = None;
    for (name, attribute) in attribute::read_all(attributes)? {
        match (name.as_str(), attribute.data_type.as_str(), attribute.value) {
            (TRACE_HEADER, "String", AttributeData::Text(text)) => header = Some(text),
            _ => {
                return Err(BrokerError::InvalidMessage(format!(
                    "Entry system attribute name '{name}' is invalid."
                )));
            }
        }
    }
    Ok(header)
}

fn send(
    call: &mut Call<'_>,
    queue: &str,
    id: Option<String>,
    message: SendMessage,
) -> Result<Answer, BrokerError> {
    let md5_of_body = digest::of_body(&message.body);
    let md5_of_attributes = digest::of_attributes(&message.attributes);
    let md5_of_system_attributes = message.trace_header.as_ref().and_then(|text| {
        let value =
            AttributeValue { data_type: "String".to_owned(), value: AttributeData::Text(text.clone()) };
        digest::of_attributes(&[(TRACE_HEADER.to_owned(), value)].into())
    });
    let sent = call.broker.send(call.now, queue, message)?;
    Ok(Answer {
        id,
        message_id: sent.message_id,
        md5_of_body,
        md5_of_attributes,
        md5_of_system_attributes,
        sequence_number: sent.sequence_number,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::localqueue::{Broker, Decision, Timestamp};

    fn call(
        operation: fn(&mut Call<'_>, &[u8]) -> Result<Vec<u8>, BrokerError>,
        body: &str,
    ) -> Result<serde_json::Value, BrokerError> {
        let mut broker = Broker::new(1);
        broker.create_queue(Timestamp(0), "q", &BTreeMap::new())?;
        let decision = Decision::default();
        let mut call =
            Call { broker: &mut broker, now: Timestamp(0), origin: "http://h", decision: &decision };
        operation(&mut call, body.as_bytes()).map(|answer| serde_json::from_slice(&answer).unwrap())
    }

    #[test]
    fn the_answer_has_the_sums_of_what_was_sent() {
        let body = r#"{"QueueUrl":"q","MessageBody":"hello","MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}}}"#;
        let answer = call(one, body).unwrap();
        assert_eq!(answer["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
        assert!(answer["MD5OfMessageSystemAttributes"].is_string());
        assert!(answer.get("MD5OfMessageAttributes").is_none() && answer.get("Id").is_none());
    }

    #[test]
    fn only_the_trace_header_is_a_system_attribute_of_senders() {
        let body = r#"{"QueueUrl":"q","MessageBody":"x","MessageSystemAttributes":{"SenderId":{"DataType":"String","StringValue":"me"}}}"#;
        assert!(call(one, body).is_err());
    }

    #[test]
    fn a_bad_entry_fails_alone() {
        let body = r#"{"QueueUrl":"q","Entries":[{"Id":"a","MessageBody":"x"},{"Id":"b","MessageBody":""},{"Id":"c","MessageBody":"x","DelaySeconds":-1}]}"#;
        let answer = call(batch, body).unwrap();
        assert_eq!(answer["Successful"][0]["Id"], "a");
        assert_eq!(answer["Failed"][0]["Code"], "MissingParameter");
        assert_eq!(answer["Failed"][1]["Code"], "InvalidParameterValue");
    }

    #[test]
    fn a_batch_longer_than_a_message_may_be_is_refused_as_a_whole() {
        let long = "x".repeat(600_000);
        let body = format!(
            r#"{{"QueueUrl":"q","Entries":[{{"Id":"a","MessageBody":"{long}"}},{{"Id":"b","MessageBody":"{long}"}}]}}"#
        );
        let refused = BrokerError::BatchRequestTooLong { limit: MAX_MESSAGE_BYTES, sent: 1_200_000 };
        assert_eq!(call(batch, &body), Err(refused));
    }
}
