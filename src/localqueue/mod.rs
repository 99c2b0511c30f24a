//! The embedded queue: an in-memory, SQS-compatible server for development, tests and simulation.
//!
//! Two layers. [`Broker`] is the model of SQS: a pure state machine in which time is an argument and randomness a seed,
//! so that a simulation can drive it through hours in milliseconds and get the same trace twice. [`Server`] puts the AWS
//! JSON 1.0 protocol in front of it: HTTP, long polling, a wall clock.
//!
//! It is not for production: nothing is written to disk, no signature is checked, and one process holds everything. Where it
//! differs from Amazon on purpose:
//! * only the JSON protocol, not the older query protocol with XML answers; no `AddPermission`, no `RemovePermission`;
//! * policies, encryption keys and throughput quotas are kept as attributes and enforce nothing;
//! * counts are exact and standard queues keep the order of visibility, where Amazon promises neither;
//! * a deleted queue's name may be used again at once.
//!
//! This area names nothing else of the crate but `serve`, the HTTP server under it. Reading order: `message`, `broker`, `queue`, `take`, `store`, then `server`, `front`.

mod attributes;
mod broker;
mod checks;
mod digest;
mod error;
mod faults;
mod front;
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
