//! SQS: the queue messages come from, spoken to through the AWS SDK.
//!
//! The only area that knows the SDK. [`Clients`] turns [`Settings`] into connections (region, credentials, role,
//! address) and shares them between listeners; an [`SqsQueue`] is one queue on such a connection and implements
//! [`crate::ports::Queue`].
//!
//! One call is one attempt with a time-out of its own: the SDK's retries are off, because a receive the SDK
//! repeats behind our back spends receives nobody counts. What the SDK says went wrong is translated in one
//! place, `error.rs` and `reason.rs`; nothing above it reads an error code. Two things are remembered and forgotten when they
//! turn out wrong: a queue's URL (a queue may be deleted and made again under its name) and the client with its
//! credentials (files may have been rotated).

mod client;
mod clients;
mod convert;
mod credentials;
mod error;
mod hands;
mod host;
mod left_out;
mod queue;
mod reason;
#[cfg(test)]
mod reason_tests;
mod redrive;
mod salvage;
#[cfg(test)]
mod scripted;
mod send;
mod settings;
mod transport;
#[cfg(test)]
mod transport_tests;

pub use clients::Clients;
pub use hands::{ReceiveRequest, Received};
pub use host::{is_aws, is_loopback, region};
pub use queue::SqsQueue;
pub use send::{Outgoing, Unsent};
pub use settings::{QueueRef, Role, Settings};
pub use transport::TOKEN_FIX;
