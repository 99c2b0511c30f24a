//! Message → HTTP request. Pure: no I/O, no clock, no randomness.
//!
//! A [`Shape`] sends the body byte for byte with the message's properties as headers; an [`Algorithm`] is the
//! address of an Algorithmia-style algorithm. Both know nothing of hosts or credentials: those are the
//! endpoint's business.

mod algorithm;
mod headers;
mod raw;
mod trace_context;

pub use algorithm::{Algorithm, AlgorithmError};
pub use headers::Shaped;
pub use raw::Shape;

use bytes::Bytes;
use http::HeaderMap;

/// What is to be posted, before it is signed and addressed.
#[derive(Debug, Clone)]
pub struct Request {
    /// `Content-Type` and the message's properties; no `Host`, no credentials.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
}
