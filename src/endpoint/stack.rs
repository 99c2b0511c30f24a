//! The path of one listener's requests: fixed headers, credentials, signatures → timeout → client, as a
//! `tower::Service` stack.
//!
//! The timeout is outside the client, so that it covers connecting, sending and reading the whole answer.
//! Every layer answers with an [`Attempt`]. The timeout is the only layer that can fail, and its failure
//! becomes an attempt too.
//! Per request the stack copies the address, because reqwest needs its own copy. It counts references to
//! everything else.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use http::{Method, Version};
use tower::timeout::Timeout;
use tower::{Service, ServiceExt as _};
use url::Url;

use super::redact::{LOOKED_AT_BYTES, Secrets};
use super::response;
use crate::endpoint::auth::{Credentials, FixedHeaders};
use crate::endpoint::sign::Signer;
use crate::endpoint::{ConnectivityError, HttpClient, Target, check_connectivity};
use crate::exchange::Request;
use crate::policy::outcome::{Attempt, Break, Step, Unsent};
use crate::ports::{BoxFuture, Endpoint};

/// The address of one listener's POSTs.
#[derive(Clone)]
pub struct HttpEndpoint {
    stack: Authorize<Timeout<Post>>,
}

impl HttpEndpoint {
    /// Adds one listener's address and timeout to the shared client.
    pub fn new(client: &HttpClient, target: Target) -> Self {
        let Target { url, timeout, headers, answer_kept, records_answers } = target;
        let (headers, url) = (Arc::new(headers), Arc::new(url));
        let (credentials, signer) = (Arc::clone(&client.credentials), Arc::clone(&client.signer));
        let secrets = Secrets::new(&url, Arc::clone(&credentials), Arc::clone(&headers), Arc::clone(&signer));
        let (secrets, client) = (records_answers.then(|| Arc::new(secrets)), client.clone());
        let post = Post { client, url: Arc::clone(&url), secrets, answer_kept };
        Self { stack: Authorize { headers, credentials, signer, url, inner: Timeout::new(post, timeout) } }
    }

    /// The beginning of an answer for whoever wrote the message: on one line, escaped, without the endpoint's secrets.
    /// `None` where the listener keeps answers to itself.
    pub fn shown(&self, answer: &[u8], most: usize) -> Option<String> {
        let looked_at = answer.get(..LOOKED_AT_BYTES).unwrap_or(answer);
        self.stack.inner.get_ref().secrets.as_ref()?.shown(looked_at, std::iter::empty(), most)
    }
}

impl fmt::Debug for HttpEndpoint {
    /// Omits path and query, which may carry a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.stack.inner.get_ref().url.origin().ascii_serialization();
        f.debug_struct("HttpEndpoint").field("origin", &origin).finish_non_exhaustive()
    }
}

impl Endpoint for HttpEndpoint {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        let attempt = self.stack.clone().oneshot(request);
        // Only the timeout can fail here.
        Box::pin(async move { attempt.await.unwrap_or(Attempt::TimedOut) })
    }
}

/// Adds the listener's fixed headers and the endpoint's credentials, and then its signatures over all of that.
///
/// A token or credentials may have to be fetched first. That takes a time-out of its own, and none of the listener's.
#[derive(Clone)]
struct Authorize<S> {
    headers: Arc<FixedHeaders>,
    credentials: Arc<Credentials>,
    signer: Arc<Signer>,
    url: Arc<Url>,
    inner: S,
}

impl<S> Service<Request> for Authorize<S>
where
    S: Service<Request, Response = Attempt> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Attempt;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Attempt, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        // The service that is ready takes the call; its copy need not be.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        let (headers, credentials) = (Arc::clone(&self.headers), Arc::clone(&self.credentials));
        let (signer, url) = (Arc::clone(&self.signer), Arc::clone(&self.url));
        Box::pin(async move {
            headers.put(&mut request.headers).await;
            let used = match credentials.add(&mut request.headers).await {
                Ok(used) => used,
                Err(unsent) => return Ok(Attempt::Unsent(unsent)),
            };
            let address = request.address(&url);
            let Request { id, body, headers: of_request, .. } = &mut request;
            if let Err(unsent) = signer.sign(id.as_ref(), &address, body, of_request).await {
                return Ok(Attempt::Unsent(unsent));
            }
            let attempt = inner.call(request).await?;
            if let Attempt::Answered(answer) = &attempt {
                credentials.answered(used, answer.status);
                signer.answered(answer.status);
                if [401, 403].contains(&answer.status) {
                    headers.doubt();
                }
            }
            Ok(attempt)
        })
    }
}

/// Makes the POST and reads its answer to the end.
#[derive(Clone)]
struct Post {
    client: HttpClient,
    url: Arc<Url>,
    /// The strings that no log may repeat from an answer; `None`: nothing of an answer is shown.
    secrets: Option<Arc<Secrets>>,
    /// How much of a success is kept.
    answer_kept: usize,
}

impl Post {
    /// The attempt for a failure. A possible refusal of the client certificate is checked by one more
    /// connection.
    ///
    /// With TLS 1.3 a refusal shows as an alert after our handshake. The connection may end before the alert
    /// arrives. Then messages would lose receives to an endpoint that accepts no request of ours. So an
    /// endpoint that never answered is connected to once more, and the check waits for alerts. If the check
    /// is wrong, a message is held instead of deferred, and not lost.
    async fn failed(self, error: reqwest::Error) -> Attempt {
        let attempt = response::failure(error);
        let doubtful = match &attempt {
            Attempt::Broken(broken) => broken.at == Break::BeforeAnswer,
            Attempt::Unsent(unsent) => unsent.step == Step::Other,
            Attempt::Answered(_) | Attempt::TimedOut | Attempt::Endless => false,
        };
        let doubtful =
            doubtful && self.url.scheme() == "https" && !self.client.answered.load(Ordering::Relaxed);
        if doubtful
            && let Err(ConnectivityError::Unreached { step: step @ Step::ClientCertificate, text }) =
                check_connectivity(&self.client.settings, &self.url).await
        {
            return Attempt::Unsent(Unsent { step, text });
        }
        attempt
    }
}

impl Service<Request> for Post {
    type Response = Attempt;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Attempt, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut post = reqwest::Request::new(Method::POST, request.address(&self.url));
        let (resource, mut contents) = (request.resource, request.contents);
        contents.insert(0, request.body.clone());
        *post.headers_mut() = request.headers;
        *post.body_mut() = Some(request.body.into());
        let answer = self.client.http().execute(post);
        let this = self.clone();
        Box::pin(async move {
            Ok(match answer.await {
                Ok(answer) => {
                    this.client.answered.store(true, Ordering::Relaxed);
                    if answer.version() < Version::HTTP_2 {
                        this.client.heed(answer.headers());
                    }
                    let excerpt =
                        |answer: &[u8]| this.secrets.as_ref()?.excerpt(answer, &contents, resource.as_ref());
                    response::read(answer, this.answer_kept, excerpt).await
                }
                Err(error) => this.failed(error).await,
            })
        })
    }
}

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
