//! HTTP/1.1 servers that a hostile client cannot exhaust: admin port, embedded queue and sample endpoint.
//!
//! Decides which connections stay open, for how long, and which `Host` is answered. What is answered is the caller's
//! router, which reads bodies by [`Bodies`] or not at all. Invariants:
//! * HTTP/1 only. HTTP/2 would let one connection keep hundreds of answers in memory.
//! * At most [`Limits::connections`] are open, and one more that waits for room.
//! * When all are taken, the connection that has been waiting for a request head for longest is dropped. That may be one
//!   whose head never ends, or an idle one between two requests. So a newcomer is served however many clients send nothing.
//!   One whose socket was never found empty since its last answer does not count as waiting.
//! * If none waits for a head, the one is dropped whose client has for longest, and for a second at least, not taken an
//!   answer that was complete. So a newcomer is served however many clients take no answers.
//! * A connection is never dropped to make room while its request is being served. If all are being served, a newcomer
//!   waits until one of them has its answer. [`Limits::request`] bounds that wait.
//! * A dropped connection is closed and not reset: the system still sends what was handed to it.
//! * Request bodies that come in take up to 16 KiB each, and all that are longer a fixed total of memory.
//! * No phase of a connection lasts for ever: [`Limits::head`] and [`Limits::request`].

mod bodies;
mod connection;
mod connections;
mod hosts;
mod server;
mod stream;

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

pub use bodies::{Bodies, BodyError, Held};
pub use connection::Cut;
pub use hosts::{Hosts, is_from_another_site};
pub use server::serve;

/// What one server allows its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// From the start of a connection, or from its last answer, to the end of the next request head.
    pub head: Duration,
    /// From the end of a request head to the last byte of the answer that the client takes.
    pub request: Duration,
    /// From the order to end to the end of the last connection.
    pub end: Duration,
}

impl Default for Limits {
    /// For servers whose answers are at hand: a scrape, a probe, a status.
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(5),
            // The default time-out of a Prometheus scrape.
            request: Duration::from_secs(10),
            end: Duration::from_secs(1),
        }
    }
}

/// How one server treats its clients.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it allows them.
    pub limits: Limits,
    /// The names they may know it by.
    pub hosts: Hosts,
    /// Words a refusal in the protocol of the server.
    pub refusal: fn(Refusal) -> Response,
}

/// A request that does not reach the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// Why, and what to do: one or two sentences.
    pub reason: &'static str,
}

impl Refusal {
    /// The refusal as plain text.
    pub fn plain(self) -> Response {
        (self.status, format!("{}\n", self.reason)).into_response()
    }
}
