//! A message to be sent: those of the command `send`, results, and copies for a dead-letter queue.
//!
//! Plain data, and the limits of SQS that every sender keeps.

use std::time::Duration;

use super::Attribute;

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Text as SQS allows it; at most 1 MiB with the attributes.
    pub body: String,
    /// At most ten attributes.
    pub attributes: Vec<Attribute>,
    /// Hides the message at first; whole seconds, at most 15 minutes. Not allowed for single messages of FIFO
    /// queues.
    pub delay: Option<Duration>,
    /// Message group: required by FIFO queues, the tenant of fair ones.
    pub group_id: Option<String>,
    /// Deduplication id, for FIFO queues that do not derive it from the body.
    pub deduplication_id: Option<String>,
    /// X-Ray trace header (`AWSTraceHeader`).
    pub trace_header: Option<String>,
}

impl Outgoing {
    /// Longest message, and most bytes of one batch of messages (AWS limit since 2025; a queue may allow less).
    pub const MAX_BYTES: usize = 1024 * 1024;
    /// Most bytes of one batch that every server takes: AWS's limit until 2025.
    pub const BATCH_BYTES: usize = 256 * 1024;
    /// Most attributes of a message (AWS limit).
    pub const ATTRIBUTES_MAX: usize = 10;

    /// The size of the message in that limit: body and attributes together.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.attributes.iter().map(Attribute::bytes).sum::<usize>()
    }
}

impl<T: ToString + ?Sized> From<&T> for Outgoing {
    /// A message with a body and nothing else.
    fn from(body: &T) -> Self {
        Self { body: body.to_string(), ..Self::default() }
    }
}
