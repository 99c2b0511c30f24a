//! What a listener tells people: its log lines, its health, its last failures, the counts of its calls.
//!
//! Observers only: they are told of events and decide nothing. Metrics and log format are [`crate::telemetry`]'s.

pub(crate) mod event_log;
pub(crate) mod failing;
pub(crate) mod health;
pub(crate) mod metered;
pub(crate) mod recent;

pub use failing::Failures;
pub use health::{Health, Preflight};
pub use recent::{Failure, Texts};
