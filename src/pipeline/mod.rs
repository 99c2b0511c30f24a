//! The way of a message: intake → flow → admit → shape → post → decide → settle, under a lease.
//!
//! [`ports`] are the two seams to the outside; [`Listener`] puts one queue, one endpoint and their limits
//! together. Each stage takes what the one before made by value.

mod admit;
mod batching;
mod completion;
mod context;
mod deliver;
mod dispatch;
mod event_log;
mod failing;
mod gates;
mod group;
mod health;
mod intake;
mod lately;
mod lease;
mod ledger;
mod listener;
mod memory;
mod metered;
pub mod ports;
mod post;
mod queue_view;
mod settings;
mod settle;
mod settlement;
mod status;
mod told;
mod wait_out;

pub use failing::Failures;
pub use health::{Health, Preflight};
pub use listener::{Listener, Parts};
pub use queue_view::{DeadLetterView, DepthView};
pub use settings::Settings;
pub use status::Status;
