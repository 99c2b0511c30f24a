//! What is kept of a start until its answer comes.

use tokio::time::Instant;

/// What the limits were when a POST started; the session hands it back.
#[derive(Debug, Clone, Copy)]
pub(in crate::limit) struct Start {
    pub(super) at: Instant,
    /// POSTs that ran then, this one included.
    pub(super) level: f64,
    /// Whether as many ran as may.
    pub(super) is_full: bool,
    /// Whether it had waited for the learned rate.
    pub(super) is_paced: bool,
    /// Seconds since the start before; infinite for the first.
    pub(super) gap: f64,
}
