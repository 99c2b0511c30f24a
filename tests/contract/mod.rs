//! What SQS does, checked on several servers: the embedded queue and servers by other authors.
//!
//! - `assertions`: the assertions, each made through the adapter.
//! - `move_tasks`: those about lists of queues and about sending dead letters back.
//! - `queue`: every assertion against every server, with a table of each server's known deviations.
//! - `conformance`: the script of checks against the embedded queue.
//! - `ministack`: the real binary against a server with accounts and roles.
//!
//! Helpers: `fixture` makes queues on a server, `server` starts the servers.
//! `.ci/run` installs what is needed into `target/test-tools`.
//! Where a tool is missing, the test names the tool and passes, except in CI.

mod assertions;
mod conformance;
mod fixture;
mod ministack;
mod move_tasks;
mod queue;
pub mod server;
