//! The HTTP client of one endpoint: its connections, its TLS files, its credentials.
//!
//! reqwest's own ideas are switched off where they would change the number or the meaning of requests: it
//! follows no redirect and repeats nothing. HTTP/1.1 or HTTP/2 is agreed by ALPN. Proxies come from the
//! standard variables (`HTTPS_PROXY`, `NO_PROXY`, …), as everywhere. Files are read once, when the client is
//! built; every failure names the file and what is wrong with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Identity, redirect, retry};

use crate::endpoint::{Settings, Tls};
use crate::telemetry::Chain;

const HTTP2_PING_EVERY: Duration = Duration::from_secs(15);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections to one endpoint; clones share them.
#[derive(Debug, Clone)]
pub struct HttpClient {
    /// reqwest's pool, behind a reference count.
    pub(super) http: reqwest::Client,
    /// What it was made of; `auth` is sent with every request.
    pub(super) settings: Arc<Settings>,
    /// Whether the endpoint ever answered, so that it accepts us.
    pub(super) answered: Arc<AtomicBool>,
}

/// Why no client can be made of an endpoint's settings.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file could not be read.
    #[error("cannot read {key} {}", path.display())]
    Read {
        /// Configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what its key promises.
    #[error("{key} {}: {problem}", path.display())]
    Content {
        /// Configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// One of `cert_file` and `key_file` without the other.
    #[error("{present} is set without {missing}: a client certificate needs both")]
    HalfIdentity {
        /// The key that is set.
        present: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// The client as a whole was refused, for example because the system has no certificate store.
    #[error("cannot set up HTTP for endpoint {endpoint}")]
    Client {
        /// Name of the endpoint.
        endpoint: String,
        /// What the HTTP client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl HttpClient {
    /// Reads the TLS files and sets up an empty pool; connects nowhere.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        let http = built(settings, builder(settings)?)?;
        Ok(Self { http, settings: Arc::new(settings.clone()), answered: Arc::default() })
    }
}

/// All that makes an endpoint's client.
pub(super) fn builder(settings: &Settings) -> Result<ClientBuilder, ClientError> {
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(settings.pool_idle_timeout)
        .pool_max_idle_per_host(settings.pool_size)
        .tcp_nodelay(true)
        // The default would end a POST whose endpoint reads nothing for 30 s, whatever its time-out.
        .tcp_user_timeout(None)
        // An HTTP/2 connection that died silently takes all its requests with it.
        .http2_keep_alive_interval(HTTP2_PING_EVERY)
        .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT);
    if let Some(trusted) = trusted(&settings.tls)? {
        builder = builder.tls_certs_only(trusted);
    }
    if let Some(identity) = identity(&settings.tls)? {
        builder = builder.identity(identity);
    }
    Ok(builder)
}

/// The client of a builder made for `settings`.
pub(super) fn built(settings: &Settings, builder: ClientBuilder) -> Result<reqwest::Client, ClientError> {
    builder.build().map_err(|error| ClientError::Client {
        endpoint: settings.name.clone(),
        source: Chain(&error).to_string().into(),
    })
}

/// The certificates of `ca_file`.
fn trusted(tls: &Tls) -> Result<Option<Vec<Certificate>>, ClientError> {
    const KEY: &str = "tls.ca_file";
    let Some(path) = &tls.ca_file else { return Ok(None) };
    let pem = read(KEY, path)?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if certificates.is_empty() => {
            Err(content(KEY, path, "no PEM certificate in it".to_owned()))
        }
        Ok(certificates) => Ok(Some(certificates)),
        Err(error) => Err(content(KEY, path, Chain(&error).to_string())),
    }
}

/// The client certificate of `cert_file` and `key_file`.
fn identity(tls: &Tls) -> Result<Option<Identity>, ClientError> {
    const CERT: &str = "tls.cert_file";
    const KEY: &str = "tls.key_file";
    match (&tls.cert_file, &tls.key_file) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(ClientError::HalfIdentity { present: CERT, missing: KEY }),
        (None, Some(_)) => Err(ClientError::HalfIdentity { present: KEY, missing: CERT }),
        (Some(cert), Some(key)) => {
            let mut pem = read(CERT, cert)?;
            if !Certificate::from_pem_bundle(&pem).is_ok_and(|certificates| !certificates.is_empty()) {
                return Err(content(CERT, cert, "no PEM certificate in it".to_owned()));
            }
            // A file need not end its last line.
            pem.push(b'\n');
            pem.extend(read(KEY, key)?);
            Identity::from_pem(&pem)
                .map(Some)
                .map_err(|_| content(KEY, key, "no usable PEM private key in it".to_owned()))
        }
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, ClientError> {
    fs::read(path).map_err(|source| ClientError::Read { key, path: path.to_owned(), source })
}

fn content(key: &'static str, path: &Path, problem: String) -> ClientError {
    ClientError::Content { key, path: path.to_owned(), problem }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
