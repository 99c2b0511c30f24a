//! SQS: the queue port over the AWS SDK.
//!
//! The only area that knows the SDK. [`Clients`] turns [`Settings`] into connections (region, credentials,
//! role, address), which listeners share. An [`SqsQueue`] is one queue on such a connection and implements
//! [`crate::ports::Queue`]. [`objects()`] reads what the queue's messages have in S3, with the same credentials.
//!
//! One call is one attempt with its own timeout. The SDK's retries are off, because a receive that the SDK
//! repeats spends receives that nobody counts. `error.rs` and `reason.rs` translate the SDK's errors; no
//! other area reads an error code.
//! A [`SigV4Signer`] signs requests to endpoints with the SDK's credentials.
//! Three things are cached, and dropped when they turn out wrong. The first is a queue's URL: a queue may be
//! deleted and created again under its name. The second is the client with its credentials: credential files
//! may have been rotated. The third is a dead-letter queue, which is believed for forty seconds (`dead_letter.rs`).

mod client;
mod clients;
mod commands;
mod convert;
mod credentials;
mod dead_letter;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hands;
mod host;
mod left_out;
#[cfg(not(feature = "s3"))]
mod no_objects;
#[cfg(feature = "s3")]
mod objects;
mod outbox;
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
mod sigv4;
mod transport;
#[cfg(test)]
mod transport_tests;

pub use crate::message::Outgoing;
pub use clients::Clients;
pub use commands::{ReceiveRequest, Received};
pub use hands::{Move, MoveStatus};
pub use host::{is_aws, is_loopback, region};
#[cfg(not(feature = "s3"))]
pub use no_objects::objects;
#[cfg(feature = "s3")]
pub use objects::objects;
pub use queue::SqsQueue;
pub use send::{Unsent, is_copy, is_ours, source_of};
pub use settings::{ObjectSettings, QueueRef, Role, Settings};
pub use sigv4::{SigV4, SigV4Signer};
pub use transport::TOKEN_FIX;
