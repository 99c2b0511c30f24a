//! A message as SQS hands it out: identity, receipt handle, receive count, body and attributes.
//!
//! Plain data. The one behaviour is that receipt handles stay out of logs. The holder of a handle may delete
//! the message, so `Debug` prints the handle's length only.
//! Times are wall-clock times as SQS reported them, in milliseconds. A time that SQS did not send, or sent
//! unreadable, is `None`. A message to be sent is an [`Outgoing`].

mod outgoing;

pub use outgoing::Outgoing;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

/// One message as received from a queue.
#[derive(Debug, Clone)]
pub struct Message {
    /// The same for all receives of the message.
    pub id: MessageId,
    /// The right to settle this receive of the message.
    pub receipt: ReceiptHandle,
    /// UTF-8 text as SQS defines it, at most 1 MiB.
    pub body: Bytes,
    /// How often SQS has handed it out, this receive included; 1 when SQS did not say.
    pub receive_count: ReceiveCount,
    /// When SQS accepted the message from its sender.
    pub sent_at: Option<SystemTime>,
    /// When SQS handed the message out for the first time.
    pub first_received_at: Option<SystemTime>,
    /// Message group (FIFO), or the tenant of a fair queue.
    pub group_id: Option<String>,
    /// Deduplication id (FIFO).
    pub deduplication_id: Option<String>,
    /// Position in its group (FIFO), twenty digits.
    pub sequence_number: Option<String>,
    /// X-Ray trace header (`AWSTraceHeader`).
    pub trace_header: Option<String>,
    /// Who sent it: an IAM id, or the address of an anonymous sender (`SenderId`).
    pub sender_id: Option<String>,
    /// User attributes in the order SQS sent them, sorted by name by the adapter.
    pub attributes: Vec<Attribute>,
}

impl Message {
    /// One of which nothing else is known, on its first receive.
    pub fn new(id: MessageId, receipt: ReceiptHandle, body: impl Into<Bytes>) -> Self {
        Self {
            id,
            receipt,
            body: body.into(),
            receive_count: ReceiveCount::FIRST,
            sent_at: None,
            first_received_at: None,
            group_id: None,
            deduplication_id: None,
            sequence_number: None,
            trace_header: None,
            sender_id: None,
            attributes: Vec::new(),
        }
    }

    /// Its size as SQS counts it: body and attributes.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.attributes.iter().map(Attribute::bytes).sum::<usize>()
    }
}

/// A user attribute of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name as the sender wrote it.
    pub name: String,
    /// `String`, `Number`, `Binary`, or one of these with a custom suffix (`Number.int`).
    pub data_type: String,
    /// The value; its variant follows the data type.
    pub value: AttributeValue,
}

impl Attribute {
    /// Its size as SQS counts it: name, type and value.
    pub fn bytes(&self) -> usize {
        let value = match &self.value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
        };
        self.name.len() + self.data_type.len() + value
    }
}

/// The value of a message attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// `String` and `Number`.
    Text(String),
    /// `Binary`.
    Binary(Bytes),
}

/// The id SQS gave a message when it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// Wraps an id as SQS wrote it.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The right to delete a message or to change its visibility, given by one receive.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiptHandle(Arc<str>);

impl ReceiptHandle {
    /// Wraps a handle as SQS wrote it.
    pub fn new(handle: impl Into<Arc<str>>) -> Self {
        Self(handle.into())
    }

    /// The handle as text, for the call to SQS and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ReceiptHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiptHandle({} bytes)", self.0.len())
    }
}

/// How often a message was handed out; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiveCount(u32);

impl ReceiveCount {
    /// The first receive.
    pub const FIRST: Self = Self(1);

    /// Wraps `ApproximateReceiveCount`; 0 counts as 1.
    pub fn new(count: u32) -> Self {
        Self(count.max(1))
    }

    /// The count.
    pub fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_handle_never_prints_itself() {
        let handle = ReceiptHandle::new("AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a");
        assert!(!format!("{handle:?}").contains("AQEB"));
    }

    #[test]
    fn a_receive_count_of_zero_counts_as_one() {
        assert_eq!(ReceiveCount::new(0), ReceiveCount::FIRST);
    }
}
