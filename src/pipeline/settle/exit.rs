//! How a message leaves: what a delivery hands to settlement with it, and what the memory keeps of it.
//!
//! A message that is dropped without an exit is abandoned: SQS hands it out again when its lease is over.

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
