//! What an endpoint's listeners may do together, already valid.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::tuning::Tuning;

/// Caps of one endpoint.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most POSTs at once over all listeners of the endpoint.
    pub sessions: usize,
    /// Whether these are for all processes of a fleet together, and not for each.
    pub divided: bool,
    /// Whether fewer are used while the endpoint refuses for lack of capacity, and none while headers say so.
    pub adaptive: bool,
    /// Most starts per time, if limited.
    pub rate: Option<Rate>,
    /// Numbers of flow control.
    pub tuning: Tuning,
}

#[cfg(test)]
impl Settings {
    /// So many sessions for all processes of a fleet, and no other limit.
    pub fn divided(sessions: usize) -> Self {
        Self { sessions, divided: true, adaptive: false, rate: None, tuning: Tuning::default() }
    }
}

/// A rate limit: starts in any time t never exceed `burst + t ÷ interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time between two starts at the limit.
    pub interval: Duration,
    /// Starts allowed at once after a rest.
    pub burst: NonZeroU32,
}
