//! Stands for the decision: the ledger names its reasons.

/// Why a message was deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeferReason {
    Failed,
}
