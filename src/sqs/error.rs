//! What the SDK says went wrong, translated: the one file that reads SQS's error codes.
//!
//! Codes decide, then the HTTP status, then the kind of transport failure. The SDK's typed errors are not
//! matched: their type is chosen by that same code, each operation has its own, and servers that leave out the
//! header with the old codes arrive as untyped errors with a perfectly good code. Codes come in two dialects
//! (`AWS.SimpleQueueService.NonExistentQueue` and `QueueDoesNotExist`).
//!
//! Texts are for a log: code, first paragraph of the message, request id; one line. The first paragraph, because
//! the message of `SignatureDoesNotMatch` goes on to quote the signed request, session token included. Messages
//! of batch entries are left out altogether, because they quote the receipt handle; but for messages to be sent,
//! which have none.

use std::error::Error;
use std::time::Duration;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::config::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_sqs::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::types::BatchResultErrorEntry;

use crate::pipeline::ports::{EntryError, EntryErrorKind, Operation, QueueError, QueueErrorKind};
use crate::sqs::Unsent;

/// Longest text of a cause, in bytes.
const TEXT_MAX: usize = 500;

/// Codes by meaning, without their `AWS.SimpleQueueService.` and `KMS.` prefixes.
const CODES: &[(QueueErrorKind, &[&str])] = &[
    (QueueErrorKind::Missing, &["NonExistentQueue", "QueueDoesNotExist"]),
    (
        QueueErrorKind::Denied,
        &["AccessDenied", "AccessDeniedException", "KmsAccessDenied", "OptInRequired", "KmsOptInRequired"],
    ),
    (
        QueueErrorKind::Credentials,
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
            "UnrecognizedClientException",
        ],
    ),
    (
        QueueErrorKind::Throttled,
        &[
            "BandwidthLimitExceeded",
            "KmsThrottled",
            "PriorRequestNotComplete",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ],
    ),
    (QueueErrorKind::OverLimit, &["OverLimit"]),
    (
        QueueErrorKind::Server,
        &[
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServiceError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ],
    ),
    (QueueErrorKind::TimedOut, &["RequestTimeout", "RequestTimeoutException"]),
];

/// What was said, as one line; carries no secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

/// Translates the failure of a call.
pub(super) fn queue_error<E>(operation: Operation, error: &SdkError<E, HttpResponse>) -> QueueError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (kind, text) = match error {
        SdkError::ServiceError(service) => {
            let (said, status) = (service.err(), service.raw().status().as_u16());
            let kind = said.code().and_then(kind_of_code).unwrap_or_else(|| kind_of_status(status));
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
            (kind, text)
        }
        SdkError::TimeoutError(_) => (QueueErrorKind::TimedOut, chain(error)),
        SdkError::DispatchFailure(failure) => {
            let kind = failure.as_connector_error().map_or(QueueErrorKind::Network, kind_of_transport);
            // Without the SDK's own "dispatch failure: other".
            let cause = failure.as_connector_error().and_then(Error::source);
            (kind, chain(cause.unwrap_or(error)))
        }
        // An answer that broke off, or that is none of SQS's.
        SdkError::ResponseError(_) => (QueueErrorKind::Network, chain(error)),
        SdkError::ConstructionFailure(_) if is_of_credentials(error) => {
            (QueueErrorKind::Credentials, chain(error))
        }
        _ => (QueueErrorKind::Invalid, chain(error)),
    };
    QueueError { operation, kind, source: Box::new(Said(shortened(text))) }
}

/// A call that was given up.
pub(super) fn timed_out(operation: Operation, limit: Duration) -> QueueError {
    failed(operation, QueueErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))
}

/// A call that was not made, or whose answer makes no sense.
pub(super) fn failed(operation: Operation, kind: QueueErrorKind, text: impl Into<String>) -> QueueError {
    QueueError { operation, kind, source: Box::new(Said(text.into())) }
}

/// Translates the failure of one entry of a batch call.
pub(super) fn entry_error(entry: &BatchResultErrorEntry) -> EntryError {
    let code = plain(&entry.code);
    let kind = match code {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidIdFormat" => EntryErrorKind::LeaseLost,
        "InvalidParameterValue" | "InvalidParameterValueException" if is_about_the_handle(entry) => {
            EntryErrorKind::LeaseLost
        }
        code => match kind_of_code(code) {
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
    EntryError { kind, code: entry.code.clone() }
}

/// Translates the failure of one message of a batch to be sent, for the person who sends it.
pub(super) fn unsent(entry: &BatchResultErrorEntry) -> Unsent {
    let message = one_line(entry.message.as_deref().unwrap_or_default());
    let why = if message.is_empty() { entry.code.clone() } else { format!("{}: {message}", entry.code) };
    Unsent { retryable: entry_error(entry).kind == EntryErrorKind::Retryable, why: shortened(why) }
}

/// An entry whose answer is missing: the call may be made again.
pub(super) fn unanswered_entry() -> EntryError {
    EntryError { kind: EntryErrorKind::Retryable, code: "NoAnswer".to_owned() }
}

/// Amazon says that a handle expired, or that its message is gone, as a bad value of the parameter
/// `ReceiptHandle`; beyond twelve hours it complains of `VisibilityTimeout` instead.
fn is_about_the_handle(entry: &BatchResultErrorEntry) -> bool {
    let message = entry.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    ["receipthandle", "receipt handle", "does not exist"].iter().any(|sign| message.contains(sign))
}

fn kind_of_code(code: &str) -> Option<QueueErrorKind> {
    let code = plain(code);
    CODES.iter().find(|(_, codes)| codes.contains(&code)).map(|&(kind, _)| kind)
}

fn plain(code: &str) -> &str {
    code.strip_prefix("AWS.SimpleQueueService.").or_else(|| code.strip_prefix("KMS.")).unwrap_or(code)
}

/// For answers without a code of SQS's: a proxy's, or of a server with gaps.
fn kind_of_status(status: u16) -> QueueErrorKind {
    match status {
        401 | 407 => QueueErrorKind::Credentials,
        403 => QueueErrorKind::Denied,
        408 => QueueErrorKind::TimedOut,
        429 => QueueErrorKind::Throttled,
        500.. => QueueErrorKind::Server,
        // A good answer that is none of SQS's.
        200..=299 => QueueErrorKind::Network,
        _ => QueueErrorKind::Invalid,
    }
}

/// No answer came: because nobody could sign the request, or because of the network.
fn kind_of_transport(error: &ConnectorError) -> QueueErrorKind {
    if error.is_timeout() {
        QueueErrorKind::TimedOut
    } else if error.is_io() || error.is_user() {
        QueueErrorKind::Network
    } else if is_of_credentials(error) {
        QueueErrorKind::Credentials
    } else if chain(error).contains("Invalid Configuration") {
        // The SDK's endpoint rules: no region, or options that exclude each other.
        QueueErrorKind::Invalid
    } else {
        QueueErrorKind::Network
    }
}

/// Whether a credentials provider failed, assuming a role included.
fn is_of_credentials(error: &(dyn Error + 'static)) -> bool {
    // The SDK does not export the type of a provider's error; what a provider returns leads to it.
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
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let part = one_line(&cause.to_string());
        // Wrappers often repeat what they wrap.
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

/// The first paragraph of a message, without what quotes the signed request.
fn one_line(message: &str) -> String {
    // The SDK prints some messages escaped.
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
