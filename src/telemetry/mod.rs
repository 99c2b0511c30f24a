//! What the process says about itself: logs, standard output, metrics, traces, and errors with all their causes.

mod chain;
mod families;
pub mod handles;
mod harmless;
pub mod labels;
pub mod log;
pub mod metrics;
pub mod output;
mod text;
pub mod trace;

pub use chain::Chain;
