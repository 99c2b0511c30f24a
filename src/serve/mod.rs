//! HTTP/1.1 servers that a hostile client cannot exhaust: admin port, embedded queue and sample endpoint.
//!
//! Decides which connections stay open, for how long, and which `Host` is answered. The caller's router
//! answers requests, and reads bodies by [`Bodies`] or not at all. Invariants:
//!
//! - HTTP/1 only. HTTP/2 would let one connection keep hundreds of answers in memory.
//! - At most [`Limits::connections`] are open, and one more that waits for room.
//! - When all places are taken, the connection that has waited longest for a request head is dropped. Its
//!   head may never end, or it is idle between two requests. So a new connection is served however many
//!   clients send nothing. A connection whose socket always had bytes since its last answer does not count as
//!   waiting.
//! - If none waits for a head, the connection with the oldest unread answer is dropped. That answer must be
//!   at least a second old. So a new connection is served however many clients read no answers.
//! - A connection is never dropped to make room while its request is served. If all serve requests, a new
//!   connection waits until one of them has its answer. [`Limits::request`] bounds that wait.
//! - A dropped connection is closed and not reset: the system still sends the accepted bytes.
//! - Incoming request bodies use up to 16 KiB each, and all longer ones together a fixed total of memory.
//! - No phase of a connection lasts for ever: [`Limits::head`] and [`Limits::request`].

mod bodies;
mod connection;
mod connections;
mod feed;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hosts;
mod server;
mod stream;

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

pub use bodies::{Bodies, BodyError, Held};
pub use connection::Cut;
pub use feed::feed;
pub use hosts::{Hosts, is_from_another_site};
pub use server::{Peer, serve};

/// The limits of one server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// From a connection's start or last answer to the end of the next head.
    pub head: Duration,
    /// From the end of a request head until the client has read the whole answer.
    pub request: Duration,
    /// From the stop to the end of the last connection.
    pub end: Duration,
}

impl Default for Limits {
    /// For servers with immediate answers: a scrape, a probe, a status.
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(5),
            // The default timeout of a Prometheus scrape.
            request: Duration::from_secs(10),
            end: Duration::from_secs(1),
        }
    }
}

/// Limits, host names and refusals of one server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The limits for its clients.
    pub limits: Limits,
    /// The host names it answers to.
    pub hosts: Hosts,
    /// Writes a refusal in the protocol of the server.
    pub refusal: fn(Refusal) -> Response,
}

/// The answer to a request that does not reach the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The reason and the fix: one or two sentences.
    pub reason: &'static str,
}

impl Refusal {
    /// The refusal as plain text.
    pub fn plain(self) -> Response {
        (self.status, format!("{}\n", self.reason)).into_response()
    }
}
