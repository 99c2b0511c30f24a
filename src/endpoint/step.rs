//! How far towards a connection a failed attempt came, and what was wrong there.
//!
//! Read from the types in the chain of causes, the resolver's failure excepted, which has none of its own to ask
//! for. Steps are told apart as far as what a person does about them differs.

use std::error::Error;
use std::io;

use rustls::{AlertDescription as Alert, CertificateError as Certificate};

/// The steps to a connection, as far as they can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The name has no address.
    Resolve,
    /// Nobody listens there.
    Refused,
    /// Nobody answered in time.
    TimedOut,
    /// TLS: the endpoint's certificate is from nobody we trust.
    Trust,
    /// TLS: the endpoint's certificate is for another host.
    Name,
    /// TLS: the endpoint's certificate has expired or does not hold yet.
    Validity,
    /// TLS: the endpoint does not accept our certificate, or that we have none.
    ClientCertificate,
    /// The TLS handshake failed otherwise.
    Tls,
    /// Anything else.
    Other,
}

impl Step {
    /// The step at which this happened.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        if causes(error).any(|cause| cause.downcast_ref().is_some_and(reqwest::Error::is_timeout)) {
            return Self::TimedOut;
        }
        // The resolver's failure has no type of its own to ask for.
        if causes(error).any(|cause| cause.to_string() == "dns error") {
            return Self::Resolve;
        }
        if let Some(error) = tls(error) {
            return Self::of_tls(error);
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
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Self::Name,
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. } => Self::Validity,
                _ => Self::Tls,
            },
            // What a server may say of a client's certificate (RFC 8446, section 6.2).
            rustls::Error::AlertReceived(
                Alert::NoCertificate
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::CertificateRequired
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError,
            ) => Self::ClientCertificate,
            _ => Self::Tls,
        }
    }
}

/// Whether the other side ended the connection with a TLS alert.
pub(super) fn is_alert(error: &(dyn Error + 'static)) -> bool {
    matches!(tls(error), Some(rustls::Error::AlertReceived(_)))
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
