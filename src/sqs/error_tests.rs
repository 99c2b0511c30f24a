//! The translation as tables: code, status and kind of failure → what it means.

use aws_sdk_sqs::error::ErrorMetadata;
use aws_sdk_sqs::operation::receive_message::ReceiveMessageError;

use super::*;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";

fn service(code: Option<&str>, message: &str, status: u16) -> SdkError<ReceiveMessageError, HttpResponse> {
    let mut said = ErrorMetadata::builder().message(message);
    if let Some(code) = code {
        said = said.code(code);
    }
    let response = HttpResponse::new(status.try_into().unwrap(), "".into());
    SdkError::service_error(ReceiveMessageError::generic(said.build()), response)
}

fn translated(error: &SdkError<ReceiveMessageError, HttpResponse>) -> (QueueErrorKind, String) {
    let error = told(error);
    assert_eq!(error.operation, Operation::Receive);
    (error.kind, error.source.to_string())
}

fn told(error: &SdkError<ReceiveMessageError, HttpResponse>) -> QueueError {
    queue_error(Operation::Receive, &Arc::from(QUEUE), error)
}

fn kind(error: &SdkError<ReceiveMessageError, HttpResponse>) -> QueueErrorKind {
    translated(error).0
}

#[test]
fn codes_decide_in_both_dialects() {
    use QueueErrorKind::{Credentials, Denied, Invalid, Missing, OverLimit, Server, Throttled, TimedOut};
    for (code, expected) in [
        ("AWS.SimpleQueueService.NonExistentQueue", Missing),
        ("QueueDoesNotExist", Missing),
        ("AccessDenied", Denied),
        ("AccessDeniedException", Denied),
        ("KMS.AccessDeniedException", Denied),
        ("KmsAccessDenied", Denied),
        ("OptInRequired", Denied),
        ("InvalidClientTokenId", Credentials),
        ("UnrecognizedClientException", Credentials),
        ("SignatureDoesNotMatch", Credentials),
        ("ExpiredToken", Credentials),
        ("ExpiredTokenException", Credentials),
        ("RequestExpired", Credentials),
        ("MissingAuthenticationToken", Credentials),
        ("InvalidSecurity", Credentials),
        ("ThrottlingException", Throttled),
        ("RequestThrottled", Throttled),
        ("Throttling", Throttled),
        ("RequestLimitExceeded", Throttled),
        ("KMS.ThrottlingException", Throttled),
        ("KmsThrottled", Throttled),
        ("OverLimit", OverLimit),
        ("AWS.SimpleQueueService.OverLimit", OverLimit),
        ("ServiceUnavailable", Server),
        ("InternalError", Server),
        ("InternalFailure", Server),
        ("RequestTimeout", TimedOut),
        ("KMS.DisabledException", Invalid),
        ("InvalidAddress", Invalid),
        ("InvalidParameterValue", Invalid),
        ("AWS.SimpleQueueService.UnsupportedOperation", Invalid),
    ] {
        assert_eq!(kind(&service(Some(code), "", 400)), expected, "{code}");
    }
}

#[test]
fn without_a_code_that_is_known_the_status_decides() {
    use QueueErrorKind::{Credentials, Denied, Invalid, Network, Server, Throttled, TimedOut};
    for (status, expected) in [
        (200, Network),
        (400, Invalid),
        (401, Credentials),
        (403, Denied),
        (404, Invalid),
        (407, Credentials),
        (408, TimedOut),
        (413, Invalid),
        (429, Throttled),
        (500, Server),
        (503, Server),
        (529, Server),
    ] {
        assert_eq!(kind(&service(None, "", status)), expected, "{status}");
        assert_eq!(kind(&service(Some("SomethingNew"), "", status)), expected, "{status}");
    }
}

#[test]
fn failures_of_transport_are_told_apart() {
    let dispatch = |error| kind(&SdkError::dispatch_failure(error));
    assert_eq!(dispatch(ConnectorError::io("refused".into())), QueueErrorKind::Network);
    assert_eq!(dispatch(ConnectorError::timeout("connect".into())), QueueErrorKind::TimedOut);
    assert_eq!(dispatch(ConnectorError::user("body".into())), QueueErrorKind::Network);
    assert_eq!(dispatch(ConnectorError::other("hm".into(), None)), QueueErrorKind::Network);
    let region = "Invalid Configuration: Missing Region";
    assert_eq!(dispatch(ConnectorError::other(region.into(), None)), QueueErrorKind::Invalid);
    let slow = "identity resolver timed out after 9s";
    assert_eq!(dispatch(ConnectorError::other(slow.into(), None)), QueueErrorKind::Credentials);
    assert_eq!(kind(&SdkError::timeout_error("slow")), QueueErrorKind::TimedOut);
    assert_eq!(kind(&SdkError::construction_failure("bad input")), QueueErrorKind::Invalid);
    let cut = HttpResponse::new(200.try_into().unwrap(), "".into());
    assert_eq!(kind(&SdkError::response_error("unexpected end", cut)), QueueErrorKind::Network);
}

#[test]
fn the_text_is_code_and_first_paragraph_and_never_the_quoted_request() {
    let message = "The request signature we calculated does not match.\n\nThe Canonical String for this \
                   request should have been\n'POST\n/\n\nx-amz-security-token:swordfish'";
    let (_, text) = translated(&service(Some("SignatureDoesNotMatch"), message, 403));
    assert_eq!(text, "SignatureDoesNotMatch: The request signature we calculated does not match.");
    let escaped = "service error: Error { message: \"No match.\\n\\nThe Canonical String: swordfish\" }";
    let (_, text) = translated(&SdkError::dispatch_failure(ConnectorError::other(escaped.into(), None)));
    assert!(text.contains("No match.") && !text.contains("swordfish"), "{text}");
    let (_, text) = translated(&service(None, &"ä".repeat(1000), 502));
    assert!(text.starts_with("HTTP 502 without an error code: ää") && text.len() <= TEXT_MAX, "{text}");
}

#[test]
fn entries_are_lost_repeatable_or_refused() {
    use EntryErrorKind::{LeaseLost, Refused, Retryable};
    let expired =
        "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
    let gone = "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
                available for visibility timeout change.";
    let beyond = "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for \
                  the message is beyond the limit [43200 seconds]";
    for (code, message, sender_fault, expected) in [
        ("ReceiptHandleIsInvalid", "", true, LeaseLost),
        ("MessageNotInflight", "", true, LeaseLost),
        ("AWS.SimpleQueueService.MessageNotInflight", "", true, LeaseLost),
        ("InvalidParameterValue", expired, true, LeaseLost),
        ("InvalidParameterValue", gone, true, LeaseLost),
        ("InvalidParameterValue", beyond, true, Refused),
        ("InternalError", "", false, Retryable),
        ("InternalError", "", true, Retryable),
        ("RequestThrottled", "", true, Retryable),
        ("ServiceUnavailable", "", true, Retryable),
        ("SomethingNew", "", false, Retryable),
        ("SomethingNew", "", true, Refused),
        ("AccessDenied", "", true, Refused),
    ] {
        let entry = BatchResultErrorEntry::builder()
            .id("0")
            .code(code)
            .message(message)
            .sender_fault(sender_fault)
            .build()
            .unwrap();
        let error = entry_error(&entry);
        assert_eq!(error, EntryError { kind: expected, code: code.to_owned() }, "{code} {message}");
    }
}
