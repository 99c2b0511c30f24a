//! Why a listener receives nothing just now: one reason at a time, for whoever asks.

use std::sync::{Mutex, PoisonError};

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

/// What intake waits for before its next receive.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Waits(Mutex<Option<NotReceiving>>);

impl Waits {
    /// What it waits for now; `None` when nothing keeps it from receiving.
    pub(in crate::pipeline) fn now(&self) -> Option<NotReceiving> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It waits for this from now on.
    pub(super) fn set(&self, reason: Option<NotReceiving>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}
