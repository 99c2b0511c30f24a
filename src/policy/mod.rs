//! What an answer means and what becomes of the message: pure functions of plain values.
//!
//! This area has no clock, no I/O, no tasks and no configuration types. The caller supplies randomness as a
//! number.
//!
//! - [`outcome`]: what the endpoint did.
//! - [`decide`]: the table of what becomes of the message.
//! - [`backoff`], [`retry_after`], [`visibility`]: delays, waits and leases.
//! - [`quota`]: what rate-limit headers say is left.
//! - [`final_receive`]: what is special about the final receive before the dead-letter queue.
//! - [`preflight`]: warnings about the queue's own settings.
//! - [`advice`]: the texts for everything that can fail.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod advice;
pub mod backoff;
pub mod decide;
pub mod final_receive;
pub mod outcome;
pub mod preflight;
pub mod quota;
pub mod retry_after;
pub mod visibility;
