//! The whole pipeline on paused time: hours in milliseconds, the same trace for the same seed.

mod endpoint;
mod house;
#[allow(dead_code, unused_imports, reason = "the benchmark uses more of it")]
pub mod outage;
mod queue;

mod caps;
mod drain;
mod duplicates;
mod fairness;
mod faults;
mod fifo;
mod final_receive;
mod gate;
mod leases;
mod outages;
mod panics;
mod preflight;
mod refusals;
mod seeds;
mod settlement;
mod status;
mod told;
mod trouble;
mod troubled;
mod unreachable;
