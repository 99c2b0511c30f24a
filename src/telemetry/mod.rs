//! What the process says about itself: logs, metrics, traces, and errors with all their causes.

mod chain;
mod families;
pub mod handles;
pub mod labels;
pub mod log;
pub mod metrics;
mod text;
pub mod trace;

pub use chain::Chain;
