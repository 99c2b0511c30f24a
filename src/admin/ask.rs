//! What a request asks for, read from its body.

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::problem::Problem;
use super::store::{Keys, Trial};
use super::{ByHand, Redriving, Sending};

/// Longest listener, in bytes of JSON.
const LISTENER_MAX: usize = 64 * 1024;
/// Most workers of a listener; the configuration allows as many.
const WORKERS_MAX: usize = 10_000;
/// Most letters of one look: those of one receive.
const LETTERS_MAX: usize = 10;
/// Most letters a second of a redrive (AWS limit of a move task).
const RATE_MAX: u32 = 500;
/// Longest id of a message.
const ID_MAX: usize = 256;

/// A change, with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Pause,
    Resume,
    Workers(usize),
    Drain,
    Test(String),
    ByHand(ByHand),
    Reload,
    LogLevel(Option<String>),
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
    /// Not read before it is measured: a tree of it takes many times its memory.
    listener: Box<RawValue>,
    replaces: Option<String>,
    post: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peek {
    max: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLevel {
    level: Value,
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
    let Tried { listener: keys, replaces, post } = object(body, fix)?;
    Ok(Trial { keys: listener(keys.get().as_bytes())?, replaces, post })
}

/// A message to be sent.
pub(super) fn send(body: &[u8]) -> Result<Ask, Problem> {
    let fix = "send {\"body\": \"TEXT\"} with the body of a message; \"group\", \"deduplication_id\" and \"attributes\": \
        {\"NAME\": \"TEXT\"} may be there too";
    let sending: Sending = object(body, fix)?;
    if sending.body.is_empty() {
        let error = "the body is empty, and SQS takes no message without one";
        return Err(Problem::new(StatusCode::BAD_REQUEST, error, "write at least one character"));
    }
    Ok(Ask::ByHand(ByHand::Send(sending)))
}

/// How many letters to look at.
pub(super) fn peek(body: &[u8]) -> Result<Ask, Problem> {
    let fix = "send no body, or {\"max\": N} with 1 to 10";
    let Peek { max } = choices(body, fix)?;
    match max.unwrap_or(1) {
        max @ 1..=LETTERS_MAX => Ok(Ask::ByHand(ByHand::Peek(max))),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, "this is no number of letters to look at", fix)),
    }
}

/// Which letters to move back.
pub(super) fn redrive(body: &[u8]) -> Result<Ask, Problem> {
    let fix =
        "send no body, or {\"rate\": 1 to 500, \"ids\": [\"ID\", …], \"dry_run\": true}, each if need be";
    let redriving: Redriving = choices(body, fix)?;
    let wrong = |error: &str| Err(Problem::new(StatusCode::BAD_REQUEST, error, fix));
    if redriving.rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
        return wrong("this is no number of letters a second");
    }
    if redriving.ids.iter().any(|id| id.is_empty() || id.len() > ID_MAX) {
        return wrong("an id of a message has 1 to 256 characters");
    }
    Ok(Ask::ByHand(ByHand::Redrive(redriving)))
}

/// A level of the log; null for the configured one.
pub(super) fn log_level(body: &[u8]) -> Result<Ask, Problem> {
    let fix = "send {\"level\": \"debug\"}, or {\"level\": null} for the configured one";
    let LogLevel { level } = object(body, fix)?;
    match level {
        Value::Null => Ok(Ask::LogLevel(None)),
        Value::String(level) => Ok(Ask::LogLevel(Some(level))),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, "a level is a text", fix)),
    }
}

/// An object whose values are all left to whoever asks; no body is an empty one.
fn choices<T: DeserializeOwned>(body: &[u8], fix: &str) -> Result<T, Problem> {
    object(if body.is_empty() { b"{}" } else { body }, fix)
}

/// Says where a body is wrong, and never what is there: serde's own words quote it, and a message may be secret.
fn object<T: DeserializeOwned>(body: &[u8], fix: &str) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        let wrong = format!("the body is not JSON of the right shape at line {line}, column {column}");
        Problem::new(StatusCode::BAD_REQUEST, wrong, fix)
    })
}
