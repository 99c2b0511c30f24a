//! Turns an HTTP answer, or the failure to get one, into an [`Attempt`].
//!
//! An answer counts when its last byte has arrived: a status line may come from a proxy whose server then
//! dies. Bytes beyond what the listener's exchange reads are thrown away. An answer beyond [`ANSWER_MAX_BYTES`] counts as
//! one without end, which is a timeout that came early. Texts carry no credentials and no query string.
//!
//! The program reads a body in two cases only. One is a success that hides a failure, or names messages that failed. The other is the 403 of
//! a receiver that accepts callers on its own machine or mesh only. Nothing but the body separates that 403
//! from a key without rights. Else the beginning is kept for people, and for results.

use std::ops::ControlFlow;

use bytes::Bytes;
use http::StatusCode;
use http::header::{LOCATION, RETRY_AFTER};
use reqwest::Response;

use super::redact::LOOKED_AT_BYTES;
use super::step::causes;
use crate::exchange::{ANSWER_KEPT, reports_an_error};
use crate::policy::outcome::{self, Answer, Attempt, Break, Broken, Step, Unsent};
use crate::policy::quota::Quota;
use crate::policy::retry_after::RetryAfter;
use crate::telemetry::Chain;

/// Longest answer that is read to its end: 16 MiB.
pub(super) const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Says that a function of AWS Lambda failed (Lambda API, `Invoke`).
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// Texts that receivers write into the 403 to a caller from another machine. Sources: Envoy's role-based
/// access filter (Istio's `AuthorizationPolicy`), and two of Rails' middlewares for Beanstalk's `sqsd`: aws-sdk-rails 5.1.0
/// and active-elastic-job 3.0.0. The latter says the same to a message whose digest is wrong.
const NEIGHBOURS_ONLY: [&str; 3] =
    ["RBAC: access denied", "made from untrusted address", "Request forbidden!"];

/// Reads an answer to its end and classifies it; `most` is what is kept of it, and `excerpt` makes its beginning fit for a log.
pub(super) async fn read(
    mut response: Response,
    most: usize,
    excerpt: impl Fn(&[u8]) -> Option<String>,
) -> Attempt {
    let status = response.status();
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(RetryAfter::parse);
    let quota = Quota::read(response.headers());
    let redirects_to = status.is_redirection().then(|| target(&response)).flatten();
    let keep = if status.is_success() { most } else { most.min(ANSWER_KEPT) };
    let function_error = response.headers().contains_key(FUNCTION_ERROR);
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
    let is_failure = status != StatusCode::OK || function_error || reports_an_error(&body);
    let beginning = body.kept.get(..LOOKED_AT_BYTES).unwrap_or(&body.kept);
    let beginning = is_failure.then(|| excerpt(beginning)).flatten();
    let status = status.as_u16();
    Attempt::Answered(Answer {
        status,
        retry_after,
        quota,
        body,
        for_neighbours_only,
        function_error,
        redirects_to,
        beginning,
    })
}

/// The target of a redirect, without parts that could carry a token.
fn target(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = response.url().join(location).ok()?.origin();
    target.is_tuple().then(|| target.ascii_serialization())
}

/// The attempt for a failure without a complete answer.
pub(super) fn failure(error: reqwest::Error) -> Attempt {
    let step = Step::of(&error);
    // With TLS 1.3 a refused client certificate shows after our handshake (RFC 8446, section 2), perhaps
    // during the request. Nothing was processed: we offer no post-handshake authentication, so certificates
    // are requested in handshakes alone.
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

/// Whether hyper returned the request unwritten: it was queued on a connection that had closed.
fn was_never_written(error: &reqwest::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref()).any(hyper::Error::is_canceled)
}

/// Whether an HTTP/2 peer says that it did nothing for the request. Source: RFC 9113, section 8.7.
///
/// Either the peer refused the stream. Or it sent GOAWAY and named an earlier stream as the last one it
/// processed. A processed stream fails in another way: as a broken pipe.
fn was_refused(error: &reqwest::Error) -> bool {
    let refused = |error: &h2::Error| {
        let refusal = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (refusal || error.is_go_away())
    };
    causes(error).filter_map(|cause| cause.downcast_ref()).any(refused)
}

/// The beginning of an answer's body, and its length so far.
#[derive(Debug, Default)]
struct Body {
    /// How many bytes are kept.
    keep: usize,
    length: usize,
    kept: Vec<u8>,
}

impl Body {
    /// Counts a chunk and keeps its useful part; breaks when the answer exceeds the limit.
    fn take(&mut self, chunk: &Bytes) -> ControlFlow<()> {
        self.length = self.length.saturating_add(chunk.len());
        if self.length > ANSWER_MAX_BYTES {
            return ControlFlow::Break(());
        }
        let room = self.keep.saturating_sub(self.kept.len());
        self.kept.extend(chunk.iter().take(room));
        ControlFlow::Continue(())
    }

    /// Whether a 403 says that only callers on the same machine or mesh are accepted.
    fn is_for_neighbours_only(&self) -> bool {
        let text = String::from_utf8_lossy(&self.kept);
        NEIGHBOURS_ONLY.iter().any(|phrase| text.contains(phrase))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Body {
        let mut body = Body { keep: ANSWER_KEPT, ..Body::default() };
        assert!(body.take(&Bytes::copy_from_slice(text.as_bytes())).is_continue());
        body
    }

    #[test]
    fn a_403_for_local_callers_only_is_known_by_its_text() {
        for (text, expected) in [
            ("RBAC: access denied", true),
            ("Request with aws-sqsd user agent was made from untrusted address.", true),
            ("Forbidden", false),
            ("", false),
        ] {
            assert_eq!(body(text).is_for_neighbours_only(), expected, "{text}");
        }
    }

    #[test]
    fn no_more_of_a_body_is_kept_than_is_of_use() {
        let body = body(&"x".repeat(ANSWER_KEPT + 1));
        assert_eq!((body.kept.len(), body.length), (ANSWER_KEPT, ANSWER_KEPT + 1));
    }

    #[test]
    fn an_answer_is_read_up_to_sixteen_mebibytes_and_not_beyond() {
        let mut body = Body { keep: ANSWER_KEPT, ..Body::default() };
        assert!(body.take(&Bytes::from(vec![b' '; ANSWER_MAX_BYTES])).is_continue());
        assert!(body.take(&Bytes::from_static(b" ")).is_break());
    }
}
