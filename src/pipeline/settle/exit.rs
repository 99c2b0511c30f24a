//! How a message leaves: what a delivery hands to settlement with it, and what the memory keeps of it. And what became of
//! it then, told to the message behind it in its group (FIFO).
//!
//! A message that is dropped without an exit is abandoned: SQS hands it out again when its lease is over.

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::pipeline::ledger::Settled;
use crate::ports::DeadLetterReason;

/// How a message leaves this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) enum Exit {
    /// Its work is done: it is deleted.
    Delete {
        /// Why a copy of it is forwarded to the dead-letter queue before, if one is.
        forward: Option<DeadLetterReason>,
        /// Deleted or dead-lettered.
        how: Settled,
    },
    /// It is left in the queue, hidden.
    Hide {
        /// Visible again at; now or earlier makes it visible at once.
        until: Instant,
        /// Parked, deferred or released.
        how: Settled,
    },
}

impl Exit {
    /// Deleted, with nothing to be sent before.
    pub(in crate::pipeline) const DELETE: Self = Self::Delete { forward: None, how: Settled::Deleted };
}

/// What became of a message, as far as its successor is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Fate {
    /// SQS confirmed its delete.
    Deleted,
    /// It comes back at this time.
    Hidden(Instant),
}

/// Whoever waits for a message to be gone: what is behind it in its group, and the object it stood for. Dropped untold, they
/// are told that the message is left to SQS.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Successor(Vec<oneshot::Sender<Fate>>);

impl Successor {
    /// One that waits, and how it is told.
    #[cfg(test)]
    pub(in crate::pipeline) fn new() -> (Self, oneshot::Receiver<Fate>) {
        let mut successor = Self::default();
        let receiver = successor.joined();
        (successor, receiver)
    }

    /// One more that waits: how it is told.
    pub(in crate::pipeline) fn joined(&mut self) -> oneshot::Receiver<Fate> {
        let (sender, receiver) = oneshot::channel();
        self.0.push(sender);
        receiver
    }

    /// Says what became of it.
    pub(in crate::pipeline) fn tell(self, fate: Fate) {
        for sender in self.0 {
            // Nobody waits any more once the drain has begun.
            sender.send(fate).ok();
        }
    }
}
