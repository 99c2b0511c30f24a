//! Outages: an endpoint that stops taking messages for a while, and what the queue pays for it.
//!
//! One run is a *case*: a scenario, a load, a number of processes and a way to consume. Everything
//! runs on paused time over one broker; equal seeds give equal figures. The tests assert the goals on a few cases,
//! `benches/outages.rs` prints all of them; both use this.

use std::time::Duration;

mod case;
mod figures;
mod lines;
mod mechanisms;
mod model;
mod pool;
mod scenario;

pub use case::{Case, Load, Sqs, Variant, run};
pub use figures::Figures;
pub use mechanisms::{MECHANISMS, Measured, Mechanism};
pub use scenario::{Behaviour, CALM, OF_BATCHES, OF_FIFO, Refusal, SCENARIOS, Scenario};

/// Goal: the least part of the useful throughput.
pub const USEFUL_LEAST: f64 = 0.92;
/// Goal: the largest share of POSTs answered 429.
pub const IN_VAIN_MOST: f64 = 0.035;
/// Goal: the longest time from the end of an outage to full speed.
pub const FULL_SPEED_MOST: Duration = Duration::from_secs(30);
