//! Limiters: endpoints that take so many POSTs per time, so many at once, or both, and what is used of that.
//!
//! One run is a *case*: a limiter, how it says no, how long a POST takes, a number of processes, and whether the limit
//! changes. The same case with the best `rate_limit` and `sessions` written by hand is the *oracle*, the yardstick. All
//! on paused time over one broker; equal seeds give equal figures. The tests assert the goals on a few cases,
//! `benches/limiters.rs` prints all of them.

mod case;
mod limiter;
mod model;

pub use case::{Case, Change, Figures, Knows, run};
pub use limiter::{Headers, Limiter, Refusal};

/// Goal: the least throughput, as a share of the oracle's.
pub const OF_ORACLE_LEAST: f64 = 0.9;
/// Goal: refusals beyond the oracle's, as a share of POSTs.
pub const REFUSED_MOST: f64 = 0.035;

#[cfg(test)]
mod tests;
