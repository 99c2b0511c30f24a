//! Why a listener receives nothing just now: one reason at a time, for whoever asks.

/// Why no receive starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReceiving {
    /// The listener ends.
    Draining,
    /// An operator has paused it.
    Paused,
    /// Deletes, hidings or forwards fail until a person acts.
    SettleFault,
    /// The last receive failed, or the queue is asked without a long poll.
    BackOff,
    /// A gate is not open: its pause runs, or others probe it.
    GateClosed,
    /// The listener has as many messages in flight as it may.
    NoSlot,
    /// The endpoint has as many POSTs as it may, or starts per second.
    NoRoom,
}

impl NotReceiving {
    /// As the status names it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::SettleFault => "settle_fault",
            Self::BackOff => "back_off",
            Self::GateClosed => "gate_closed",
            Self::NoSlot => "no_slot",
            Self::NoRoom => "no_room",
        }
    }
}
