//! The way of a message: intake → flow → admission → exchange → decide → settle, under a lease.
//!
//! [`Listener`] puts one queue, one endpoint and their limits together. Each stage takes what the one before made by
//! value. The seams to the outside are [`crate::ports`].
//!
//! - `intake`: reserves room, receives, and makes an `InFlight` of each message.
//! - `flow`, `batch`, `group`, `runs`: make deliveries of them; messages gather for a POST, a FIFO group goes in order.
//! - `sift`, `deliver`: what needs no POST leaves; the rest goes through `admit`, `attempt` (exchange, POST, decide) and what follows.
//! - `in_flight`, `settle`: how a message leaves, and how SQS learns of it.
//! - `lease`, `ledger`, `memory`: our right to a message, the account of all, what is remembered of those that left.
//! - `gates`, `wait_out`: when nothing is posted, and a 429 on the final receive.
//! - `judge`: what an attempt came to for each message; `trial`: one POST for a person, judged alike.
//! - `controls`, `queue_view`, `status`: what a listener follows, what it knows of its queue, what it shows.

mod admit;
mod attempt;
mod batch;
mod claim_checks;
mod confirmed;
mod context;
mod controls;
mod deliver;
mod dispatch;
mod flow;
mod gates;
mod group;
mod in_flight;
mod intake;
mod judge;
#[cfg(test)]
mod kit_for_tests;
mod lease;
mod ledger;
mod listener;
mod memory;
mod panics;
mod queue_view;
mod remembered;
mod results;
mod runs;
mod settings;
mod settle;
mod sift;
mod status;
mod trial;
mod wait_out;

pub use crate::observe::{Failure, Failures, Health, Preflight};
pub use claim_checks::ClaimChecks;
pub use controls::{Controls, Handle};
pub use intake::NotReceiving;
pub use listener::{Listener, Parts};
pub use memory::Memory;
pub use queue_view::DepthView;
pub use results::{ResultQueue, Results, When};
pub use settings::{Receiving, Settings};
pub use status::Status;
pub use trial::{Trial, Tried, try_out};
