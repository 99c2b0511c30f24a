//! The closed label values that belong to no other area.

/// Where a message in flight here is; label of `queuepost_messages_in_progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Received, waiting for the gate, a session or the pace.
    Waiting,
    /// Kept for another try: nothing could be sent, or SQS would dead-letter it when received again.
    Held,
    /// Its POST runs.
    Delivering,
    /// Its fate is decided and on the way to SQS.
    Settling,
}

impl Stage {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Waiting, Self::Waiting.label()),
        (Self::Held, Self::Held.label()),
        (Self::Delivering, Self::Delivering.label()),
        (Self::Settling, Self::Settling.label()),
    ];

    /// Label value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Delivering => "delivering",
            Self::Settling => "settling",
        }
    }
}

/// Why a message never attempted was released; label of `queuepost_messages_released_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// The process stops.
    Drain,
    /// The gate stayed closed too long.
    Gate,
    /// A message before it in its group was not deleted (FIFO).
    Group,
}

impl ReleaseReason {
    pub(super) const ALL: [(Self, &'static str); 3] =
        [(Self::Drain, "drain"), (Self::Gate, "gate"), (Self::Group, "group")];
}

/// What became of a lease extension; label of `queuepost_visibility_extensions_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionResult {
    /// Extended.
    Extended,
    /// Failed, tried again while the lease lasts.
    Failed,
    /// SQS says the handle is no longer ours.
    Lost,
}

impl ExtensionResult {
    pub(super) const ALL: [(Self, &'static str); 3] =
        [(Self::Extended, "extended"), (Self::Failed, "failed"), (Self::Lost, "lost")];
}

/// Which queue a depth is of; label of `queuepost_queue_messages_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueRole {
    /// The listener's queue.
    Source,
    /// Its dead-letter queue.
    DeadLetter,
}

impl QueueRole {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::DeadLetter => "dead_letter",
        }
    }
}
