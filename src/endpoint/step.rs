//! The step towards a connection at which an attempt failed, and its cause.
//!
//! The types in the chain of causes tell the step. Failures of the resolver and of a proxy have no type of
//! their own. Nor has an alert that HTTP/2 passes on. Two steps are kept apart only where a person would fix
//! them differently.

use std::error::Error;
use std::io;

use rustls::{AlertDescription as Alert, CertificateError as Certificate};

use crate::policy::outcome::Step;

/// TLS alerts about a client's certificate (RFC 8446, section 6.2).
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
    /// The step at which this failure happened.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        if causes(error).any(|cause| cause.downcast_ref().is_some_and(reqwest::Error::is_timeout)) {
            return Self::TimedOut;
        }
        // Checked before the resolver: the name without an address may be the proxy's.
        if causes(error).any(|cause| cause.to_string().starts_with("tunnel error")) {
            return Self::Proxy;
        }
        if causes(error).any(|cause| cause.to_string() == "dns error") {
            return Self::Resolve;
        }
        if let Some(error) = tls(error) {
            return Self::of_tls(error);
        }
        if causes(error).any(|cause| is_in_text(cause, &OF_CLIENT_CERTIFICATE)) {
            return Self::ClientCertificate;
        }
        let kind = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(innermost).last();
        match kind {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(io::ErrorKind::TimedOut) => Self::TimedOut,
            // The connection ended during the handshake.
            Some(io::ErrorKind::UnexpectedEof) => Self::Tls,
            _ => Self::Other,
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                Certificate::UnknownIssuer | Certificate::BadSignature => Self::Trust,
                // A server shows an authority's certificate as its own: what `openssl req -x509` makes by
                // default.
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

/// Whether the peer ended the connection with a TLS alert.
pub(super) fn is_alert(error: &(dyn Error + 'static)) -> bool {
    matches!(tls(error), Some(rustls::Error::AlertReceived(_)))
}

/// Whether a cause is one of these alerts in rustls's wording. Of an I/O error HTTP/2 keeps only the text.
fn is_in_text(cause: &(dyn Error + 'static), alerts: &[Alert]) -> bool {
    let text = cause.to_string();
    alerts.iter().any(|alert| text == rustls::Error::AlertReceived(*alert).to_string())
}

/// An error and all that caused it, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| <dyn Error>::source(*error))
}

/// The error of TLS itself.
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

/// The kind of the error inside an I/O error; `source()` of an I/O error skips it.
fn innermost(mut error: &io::Error) -> io::ErrorKind {
    while let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        error = inner;
    }
    error.kind()
}
