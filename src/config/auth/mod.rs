//! Credentials and fixed headers of requests: from the configuration as written to the endpoint's types.
//!
//! - `written`: the keys as written.
//! - `secret`: a secret from a file or a variable.
//! - `credentials`: `endpoints.NAME.auth`.
//! - `headers`: `headers` of endpoints and listeners.

mod credentials;
mod headers;
mod secret;
pub(super) mod written;

pub(super) use credentials::credentials;
pub(super) use headers::{header_name, headers, taken};
pub(super) use secret::{of_key_file, secret, warn_of_exposed};

#[cfg(test)]
mod tests;
