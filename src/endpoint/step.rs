//! How far towards a connection a failed attempt came, and what was wrong there.
//!
//! Read from the types in the chain of causes; the failures of the resolver and of a proxy have none to ask for, nor
//! has an alert that HTTP/2 passes on. Steps are told apart as far as what a person does about them differs.

use std::error::Error;
use std::io;

use rustls::{AlertDescription as Alert, CertificateError as Certificate};

use crate::policy::outcome::Step;

/// What a server may say of a client's certificate (RFC 8446, section 6.2).
const OF_CLIENT_CERTIFICATE: [Alert; 10] = [
    Alert::NoCertificate,
    Alert::BadCertificate,
    Alert::UnsupportedCertificate,
    Alert::CertificateRevoked,
    Alert::CertificateExpired,
    Alert::CertificateUnknown,
    Alert::CertificateRequired,
    Alert::UnknownCA,
    Alert::AccessDenied,
    Alert::DecryptError,
];

impl Step {
    /// The step at which this happened.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        if causes(error).any(|cause| cause.downcast_ref().is_some_and(reqwest::Error::is_timeout)) {
            return Self::TimedOut;
        }
        // Before the resolver: it may be the proxy's name that has no address.
        if causes(error).any(|cause| cause.to_string().starts_with("tunnel error")) {
            return Self::Proxy;
        }
        if causes(error).any(|cause| cause.to_string() == "dns error") {
            return Self::Resolve;
        }
        if let Some(error) = tls(error) {
            return Self::of_tls(error);
        }
        if causes(error).any(|cause| is_in_words(cause, &OF_CLIENT_CERTIFICATE)) {
            return Self::ClientCertificate;
        }
        let kind = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(innermost).last();
        match kind {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(io::ErrorKind::TimedOut) => Self::TimedOut,
            // An end amid the handshake.
            Some(io::ErrorKind::UnexpectedEof) => Self::Tls,
            _ => Self::Other,
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                Certificate::UnknownIssuer | Certificate::BadSignature => Self::Trust,
                // The certificate of an authority shown as a server's: what `openssl req -x509` makes by default.
                Certificate::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => Self::Trust,
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Self::Name,
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. } => Self::Validity,
                _ => Self::Tls,
            },
            rustls::Error::AlertReceived(alert) if OF_CLIENT_CERTIFICATE.contains(alert) => {
                Self::ClientCertificate
            }
            _ => Self::Tls,
        }
    }
}

/// Whether the other side ended the connection with a TLS alert.
pub(super) fn is_alert(error: &(dyn Error + 'static)) -> bool {
    matches!(tls(error), Some(rustls::Error::AlertReceived(_)))
}

/// Whether a cause is one of these alerts in TLS's own words: of an I/O error HTTP/2 keeps only the text.
fn is_in_words(cause: &(dyn Error + 'static), alerts: &[Alert]) -> bool {
    let text = cause.to_string();
    alerts.iter().any(|alert| text == rustls::Error::AlertReceived(*alert).to_string())
}

/// An error and all that caused it, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| <dyn Error>::source(*error))
}

/// What TLS itself complained of.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| match cause.downcast_ref::<io::Error>() {
        Some(mut error) => loop {
            let inner = error.get_ref()?;
            if let Some(found) = inner.downcast_ref() {
                return Some(found);
            }
            error = inner.downcast_ref()?;
        },
        None => cause.downcast_ref(),
    })
}

/// The kind of what an I/O error wraps: such an error does not count what it wraps among its sources.
fn innermost(mut error: &io::Error) -> io::ErrorKind {
    while let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        error = inner;
    }
    error.kind()
}
