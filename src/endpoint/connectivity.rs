//! The connectivity check: connects to an endpoint without sending a request.
//!
//! The client that makes the POSTs resolves the name and connects. For https it completes the TLS handshake
//! with the endpoint's TLS files. Then the connection is closed before a byte of HTTP is written. So the
//! check covers what deliveries use: trust, client certificate, proxies, timeout. Behind a proxy an http
//! endpoint itself is not reached: only the proxy is.
//!
//! A missing or refused client certificate is noticed when the server sends an alert during the handshake or
//! soon after. It is not noticed in three cases:
//!
//! - the server takes longer than [`LAST_WORD`];
//! - the server asks for the certificate only after a request;
//! - the server answers that request with an HTTP error, as nginx does.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use hyper::rt::{Read, ReadBuf, Write};
use tokio::time::timeout;
use tower::{Layer, Service};
use url::Url;

use super::client;
use super::step::{self, causes};
use crate::endpoint::{ClientError, Settings};
use crate::policy::outcome::Step;
use crate::ports::BoxFuture;
use crate::telemetry::Chain;

/// How long the check waits for an alert after it closed its side: several round trips and a busy server's
/// pause.
const LAST_WORD: Duration = Duration::from_secs(3);

type BoxError = Box<dyn Error + Send + Sync>;

/// Why the connectivity check failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectivityError {
    /// No client can be built from the endpoint's settings.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No connection came about.
    #[error("{text}")]
    Unreached {
        /// The step that failed.
        step: Step,
        /// The error of the system or of the peer.
        text: String,
    },
}

/// The longest time of a check with these settings: connecting, and waiting for TLS alerts.
pub fn connectivity_check_takes(settings: &Settings) -> Duration {
    settings.connect_timeout.saturating_add(LAST_WORD)
}

/// Resolves, connects and, for https, completes the handshake and waits for alerts; sends no request.
pub async fn check_connectivity(settings: &Settings, url: &Url) -> Result<(), ConnectivityError> {
    let http = client::built(settings, client::builder(settings)?.connector_layer(StopAtConnection))?;
    let Err(error) = http.get(url.clone()).send().await else { return Ok(()) };
    if let Some(connection) = connection(&error) {
        return if url.scheme() == "https" { await_alerts(connection).await } else { Ok(()) };
    }
    let step = Step::of(&error);
    // The address may carry a token in its query string.
    let error = error.without_url();
    // The outer two errors only say that a client failed to connect, and name no cause.
    let text = Chain(causes(&error).nth(2).unwrap_or(&error)).to_string();
    Err(ConnectivityError::Unreached { step, text })
}

/// The established connection, if there is one.
fn connection(error: &reqwest::Error) -> Option<Box<dyn Connection>> {
    let reached = causes(error).find_map(<dyn Error>::downcast_ref::<Reached>)?;
    reached.connection.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Closes our side of a TLS connection and reads the peer's last bytes. Normally they are only its close.
///
/// With TLS 1.3 our handshake ends before the server has seen our certificate (RFC 8446, section 2). A server
/// that refuses it sends an alert afterwards.
async fn await_alerts(mut connection: Box<dyn Connection>) -> Result<(), ConnectivityError> {
    let ended = timeout(LAST_WORD, async {
        // A server that has closed already may still have sent an alert.
        poll_fn(|context| Pin::new(&mut *connection).poll_shutdown(context)).await.ok();
        let mut bytes = [0; 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            poll_fn(|context| Pin::new(&mut *connection).poll_read(context, buffer.unfilled())).await?;
            if buffer.filled().is_empty() {
                return Ok::<_, io::Error>(());
            }
        }
    });
    match ended.await {
        Ok(Err(error)) if step::is_alert(&error) => {
            Err(ConnectivityError::Unreached { step: Step::of(&error), text: Chain(&error).to_string() })
        }
        // A peer that resets, or goes on sending, passes: no request was sent to it.
        _ => Ok(()),
    }
}

/// An open connection of any type.
trait Connection: Read + Write + Send + Unpin {}

impl<C: Read + Write + Send + Unpin> Connection for C {}

/// Replaces an established connection, so that nothing is sent on it.
#[derive(thiserror::Error)]
#[error("reached")]
struct Reached {
    connection: Mutex<Option<Box<dyn Connection>>>,
}

impl fmt::Debug for Reached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reached")
    }
}

/// A layer around the client's connector.
#[derive(Debug, Clone, Copy)]
struct StopAtConnection;

impl<S> Layer<S> for StopAtConnection {
    type Service = Stop<S>;

    fn layer(&self, connector: S) -> Stop<S> {
        Stop { connector }
    }
}

/// A connector that hands no connection to the client.
#[derive(Clone)]
struct Stop<S> {
    connector: S,
}

impl<S, R> Service<R> for Stop<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Connection + 'static,
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
            let connection: Box<dyn Connection> = Box::new(connecting.await?);
            Err(Reached { connection: Mutex::new(Some(connection)) }.into())
        })
    }
}

#[cfg(test)]
#[path = "connectivity_tests.rs"]
mod tests;
