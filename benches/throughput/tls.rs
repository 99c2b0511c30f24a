//! TLS of the endpoint: a certificate of its own for each measurement, and HTTP/1.1 or HTTP/2 inside.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Result;

/// What is spoken inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Inside {
    Http1,
    Http2,
}

impl Inside {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// The endpoint's certificate and key, as files.
#[derive(Debug, Clone, Args)]
pub(crate) struct Tls {
    #[arg(long = "tls", required = false)]
    pub(crate) inside: Inside,
    #[arg(long, required = false)]
    pub(crate) certificate: PathBuf,
    #[arg(long, required = false)]
    pub(crate) key: PathBuf,
}

impl Tls {
    /// Makes a certificate for this machine, which is its own authority.
    pub(crate) fn new(inside: Inside) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (certificate, key) =
            (folder.join("throughput-certificate.pem"), folder.join("throughput-key.pem"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(Self { inside, certificate, key })
    }

    /// As arguments of the endpoint.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let inside = match self.inside {
            Inside::Http1 => "http1",
            Inside::Http2 => "http2",
        };
        let (certificate, key) = (self.certificate.clone().into(), self.key.clone().into());
        vec!["--tls".into(), inside.into(), "--certificate".into(), certificate, "--key".into(), key]
    }

    /// What takes connections.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        let certificate = CertificateDer::from_pem_file(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = match self.inside {
            Inside::Http1 => vec![b"http/1.1".to_vec()],
            Inside::Http2 => vec![b"h2".to_vec()],
        };
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
