//! What a request asks for, read from its body.

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::keeper::{Keys, Trial};
use super::problem::Problem;

/// Longest listener, in bytes of JSON.
const LISTENER_MAX: usize = 64 * 1024;
/// Most workers of a listener; the configuration allows as many.
const WORKERS_MAX: usize = 10_000;

/// A change, with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Pause,
    Resume,
    Workers(usize),
    Drain,
    Test(String),
    Reload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Workers {
    workers: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    listener: Keys,
    replaces: Option<String>,
    post: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    body: String,
}

/// No values: an empty body, or an empty object.
pub(super) fn nothing(body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() {
        return Ok(());
    }
    object(body, "send no body").map(|Nothing {}| ())
}

/// A number of workers.
pub(super) fn workers(body: &[u8]) -> Result<Ask, Problem> {
    let fix = "send {\"workers\": N} with 1 to 10000; `pause` stops a listener";
    let Workers { workers } = object(body, fix)?;
    if (1..=WORKERS_MAX).contains(&workers) {
        return Ok(Ask::Workers(workers));
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, "this is no number of workers", fix))
}

/// The body of a message.
pub(super) fn test(body: &[u8]) -> Result<Ask, Problem> {
    object(body, "send {\"body\": \"TEXT\"} with the body of a message").map(|Test { body }| Ask::Test(body))
}

/// The keys of a listener.
pub(super) fn listener(body: &[u8]) -> Result<Keys, Problem> {
    if body.len() > LISTENER_MAX {
        let error = format!("the listener is longer than {} KiB", LISTENER_MAX / 1024);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error, "write it into the file"));
    }
    object(body, "send an object with the keys of the listener, as the file has them")
}

/// A listener to be tried out.
pub(super) fn trial(body: &[u8]) -> Result<Trial, Problem> {
    let fix = "send {\"listener\": {KEYS}}, and if wanted \"replaces\": NAME and \"post\": TEXT";
    object(body, fix).map(|Tried { listener: keys, replaces, post }| Trial { keys, replaces, post })
}

/// Says where a body is wrong, and never what is there: serde's own words quote it, and a message may be secret.
fn object<T: DeserializeOwned>(body: &[u8], fix: &str) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        let wrong = format!("the body is not JSON of the right shape at line {line}, column {column}");
        Problem::new(StatusCode::BAD_REQUEST, wrong, fix)
    })
}
