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
    /// How messages are received.
    pub receiving: Receiving,
    /// The table's parameters and the listener's own rows.
    pub policy: Policy,
    /// How messages become a request, and what its answer says of them.
    pub exchange: Arc<dyn Exchange>,
    /// Whether a Retry-After closes the gate of the endpoint or only hides the message.
    pub retry_after_closes_gate: bool,
    /// Numbers of intake and flow control.
    pub tuning: Tuning,
}

/// How a listener receives.
#[derive(Debug, Clone)]
pub struct Receiving {
    /// Long-poll time while the queue is idle, 0 to 20 s.
    pub wait: Duration,
    /// How long a receive hides a message, and how long each extension does; `None`: by the time-out.
    pub visibility: Option<Duration>,
    /// How long a message may wait so that fewer calls to SQS are made, beyond what it waits anyway; zero: not at all.
    pub latency_budget: Duration,
    /// How long messages are gathered for one POST; zero: what one receive brings.
    pub window: Duration,
    /// Whether it receives nothing until an operator resumes it.
    pub paused: bool,
}

/// Most bytes of the messages of one POST that carries several: what a function of AWS Lambda takes, less some room for what
/// is around them.
pub(super) const BATCH_BYTES_MAX: usize = 6 * 1_024 * 1_024 - 1_024;
/// Longest message of SQS, in bytes (AWS limit).
const MESSAGE_BYTES_MAX: usize = 1_024 * 1_024;
/// So many messages of that length are held beyond those that are posted, and shorter ones of as many bytes: a full receive.
const AHEAD_OF_LONGEST: usize = 10;

impl Settings {
    /// Whether the queue is a FIFO queue, which its name says: messages of a group are delivered one after the other.
    pub fn is_fifo(&self) -> bool {
        self.queue_name.strip_suffix(".fifo").is_some()
    }

    /// How long a receive hides its messages.
    pub fn lease(&self) -> Duration {
        let Receiving { visibility, window, .. } = self.receiving;
        visibility.unwrap_or_else(|| visibility::lease(self.timeout + window))
    }

    /// Bytes that batches may hold at most: messages, requests, and answers of so many bytes. 0 where a POST carries one message.
    pub fn batch_bytes_max(&self, answer: usize) -> usize {
        let (_, messages) = self.room(self.workers);
        let running = self.workers.saturating_mul(BATCH_BYTES_MAX.saturating_add(answer));
        if self.per_delivery() == 1 { 0 } else { messages.saturating_add(running) }
    }

    /// Messages and bytes that there is room for with so many POSTs at once.
    pub(super) fn room(&self, posts: usize) -> (usize, usize) {
        let each = self.per_delivery();
        // What runs ahead of the workers is bound too: of the longest messages a receive's worth. Of batches two more are
        // held than run: one gathers, and what comes meanwhile is the next one's.
        let (more, longest) =
            if each == 1 { (AHEAD_OF_LONGEST, MESSAGE_BYTES_MAX) } else { (2, BATCH_BYTES_MAX) };
        (posts.saturating_mul(each), posts.saturating_add(more).saturating_mul(longest))
    }

    /// Messages that there is room for with so many POSTs at once, however long they are.
    pub(super) fn room_for_longest(&self, posts: usize) -> usize {
        let (messages, bytes) = self.room(posts);
        messages.min(bytes / MESSAGE_BYTES_MAX)
    }

    /// Messages that one POST carries at most, at least one.
    pub(super) fn per_delivery(&self) -> usize {
        self.exchange.messages_max().max(1)
    }
}
