//! A queue that messages are sent to: that of results.

use super::{BatchResult, BoxFuture};
use crate::message::Outgoing;

/// A queue to send messages to.
///
/// As with [`super::Queue`], a call is one attempt, bounded in time by the implementation, and nothing is retried.
pub trait Outbox: Send + Sync {
    /// Name of the queue, for logs.
    fn name(&self) -> &str;

    /// Sends up to ten messages in one call; one result per message, in order. An entry that is `Refused` is refused
    /// for what it contains, and would be again.
    ///
    /// Together they have at most [`Outgoing::BATCH_BYTES`], or there is only one. A call or an entry without an answer
    /// may have been carried out: sent again, its message may arrive twice.
    fn send<'a>(&'a self, messages: &'a [Outgoing]) -> BoxFuture<'a, BatchResult>;
}
