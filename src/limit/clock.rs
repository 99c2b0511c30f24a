//! Wall-clock time as an input.
//!
//! Everything that waits uses `tokio::time`, which tests can pause. The wall clock is needed only to compare
//! with what others wrote down: when a message was sent, a Retry-After date. In tests it follows paused time
//! from a fixed point.

use std::time::SystemTime;

use tokio::time::Instant;

/// Source of wall-clock time.
#[derive(Debug, Clone, Copy)]
pub enum Wall {
    /// The machine's clock.
    System,
    /// `at` happened at `instant`; time goes on with the runtime's clock.
    Anchored {
        /// Wall-clock time of the anchor.
        at: SystemTime,
        /// The runtime's time of the anchor.
        instant: Instant,
    },
}

impl Wall {
    /// The time now.
    pub fn now(self) -> SystemTime {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            Self::System => SystemTime::now(),
            Self::Anchored { at, instant } => at + instant.elapsed(),
        }
    }
}
