//! What the fuzzer feeds to this area: answers of endpoints and token servers, secrets, and what is signed.
//!
//! Parts of an input are separated by the byte 0x1E.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Response};

use super::auth::Credentials;
use super::redact::Secrets;
use super::sign::Signer;
use super::{auth, response, sign};
use crate::escape;
use crate::limit::clock::Wall;
use crate::message::ReceiveCount;
use crate::policy::decide::{Disposition, Facts, Policy, decide};
use crate::policy::outcome::{Attempt, StatusSet, classify};
use crate::policy::quota::RESET_MAX;
use crate::policy::retry_after::RetryAfter;

const PART: u8 = 0x1e;
/// How much of a success is kept: little, so that short inputs are longer.
const KEPT: usize = 256;
/// The address of the requests. It has a token in its path and one in its query.
const ADDRESS: &str = "https://api.example/hook/T0123456789abcdef/in?token=swordfish";
const TOKENS: [&str; 2] = ["T0123456789abcdef", "swordfish"];
/// The longest that SQS hides a message.
const HIDEABLE: Duration = Duration::from_secs(43_195);
/// Longer waits are believed in no form of `Retry-After`.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// 200 characters, each of which may be escaped as ten.
const SHOWN_MAX: usize = 2_100;

/// An answer's head (a status, then header lines) and body, and the body of the message that was posted.
///
/// What is kept and shown is bounded and without tokens. Only the status 200 deletes, and no delay is longer than SQS allows.
pub(crate) fn answer(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == PART);
    let mut part = || parts.next().unwrap_or_default();
    let (head, body, posted) = (part(), part(), part());
    let Ok(address) = ADDRESS.parse() else { return };
    let signer = Signer::new(None, Wall::System);
    let secrets = Secrets::new(&address, Credentials::default().into(), <_>::default(), signer.into());
    let posted = [bytes::Bytes::copy_from_slice(posted)];
    let excerpt = |answer: &[u8]| secrets.excerpt(answer, &posted, None);
    let read = async { response::read(response(head, body).into(), KEPT, excerpt).await };
    let Some(attempt) = blocking(read) else { return };
    let Attempt::Answered(answer) = &attempt else { unreachable!("a whole answer: {attempt:?}") };
    assert!(answer.body.kept.len() <= KEPT && body.starts_with(&answer.body.kept));
    assert_eq!(answer.body.is_whole, answer.body.kept.len() == body.len());
    let wait = answer.retry_after.and_then(|after| after.wait(SystemTime::UNIX_EPOCH));
    assert!(wait.is_none_or(|wait| wait <= YEAR), "{wait:?}");
    assert!(answer.quota.is_none_or(|quota| quota.resets_in <= RESET_MAX), "{:?}", answer.quota);
    let target = answer.redirects_to.as_deref().unwrap_or_default();
    assert_eq!(target.matches('/').count(), if target.is_empty() { 0 } else { 2 }, "an origin: {target}");
    let shown = answer.beginning.as_deref().unwrap_or_default();
    assert!(shown.len() <= SHOWN_MAX && !shown.chars().any(escape::is_unsafe), "{shown:?}");
    assert!(!TOKENS.iter().any(|token| shown.contains(token)), "{shown:?}");
    settled(&attempt, answer.status, wait);
    for line in head.split(|byte| *byte == b'\n') {
        let wait = RetryAfter::parse(&String::from_utf8_lossy(line))
            .and_then(|after| after.wait(SystemTime::UNIX_EPOCH));
        assert!(wait.is_none_or(|wait| wait <= YEAR), "{wait:?}");
    }
}

fn settled(attempt: &Attempt, status: u16, retry_after: Option<Duration>) {
    let facts = Facts {
        receives: ReceiveCount::FIRST,
        final_receive: false,
        status: Some(status),
        retry_after,
        hideable: HIDEABLE,
        held: Duration::ZERO,
        unit: 0.5,
    };
    let disposition =
        decide(classify(attempt, &StatusSet::default()), &facts, &Policy::default()).disposition;
    assert_eq!(disposition == Disposition::Delete, status == 200, "{disposition:?} after {status}");
    if let Disposition::Park { delay } | Disposition::Defer { delay, .. } = disposition {
        assert!(delay <= HIDEABLE, "{delay:?}");
    }
}

/// The answer as the client hands it over.
fn response(head: &[u8], body: &[u8]) -> Response<Vec<u8>> {
    let mut response = Response::new(body.to_vec());
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|status| http::StatusCode::from_bytes(status.get(..3)?).ok());
    *response.status_mut() = status.unwrap_or_default();
    for line in lines {
        let mut pair = line.splitn(2, |byte| *byte == b':');
        let name = pair.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = pair.next().and_then(|value| HeaderValue::from_bytes(value.trim_ascii()).ok());
        if let (Some(name), Some(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A status and an answer of a token server; a header line with a secret; a secret of webhooks, and what it signs.
pub(crate) fn credentials(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == PART);
    let mut part = || parts.next().unwrap_or_default();
    let (status, answer) = (part(), part());
    auth::fuzz::token_answer(status, answer);
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    let (line, secret, id, body) = (text(part()), text(part()), text(part()), part());
    blocking(async {
        auth::fuzz::secrets(&line).await;
        sign::fuzz::signatures(&secret, &id, body).await;
    });
}

/// Runs what does not wait.
fn blocking<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::runtime::Builder::new_current_thread().build().ok().map(|runtime| runtime.block_on(work))
}
