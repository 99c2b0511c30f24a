//! All integration tests in one binary.
//!
//! `sim` drives the pipeline over the embedded broker on paused time, without sockets. `e2e` runs the real
//! binary over loopback. `contract` runs one set of assertions against our SQS server and others. `repo`
//! checks the rules of the repository.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::unchecked_time_subtraction,
    reason = "a test that fails should say where"
)]
#![allow(unreachable_pub, reason = "one binary; `pub` says what a module offers the others")]
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

mod contract;
mod e2e;
mod model;
mod repo;
mod sim;
