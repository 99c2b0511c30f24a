//! `ReceiveMessage`: the request, and the answer with the requested attributes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attribute::Attribute;
use super::{json, parse, queue_name, unsigned};
use crate::localqueue::{BrokerError, Receive, Received, digest};

/// Longest wait of a receive, in seconds.
const MAX_WAIT_SECONDS: u32 = 20;

/// The requestable system attributes; the deprecated field also accepted names of queue attributes.
const SYSTEM_ATTRIBUTES: &[&str] = &[
    "All",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    receive_request_attempt_id: Option<String>,
}

/// A parsed receive request.
#[derive(Debug)]
pub(in crate::localqueue) struct Request {
    /// Name of the queue.
    pub(in crate::localqueue) queue: String,
    /// The parameters of the broker's receive.
    pub(in crate::localqueue) receive: Receive,
    /// Seconds to wait, 0–20; the queue's default when absent.
    pub(in crate::localqueue) wait: Option<u32>,
    system_attributes: Vec<String>,
    message_attributes: Vec<String>,
}

impl Request {
    /// Reads a request body.
    pub(in crate::localqueue) fn parse(body: &[u8]) -> Result<Self, BrokerError> {
        const WAIT_RULE: &str = "Must be >= 0 and <= 20, if provided.";
        let body: Body = parse(body)?;
        let wait = unsigned("WaitTimeSeconds", body.wait_time_seconds, WAIT_RULE)?;
        if let Some(wait) = wait.filter(|wait| *wait > MAX_WAIT_SECONDS) {
            return Err(BrokerError::invalid("WaitTimeSeconds", &wait, WAIT_RULE));
        }
        let max = unsigned(
            "MaxNumberOfMessages",
            body.max_number_of_messages,
            "Must be between 1 and 10, if provided.",
        )?;
        let mut system_attributes = body.message_system_attribute_names;
        system_attributes.extend(body.attribute_names);
        if let Some(unknown) =
            system_attributes.iter().find(|name| !SYSTEM_ATTRIBUTES.contains(&name.as_str()))
        {
            return Err(BrokerError::InvalidAttributeName(unknown.clone()));
        }
        Ok(Self {
            queue: queue_name(body.queue_url.as_deref())?.to_owned(),
            receive: Receive {
                max_messages: max.unwrap_or(1),
                visibility_timeout: unsigned(
                    "VisibilityTimeout",
                    body.visibility_timeout,
                    "Must be >= 0 and <= 43200, if provided.",
                )?,
                attempt_id: body.receive_request_attempt_id,
            },
            wait,
            system_attributes,
            message_attributes: body.message_attribute_names,
        })
    }

    /// Writes the answer; without messages it has no list at all, as Amazon's.
    pub(in crate::localqueue) fn answer(&self, messages: Vec<Received>) -> Result<Vec<u8>, BrokerError> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            messages: Vec<Item>,
        }
        json(&Answer { messages: messages.into_iter().map(|message| self.item(message)).collect() })
    }

    fn item(&self, mut message: Received) -> Item {
        message.attributes.retain(|name, _| self.wants_message_attribute(name));
        Item {
            attributes: self.system_attributes(&message),
            message_attributes: message
                .attributes
                .iter()
                .map(|(name, value)| (name.clone(), Attribute::write(value)))
                .collect(),
            md5_of_attributes: digest::of_attributes(&message.attributes),
            md5_of_body: digest::of_body(&message.body),
            id: message.message_id,
            receipt_handle: message.receipt_handle,
            body: message.body,
        }
    }

    /// Whether an attribute is requested: by `All`, by its name, or by a prefix such as `trace.*`.
    fn wants_message_attribute(&self, name: &str) -> bool {
        self.message_attributes.iter().any(|asked| {
            asked == "All"
                || asked == name
                || asked.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
        })
    }

    fn system_attributes(&self, message: &Received) -> BTreeMap<&'static str, String> {
        if self.system_attributes.is_empty() {
            return BTreeMap::new();
        }
        let all = self.system_attributes.iter().any(|name| name == "All");
        [
            ("ApproximateFirstReceiveTimestamp", Some(message.first_received_at.0.to_string())),
            ("ApproximateReceiveCount", Some(message.receive_count.to_string())),
            ("AWSTraceHeader", message.trace_header.clone()),
            ("DeadLetterQueueSourceArn", message.dead_letter_source.clone()),
            ("MessageDeduplicationId", message.deduplication_id.clone()),
            ("MessageGroupId", message.group_id.clone()),
            ("SenderId", Some(message.sender_id.clone())),
            ("SentTimestamp", Some(message.sent_at.0.to_string())),
            ("SequenceNumber", message.sequence_number.clone()),
        ]
        .into_iter()
        .filter(|(name, _)| all || self.system_attributes.iter().any(|asked| asked == name))
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    #[serde(rename = "MessageId")]
    id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_attributes: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, Attribute>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(fields: &str) -> Result<Request, BrokerError> {
        Request::parse(format!(r#"{{"QueueUrl":"http://h/0/q"{fields}}}"#).as_bytes())
    }

    #[test]
    fn a_bare_request_takes_one_message_and_the_queues_defaults() {
        let request = parsed("").unwrap();
        assert_eq!(request.queue, "q");
        assert_eq!((request.receive, request.wait), (Receive::default(), None));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for fields in [
            r#","WaitTimeSeconds":21"#,
            r#","WaitTimeSeconds":-1"#,
            r#","MaxNumberOfMessages":-1"#,
            r#","VisibilityTimeout":-1"#,
        ] {
            let code = parsed(fields).map(|_| ()).map_err(|error| error.code());
            assert_eq!(code, Err("InvalidParameterValue"), "{fields}");
        }
        let unknown = parsed(r#","AttributeNames":["Colour"]"#).map(|_| ());
        assert_eq!(unknown, Err(BrokerError::InvalidAttributeName("Colour".into())));
    }

    #[test]
    fn message_attributes_are_asked_for_by_name_or_prefix() {
        let request = parsed(r#","MessageAttributeNames":["city","app.*"]"#).unwrap();
        let wanted = |name| request.wants_message_attribute(name);
        assert!(wanted("city") && wanted("app.kind"));
        assert!(!wanted("citys") && !wanted("n"));
        assert!(parsed(r#","MessageAttributeNames":[".*"]"#).unwrap().wants_message_attribute("n"));
    }

    #[test]
    fn an_empty_answer_has_no_list() {
        assert_eq!(parsed("").unwrap().answer(Vec::new()), Ok(b"{}".to_vec()));
    }
}
