//! How far towards a connection a failed attempt came.
//!
//! Read from the types in the chain of causes; from its texts where there are none to ask for: the resolver, the
//! proxy, and what TLS itself complained of.

use std::error::Error;
use std::io;

use crate::policy::outcome::Step;

/// What TLS says of certificates, by the step they fail at.
const TLS: [(Step, &[&str]); 4] = [
    // The last is the certificate of an authority shown as a server's: what `openssl req -x509` makes by default.
    (Step::Trust, &["certificate: UnknownIssuer", "certificate: BadSignature", "CaUsedAsEndEntity"]),
    (Step::Name, &["certificate not valid for name", "certificate: NotValidForName"]),
    (Step::Validity, &["certificate expired", "certificate not valid yet"]),
    // What a server may say of a client's certificate (RFC 8446, section 6.2).
    (
        Step::ClientCertificate,
        &[
            "alert: BadCertificate",
            "alert: UnsupportedCertificate",
            "alert: CertificateRevoked",
            "alert: CertificateExpired",
            "alert: CertificateUnknown",
            "alert: CertificateRequired",
            "alert: UnknownCA",
            "alert: AccessDenied",
        ],
    ),
];

impl Step {
    /// The step at which this happened.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        if causes(error).any(|cause| cause.to_string() == "dns error") {
            return Self::Resolve;
        }
        if causes(error).any(|cause| cause.to_string().starts_with("tunnel error")) {
            return Self::Proxy;
        }
        let kind = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(innermost).last();
        match kind {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(io::ErrorKind::TimedOut) => Self::TimedOut,
            // rustls: a certificate that does not verify, an answer that is no TLS, an end amid the handshake.
            Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Self::of_tls(error),
            _ => Self::Other,
        }
    }

    fn of_tls(error: &reqwest::Error) -> Self {
        let said = |signs: &[&str]| {
            causes(error).any(|cause| {
                let text = cause.to_string();
                signs.iter().any(|sign| text.contains(sign))
            })
        };
        TLS.into_iter().find(|(_, signs)| said(signs)).map_or(Self::Tls, |(step, _)| step)
    }
}

/// An error and all that caused it, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| <dyn Error>::source(*error))
}

/// The kind of what an I/O error wraps: such an error does not count what it wraps among its sources.
fn innermost(mut error: &io::Error) -> io::ErrorKind {
    while let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        error = inner;
    }
    error.kind()
}
