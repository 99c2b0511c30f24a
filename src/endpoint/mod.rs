//! HTTP endpoints: sends messages and turns answers into attempts.
//!
//! The only area that knows reqwest, tower, hyper and rustls. All listeners of one endpoint share an
//! [`HttpClient`]: one connection pool, one TLS identity. An [`HttpEndpoint`] adds one listener's address and
//! timeout, and implements [`crate::ports::Endpoint`].
//!
//! One call is one attempt: no redirect is followed and nothing is sent twice. No cookie and no compression
//! changes a request or an answer. An attempt ends with the last byte of the answer, not with its status
//! line. What an endpoint does is never an error but an [`crate::policy::outcome::Attempt`]; the policy
//! decides what it means.

pub mod auth;
mod client;
mod connectivity;
mod echo;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod redact;
mod response;
mod settings;
pub mod sign;
mod stack;
mod step;
mod trust;

pub use client::{ClientError, HttpClient};
pub use connectivity::{ConnectivityError, check_connectivity, connectivity_check_takes};
pub use redact::PATH_TOKEN_MIN;
pub use settings::{Settings, Target, Tls};
pub use stack::HttpEndpoint;
