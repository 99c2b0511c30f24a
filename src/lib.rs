//! queuepost: listeners consume Amazon SQS queues and POST each message to an HTTP endpoint.
//!
//! # The life of a message
//!
//! ```text
//!       Controls (pause, workers, share)    QueueView (depth, max receives)
//!                     │                            │
//! SQS ─▶ intake ─InFlight─▶ flow ─Delivery (1..n)─▶ admission ─▶ exchange ─▶ decide ─▶ settle ─▶ SQS
//!          └─────── lease extender: extends visibility while a message is in flight ──────┘
//! ```
//!
//! - **intake** reserves room, then receives.
//! - **flow** makes deliveries of messages, and keeps the order of FIFO groups.
//! - **admission** waits for the gates, a session and the rate.
//! - **exchange** makes the request, and reads verdicts from the answer. The POST between runs once.
//! - **decide** looks up in a table what becomes of each message.
//! - **settle** deletes or hides at SQS, in batches.
//!
//! `ARCHITECTURE.md` says who owns which state, and why.
//!
//! The modules in reading order:
//!
//! - [`message`]: a message as SQS hands it out.
//! - [`policy`]: what an answer means and what becomes of the message. The table is [`policy::decide`].
//! - [`limit`]: what may run when: slots, sessions, rate, gate.
//! - [`exchange`]: messages → HTTP request, answer → a verdict on each message.
//! - [`ports`]: a queue to receive messages from, an endpoint to deliver them to, and long bodies beside the queue.
//! - [`pipeline`]: the stages above, between the ports.
//! - [`observe`]: what a listener reports: log lines, health, failures.
//! - [`sqs`] and [`endpoint`]: the ports over the AWS SDK and over HTTP.
//! - [`localqueue`]: an embedded SQS for development, tests and simulation.
//! - [`serve`]: the HTTP server under admin port, embedded queue and sample endpoint.
//! - [`tuning`]: every number of intake and flow control that is not a setting.
//! - [`telemetry`], [`config`], [`admin`], [`drain`]: metrics and logs, settings, probes, shutdown.
//! - [`secret`]: secrets in files, read again when they change.
//! - [`hands`]: what a person does with messages of a queue: look, send, move back.
//! - [`escape`]: text from outside made harmless for terminals and logs.
//! - `fuzz`, for tests and fuzzers alone: what others write, fed to the areas that read it.
//! - [`app`] wires it all together for [`cli`].
//!
//! # The table, asked
//!
//! ```
//! use std::time::Duration;
//! use queuepost::message::ReceiveCount;
//! use queuepost::policy::decide::{Disposition, Facts, Policy, decide};
//! use queuepost::policy::outcome::{Answer, Attempt, StatusSet, classify};
//!
//! let policy = Policy::default();
//! let attempt = Attempt::Answered(Answer { status: 429, ..Answer::default() });
//! let outcome = classify(&attempt, &StatusSet::default());
//! let facts = Facts {
//!     receives: ReceiveCount::FIRST,
//!     final_receive: false,
//!     status: Some(429),
//!     retry_after: None,
//!     hideable: Duration::from_secs(43_195),
//!     held: Duration::ZERO,
//!     unit: 0.5,
//! };
//! let park = Disposition::Park { delay: Duration::from_secs(300) };
//! assert_eq!(decide(outcome, &facts, &policy).disposition, park);
//! ```

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod drain;
pub mod endpoint;
pub mod escape;
pub mod exchange;
pub mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hands;
pub mod limit;
pub mod localqueue;
pub mod message;
pub mod observe;
pub mod pipeline;
pub mod policy;
pub mod ports;
pub mod secret;
pub mod serve;
pub mod sqs;
pub mod telemetry;
pub mod tuning;
