//! How an endpoint is reached: the adapter's already valid settings.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

/// What all listeners of one endpoint share: one HTTP client.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Configured name, or `scheme://host:port`; the `endpoint` label.
    pub name: String,
    /// Time for DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Most connections kept unused: the endpoint's cap.
    pub pool_size: usize,
    /// Credentials sent with every request.
    pub auth: Option<AuthHeader>,
    /// Trust and client certificate.
    pub tls: Tls,
}

/// Files that change how TLS is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// PEM bundle trusted in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM client certificate chain.
    pub cert_file: Option<PathBuf>,
    /// PEM key of the client certificate.
    pub key_file: Option<PathBuf>,
}

/// Where one listener's requests go.
#[derive(Debug, Clone)]
pub struct Target {
    /// Full address of the POST.
    pub url: Url,
    /// From the first byte out (connecting included) to the last byte in.
    pub timeout: Duration,
}

/// A header that carries a secret; never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AuthHeader {
    /// `Authorization` or what the endpoint wants.
    pub name: HeaderName,
    /// Marked sensitive.
    pub value: HeaderValue,
}

impl fmt::Debug for AuthHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: REDACTED", self.name)
    }
}
