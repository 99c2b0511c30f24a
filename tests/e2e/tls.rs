//! Endpoints over TLS, and certificate authorities for them and for their clients.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, DnType, IsCa, KeyPair, date_time_ymd,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio_rustls::server::TlsStream;

use super::servers::HttpEndpoint;

/// An authority that issues certificates; tests trust it or not.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub type Identity = CertifiedKey<KeyPair>;

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// A certificate for a host name or an address.
    pub fn issue(&self, host: &str) -> Identity {
        self.sign(&CertificateParams::new([host.to_owned()]).unwrap())
    }

    /// A certificate that has expired.
    pub fn issue_expired(&self, host: &str) -> Identity {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.sign(&params)
    }

    /// A certificate that is not valid yet.
    pub fn issue_for_later(&self, host: &str) -> Identity {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2100, 1, 1), date_time_ymd(2101, 1, 1));
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let signing_key = KeyPair::generate().unwrap();
        CertifiedKey { cert: params.signed_by(&signing_key, &self.issuer).unwrap(), signing_key }
    }

    /// The authority's own certificate in a file.
    pub fn file(&self, name: &str) -> String {
        write(name, &self.issuer.pem())
    }
}

/// Certificate and key in one file each.
pub fn files(identity: &Identity, name: &str) -> (String, String) {
    let (cert, key) = (identity.cert.pem(), identity.signing_key.serialize_pem());
    (write(&format!("{name}-cert"), &cert), write(&format!("{name}-key"), &key))
}

fn write(name: &str, pem: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}.pem"));
    std::fs::write(&path, pem).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The TLS settings of an endpoint.
pub struct Tls<'a> {
    pub identity: &'a Identity,
    /// The authority whose certificate a client must present.
    pub clients: Option<&'a Authority>,
    pub version: &'static SupportedProtocolVersion,
    /// Offered by ALPN.
    pub protocols: &'a [&'a str],
}

impl<'a> Tls<'a> {
    /// The settings of most endpoints.
    pub fn with(identity: &'a Identity) -> Self {
        Self { identity, clients: None, version: &version::TLS13, protocols: &["h2", "http/1.1"] }
    }

    /// An endpoint on a port of its own that answers 200.
    pub async fn start(self) -> HttpEndpoint {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("https://{}/work", listener.local_addr().unwrap());
        let acceptor = TlsAcceptor::from(Arc::new(self.config()));
        let listener = TlsListener { listener, acceptor, handshakes: JoinSet::new() };
        HttpEndpoint::over(listener, url, 200, Duration::ZERO)
    }

    /// The TLS settings for other kinds of servers.
    pub fn config(&self) -> ServerConfig {
        let builder = ServerConfig::builder_with_protocol_versions(&[self.version]);
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone()).unwrap();
                builder
                    .with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(self.identity.signing_key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![self.identity.cert.der().clone()], key).unwrap();
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// Accepts connections whose handshake succeeded; failed ones are the clients' fault.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<io::Result<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, address) = accepted.unwrap();
                    let shaking = self.acceptor.accept(stream);
                    self.handshakes.spawn(async move { Ok((shaking.await?, address)) });
                }
                Some(Ok(Ok(shaken))) = self.handshakes.join_next() => return shaken,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
