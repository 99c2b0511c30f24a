//! Entries of a batch call that SQS refused while it took the others.

classes! {
    /// What a failed batch entry means.
    EntryErrorKind of Repeat;
    LeaseLost, "lease_lost", Never:
        "the receipt handle is no longer good: the message became visible again, was deleted, or is past SQS's \
         twelve hours";
        "nothing, if it is rare; else look for long pauses of this process (CPU limits, a suspended machine), for a \
         second consumer that deletes, and for a purge of the queue";
    Retryable, "entry_failed", WhileLeased:
        "SQS could not settle the message this time";
        "nothing: it is tried again while the lease lasts";
    Refused, "entry_refused", Never:
        "SQS refuses to settle the message";
        "look up the code in why; beyond twelve hours after its receive a message cannot be hidden any longer, so \
         keep timeout and throttle_delay well below";
}

/// Whether a failed entry is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// As long as the lease of its message lasts.
    WhileLeased,
    /// No: SQS hands the message out again by itself.
    Never,
}
