//! Who may change something through the admin port, how often, and how long what they send may be.
//!
//! Decides before a byte of the body is read. No page of another site may, whatever it knows. Nobody may
//! unless the configuration allows changes. Then whoever shows the token may, 20 times at once and 10 times a
//! second. The token is compared in constant time, and never logged. Who shows a wrong one is answered 401
//! a few times, and then 429; the right token is let in meanwhile, so that nobody can lock it out.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;

use super::bucket::Bucket;
use super::problem::Problem;
use crate::secret::Secret;
use crate::serve::{Bodies, BodyError, Held, is_from_another_site};

/// Changes at once, and the time in which one more may be made.
const CHANGES: (u32, Duration) = (20, Duration::from_millis(100));
/// Requests without the right token that are told so at once, and the time in which one more is.
const DENIED: (u32, Duration) = (5, Duration::from_secs(1));
/// Longest body of a change: an object with a number.
const SHORT_MAX: usize = 16 * 1024;
/// Longest body with a message of SQS: 1 MiB, whose every byte may be escaped as six characters of JSON.
const MESSAGE_MAX: usize = 8 * 1024 * 1024;
/// Time for the rest of a body; its head is there already.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

const OFF: &str = "nothing may be changed through this admin port";
const OFF_FIX: &str = "set admin.allow_changes: true and admin.token_file, and restart";
const PAGE: &str = "a web page of another site sent this request";
const PAGE_FIX: &str = "use queuepost itself, or curl, or a page of this address";
const NO_TOKEN: &str = "a change needs the token of this process";
const WRONG_TOKEN: &str = "this is not the token of this process";
const TOKEN_FIX: &str = "send `Authorization: Bearer TOKEN` with the content of its admin.token_file; commands of queuepost take \
    --token-file FILE";
/// Whoever has no token learns nothing of the file.
const UNUSABLE: &str = "changes cannot be made now";
const UNUSABLE_FIX: &str = "the log of the process says why; no restart is needed";

/// Guards the routes that change something.
pub struct Guard {
    token: Option<Secret>,
    changes: Bucket,
    denied: Bucket,
    short: Bodies,
    messages: Bodies,
}

impl Guard {
    /// Lets in who shows the token; without one nobody.
    pub fn new(token: Option<Secret>) -> Self {
        Self {
            token,
            changes: Bucket::new(CHANGES.1, CHANGES.0),
            denied: Bucket::new(DENIED.1, DENIED.0),
            short: Bodies::new(SHORT_MAX, SHORT_MAX),
            messages: Bodies::new(MESSAGE_MAX, 2 * MESSAGE_MAX),
        }
    }

    /// Whether whoever sent these headers may make a change now.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.authenticate(headers).await?;
        self.changes.take().map_err(|wait| Problem::too_many(wait, "too many changes at once"))
    }

    /// What whoever sent these headers may do. Without a token in them nothing is denied.
    pub(super) async fn standing(&self, headers: &HeaderMap) -> Result<Standing, Problem> {
        match &self.token {
            None => Ok(Standing::Off),
            Some(_) if !headers.contains_key(AUTHORIZATION) => Ok(Standing::TokenNeeded),
            Some(_) => self.authenticate(headers).await.map(|()| Standing::Allowed),
        }
    }

    /// Whether whoever sent these headers has the token, and is no page of another site.
    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if is_from_another_site(headers) {
            return Err(self.denial(StatusCode::FORBIDDEN, PAGE, PAGE_FIX));
        }
        let Some(secret) = &self.token else {
            return Err(self.denial(StatusCode::FORBIDDEN, OFF, OFF_FIX));
        };
        let Some(shown) = bearer(headers) else {
            return Err(self.denial(StatusCode::UNAUTHORIZED, NO_TOKEN, TOKEN_FIX));
        };
        if secret.while_usable().await.is_ok_and(|known| same(shown, &known)) {
            return Ok(());
        }
        // The file may have changed within the second in which it is not looked at. Guesses may not make the
        // process read it as often as they like.
        self.denied.take().map_err(too_many_denied)?;
        secret.doubt();
        let denied = |error: &str, fix: &str| Err(Problem::new(StatusCode::UNAUTHORIZED, error, fix));
        match secret.while_usable().await {
            Ok(known) if same(shown, &known) => Ok(()),
            Ok(_) => denied(WRONG_TOKEN, TOKEN_FIX),
            Err(why) => {
                tracing::warn!(why, "nobody may change anything: the token's file cannot be used");
                denied(UNUSABLE, UNUSABLE_FIX)
            }
        }
    }

    /// This problem, while there is room for those who are denied.
    fn denial(&self, status: StatusCode, error: &str, fix: &str) -> Problem {
        self.denied.take().map_or_else(too_many_denied, |()| Problem::new(status, error, fix))
    }

    /// The body of a change, an object of JSON; empty where none was sent.
    pub(super) async fn body(&self, takes: Takes, headers: &HeaderMap, body: Body) -> Result<Held, Problem> {
        let not_json = || {
            let fix = "send the header `Content-Type: application/json`";
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be JSON", fix)
        };
        if matches!(takes, Takes::Values | Takes::Message) && !is_json(headers) {
            return Err(not_json());
        }
        let bodies = if takes == Takes::Message { &self.messages } else { &self.short };
        let bad = |error: &str, fix: &str| Problem::new(StatusCode::BAD_REQUEST, error, fix);
        match timeout(BODY_TIMEOUT, bodies.read(body)).await {
            Ok(Ok(body)) if takes == Takes::Choices && !body.is_empty() && !is_json(headers) => {
                Err(not_json())
            }
            Ok(Ok(body)) => Ok(body),
            Ok(Err(BodyError::TooLong)) => {
                let fix =
                    "send 8 MiB at most with a message or a listener's check, and 16 KiB with anything else";
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long", fix))
            }
            Ok(Err(BodyError::NoRoom)) => {
                Err(Problem::too_many(BODY_TIMEOUT, "other long bodies use all the memory"))
            }
            Ok(Err(BodyError::Broken)) => Err(bad("the body broke off", "send it again")),
            Err(_) => Err(bad("the body did not arrive within 5 s", "send it at once")),
        }
    }
}

/// Whether somebody may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody may.
    Off,
    /// Whoever shows the token may; none was shown.
    TokenNeeded,
    /// The token was shown.
    Allowed,
}

impl Standing {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::TokenNeeded => "token_needed",
            Self::Allowed => "allowed",
        }
    }

    /// What to do to be allowed, if something is to be done.
    pub(super) const fn note(self) -> Option<&'static str> {
        match self {
            Self::Off => Some(OFF_FIX),
            Self::TokenNeeded => Some(TOKEN_FIX),
            Self::Allowed => None,
        }
    }
}

/// What a change takes as its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// None.
    Nothing,
    /// An object with values that may all be left out, or none.
    Choices,
    /// An object with a few values.
    Values,
    /// An object with a message.
    Message,
}

fn too_many_denied(wait: Duration) -> Problem {
    Problem::too_many(wait, "too many requests without the right token")
}

/// The token that was shown; `None` without exactly one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(shown), None) = (shown.next(), shown.next()) else { return None };
    let (scheme, token) = shown.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Compares without telling by its time where two tokens differ. Their lengths may be told.
fn same(shown: &str, known: &str) -> bool {
    shown.as_bytes().ct_eq(known.as_bytes()).into()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
