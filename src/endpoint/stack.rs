//! One listener's way to its endpoint: auth header → time-out → client, as a `tower::Service` stack.
//!
//! The time-out stands outside the client, so that it covers connecting, sending and reading the answer to its
//! end. Every layer answers with an [`Attempt`]; the time-out is the only one that can fail, and its failure is
//! one more attempt. Per request the stack copies the address (reqwest wants its own) and counts references to
//! everything else.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Method;
use tower::timeout::Timeout;
use tower::{Service, ServiceExt as _};
use url::Url;

use super::response;
use crate::endpoint::{AuthHeader, HttpClient, Target};
use crate::pipeline::ports::{BoxFuture, Endpoint};
use crate::policy::outcome::Attempt;
use crate::shape::Request;

/// Where one listener's messages go.
#[derive(Clone)]
pub struct HttpEndpoint {
    stack: Authorize<Timeout<Post>>,
}

impl HttpEndpoint {
    /// Puts one listener's address and time-out on the client it shares with others.
    pub fn new(client: &HttpClient, target: Target) -> Self {
        let Target { url, timeout } = target;
        let auth = client.auth.clone();
        let post = Post { http: client.http.clone(), url: Arc::new(url) };
        Self { stack: Authorize { auth, inner: Timeout::new(post, timeout) } }
    }
}

impl fmt::Debug for HttpEndpoint {
    /// Leaves out path and query, which may carry a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.stack.inner.get_ref().url.origin().ascii_serialization();
        f.debug_struct("HttpEndpoint").field("origin", &origin).finish_non_exhaustive()
    }
}

impl Endpoint for HttpEndpoint {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        let attempt = self.stack.clone().oneshot(request);
        // Nothing below fails but the time-out.
        Box::pin(async move { attempt.await.unwrap_or(Attempt::TimedOut) })
    }
}

/// Adds the endpoint's credentials.
#[derive(Clone)]
struct Authorize<S> {
    auth: Option<AuthHeader>,
    inner: S,
}

impl<S: Service<Request>> Service<Request> for Authorize<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if let Some(auth) = &self.auth {
            request.headers.insert(auth.name.clone(), auth.value.clone());
        }
        self.inner.call(request)
    }
}

/// Makes the POST and reads its answer to the end.
#[derive(Clone)]
struct Post {
    http: reqwest::Client,
    url: Arc<Url>,
}

impl Service<Request> for Post {
    type Response = Attempt;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Attempt, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut post = reqwest::Request::new(Method::POST, Url::clone(&self.url));
        *post.headers_mut() = request.headers;
        *post.body_mut() = Some(request.body.into());
        let answer = self.http.execute(post);
        Box::pin(async move {
            Ok(match answer.await {
                Ok(answer) => response::read(answer).await,
                Err(error) => response::failure(error),
            })
        })
    }
}

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
