//! The embedded queue: an in-memory, SQS-compatible server for development, tests and simulation.
//!
//! There are two layers. [`Broker`] is the model of SQS: a pure state machine with time as an argument and
//! randomness as a seed. So a simulation runs hours in milliseconds and gets the same trace twice. [`Server`]
//! adds the AWS JSON 1.0 protocol: HTTP, long polling, a wall clock.
//!
//! The embedded queue is not for production. It writes nothing to disk, checks no signature, and one process
//! holds all messages. Intended differences from Amazon:
//! - only the JSON protocol, not the older query protocol with XML answers; no `AddPermission`, no `RemovePermission`;
//! - policies, encryption keys and throughput quotas are kept as attributes and enforce nothing;
//! - counts are exact and standard queues keep the order of visibility, where Amazon promises neither;
//! - a deleted queue's name may be used again at once.
//!
//! This area imports only `serve`, the HTTP server under it. Reading order: `message`, `broker`, `queue`,
//! `take`, `store`, then `server`, `front`.

mod attributes;
mod broker;
mod checks;
mod digest;
mod error;
mod faults;
mod front;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod groups;
mod handle;
mod long_poll;
mod message;
mod move_task;
mod moves;
mod operation;
#[cfg(test)]
mod properties;
mod queue;
mod queues;
mod recent;
mod redrive;
mod server;
mod shared;
mod store;
mod stored;
mod take;
mod timestamp;
mod wire;

pub use broker::Broker;
pub use error::BrokerError;
pub use faults::{Decision, FaultPlan, FaultRates, Faults, Verdict};
pub use message::{
    AttributeData, AttributeValue, Disturbance, Inspected, MessageState, Receive, Received, SendMessage, Sent,
};
pub use moves::{MoveStatus, MoveTask};
pub use operation::Operation;
pub use server::{Server, wall_clock};
pub use shared::{Clock, SharedBroker, SharedFaults};
pub use timestamp::Timestamp;
