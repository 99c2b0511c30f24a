//! What may run when: slots per listener; sessions with their rate, and a gate, per endpoint.
//!
//! Each of them is a value whose drop frees what it holds, on the runtime's clock. None knows queues, messages or HTTP.

mod adaptive;
pub mod clock;
mod gate;
mod quota;
mod rate;
mod run_ahead;
mod sessions;
mod settings;
mod share;
mod slots;

pub use adaptive::Constraint;
pub use gate::{Circumstances, Evidence, Gate, GateSnapshot, GateState, Probe, Rank, Reason, Transition};
pub use quota::{QuotaHint, Stated};
pub use run_ahead::{FullReceive, RunAhead, Smoothed};
pub use sessions::{Claims, Feedback, LearnedLimit, Membership, Refusal, Session, Sessions};
pub use settings::{Rate, Settings};
pub use share::Share;
pub use slots::{Reserved, SetAside, Slot, SlotCounts, Slots};

use std::sync::Arc;

/// The limits all listeners of one endpoint share.
#[derive(Debug, Clone)]
pub struct EndpointLimits {
    /// The endpoint's name, for logs.
    pub name: Arc<str>,
    /// Most POSTs at once and per time.
    pub sessions: Arc<Sessions>,
    /// Whether messages are taken at all.
    pub gate: Arc<Gate>,
}

impl EndpointLimits {
    /// Fresh limits of the endpoint `name`; `seed` drives jitter.
    pub fn new(name: &str, settings: &Settings, seed: u64) -> Self {
        Self {
            name: name.into(),
            sessions: Sessions::new(settings),
            gate: Gate::new(settings.tuning.gate, seed),
        }
    }
}
