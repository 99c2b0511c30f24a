//! The forms of a message: as sent, as received, and as a test inspects it.
//!
//! These types are the interface of [`Broker`](super::Broker). `store` defines how a queue keeps a message,
//! `wire` its form on the wire.

use std::collections::BTreeMap;

use super::Timestamp;

/// A message attribute: a type label and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeValue {
    /// `String`, `Number` or `Binary`, optionally followed by a dot and a label of the sender's.
    pub data_type: String,
    /// The value; binary exactly when the type says so.
    pub value: AttributeData,
}

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeData {
    /// The value of a `String` or `Number`.
    Text(String),
    /// The value of a `Binary`, decoded.
    Binary(Vec<u8>),
}

impl AttributeData {
    /// The bytes that count towards sizes and digests.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// A message on its way into a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendMessage {
    /// The body; at least one character, XML-legal Unicode only.
    pub body: String,
    /// At most 10 attributes.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Seconds before the first receive is possible, 0–900; the queue's own delay when absent. Not for FIFO queues.
    pub delay_seconds: Option<u32>,
    /// FIFO: the group within which order holds (required). Standard: the tenant of a fair queue.
    pub group_id: Option<String>,
    /// FIFO: messages with an id seen within 5 minutes are accepted and dropped.
    pub deduplication_id: Option<String>,
    /// The `AWSTraceHeader` system attribute.
    pub trace_header: Option<String>,
}

impl SendMessage {
    /// Bytes that count towards the size limits: the body, and name, type and value of each attribute.
    pub fn size(&self) -> usize {
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.data_type.len() + value.value.as_bytes().len())
            .sum();
        self.body.len() + attributes
    }
}

/// The answer to the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Id of the message; of the first one, when this one was a duplicate.
    pub message_id: String,
    /// FIFO: 20 digits, growing within the queue.
    pub sequence_number: Option<String>,
}

/// A request for messages. The caller decides how long to wait for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// At most this many messages, 1–10.
    pub max_messages: u32,
    /// Seconds of invisibility, 0–43,200; the queue's own when absent.
    pub visibility_timeout: Option<u32>,
    /// FIFO: a repeated receive with the same id within 5 minutes gives the same messages and handles.
    pub attempt_id: Option<String>,
}

impl Default for Receive {
    fn default() -> Self {
        Self { max_messages: 1, visibility_timeout: None, attempt_id: None }
    }
}

/// A message handed to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The id given when the message was sent.
    pub message_id: String,
    /// The handle that deletes or hides this message; new with every receive.
    pub receipt_handle: String,
    /// The body, as sent.
    pub body: String,
    /// How often the message was received, this time included.
    pub receive_count: u32,
    /// When the message was sent.
    pub sent_at: Timestamp,
    /// When the message was first received.
    pub first_received_at: Timestamp,
    /// The sender: always the one account of this broker.
    pub sender_id: String,
    /// The message group, if the sender gave one.
    pub group_id: Option<String>,
    /// FIFO: the deduplication id, given or derived from the body.
    pub deduplication_id: Option<String>,
    /// FIFO: the sequence number given when the message was sent.
    pub sequence_number: Option<String>,
    /// The `AWSTraceHeader` system attribute.
    pub trace_header: Option<String>,
    /// In a dead-letter queue: ARN of the queue that the message came from.
    pub dead_letter_source: Option<String>,
    /// The message attributes, as sent.
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// A stored message, as a test inspects it; inspecting changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The id given when the message was sent.
    pub message_id: String,
    /// The body, as sent.
    pub body: String,
    /// Whether a receive could return it now, and if not, from when.
    pub state: MessageState,
    /// How often it was received so far.
    pub receive_count: u32,
}

/// The state of a stored message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// Receivable, unless its FIFO group is blocked.
    Visible,
    /// Sent with a delay that still runs.
    Delayed {
        /// When it becomes visible.
        until: Timestamp,
    },
    /// Received and hidden.
    InFlight {
        /// When it becomes visible again, unless deleted or changed.
        until: Timestamp,
    },
}

/// A fault of a message that was received or whose visibility was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disturbance {
    /// No fault.
    #[default]
    Nothing,
    /// The message is visible again at once, although its handle stays valid. Does not apply to FIFO queues.
    Duplicate,
    /// The message becomes visible so many milliseconds later than it should.
    Late(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_types_and_values_of_attributes_count_towards_the_size() {
        let value = AttributeValue { data_type: "Binary".into(), value: AttributeData::Binary(vec![0; 3]) };
        let message = SendMessage {
            body: "four".into(),
            attributes: [("raw".into(), value)].into(),
            ..Default::default()
        };
        assert_eq!(message.size(), 4 + 3 + 6 + 3);
    }
}
