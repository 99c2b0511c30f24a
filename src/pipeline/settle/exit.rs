//! How a message leaves: what a delivery hands to settlement with it, and what the memory keeps of it.
//!
//! A message that is dropped without an exit is abandoned: SQS hands it out again when its lease is over.

use tokio::time::Instant;

use crate::pipeline::ledger::Settled;
use crate::policy::decide::DeferReason;
use crate::ports::DeadLetterReason;
use crate::telemetry::labels::ReleaseReason;

/// How a message leaves this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) enum Exit {
    /// Its work is done. It is deleted once each forward in `first` was accepted, in this order.
    Delete {
        /// Empty for a message that is only to be deleted.
        first: Vec<Forward>,
        /// For the ledger: deleted, or dead-lettered.
        how: Settled,
    },
    /// Hidden after throttling.
    Park {
        /// Visible again at.
        until: Instant,
    },
    /// Hidden after another failure.
    Defer {
        /// Visible again at.
        until: Instant,
        /// For the ledger.
        reason: DeferReason,
    },
    /// Made visible again without an attempt.
    Release {
        /// Visible again at; now or earlier makes it visible at once.
        until: Instant,
        /// For the ledger.
        reason: ReleaseReason,
    },
}

/// Something to be sent before a message may be deleted. Small, because the memory keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) enum Forward {
    /// A copy of the message, to the dead-letter queue.
    DeadLetter(DeadLetterReason),
}

impl Exit {
    /// Deleted, with nothing to be sent before.
    pub(in crate::pipeline) const DELETE: Self = Self::Delete { first: Vec::new(), how: Settled::Deleted };

    /// How the ledger counts it.
    pub(in crate::pipeline) fn settled(&self) -> Settled {
        match self {
            Self::Delete { how, .. } => *how,
            Self::Park { .. } => Settled::Parked,
            Self::Defer { reason, .. } => Settled::Deferred(*reason),
            Self::Release { reason, .. } => Settled::Released(*reason),
        }
    }
}
