//! Intake: how many messages are asked for, when, and how those that come start their way.
//!
//! - Idle (the last receive was empty): one long poll for one message. It holds one slot and no session.
//! - Busy: up to ten per receive, with a wait of a second at most. Free slots, room at the endpoint and its rate size it.
//!   Several receives run side by side while they come back full.
//! - With a latency budget messages gather between receives, so that a receive brings several.
//! - While a gate is not open: nothing is received but a probe of one message.
//! - While a group of a FIFO queue is in trouble: every receive is for one message, and more run side by side.
//!
//! A receive under way is never cancelled: SQS would hide what it was about to hand out. In a drain it is awaited, and
//! what it brings is released.

mod gather;
mod not_receiving;
mod plan;
mod prepare;
mod receive;
mod task;

pub use not_receiving::NotReceiving;
pub(super) use task::Intake;

#[cfg(test)]
mod prepare_tests;
#[cfg(test)]
mod receive_tests;
#[cfg(test)]
mod task_tests;
