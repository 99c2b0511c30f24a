//! One listener's own numbers and choices, already valid.

use std::sync::Arc;
use std::time::Duration;

use crate::exchange::Exchange;
use crate::policy::decide::Policy;
use crate::policy::visibility;
use crate::tuning::Tuning;

/// What a listener needs to know beside its queue, its endpoint and their limits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Unique; the `listener` label.
    pub name: String,
    /// Name of the queue, for headers and logs.
    pub queue_name: String,
    /// Most POSTs at once, 1 to 10,000.
    pub workers: usize,
    /// Time-out of one POST; sizes the lease.
    pub timeout: Duration,
    /// How long a receive hides a message, and how long each extension does; `None`: by the time-out.
    pub visibility: Option<Duration>,
    /// Long-poll time of an idle listener, 0 to 20 s.
    pub receive_wait: Duration,
    /// The table's parameters and the listener's own rows.
    pub policy: Policy,
    /// How messages become a request, and what its answer says of them.
    pub exchange: Arc<dyn Exchange>,
    /// How long messages are gathered for one POST; zero: what one receive brings.
    pub batch_window: Duration,
    /// Whether a Retry-After closes the gate of the endpoint or only hides the message.
    pub retry_after_closes_gate: bool,
    /// Numbers of intake and flow control.
    pub tuning: Tuning,
}

impl Settings {
    /// Whether the queue is a FIFO queue, which its name says: messages of a group are delivered one after the other.
    pub fn is_fifo(&self) -> bool {
        self.queue_name.strip_suffix(".fifo").is_some()
    }

    /// How long a receive hides its messages.
    pub fn lease(&self) -> Duration {
        self.visibility.unwrap_or_else(|| visibility::lease(self.timeout))
    }

    /// Messages that one POST carries at most, at least one.
    pub(super) fn per_delivery(&self) -> usize {
        self.exchange.messages_max().max(1)
    }
}
