//! Queue → admit → POST → settle.
pub mod ports;
mod settings;
pub use settings::Settings;
