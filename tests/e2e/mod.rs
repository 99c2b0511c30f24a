//! The real binary over loopback, in real time with short settings.
//!
//! - `answers`: what is shown of answers, and that nothing is where that is switched off.
//! - `api_reads`: events, failures, history and the session of the admin port.
//! - `api_writes`: send, dead letters, redrive and log level by request.
//! - `chaos`: kills, restarts and faults on both sides, every duplicate explained.
//! - `check`: what `queuepost check` finds, and that it touches no message.
//! - `command_line`: completions, manual pages, schema, the complete example, misspelt variables.
//! - `console`: the page at `/` in headless Chromium.
//! - `credentials`: credentials that expire and are renewed, and a queue's name that does not resolve.
//! - `credentials_of_endpoints`: secrets of endpoints that are renewed, and never shown.
//! - `delivery`: messages arrive once each, with headers and body, within the workers.
//! - `dev`: `queuepost dev`.
//! - `documents`: the shell blocks of the documents, typed as they stand there.
//! - `endpoints`: endpoints that refuse, reset, hang or answer nonsense.
//! - `environment`: proxy variables, terminal escapes, tokens in clear text, file descriptor limits.
//! - `error_messages`: one wording of a failure in the log and in every command.
//! - `event_listeners`: the routes of the original event-listener API.
//! - `examples`: each folder of `examples/` does what its README says.
//! - `fifo`: order within groups across processes that start and stop.
//! - `fleet`: processes that hold one cap together, counted by DNS.
//! - `gate`: an endpoint that refuses closes the gate, and is found again.
//! - `healthcheck_send_receive`: the commands `healthcheck`, `send`, `receive` and `resend`.
//! - `hostile`: endpoints that misuse HTTP, TLS and HTTP/2.
//! - `hostile_clients`: clients that misuse the admin port, the embedded queue and the sample endpoint.
//! - `https`: endpoints over TLS, trusted and not.
//! - `keep_alive`: endpoints that close idle connections after a second.
//! - `limiters`: rate limiters by other authors, whose limits no configuration tells of.
//! - `live_control`: changes through the admin port, and the commands that ask for them.
//! - `night`: a bad night, by the runbook.
//! - `otlp`: traces as a collector gets them.
//! - `peers`: senders, receivers and libraries of others.
//! - `presets`: what presets expand to, and listeners of few values.
//! - `queue_commands`: the commands `queues`, `peek`, `delete` and `purge`, and `send --from-receive`.
//! - `redrive`: letters go back, none is lost, and none stays hidden.
//! - `reload`: a configuration that changes while the process runs.
//! - `results`: what became of messages, on queues of its own.
//! - `sqs_failures`: each failure of SQS is named, and the process recovers from it.
//! - `sqs_random_faults`: random faults of SQS lose nothing and duplicate nothing.
//! - `starting`: starts that fail, and the admin port.
//! - `stopping`: SIGTERM, a second signal, kill -9.
//! - `templates`: requests made by templates, and `check --render`.
//! - `unread_output`: standard output that nobody reads blocks nothing.
//!
//! Helpers: `process` starts the binary; `servers` are queues and endpoints to call, `tls` their certificates.
//! `sqs_proxy` answers in the place of SQS; `fault_proxy` injects faults into any HTTP exchange.

pub mod fault_proxy;
pub mod process;
pub mod servers;
mod sqs_proxy;
pub mod tls;

mod answers;
mod api_reads;
mod api_writes;
mod chaos;
mod check;
mod command_line;
mod console;
mod credentials;
mod credentials_of_endpoints;
mod delivery;
mod dev;
mod documents;
mod endpoints;
mod environment;
mod error_messages;
mod event_listeners;
mod examples;
mod fifo;
mod fleet;
mod gate;
mod healthcheck_send_receive;
mod hostile;
mod hostile_clients;
mod https;
mod keep_alive;
mod kept_listeners;
mod limiters;
mod live_control;
mod night;
#[cfg(feature = "otlp")]
mod otlp;
mod peers;
mod presets;
mod queue_commands;
mod redrive;
mod reload;
mod results;
mod sqs_failures;
mod sqs_random_faults;
mod starting;
mod stopping;
mod templates;
mod unread_output;
