//! The sample endpoint of `queuepost dev`: prints the messages it gets, and answers as configured.
//!
//! Any path under `/` but `/answer/…` accepts messages. After `POST /answer/429` every message is answered
//! with 429 (`?retry_after=5` adds the header); `POST /answer/200` ends that. Web pages of other sites may
//! not send this request. The check is here because browsers send it for any page, without asking the server
//! first.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::dev_config::Secrets;
use crate::escape;
use crate::serve::{self, Bodies, BodyError, Hosts, Limits, Refusal, is_from_another_site};
use crate::telemetry::output;

/// The answer to a request for a foreign host name.
const FOREIGN_HOST: &str = "The sample endpoint does not answer to the name in the Host header, so that no web page reaches it \
    by pointing its own name here. Use an IP address or localhost, or start dev with --allow-host NAME.";
/// As many as the embedded queue: messages received there at once may be posted here at once.
const CONNECTIONS: usize = 1_024;
/// Longest body; a message of 1 MiB is 1.4 MiB as base64.
const BODY_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Memory for all long bodies of running requests.
const BODIES_BYTES: usize = 256 * 1024 * 1024;
/// What the names of headers with credentials have in them, `idempotency-key` excepted.
const SECRET: [&str; 7] = ["auth", "cookie", "api-key", "apikey", "access-key", "secret", "token"];
const REDACTED: &str = "REDACTED";
/// How much of a body is printed.
const SHOWN: usize = 300;

struct Sample {
    bodies: Bodies,
    status: AtomicU16,
    /// Seconds; 0 for no header.
    retry_after: AtomicU32,
    received: AtomicU32,
    /// Requests are printed whole, but for these.
    whole: Option<Secrets>,
}

#[derive(Deserialize)]
struct AnswerOptions {
    retry_after: Option<u32>,
}

/// Serves until `stop`; answers to these host names beside IP addresses and `localhost`.
///
/// With `whole` it prints the address and the headers of requests too, but for these secrets.
pub(super) async fn serve(
    listener: TcpListener,
    names: &[String],
    whole: Option<Secrets>,
    stop: CancellationToken,
) {
    let sample = Sample {
        bodies: Bodies::new(BODY_MAX_BYTES, BODIES_BYTES),
        status: AtomicU16::new(200),
        retry_after: AtomicU32::new(0),
        received: AtomicU32::new(0),
        whole,
    };
    let router = Router::new()
        .route("/answer/{status}", post(set_answer))
        .fallback(receive)
        .with_state(Arc::new(sample));
    let hosts = Hosts::only(names, FOREIGN_HOST);
    let limits = Limits { connections: CONNECTIONS, ..Limits::default() };
    let settings = serve::Settings { limits, hosts, refusal: Refusal::plain };
    serve::serve(listener, router, settings, stop).await;
}

async fn set_answer(
    State(sample): State<Arc<Sample>>,
    Path(status): Path<String>,
    Query(options): Query<AnswerOptions>,
    headers: HeaderMap,
) -> Response {
    if is_from_another_site(&headers) {
        return (StatusCode::FORBIDDEN, "a web page of another site may not choose the answer\n")
            .into_response();
    }
    let Some(code) = status.parse().ok().filter(|code| (200..=599).contains(code)) else {
        return (StatusCode::BAD_REQUEST, "an answer is a status from 200 to 599\n").into_response();
    };
    sample.status.store(code, Ordering::Relaxed);
    sample.retry_after.store(options.retry_after.unwrap_or(0), Ordering::Relaxed);
    let header =
        options.retry_after.map(|seconds| format!(" with Retry-After: {seconds}")).unwrap_or_default();
    output::print(format_args!("  endpoint   answers {code}{header} from now on"));
    format!("every message is answered {code}{header} from now on\n").into_response()
}

async fn receive(
    State(sample): State<Arc<Sample>>,
    address: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = match sample.bodies.read(body).await {
        Ok(body) => body,
        Err(BodyError::NoRoom) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(BodyError::TooLong) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(BodyError::Broken) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let number = sample.received.fetch_add(1, Ordering::Relaxed) + 1;
    let code = sample.status.load(Ordering::Relaxed);
    let retry_after = sample.retry_after.load(Ordering::Relaxed);
    if let Some(secrets) = &sample.whole {
        let head = head(&address, &headers, secrets);
        output::print(format_args!("  endpoint   #{number} answered {code}\n{head}\n  {}\n", preview(&body)));
    } else {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
        output::print(format_args!(
            "  endpoint   #{number} message {} (receive {}) answered {code}: {}",
            header("x-queuepost-message-id"),
            header("x-queuepost-receive-count"),
            preview(&body),
        ));
    }
    let mut answer = StatusCode::from_u16(code).unwrap_or(StatusCode::OK).into_response();
    if retry_after > 0 {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after));
    }
    answer
}

/// Address and headers of a request, a line each; what may be a secret by its header's name is left out.
fn head(address: &Uri, headers: &HeaderMap, secrets: &Secrets) -> String {
    let mut address = address.to_string();
    for token in &secrets.texts {
        address = address.replace(token, REDACTED);
    }
    let mut text = format!("  POST {}\n", preview(address.as_bytes()));
    for (name, value) in headers {
        let name = name.as_str();
        let secret =
            SECRET.iter().any(|word| name.contains(word)) || secrets.headers.iter().any(|each| each == name);
        let value = if secret { REDACTED.to_owned() } else { preview(value.as_bytes()) };
        // Writing to a string cannot fail.
        writeln!(text, "  {name}: {value}").ok();
    }
    text
}

/// The beginning of a body on one line, escaped for a terminal.
fn preview(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let end = text.char_indices().nth(SHOWN).map(|(at, _)| at);
    let shown = escape::line(text.get(..end.unwrap_or(text.len())).unwrap_or_default());
    if end.is_some() { format!("{shown}… ({} bytes)", body.len()) } else { shown.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_short_line_without_control_characters() {
        assert_eq!(preview(b"{\"a\":1}"), "{\"a\":1}");
        assert_eq!(preview(b"one\ntwo\x1b[31m"), "one\\u000atwo\\u001b[31m");
        assert_eq!(preview("a\u{202e}b\u{2028}c\u{200b}".as_bytes()), "a\\u202eb\\u2028c\\u200b");
        let long = "x".repeat(1_000);
        assert!(preview(long.as_bytes()).ends_with("… (1000 bytes)"));
    }
}
