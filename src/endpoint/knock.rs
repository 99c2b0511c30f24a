//! Whether an endpoint can be reached, without asking it anything.
//!
//! The very client that makes the POSTs resolves the name, connects and, for https, shakes hands with the
//! endpoint's TLS files; the finished connection is then closed before a byte of HTTP is written. So what is
//! checked is what will be used: trust, client certificate, proxies, time-out. Behind a proxy an http endpoint
//! itself is not reached: only the proxy is.

use std::error::Error;
use std::task::{Context, Poll};

use tower::{Layer, Service};
use url::Url;

use super::client;
use super::step::causes;
use crate::endpoint::{ClientError, Settings};
use crate::pipeline::ports::BoxFuture;
use crate::policy::outcome::Step;
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

/// Resolves, connects and, for https, shakes hands; sends no request.
pub async fn knock(settings: &Settings, url: &Url) -> Result<(), KnockError> {
    let http = client::built(settings, client::builder(settings)?.connector_layer(StopAtConnection))?;
    let Err(error) = http.get(url.clone()).send().await else { return Ok(()) };
    if causes(&error).any(<dyn Error>::is::<Reached>) {
        return Ok(());
    }
    let step = Step::of(&error);
    // The address may carry a token in its query string.
    let error = error.without_url();
    // The outer two only say that a client failed to connect, and of a request that never was.
    let text = Chain(causes(&error).nth(2).unwrap_or(&error)).to_string();
    Err(KnockError::Unreached { step, text })
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
