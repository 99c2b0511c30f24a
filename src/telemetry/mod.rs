//! What the process says about itself: logs, and errors with all their causes.

mod chain;
pub mod log;

pub use chain::Chain;
