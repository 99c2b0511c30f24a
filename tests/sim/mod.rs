//! The whole pipeline on paused time: hours in milliseconds, the same trace for the same seed.
//!
//! - `batches`: one POST carries several messages, each of which is settled by its own verdict.
//! - `caps`: running POSTs and receives stay within workers, sessions and rate.
//! - `controls`: a listener paused, resumed, given other workers and stopped; caps that change while POSTs run.
//! - `delivery_log`: which log lines a delivery writes, and how often.
//! - `drain`: a drain at any moment leaves every message deleted, visible, in flight or dead-lettered.
//! - `duplicates`: a message received twice is posted once.
//! - `fairness`: listeners that share an endpoint share its sessions.
//! - `fifo`: order within message groups, with drains, kills and several processes.
//! - `final_receive`: messages on their final receive while an endpoint accepts nothing.
//! - `forwards`: copies for the dead-letter queue that fail are sent again, and cost no second POST.
//! - `gate`: when a gate closes, probes and opens.
//! - `idle_calls`: how many SQS calls an idle listener makes, by who asks.
//! - `latency_budget`: what a message costs in SQS calls and how long it waits, where messages trickle in.
//! - `leases`: every way in which a lease ends before its message is settled.
//! - `limiters`: what is used of an endpoint that takes only so many POSTs per time, or at once.
//! - `claim_checks`: messages whose body is in S3.
//! - `no_work`: messages that are deleted without a POST.
//! - `outages`: the goals of `docs/outages.md` on a few cases.
//! - `panics`: a panic is counted, and its loop runs again.
//! - `preflight`: warnings about a queue's settings, before the start and while it runs.
//! - `receives_saved_by_gates`: an endpoint that fails for an hour dead-letters nothing.
//! - `reload`: listeners adjusted, replaced, added and removed while messages flow.
//! - `results`: results are sent before their messages leave, and cost no second POST.
//! - `seeds`: random lives of whole processes, with every promise checked.
//! - `settlement`: what becomes of a message, by the endpoint's answer.
//! - `sqs_failures`: each row of `docs/sqs-trouble.md`.
//! - `sqs_random_faults`: random faults of SQS lose nothing and duplicate nothing.
//! - `status`: what a listener's status says while something is wrong.
//! - `throughput`: how fast a backlog goes, and how many calls to SQS a message of it costs.
//! - `unreachable`: an endpoint that cannot be connected to costs no receives.
//!
//! Helpers: `process` is a simulated process and `simulated_queue` its queue over the embedded broker.
//! `scripted_queue`, `scripted_endpoint` and `simulated_outbox` (a result queue) fail and answer as a test says.
//! `outage` simulates outages, for the tests and for `benches/outages.rs`; `limiters` is used by `benches/limiters.rs` as well.

#[allow(dead_code, unused_imports, reason = "the benchmark uses more of it")]
mod limiters;
#[allow(dead_code, unused_imports, reason = "the benchmark uses more of it")]
pub mod outage;
mod process;
mod scripted_endpoint;
mod scripted_queue;
mod simulated_outbox;
mod simulated_queue;

mod batches;
mod batches_gathered;
mod caps;
mod claim_checks;
mod controls;
mod delivery_log;
mod drain;
mod duplicates;
mod fairness;
mod fifo;
mod final_receive;
mod fleet;
mod forwards;
mod gate;
mod idle_calls;
mod latency_budget;
mod leases;
mod no_work;
mod outages;
mod panics;
mod preflight;
mod receives_saved_by_gates;
mod reload;
mod results;
mod seeds;
mod settlement;
mod sqs_failures;
mod sqs_random_faults;
mod status;
mod throughput;
mod unreachable;
