//! HTTP endpoints.
mod settings;
pub use settings::{AuthHeader, Settings, Target, Tls};
