//! SQS.
mod settings;
pub use settings::{QueueRef, Role, Settings};
