//! Whether an endpoint can be reached, without asking it anything.
//!
//! The very client that makes the POSTs resolves the name, connects and, for https, shakes hands with the
//! endpoint's TLS files; the finished connection is then closed before a byte of HTTP is written. So what is
//! checked is what will be used: trust, client certificate, proxies, time-out. Behind a proxy an http endpoint
//! itself is not reached: only the proxy is.

use std::error::Error;
use std::io;
use std::task::{Context, Poll};

use tower::{Layer, Service};
use url::Url;

use super::client;
use crate::endpoint::{ClientError, Settings};
use crate::pipeline::ports::BoxFuture;
use crate::telemetry::Chain;

type BoxError = Box<dyn Error + Send + Sync>;

/// Why an endpoint was not reached.
#[derive(Debug, thiserror::Error)]
pub enum KnockError {
    /// No client can be made of its settings.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No connection came about; in words.
    #[error("{text}")]
    Unreached {
        /// At which step.
        step: Step,
        /// What the system or the other side said.
        text: String,
    },
}

/// The steps to a connection, as far as they can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The name has no address.
    Resolve,
    /// Nobody listens there.
    Refused,
    /// Nobody answered in time.
    TimedOut,
    /// The TLS handshake failed.
    Tls,
    /// Anything else.
    Other,
}

/// Resolves, connects and, for https, shakes hands; sends no request.
pub async fn knock(settings: &Settings, url: &Url) -> Result<(), KnockError> {
    let http = client::built(settings, client::builder(settings)?.connector_layer(StopAtConnection))?;
    let Err(error) = http.get(url.clone()).send().await else { return Ok(()) };
    if causes(&error).any(<dyn Error>::is::<Reached>) {
        return Ok(());
    }
    let step = step(&error);
    // The address may carry a token in its query string.
    let error = error.without_url();
    // The outer two only say that a client failed to connect, and of a request that never was.
    let text = Chain(causes(&error).nth(2).unwrap_or(&error)).to_string();
    Err(KnockError::Unreached { step, text })
}

fn step(error: &reqwest::Error) -> Step {
    if error.is_timeout() {
        return Step::TimedOut;
    }
    // The resolver's failure has no type of its own to ask for.
    if causes(error).any(|cause| cause.to_string() == "dns error") {
        return Step::Resolve;
    }
    let kind = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(innermost).last();
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => Step::Refused,
        Some(io::ErrorKind::TimedOut) => Step::TimedOut,
        // rustls: a certificate that does not verify, an answer that is no TLS, an end amid the handshake.
        Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Step::Tls,
        _ => Step::Other,
    }
}

/// The kind of what an I/O error wraps: such an error does not count what it wraps among its sources.
fn innermost(mut error: &io::Error) -> io::ErrorKind {
    while let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        error = inner;
    }
    error.kind()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| <dyn Error>::source(*error))
}

/// What a connection that came about is turned into, so that nothing is sent on it.
#[derive(Debug, thiserror::Error)]
#[error("reached")]
struct Reached;

/// Wraps the client's connector.
#[derive(Debug, Clone, Copy)]
struct StopAtConnection;

impl<S> Layer<S> for StopAtConnection {
    type Service = Stop<S>;

    fn layer(&self, connector: S) -> Stop<S> {
        Stop { connector }
    }
}

/// A connector whose connections are closed at once.
#[derive(Clone)]
struct Stop<S> {
    connector: S,
}

impl<S, R> Service<R> for Stop<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, address: R) -> Self::Future {
        let connecting = self.connector.call(address);
        Box::pin(async move {
            drop(connecting.await?);
            Err(Reached.into())
        })
    }
}

#[cfg(test)]
#[path = "knock_tests.rs"]
mod tests;
