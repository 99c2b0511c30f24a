//! The path of one listener's requests: fixed headers, credentials, signatures → timeout → client.
//!
//! The timeout is outside the client, so that it covers connecting, sending and reading the whole answer.
//! Whatever happens on the way is an [`Attempt`].
//! Per request the address is copied, because reqwest needs its own copy. All else is shared.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, Version};
use tokio::time::timeout;
use url::Url;

use super::redact::{LOOKED_AT_BYTES, Secrets};
use super::response;
use crate::endpoint::auth::{FixedHeaders, Used};
use crate::endpoint::{ConnectivityError, HttpClient, Target, check_connectivity};
use crate::exchange::Request;
use crate::policy::outcome::{Attempt, Break, Step, Unsent};
use crate::ports::{BoxFuture, Endpoint};

/// The address of one listener's POSTs; clones share it.
#[derive(Clone)]
pub struct HttpEndpoint {
    path: Arc<Path>,
}

/// What a request passes on its way.
struct Path {
    headers: Arc<FixedHeaders>,
    /// With the credentials and what signs.
    client: HttpClient,
    timeout: Duration,
    url: Arc<Url>,
    /// The strings that no log may repeat from an answer; `None`: nothing of an answer is shown.
    secrets: Option<Secrets>,
    /// How much of a success is kept.
    answer_kept: usize,
}

impl HttpEndpoint {
    /// Adds one listener's address and timeout to the shared client.
    pub fn new(client: &HttpClient, target: Target) -> Self {
        let Target { url, timeout, headers, answer_kept, records_answers } = target;
        let (headers, url, client) = (Arc::new(headers), Arc::new(url), client.clone());
        let (credentials, signer) = (Arc::clone(&client.credentials), Arc::clone(&client.signer));
        let secrets = records_answers.then(|| Secrets::new(&url, credentials, Arc::clone(&headers), signer));
        Self { path: Arc::new(Path { headers, client, timeout, url, secrets, answer_kept }) }
    }

    /// The beginning of an answer for whoever wrote the message: on one line, escaped, without the endpoint's secrets.
    /// `None` where the listener keeps answers to itself.
    pub fn shown(&self, answer: &[u8], most: usize) -> Option<String> {
        let looked_at = answer.get(..LOOKED_AT_BYTES).unwrap_or(answer);
        self.path.secrets.as_ref()?.shown(looked_at, std::iter::empty(), most)
    }

    /// Makes one POST, like [`Endpoint::post`], on its own.
    pub fn posted(self, request: Request) -> BoxFuture<'static, Attempt> {
        Box::pin(async move { self.path.post(request).await })
    }
}

impl fmt::Debug for HttpEndpoint {
    /// Omits path and query, which may carry a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.path.url.origin().ascii_serialization();
        f.debug_struct("HttpEndpoint").field("origin", &origin).finish_non_exhaustive()
    }
}

impl Endpoint for HttpEndpoint {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        Box::pin(self.path.post(request))
    }
}

impl Path {
    /// A token or credentials may have to be fetched first. That takes a time-out of its own, and none of the listener's.
    async fn post(&self, mut request: Request) -> Attempt {
        let used = match self.authorize(&mut request).await {
            Ok(used) => used,
            Err(unsent) => return Attempt::Unsent(unsent),
        };
        let attempt = timeout(self.timeout, self.answer(request)).await.unwrap_or(Attempt::TimedOut);
        if let Attempt::Answered(answer) = &attempt {
            self.client.credentials.answered(used, answer.status);
            self.client.signer.answered(answer.status);
            if [401, 403].contains(&answer.status) {
                self.headers.doubt();
            }
        }
        attempt
    }

    /// Adds the listener's fixed headers and the endpoint's credentials, and then its signatures over all of that.
    async fn authorize(&self, request: &mut Request) -> Result<Used, Unsent> {
        self.headers.put(&mut request.headers).await;
        let used = self.client.credentials.add(&mut request.headers).await?;
        if self.client.signer.signs() {
            let address = request.address(&self.url);
            let Request { id, body, headers, .. } = request;
            self.client.signer.sign(id.as_ref(), &address, body, headers).await?;
        }
        Ok(used)
    }

    /// Makes the POST and reads its answer to the end.
    fn answer(&self, request: Request) -> impl Future<Output = Attempt> + '_ {
        let mut post = reqwest::Request::new(Method::POST, request.address(&self.url));
        let (resource, mut contents) = (request.resource, request.contents);
        contents.insert(0, request.body.clone());
        *post.headers_mut() = request.headers;
        *post.body_mut() = Some(request.body.into());
        let answer = self.client.http().execute(post);
        async move {
            match answer.await {
                Ok(answer) => {
                    self.client.answered.store(true, Ordering::Relaxed);
                    if answer.version() < Version::HTTP_2 {
                        self.client.heed(answer.headers());
                    }
                    let excerpt =
                        |answer: &[u8]| self.secrets.as_ref()?.excerpt(answer, &contents, resource.as_ref());
                    response::read(answer, self.answer_kept, excerpt).await
                }
                // Rare, and larger than all of the above.
                Err(error) => Box::pin(self.failed(error)).await,
            }
        }
    }

    /// The attempt for a failure. A possible refusal of the client certificate is checked by one more
    /// connection.
    ///
    /// With TLS 1.3 a refusal shows as an alert after our handshake. The connection may end before the alert
    /// arrives. Then messages would lose receives to an endpoint that accepts no request of ours. So an
    /// endpoint that never answered is connected to once more, and the check waits for alerts. If the check
    /// is wrong, a message is held instead of deferred, and not lost.
    async fn failed(&self, error: reqwest::Error) -> Attempt {
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

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
