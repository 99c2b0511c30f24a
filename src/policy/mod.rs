//! What an answer means and what becomes of the message: pure functions of plain values.
//!
//! No clock, no I/O, no tasks, no configuration types; randomness comes in as a number. [`outcome`] says what
//! the endpoint did, [`decide`] what we do about it (the table), [`backoff`], [`retry_after`] and
//! [`visibility`] compute the times; [`preflight`] judges a queue's own settings before any of that; [`advice`] has
//! the words for everything that can fail.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod advice;
pub mod backoff;
pub mod decide;
pub mod outcome;
pub mod preflight;
pub mod retry_after;
pub mod visibility;
