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
    /// The start before.
    pub(super) before: Option<Instant>,
}

impl Start {
    /// Seconds since the start before; infinite for the first.
    pub(super) fn gap(&self) -> f64 {
        self.before.map_or(f64::INFINITY, |before| seconds(self.at, before))
    }
}

/// Seconds from one time to another; zero if that was before.
pub(super) fn seconds(now: Instant, from: Instant) -> f64 {
    now.saturating_duration_since(from).as_secs_f64()
}
