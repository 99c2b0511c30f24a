//! Why a listener receives nothing just now: one reason at a time, for whoever asks.

use serde::Serialize;

/// Why no receive starts; written as the status names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReceiving {
    /// The listener ends.
    Draining,
    /// An operator has paused it.
    Paused,
    /// All that it could do is other processes' share.
    StandingBy,
    /// Deletes, hidings or forwards fail until a person acts.
    SettleFault,
    /// The last receive failed, or the queue is asked without a long poll.
    BackOff,
    /// Messages gather, so that one receive brings several: the listener has a latency budget.
    Gathering,
    /// A gate is not open: its pause runs, or others probe it.
    GateClosed,
    /// The listener has as many messages in flight as it may.
    NoSlot,
    /// The endpoint has as many POSTs as it may, or starts per second.
    NoRoom,
}
