//! Tokens of the OAuth 2.0 client credentials grant (RFC 6749, section 4.4), one holder per endpoint.
//!
//! A token is fetched by the first request that needs one. It serves all until it has to be renewed. One
//! request fetches; the others wait for it, or use the present token while that is valid. A token is renewed
//! ahead of its end. A token that the endpoint answers with 401 is given up, unless it is new and was never
//! accepted: then the token is not what is wrong.
//! A token server that fails costs no message a receive, because the endpoint was sent nothing. After a
//! failure nobody asks it for a moment that doubles up to [`PAUSE_MAX`].
//! Tokens, secrets and answers of the token server are in no log.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use reqwest::Response;
use tokio::time::{Instant, timeout};
use url::Url;
use url::form_urlencoded::{self, byte_serialize};

use super::token_answer::{self, Granted, Refusal};
use crate::policy::advice::endpoint::EndpointReason;
use crate::policy::outcome::{Step, Unsent};
use crate::secret::Secret;
use crate::telemetry::Chain;

/// Longest time for one question to the token server, connecting included.
const FETCH_MAX: Duration = Duration::from_secs(10);
/// Longest answer of a token server. Tokens are as long as headers may be.
const ANSWER_MAX: usize = 64 * 1024;
/// A token is renewed at least this long before its end, if it is valid for twice as long.
const AHEAD_MIN: Duration = Duration::from_secs(30);
/// First and longest time without a question after a failure. The longest one is below the gate's pause for
/// an endpoint that nothing can be sent to. So each of its probes asks.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A 401 to a token that was never accepted gives it up only when it is this old.
const DOUBTED_AFTER: Duration = Duration::from_secs(60);

/// How tokens are got.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OAuth2 {
    /// Address of the token server's token endpoint.
    pub token_url: Url,
    /// Name of this client at the token server.
    pub client_id: String,
    /// A secret that fits [`super::password`].
    pub client_secret: Secret,
    /// Space-separated scopes, if any are asked for.
    pub scope: Option<String>,
    /// `audience`, which some token servers want.
    pub audience: Option<String>,
    /// How the client shows its secret.
    pub client_auth: ClientAuth,
}

/// How a client shows its secret to the token server (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// By HTTP Basic authentication.
    #[default]
    Basic,
    /// As parameters of the body.
    Body,
}

impl fmt::Debug for OAuth2 {
    /// The address may carry a token in its query string.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OAuth2({}, REDACTED)", self.token_url.origin().ascii_serialization())
    }
}

/// The tokens of one endpoint.
pub(super) struct Tokens {
    settings: OAuth2,
    http: reqwest::Client,
    held: Mutex<Held>,
    /// Held by the one request that fetches.
    fetching: tokio::sync::Mutex<()>,
}

/// A token that a request carries.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: Arc<str>,
    /// Which of the tokens fetched it is.
    pub(super) number: u64,
}

#[derive(Default)]
struct Held {
    token: Option<HeldToken>,
    /// Texts of the present token and of the one before.
    texts: [Option<Arc<str>>; 2],
    fetched: u64,
    failure: Option<Failure>,
}

struct HeldToken {
    token: Token,
    since: Instant,
    /// When it is renewed, and when it is no longer used; `None`: when the endpoint refuses it.
    times: Option<(Instant, Instant)>,
    accepted: bool,
}

/// The last question failed.
struct Failure {
    pause: Duration,
    until: Instant,
    unsent: Unsent,
}

/// What there is for a request.
enum Present {
    Fresh(Token),
    /// Still valid, but to be renewed.
    Ending(Token),
    Nothing,
    /// Nothing, and the token server failed a moment ago.
    Failed(Unsent),
}

impl Tokens {
    pub(super) fn new(settings: OAuth2, http: reqwest::Client) -> Self {
        Self { settings, http, held: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// A valid token.
    ///
    /// # Errors
    /// There is none, and the token server gives none.
    ///
    /// # Cancel safety
    /// The next request fetches instead.
    pub(super) async fn token(&self) -> Result<Token, Unsent> {
        match self.present() {
            Present::Fresh(token) => return Ok(token),
            Present::Failed(unsent) => return Err(unsent),
            Present::Ending(token) => {
                let Ok(_one) = self.fetching.try_lock() else { return Ok(token) };
                return Ok(self.renewed(token).await);
            }
            Present::Nothing => {}
        }
        let _one = self.fetching.lock().await;
        // Another request may have fetched meanwhile.
        match self.present() {
            Present::Fresh(token) | Present::Ending(token) => Ok(token),
            Present::Failed(unsent) => Err(unsent),
            Present::Nothing => self.fetched().await,
        }
    }

    /// Heeds whether the endpoint accepted a token.
    pub(super) fn answered(&self, number: u64, accepted: bool) {
        let mut held = self.held();
        let Some(token) = held.token.as_mut().filter(|held| held.token.number == number) else { return };
        if accepted {
            token.accepted = true;
        } else if token.accepted || token.since.elapsed() >= DOUBTED_AFTER {
            held.token = None;
        }
    }

    /// The present token and the one before.
    pub(super) fn secrets(&self) -> Vec<String> {
        self.held().texts.iter().flatten().map(ToString::to_string).collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self) -> Present {
        let held = self.held();
        let now = Instant::now();
        let failure = held.failure.as_ref().filter(|failure| now < failure.until);
        match &held.token {
            Some(HeldToken { token, times: None, .. }) => Present::Fresh(token.clone()),
            Some(HeldToken { token, times: Some((renew, end)), .. }) if now < *end => {
                let token = token.clone();
                if now < *renew || failure.is_some() { Present::Fresh(token) } else { Present::Ending(token) }
            }
            Some(_) | None => {
                failure.map_or(Present::Nothing, |failure| Present::Failed(failure.unsent.clone()))
            }
        }
    }

    /// A new token in the place of one that is valid for a while yet.
    async fn renewed(&self, old: Token) -> Token {
        let failed_before = self.held().failure.is_some();
        match self.fetched().await {
            Ok(token) => token,
            Err(Unsent { step, text: error }) => {
                if !failed_before {
                    let reason = EndpointReason::of_step(step);
                    tracing::warn!(
                        reason = reason.label(),
                        error,
                        fix = reason.fix(),
                        "the token of an endpoint cannot be renewed, it is used until it ends"
                    );
                }
                old
            }
        }
    }

    /// Fetches a token, and remembers it or the failure.
    async fn fetched(&self) -> Result<Token, Unsent> {
        // Its life counts from before the server can have issued it.
        let asked = Instant::now();
        let answer = timeout(FETCH_MAX, self.fetch()).await;
        let late = || Err((Step::TokenServer, format!("did not answer within {} s", FETCH_MAX.as_secs())));
        let mut held = self.held();
        match answer.unwrap_or_else(|_| late()) {
            Ok(granted) => {
                tracing::debug!(
                    token_server = self.server(),
                    life_seconds = granted.life.map(|life| life.as_secs()),
                    "fetched a token"
                );
                Ok(held.take(granted, asked))
            }
            Err((step, why)) => {
                if step == Step::TokenClient {
                    self.settings.client_secret.doubt();
                }
                let unsent = Unsent { step, text: format!("token server {} {why}", self.server()) };
                Err(held.fail(unsent))
            }
        }
    }

    async fn fetch(&self) -> Result<Granted, Refusal> {
        let unreached = |error: reqwest::Error| {
            // The address may carry a token in its query string.
            (Step::TokenServer, format!("gave no answer: {}", Chain(&error.without_url())))
        };
        let mut response = self.http.execute(self.question().await).await.map_err(unreached)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreached)? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err((Step::TokenAnswer, too_long(&response)));
            }
            body.extend_from_slice(&chunk);
        }
        token_answer::read(response.status().as_u16(), &body)
    }

    /// The access token request (RFC 6749, section 4.4.2).
    async fn question(&self) -> reqwest::Request {
        let OAuth2 { token_url, client_id, client_secret, scope, audience, client_auth } = &self.settings;
        let secret = client_secret.current().await;
        let mut parameters = BTreeMap::from([("grant_type", "client_credentials")]);
        parameters.extend(scope.as_deref().map(|scope| ("scope", scope)));
        parameters.extend(audience.as_deref().map(|audience| ("audience", audience)));
        let mut request = reqwest::Request::new(Method::POST, token_url.clone());
        match client_auth {
            ClientAuth::Basic => {
                // A space as `%20` is read alike by servers that decode forms and by those that decode addresses.
                let encoded =
                    |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
                let pair = format!("{}:{}", encoded(client_id), encoded(&secret));
                if let Ok(mut value) =
                    HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair)))
                {
                    value.set_sensitive(true);
                    request.headers_mut().insert(AUTHORIZATION, value);
                }
            }
            ClientAuth::Body => parameters.extend([("client_id", &**client_id), ("client_secret", &*secret)]),
        }
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        *request.body_mut() = Some(body.into());
        request
    }

    /// The token server, as texts name it.
    fn server(&self) -> String {
        self.settings.token_url.origin().ascii_serialization()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Held {
    fn take(&mut self, granted: Granted, asked: Instant) -> Token {
        self.fetched += 1;
        self.failure = None;
        let token = Token { text: granted.text.into(), number: self.fetched };
        let [last, _] = std::mem::take(&mut self.texts);
        self.texts = [Some(Arc::clone(&token.text)), last];
        let times = granted.life.map(|life| {
            let ahead = (life / 5).max(AHEAD_MIN).min(life / 2);
            // A request on its way must arrive before the token's end.
            (asked + life.saturating_sub(ahead), asked + life.saturating_sub(ahead / 4))
        });
        self.token = Some(HeldToken { token: token.clone(), since: Instant::now(), times, accepted: false });
        token
    }

    fn fail(&mut self, unsent: Unsent) -> Unsent {
        let pause = self.failure.as_ref().map_or(PAUSE_MIN, |last| (last.pause * 2).min(PAUSE_MAX));
        // Processes that failed together do not ask together.
        let until = Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.failure = Some(Failure { pause, until, unsent: unsent.clone() });
        unsent
    }
}

fn too_long(answer: &Response) -> String {
    format!("answered {} with more than {} KiB", answer.status().as_u16(), ANSWER_MAX / 1024)
}

#[cfg(test)]
#[path = "oauth2_tests.rs"]
mod tests;
