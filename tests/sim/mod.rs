//! The whole pipeline on paused time: hours in milliseconds, the same trace for the same seed.

mod endpoint;
mod house;
mod queue;

mod caps;
mod drain;
mod duplicates;
mod fairness;
mod faults;
mod fifo;
mod gate;
mod preflight;
mod refusals;
mod settlement;
