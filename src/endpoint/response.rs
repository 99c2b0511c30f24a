//! From an HTTP answer, or the failure to get one, to an [`Attempt`].
//!
//! An answer counts when its last byte has arrived: a status line alone may come from a proxy whose server then
//! dies. What is read beyond [`KEPT_BYTES`] is thrown away, and an answer beyond [`ANSWER_MAX_BYTES`] is taken
//! for one that never ends, which is a time-out come early. Texts carry no credentials and no query string.
//!
//! The program looks into a body in two cases: for the failure that a success can hide, and for the 403 of a receiver
//! that lets in only its neighbours, which nothing else tells from a key without rights. Of every other failure the
//! beginning is kept for people.

use std::ops::ControlFlow;

use bytes::Bytes;
use http::StatusCode;
use http::header::{LOCATION, RETRY_AFTER};
use reqwest::Response;

use super::step::causes;
use super::words::LOOKED_AT_BYTES;
use crate::exchange::reports_an_error;
use crate::policy::outcome::{self, Answer, Attempt, Break, Broken, Step, Unsent};
use crate::policy::retry_after::RetryAfter;
use crate::telemetry::Chain;

/// Longest answer that is read to its end: 16 MiB.
pub(super) const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;
/// How much of an answer is kept to look into: 64 KiB.
pub(super) const KEPT_BYTES: usize = 64 * 1024;

/// What receivers write into the 403 to a caller from elsewhere: Envoy's role-based access filter (Istio's
/// `AuthorizationPolicy`), and the middleware of Rails for Beanstalk's `sqsd` (aws-sdk-rails).
const NEIGHBOURS_ONLY: [&str; 2] = ["RBAC: access denied", "made from untrusted address"];

/// Reads an answer to its end and says what it was; `words` makes the beginning of its body fit for a log.
pub(super) async fn read(mut response: Response, words: impl Fn(&[u8]) -> Option<String>) -> Attempt {
    let status = response.status();
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(RetryAfter::parse);
    let redirects_to = status.is_redirection().then(|| target(&response)).flatten();
    let looked_into = status.is_success() || status == StatusCode::FORBIDDEN;
    let keep = if looked_into { KEPT_BYTES } else { LOOKED_AT_BYTES };
    let mut body = Body { keep, ..Body::default() };
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) => {
                if body.take(&chunk).is_break() {
                    return Attempt::Endless;
                }
            }
            Err(error) => return broken(Break::AmidAnswer, error),
        }
    }
    let for_neighbours_only = status == StatusCode::FORBIDDEN && body.is_for_neighbours_only();
    let body = outcome::Body { is_whole: body.length == body.kept.len(), kept: body.kept.into() };
    let is_failure = status != StatusCode::OK || reports_an_error(&body);
    let beginning = body.kept.get(..LOOKED_AT_BYTES).unwrap_or(&body.kept);
    let beginning = is_failure.then(|| words(beginning)).flatten();
    let status = status.as_u16();
    Attempt::Answered(Answer { status, retry_after, body, for_neighbours_only, redirects_to, beginning })
}

/// Where a redirect points, without what could carry a token.
fn target(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = response.url().join(location).ok()?.origin();
    target.is_tuple().then(|| target.ascii_serialization())
}

/// Names the failure of an attempt that brought no complete answer.
pub(super) fn failure(error: reqwest::Error) -> Attempt {
    let step = Step::of(&error);
    // With TLS 1.3 a refused client certificate shows after our handshake (RFC 8446, section 2), perhaps amid the
    // request. Nothing was processed: certificates are asked for in handshakes alone, since we offer no other time.
    let refused = step == Step::ClientCertificate;
    if refused || error.is_connect() || error.is_builder() || was_never_written(&error) || was_refused(&error)
    {
        return Attempt::Unsent(Unsent { step, text: text(error) });
    }
    let is_parse = |cause: &hyper::Error| cause.is_parse();
    let no_http = causes(&error).filter_map(|cause| cause.downcast_ref()).any(is_parse);
    broken(if no_http { Break::NotHttp } else { Break::BeforeAnswer }, error)
}

fn broken(at: Break, error: reqwest::Error) -> Attempt {
    Attempt::Broken(Broken { at, text: text(error) })
}

fn text(error: reqwest::Error) -> String {
    // The address may carry a token in its query string.
    Chain(&error.without_url()).to_string()
}

/// Whether hyper gave the request back unwritten: it was queued on a connection that turned out closed.
fn was_never_written(error: &reqwest::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref()).any(hyper::Error::is_canceled)
}

/// Whether the other side of an HTTP/2 connection says that it did nothing for the request (RFC 9113, section 8.7).
///
/// It refused the stream, or went away and named an earlier one as the last it looked at. A stream that it did look at
/// ends with the connection otherwise: as a broken pipe.
fn was_refused(error: &reqwest::Error) -> bool {
    let refused = |error: &h2::Error| {
        let refusal = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (refusal || error.is_go_away())
    };
    causes(error).filter_map(|cause| cause.downcast_ref()).any(refused)
}

/// The start of an answer's body, and its length so far.
#[derive(Debug, Default)]
struct Body {
    /// How many bytes are kept.
    keep: usize,
    length: usize,
    kept: Vec<u8>,
}

impl Body {
    /// Counts a chunk and keeps what may be of use; breaks when the answer is longer than we read.
    fn take(&mut self, chunk: &Bytes) -> ControlFlow<()> {
        self.length = self.length.saturating_add(chunk.len());
        if self.length > ANSWER_MAX_BYTES {
            return ControlFlow::Break(());
        }
        let room = self.keep.saturating_sub(self.kept.len());
        self.kept.extend(chunk.iter().take(room));
        ControlFlow::Continue(())
    }

    /// Whether a 403 has the words of a receiver that lets in only its neighbours.
    fn is_for_neighbours_only(&self) -> bool {
        let text = String::from_utf8_lossy(&self.kept);
        NEIGHBOURS_ONLY.iter().any(|words| text.contains(words))
    }
}
