//! What may run when: worker permits per listener; sessions, pace and gate per endpoint.
//!
//! Everything here is a value whose drop frees what it holds, on the runtime's clock, and knows nothing
//! of queues, messages or HTTP.

mod adaptive;
pub mod clock;
mod gate;
mod pace;
mod permits;
mod sessions;
mod settings;

pub use gate::{
    Blocked, Circumstances, Evidence, Gate, GateSnapshot, GateState, Pass, Pauses, Probe, Rank, Reason,
    Transition, Tuning,
};
pub use pace::{Pace, PaceClaim, PaceClaims};
pub use permits::{Reservation, WorkerPermit, Workers};
pub use sessions::{Claim, Feedback, Seat, Session, Sessions};
pub use settings::{Rate, Settings};

use std::sync::Arc;

/// The limits all listeners of one endpoint share.
#[derive(Debug, Clone)]
pub struct EndpointLimits {
    /// The endpoint's name, for logs.
    pub name: Arc<str>,
    /// Most POSTs at once.
    pub sessions: Arc<Sessions>,
    /// Most starts per time.
    pub pace: Arc<Pace>,
    /// Whether messages are taken at all.
    pub gate: Arc<Gate>,
}

impl EndpointLimits {
    /// Fresh limits of the endpoint `name`; `seed` drives jitter.
    pub fn new(name: &str, settings: &Settings, seed: u64) -> Self {
        Self {
            name: name.into(),
            sessions: Sessions::new(settings.sessions, settings.adaptive, seed.wrapping_add(1)),
            pace: Arc::new(Pace::new(settings.rate)),
            gate: Gate::new(settings.gate, seed),
        }
    }
}
