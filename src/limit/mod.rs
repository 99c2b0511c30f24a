//! Limits.
mod settings;
pub use settings::{Rate, Settings};
