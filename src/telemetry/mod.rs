//! What the process reports: logs, standard output, metrics, traces, and errors with their whole chain of
//! causes.

mod chain;
mod families;
pub mod handles;
mod harmless;
pub mod labels;
pub mod log;
pub mod log_level;
pub mod metrics;
pub mod output;
mod quiet;
mod text;
pub mod trace;

pub use chain::Chain;
