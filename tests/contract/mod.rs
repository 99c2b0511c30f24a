//! What SQS does, asked of several servers: the embedded queue and those that none of us wrote.
//!
//! `queue` holds the same assertions, made through the adapter, against every server; `clauses` are the
//! assertions and `lab` what they have in common. `conformance` runs the script of checks against the embedded
//! queue; `ministack` the real binary against a server with accounts and roles. `.ci/run` installs what is
//! needed into `target/test-tools`; where something is missing a test says so by name and passes, except in CI.

mod clauses;
mod conformance;
mod lab;
mod ministack;
mod queue;
pub mod server;
