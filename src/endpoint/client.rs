//! The HTTP client of one endpoint: its connections, its TLS files, its credentials.
//!
//! Features of reqwest that would change the number or meaning of requests are off. The client follows no
//! redirect and repeats nothing. A connection that ends before the answer proves nothing about a POST that
//! was written (RFC 9110, section 9.2.2).
//! So idle connections are closed before the endpoint closes them. Where an endpoint announces its keep-alive
//! time, a new pool with a shorter time replaces the old one.
//! HTTP/1.1 or HTTP/2 is agreed by ALPN. Proxies come from the standard variables (`HTTPS_PROXY`, `NO_PROXY`,
//! …). TLS files are read once, when the client is built; every failure names the file and the error.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Identity, redirect, retry};

use crate::endpoint::auth::Credentials;
use crate::endpoint::sign::Signer;
use crate::endpoint::{Settings, Tls, trust};
use crate::limit::clock::Wall;
use crate::ports::RequestSigner;
use crate::secret::regular_file;
use crate::telemetry::Chain;

const HTTP2_PING_EVERY: Duration = Duration::from_secs(15);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// `Keep-Alive: timeout=5, max=100` (RFC 2068, section 19.7.1.1): HTTP/1.1 alone, HTTP/2 has no such field.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// How much earlier than the endpoint this side closes: the travel time of an answer and of the next request.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// The connections to one endpoint; clones share them.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pool: Arc<RwLock<Pool>>,
    tls: Arc<TlsFiles>,
    /// The settings of the client.
    pub(super) settings: Arc<Settings>,
    /// The credentials that every request carries.
    pub(super) credentials: Arc<Credentials>,
    /// What signs every request.
    pub(super) signer: Arc<Signer>,
    /// Whether the endpoint ever answered, and so accepts our client certificate.
    pub(super) answered: Arc<AtomicBool>,
}

/// reqwest's pool, and how long it keeps an idle connection; zero keeps none.
#[derive(Debug)]
struct Pool {
    http: reqwest::Client,
    idle: Duration,
}

/// The contents of the TLS files.
#[derive(Debug)]
struct TlsFiles {
    trusted: Option<Vec<Certificate>>,
    identity: Option<Identity>,
    /// Tells other contents from these.
    contents: u64,
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
        /// The error of the system.
        source: std::io::Error,
    },
    /// The content of a file is not what its key requires.
    #[error("{key} {}: {problem}", path.display())]
    Content {
        /// Configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The error in the file.
        problem: String,
    },
    /// One of `cert_file` and `key_file` without the other.
    #[error("{present} is set without {missing}: a client certificate needs both")]
    HalfIdentity {
        /// The key that is set.
        present: &'static str,
        /// The key that is missing.
        missing: &'static str,
    },
    /// The client as a whole failed, for example because the system has no certificate store.
    #[error("cannot set up HTTP for endpoint {endpoint}")]
    Client {
        /// Name of the endpoint.
        endpoint: String,
        /// The error of the HTTP client.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl HttpClient {
    /// Reads the TLS files and makes an empty pool; opens no connection.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        let tls = TlsFiles::read(&settings.tls)?;
        let idle = settings.pool_idle_timeout;
        let client = || built(settings, assembled(settings, &tls, idle)?);
        let http = client()?;
        // A token server is asked by a client of its own, with the endpoint's TLS files.
        let credentials = Arc::new(Credentials::new(settings.auth.as_ref(), client)?);
        Ok(Self {
            credentials,
            signer: Arc::new(Signer::new(settings.sign.clone(), Wall::System)),
            pool: Arc::new(RwLock::new(Pool { http, idle })),
            tls: Arc::new(tls),
            settings: Arc::new(settings.clone()),
            answered: Arc::default(),
        })
    }

    /// The client whose requests `signer` signs too.
    #[must_use]
    pub fn signed_by(self, signer: Arc<dyn RequestSigner>) -> Self {
        let sign = Signer::new(self.settings.sign.clone(), Wall::System).with_credentials(signer);
        Self { signer: Arc::new(sign), ..self }
    }

    /// Whether another client would be the same, read from the same files: settings and what is in the TLS files.
    pub fn is_as(&self, other: &Self) -> bool {
        self.settings == other.settings && self.tls.contents == other.tls.contents
    }

    /// The present client; its clones share connections.
    pub(super) fn http(&self) -> reqwest::Client {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).http.clone()
    }

    /// Closes idle connections before the time that an answer's headers announce. The shortest announced time
    /// applies for good. Times are whole seconds, so the pool is replaced a few times at most.
    pub(super) fn heed(&self, headers: &HeaderMap) {
        let Some(kept) = headers.get(KEEP_ALIVE).and_then(announced) else { return };
        let idle = kept.saturating_sub(KEEP_ALIVE_MARGIN);
        if idle >= self.pool.read().unwrap_or_else(PoisonError::into_inner).idle {
            return;
        }
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if idle >= pool.idle {
            return;
        }
        let endpoint = self.settings.name.as_str();
        let assembled = assembled(&self.settings, &self.tls, idle);
        match assembled.and_then(|assembled| built(&self.settings, assembled)) {
            Ok(http) => {
                let (kept, idle) = (kept.as_secs(), idle.as_secs());
                tracing::info!(
                    endpoint,
                    keep_alive_seconds = kept,
                    pool_idle_seconds = idle,
                    "the endpoint keeps idle connections shorter than pool_idle_timeout; they are kept shorter here too"
                );
                pool.http = http;
            }
            Err(error) => {
                tracing::warn!(endpoint, error = Chain(&error).to_string(), "connections are kept as before");
            }
        }
        // Also after a failure: otherwise every answer would repeat it.
        pool.idle = idle;
    }
}

/// How long an endpoint announces to keep an idle connection.
fn announced(keep_alive: &HeaderValue) -> Option<Duration> {
    let mut parameters =
        keep_alive.to_str().ok()?.split(',').filter_map(|parameter| parameter.split_once('='));
    let (_, seconds) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// The settings from which an endpoint's client is built.
pub(super) fn builder(settings: &Settings) -> Result<ClientBuilder, ClientError> {
    assembled(settings, &TlsFiles::read(&settings.tls)?, settings.pool_idle_timeout)
}

fn assembled(settings: &Settings, tls: &TlsFiles, idle: Duration) -> Result<ClientBuilder, ClientError> {
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(if idle.is_zero() { 0 } else { settings.pool_size })
        .tcp_nodelay(true)
        // The default ends a POST whose endpoint reads nothing for 30 s, whatever the POST's timeout.
        .tcp_user_timeout(None)
        // Otherwise an HTTP/2 connection that died silently fails all its requests.
        .http2_keep_alive_interval(HTTP2_PING_EVERY)
        .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT);
    if tls.trusted.is_none() && tls.identity.is_none() {
        let system = trust::of_system().map_err(|error| ClientError::Client {
            endpoint: settings.name.clone(),
            source: Box::new(error),
        })?;
        return Ok(builder.tls_backend_preconfigured(system));
    }
    if let Some(trusted) = &tls.trusted {
        builder = builder.tls_certs_only(trusted.iter().cloned());
    }
    if let Some(identity) = &tls.identity {
        builder = builder.identity(identity.clone());
    }
    Ok(builder)
}

impl TlsFiles {
    fn read(tls: &Tls) -> Result<Self, ClientError> {
        let mut contents = DefaultHasher::new();
        let trusted = trusted(tls, &mut contents)?;
        let identity = identity(tls, &mut contents)?;
        Ok(Self { trusted, identity, contents: contents.finish() })
    }
}

/// The client of a builder made for `settings`.
pub(super) fn built(settings: &Settings, builder: ClientBuilder) -> Result<reqwest::Client, ClientError> {
    builder.build().map_err(|error| ClientError::Client {
        endpoint: settings.name.clone(),
        source: Chain(&error).to_string().into(),
    })
}

/// The certificates of `ca_file`.
fn trusted(tls: &Tls, contents: &mut DefaultHasher) -> Result<Option<Vec<Certificate>>, ClientError> {
    const KEY: &str = "tls.ca_file";
    let Some(path) = &tls.ca_file else { return Ok(None) };
    let pem = read(KEY, path)?;
    pem.hash(contents);
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if certificates.is_empty() => {
            Err(content(KEY, path, "no PEM certificate in it".to_owned()))
        }
        Ok(certificates) => Ok(Some(certificates)),
        Err(error) => Err(content(KEY, path, Chain(&error).to_string())),
    }
}

/// The client certificate of `cert_file` and `key_file`.
fn identity(tls: &Tls, contents: &mut DefaultHasher) -> Result<Option<Identity>, ClientError> {
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
            // The last line of a file may lack its line feed.
            pem.push(b'\n');
            pem.extend(read(KEY, key)?);
            pem.hash(contents);
            Identity::from_pem(&pem)
                .map(Some)
                .map_err(|_| content(KEY, key, "no usable PEM private key in it".to_owned()))
        }
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, ClientError> {
    regular_file::read(path, regular_file::TLS_FILE_MAX).map_err(|source| ClientError::Read {
        key,
        path: path.to_owned(),
        source,
    })
}

fn content(key: &'static str, path: &Path, problem: String) -> ClientError {
    ClientError::Content { key, path: path.to_owned(), problem }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
