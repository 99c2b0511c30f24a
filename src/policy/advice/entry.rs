//! Entries of a batch call that SQS refused while it accepted the others.

classes! {
    /// What a failed batch entry means; the program branches on it.
    EntryErrorKind;
    LeaseLost, "lease_lost":
        "the receipt handle is no longer good: the message became visible again, was deleted, or is past SQS's \
         twelve hours";
        "nothing, if it is rare; else look for long pauses of this process (CPU limits, a suspended machine), for a \
         second consumer that deletes, and for a purge of the queue";
    Retryable, "entry_failed":
        "SQS could not settle the message this time";
        "try again (`run` does so while the lease lasts)";
    Refused, "entry_refused":
        "SQS refuses to settle the message";
        "look up the code in why; beyond twelve hours after its receive a message cannot be hidden any longer, so \
         keep timeout and throttle_delay well below";
}

/// What happened to a settlement that was retried until the lease of its message ended.
pub const TOO_LATE: &str = "SQS did not take the settlement before the lease ended";
/// What to do about such a settlement.
pub const TOO_LATE_FIX: &str = "look at the calls to SQS that failed before this (reason, fix); the message comes back by \
     itself, and is not posted again if its work was done";
