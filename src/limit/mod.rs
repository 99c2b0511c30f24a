//! What may run when: worker permits per listener; sessions, pace and gate per endpoint.
//!
//! Everything here is a value whose drop gives back what it holds, on the runtime's clock, and knows nothing
//! of queues, messages or HTTP.

pub mod clock;
mod gate;
mod pace;
mod permits;
mod sessions;
mod settings;

pub use gate::{Gate, GateState, Pass, Probe, Who};
pub use pace::{Pace, PaceClaim, PaceClaims};
pub use permits::{Reservation, WorkerPermit, Workers};
pub use sessions::{Claim, Seat, Session, Sessions};
pub use settings::{Rate, Settings};

use std::sync::Arc;

/// The limits all listeners of one endpoint share.
#[derive(Debug, Clone)]
pub struct EndpointLimits {
    /// Most POSTs at once.
    pub sessions: Arc<Sessions>,
    /// Most starts per time.
    pub pace: Arc<Pace>,
    /// Whether messages are taken at all.
    pub gate: Arc<Gate>,
}

impl EndpointLimits {
    /// Fresh limits; `seed` drives jitter.
    pub fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            sessions: Sessions::new(settings.sessions),
            pace: Arc::new(Pace::new(settings.rate)),
            gate: Gate::new(seed),
        }
    }
}
