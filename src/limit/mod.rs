//! What may run when: slots per listener; sessions, rate and gate per endpoint.
//!
//! Everything here is a value whose drop frees what it holds, on the runtime's clock, and knows nothing
//! of queues, messages or HTTP.

mod adaptive;
pub mod clock;
mod gate;
mod pace;
mod sessions;
mod settings;
mod slots;

pub use gate::{
    Away, Circumstances, Evidence, Gate, GateSnapshot, GateState, Pass, Probe, ProbeCost, Rank, Reason,
    Transition,
};
pub use pace::{Pace, PaceClaim, PaceClaims};
pub use sessions::{Claim, Feedback, Seat, Session, Sessions};
pub use settings::{Rate, Settings};
pub use slots::{Reserved, Slot, Slots};

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
        let Settings { sessions, adaptive, rate, tuning } = *settings;
        let learned = adaptive.then_some(tuning.learned);
        Self {
            name: name.into(),
            sessions: Sessions::new(sessions, learned, tuning.ahead, seed.wrapping_add(1)),
            pace: Arc::new(Pace::new(rate, tuning.ahead)),
            gate: Gate::new(seed),
        }
    }
}
