//! The closed label values that belong to no other area.

/// The stage of a message in flight here; label of `queuepost_messages_in_progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Received, and waiting for the gate, a session or the rate.
    Waiting,
    /// Held for another attempt: nothing could be sent, or SQS would dead-letter the message at the next
    /// receive.
    Held,
    /// Its POST runs.
    Delivering,
    /// Its disposition is decided, and its settlement is on the way.
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

/// Why a message was released without an attempt; label of `queuepost_messages_released_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// The process is draining.
    Drain,
    /// The gate stayed closed for too long.
    Gate,
    /// An earlier message of its group was not deleted (FIFO).
    Group,
    /// The listener stands by: what it could do is other processes' share.
    StandBy,
}

impl ReleaseReason {
    pub(super) const ALL: [(Self, &'static str); 4] =
        [(Self::Drain, "drain"), (Self::Gate, "gate"), (Self::Group, "group"), (Self::StandBy, "standby")];
}

/// The result of a lease extension; label of `queuepost_visibility_extensions_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionResult {
    /// The lease was extended.
    Extended,
    /// The extension failed, and is repeated while the lease lasts.
    Failed,
    /// SQS says that the handle is no longer valid.
    Lost,
}

impl ExtensionResult {
    pub(super) const ALL: [(Self, &'static str); 3] =
        [(Self::Extended, "extended"), (Self::Failed, "failed"), (Self::Lost, "lost")];
}

/// The queue of a depth; label of `queuepost_queue_messages_*`.
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

/// What came of a request to change something; label of `queuepost_admin_writes_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminWrite {
    /// It was done.
    Done,
    /// Who asked may not.
    Denied,
    /// There were too many.
    Limited,
    /// It makes no sense, or cannot be done now.
    Refused,
}

impl AdminWrite {
    /// Label value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Limited => "limited",
            Self::Refused => "refused",
        }
    }
}
