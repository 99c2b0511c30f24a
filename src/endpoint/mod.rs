//! HTTP endpoints: where messages are sent, and how what comes back is named.
//!
//! The only area that knows reqwest, tower, hyper and rustls. An [`HttpClient`] is shared by all listeners of one
//! endpoint (one connection pool, one TLS identity); an [`HttpEndpoint`] adds one listener's address and
//! time-out and implements [`crate::ports::Endpoint`].
//!
//! One call is one attempt: redirects are not followed, nothing is sent twice, no cookie or compression changes
//! what was asked or answered. An attempt ends with the last byte of the answer, not with its status line. What
//! an endpoint does is never an error but an [`crate::policy::outcome::Attempt`]; deciding what it means is the
//! policy's business.

mod client;
mod connectivity;
mod echo;
pub mod regular_file;
mod response;
mod settings;
mod stack;
mod step;
mod trust;
mod words;

pub use client::{ClientError, HttpClient};
pub use connectivity::{ConnectivityError, check_connectivity, connectivity_check_takes};
pub use settings::{AuthHeader, Settings, Target, Tls};
pub use stack::HttpEndpoint;
