//! The whole pipeline on paused time: hours in milliseconds, the same trace for the same seed.

mod endpoint;
mod house;
mod queue;

mod caps;
mod drain;
mod fairness;
mod faults;
mod gate;
mod preflight;
mod refusals;
mod seeds;
mod settlement;
