//! What an endpoint's listeners may do together, already valid.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::limit::Tuning;

/// Caps of one endpoint.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most POSTs at once over all listeners of the endpoint.
    pub sessions: usize,
    /// Whether fewer are used while the endpoint says that it has too much to do.
    pub adaptive: bool,
    /// Most starts per time, if limited.
    pub rate: Option<Rate>,
    /// The numbers of its gate, and of those of its listeners.
    pub gate: Tuning,
}

/// A rate limit: starts in any time t never exceed `burst + t ÷ interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time between two starts at the limit.
    pub interval: Duration,
    /// Starts allowed at once after a rest.
    pub burst: NonZeroU32,
}
