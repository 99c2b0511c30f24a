//! The way of a message: receive → admit → shape → deliver → decide → settle, under a lease.
//!
//! [`ports`] are the two seams to the outside; [`Listener`] puts one queue, one endpoint and their limits
//! together. Each stage takes what the one before made by value.

mod admit;
mod attempt;
mod batching;
mod deliver;
mod failing;
mod finished;
mod gates;
mod group;
mod health;
mod hidden;
mod in_house;
mod keep;
mod lately;
mod lease;
mod listener;
mod metered;
mod narrate;
pub mod ports;
mod queue_view;
mod receive;
mod settings;
mod settle;
mod settlement;
mod status;
mod told;
mod wheel;

pub use failing::Failures;
pub use health::{Health, Preflight};
pub use listener::{Listener, Parts};
pub use queue_view::{DeadLetterView, DepthView};
pub use settings::Settings;
pub use status::Status;
