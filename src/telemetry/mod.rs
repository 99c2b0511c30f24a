//! What the process says about itself.
//!
//! `log` sets up where and how lines are written; `chain` prints an error with all its causes, once.

mod chain;
pub mod log;

pub use chain::Chain;
