//! What the program says of itself: metrics and logs.

pub mod chain;
mod families;
pub mod handles;
pub mod labels;
pub mod metrics;
