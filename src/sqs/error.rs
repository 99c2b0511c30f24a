//! Translates the SDK's errors. With `reason.rs` this is the one place that reads SQS's error codes.
//!
//! Codes decide first, then the HTTP status, then the kind of transport failure. Codes come in two dialects
//! (`AWS.SimpleQueueService.NonExistentQueue` and `QueueDoesNotExist`).
//! The SDK's typed errors are not matched. The same code chooses their type, and each operation has types of
//! its own. Servers that omit the header with the old codes arrive as untyped errors with a valid code.
//!
//! Texts are for a log: one line with code, first paragraph of the message and request id. Later paragraphs
//! are dropped, because `SignatureDoesNotMatch` quotes the signed request there, session token included.
//! Messages of batch entries are left out, because they quote the receipt handle. Entries of a send keep
//! them, because they have no receipt handle.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::config::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_sqs::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::types::BatchResultErrorEntry;

use super::send::Unsent;
use super::{reason, transport};
use crate::escape;
use crate::policy::advice::Advice;
use crate::policy::advice::queue::{Call, Named};
use crate::ports::{EntryError, EntryErrorKind, Operation, QueueError, QueueErrorKind, QueueReason};

/// Longest text of a cause, in bytes.
const TEXT_MAX: usize = 500;

/// The error text as one line, without secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

/// Translates the failure of a call on `queue`.
pub(super) fn queue_error<E>(
    operation: Operation,
    queue: &Arc<str>,
    error: &SdkError<E, HttpResponse>,
) -> QueueError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (reason, text) = match error {
        SdkError::ServiceError(service) => {
            let (said, status) = (service.err(), service.raw().status().as_u16());
            let message = said.message().unwrap_or_default();
            let known = said.code().and_then(|code| reason::of_code(code, message));
            let reason = known.unwrap_or_else(|| reason::of_status(status, said.code().is_some()));
            let code =
                said.code().map_or_else(|| format!("HTTP {status} without an error code"), str::to_owned);
            let detail = match said.message() {
                Some(message) => one_line(message),
                None => chain(said),
            };
            let mut text = format!("{code}: {detail}");
            if let Some(id) = error.request_id() {
                text = format!("{} (request {id})", shortened(text));
            }
            (reason, text)
        }
        SdkError::TimeoutError(_) => (QueueReason::TimedOut, chain(error)),
        SdkError::DispatchFailure(failure) => {
            // Without the SDK's own "dispatch failure: other".
            let cause = failure.as_connector_error().and_then(Error::source);
            let text = chain(cause.unwrap_or(error));
            let reason = failure
                .as_connector_error()
                .map_or(QueueReason::Network, |failure| reason_of_transport(failure, &text));
            (reason, text)
        }
        SdkError::ResponseError(_) if causes(error).any(transport::is_too_long) => {
            (QueueReason::AnswerTooLong, format!("more than {} MiB", transport::ANSWER_MAX >> 20))
        }
        // An answer that broke off, or that does not come from SQS.
        SdkError::ResponseError(_) => {
            let text = chain(error);
            let broke = reason::of_connection(&text) == QueueReason::Connection;
            (if broke { QueueReason::Connection } else { QueueReason::NotSqs }, text)
        }
        SdkError::ConstructionFailure(_) if is_of_credentials(error) => {
            let text = chain(error);
            (reason::of_credentials(&text), text)
        }
        _ => (QueueReason::Refused, chain(error)),
    };
    let text = escape::line(&text).into_owned();
    let named = reason::named(&text);
    QueueError::new(operation, Arc::clone(queue), reason, &named, Box::new(Said(shortened(text))))
}

/// A call that exceeded its timeout.
pub(super) fn timed_out(operation: Operation, queue: &Arc<str>, limit: Duration) -> QueueError {
    failed(operation, queue, QueueReason::TimedOut, format!("no answer within {} s", limit.as_secs()))
}

/// A call that was not made, or whose answer cannot be interpreted.
pub(super) fn failed(
    operation: Operation,
    queue: &Arc<str>,
    reason: QueueReason,
    text: impl Into<String>,
) -> QueueError {
    let said = Box::new(Said(text.into()));
    QueueError::new(operation, Arc::clone(queue), reason, &Named::default(), said)
}

/// Translates the failure of one entry of a batch call.
pub(super) fn entry_error(entry: &BatchResultErrorEntry) -> EntryError {
    let code = reason::plain(&entry.code);
    let kind = match code {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidIdFormat" => EntryErrorKind::LeaseLost,
        "InvalidParameterValue" | "InvalidParameterValueException" if is_about_the_handle(entry) => {
            EntryErrorKind::LeaseLost
        }
        code => match reason::of_code(code, "").map(QueueReason::kind) {
            Some(
                QueueErrorKind::Throttled
                | QueueErrorKind::OverLimit
                | QueueErrorKind::Server
                | QueueErrorKind::TimedOut,
            ) => EntryErrorKind::Retryable,
            _ if !entry.sender_fault => EntryErrorKind::Retryable,
            _ => EntryErrorKind::Refused,
        },
    };
    EntryError { kind, code: shortened(escape::line(&entry.code).into_owned()) }
}

/// Translates the failure of one message of a batch send. Only what SQS has against the message itself is `Refused`:
/// a queue that denies may be mended.
pub(super) fn send_error(entry: &BatchResultErrorEntry) -> EntryError {
    let reason = reason::of_code(&entry.code, entry.message.as_deref().unwrap_or_default());
    let of_the_message =
        matches!(reason, Some(QueueReason::Contents | QueueReason::Parameter | QueueReason::TooLong));
    let kind = if of_the_message { EntryErrorKind::Refused } else { EntryErrorKind::Retryable };
    EntryError { kind, code: shortened(escape::line(&entry.code).into_owned()) }
}

/// Translates the failure of one message of a batch send, for the user of `send`.
pub(super) fn unsent(queue: &str, entry: &BatchResultErrorEntry) -> Unsent {
    let message = one_line(entry.message.as_deref().unwrap_or_default());
    let reason = reason::of_code(&entry.code, &message).unwrap_or(QueueReason::Refused);
    let send = Operation::Send;
    let call = Call { operation: send.name(), action: send.action(), queue };
    let Advice { meaning, fix } = reason.advice(&call, &reason::named(&message));
    let said = if message.is_empty() { entry.code.clone() } else { format!("{}: {message}", entry.code) };
    let retryable = entry_error(entry).kind == EntryErrorKind::Retryable;
    let why = format!("{meaning}: {said}");
    Unsent {
        retryable,
        why: shortened(escape::line(&why).into_owned()),
        fix: escape::line(&fix).into_owned(),
    }
}

/// An entry whose result is missing from the answer: the call may be repeated.
pub(super) fn unanswered_entry() -> EntryError {
    EntryError { kind: EntryErrorKind::Retryable, code: "NoAnswer".to_owned() }
}

/// Whether the handle has expired or its message is gone. Amazon reports both as a bad value of the parameter
/// `ReceiptHandle`. Beyond twelve hours Amazon reports `VisibilityTimeout` instead.
fn is_about_the_handle(entry: &BatchResultErrorEntry) -> bool {
    let message = entry.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    ["receipthandle", "receipt handle", "does not exist"].iter().any(|sign| message.contains(sign))
}

/// No answer came: the request could not be signed, or the network failed.
fn reason_of_transport(error: &ConnectorError, said: &str) -> QueueReason {
    if error.is_timeout() {
        return if said.contains("connect") { QueueReason::ConnectTimedOut } else { QueueReason::TimedOut };
    }
    if error.is_io() || error.is_user() {
        reason::of_connection(said)
    } else if is_of_credentials(error) {
        reason::of_credentials(said)
    } else if said.contains("Invalid Configuration") {
        // The SDK's endpoint rules: no region, or options that exclude each other.
        if said.contains("Missing Region") { QueueReason::NoRegion } else { QueueReason::Refused }
    } else {
        reason::of_connection(said)
    }
}

/// Whether a credentials provider failed, assuming a role included.
pub(super) fn is_of_credentials(error: &(dyn Error + 'static)) -> bool {
    // The SDK does not export the error type of a provider, but a provider's error leads to that type.
    fn is_what_fails<T, E: Error + 'static, F: Future<Output = Result<T, E>>>(
        _: fn(&'static SharedCredentialsProvider) -> F,
        error: &(dyn Error + 'static),
    ) -> bool {
        error.is::<E>()
    }
    causes(error).any(|cause| {
        is_what_fails(SharedCredentialsProvider::provide_credentials, cause)
            || cause.to_string().starts_with("identity resolver timed out")
    })
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| <dyn Error>::source(*error))
}

/// An error and its sources in one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let part = one_line(&cause.to_string());
        // A wrapper often repeats the error it wraps.
        if text.ends_with(&part) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&part);
    }
    text
}

/// The first paragraph of a message; later ones may quote the signed request.
pub(super) fn one_line(message: &str) -> String {
    // The SDK prints some messages in escaped form.
    let end = ["\n\n", "\\n\\n", "The Canonical String"].iter().filter_map(|end| message.find(end)).min();
    let (paragraph, _) = message.split_at(end.unwrap_or(message.len()));
    let mut line = String::with_capacity(paragraph.len());
    for word in paragraph.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
