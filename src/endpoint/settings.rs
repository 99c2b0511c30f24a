//! How an endpoint is reached: the adapter's already valid settings.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::endpoint::auth::{Auth, FixedHeaders};
use crate::endpoint::sign::Signature;

/// What all listeners of one endpoint share: one HTTP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Configured name, or `scheme://host:port`; the `endpoint` label.
    pub name: String,
    /// Time for DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Most idle connections: the endpoint's cap on sessions.
    pub pool_size: usize,
    /// Credentials sent with every request.
    pub auth: Option<Auth>,
    /// Signature by a shared secret.
    pub sign: Option<Signature>,
    /// Trust and client certificate.
    pub tls: Tls,
}

/// Files with certificates and keys for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// PEM bundle that replaces the system's trust store.
    pub ca_file: Option<PathBuf>,
    /// PEM client certificate chain.
    pub cert_file: Option<PathBuf>,
    /// PEM key of the client certificate.
    pub key_file: Option<PathBuf>,
}

/// Address, timeout and headers of one listener's requests.
#[derive(Debug, Clone)]
pub struct Target {
    /// Full address of the POST.
    pub url: Url,
    /// From the first byte sent (connecting included) to the last byte received.
    pub timeout: Duration,
    /// Headers of every request, whatever its message.
    pub headers: FixedHeaders,
    /// How much of a success is kept for the exchange, in bytes.
    pub answer_kept: usize,
    /// Whether people may see the beginning of an answer: in the log, the status and dead-letter copies.
    pub records_answers: bool,
}
