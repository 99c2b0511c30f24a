//! Recorded texts of AWS → the class, and the message for people: principal, action, resource and fix.

use std::sync::Arc;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ConnectorError, ErrorMetadata, SdkError};
use aws_sdk_sqs::operation::receive_message::ReceiveMessageError;
use aws_sdk_sqs::operation::send_message::SendMessageError;

use super::error::queue_error;
use super::reason::{of_connection, of_credentials};
use crate::policy::advice::Advice;
use crate::ports::{Operation, QueueError, QueueErrorKind, QueueReason};

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
const ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";
const ROLE: &str = "arn:aws:sts::123456789012:assumed-role/consumer/queuepost";

fn receiving(code: &str, message: &str) -> QueueError {
    let said = ErrorMetadata::builder().code(code).message(message).build();
    let response = HttpResponse::new(400.try_into().unwrap(), "".into());
    let error = SdkError::service_error(ReceiveMessageError::generic(said), response);
    queue_error(Operation::Receive, &Arc::from(QUEUE), &error)
}

fn sending(code: &str, message: &str) -> QueueError {
    let said = ErrorMetadata::builder().code(code).message(message).build();
    let response = HttpResponse::new(400.try_into().unwrap(), "".into());
    let error = SdkError::service_error(SendMessageError::generic(said), response);
    queue_error(Operation::Send, &Arc::from(QUEUE), &error)
}

#[test]
fn a_missing_permission_names_who_what_and_on_what() {
    let message = format!(
        "User: {ROLE} is not authorized to perform: sqs:receivemessage on resource: {ARN} because no identity-based \
         policy allows the sqs:receivemessage action"
    );
    let error = receiving("AccessDenied", &message);
    assert_eq!((error.kind, error.reason), (QueueErrorKind::Denied, QueueReason::AccessDenied));
    let expected =
        format!("ReceiveMessage on {QUEUE}: access denied: {ROLE} may not do sqs:ReceiveMessage on {ARN}");
    assert_eq!(error.to_string(), expected);
    assert!(error.advice.fix.starts_with(&format!("allow sqs:ReceiveMessage on {ARN} in")), "{error:?}");
}

#[test]
fn the_terse_denial_of_old_is_completed_from_the_call() {
    let error = receiving("AccessDenied", &format!("Access to the resource {QUEUE} is denied."));
    assert_eq!(error.reason, QueueReason::AccessDenied);
    let expected = format!(
        "ReceiveMessage on {QUEUE}: access denied: the caller may not do sqs:ReceiveMessage on {QUEUE}"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_policy_that_denies_is_named() {
    let denied = |because: &str| {
        receiving(
            "AccessDeniedException",
            &format!(
                "User: {ROLE} is not authorized to perform: sqs:receivemessage on resource: {ARN} {because}"
            ),
        )
    };
    for (because, reason, said) in [
        (
            "because no resource-based policy allows the sqs:receivemessage action",
            QueueReason::QueuePolicy,
            "the queue's own policy does not let",
        ),
        (
            "with an explicit deny in a resource-based policy",
            QueueReason::ExplicitDeny,
            "a Deny statement in a resource-based policy keeps",
        ),
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-1",
            QueueReason::ExplicitDeny,
            "a Deny statement in a service control policy keeps",
        ),
        ("with an explicit deny", QueueReason::ExplicitDeny, "a Deny statement keeps"),
        (
            "because no VPC endpoint policy allows the sqs:receivemessage action",
            QueueReason::PolicyBoundary,
            "not allowed in the VPC endpoint policy",
        ),
        (
            "because no permissions boundary allows the sqs:receivemessage action",
            QueueReason::PolicyBoundary,
            "not allowed in the permissions boundary",
        ),
    ] {
        let error = denied(because);
        assert_eq!((error.kind, error.reason), (QueueErrorKind::Denied, reason), "{because}");
        let Advice { meaning, fix } = &error.advice;
        assert!(meaning.contains(said), "{meaning}");
        for text in [ROLE, ARN, "sqs:ReceiveMessage"] {
            assert!(meaning.contains(text), "{text} is not in {meaning}");
        }
        assert!(!fix.is_empty());
    }
}

#[test]
fn a_denied_key_names_the_actions_on_it_whichever_way_it_is_said() {
    let cipher = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, \
                  or you are not allowed to access. (Service: AWSKMS; Status Code: 400; Error Code: \
                  AccessDeniedException; Request ID: b284a4f4; Proxy: null)";
    let key = "arn:aws:kms:eu-west-1:123456789012:key/1b2c";
    let named = format!(
        "User: {ROLE} is not authorized to perform: kms:Decrypt on resource: {key} because no identity-based policy allows the kms:Decrypt action"
    );
    for (code, message) in [
        ("KMS.AccessDeniedException", cipher),
        ("KmsAccessDenied", cipher),
        ("AccessDeniedException", cipher),
        ("KmsAccessDenied", named.as_str()),
        ("AccessDenied", named.as_str()),
    ] {
        let error = receiving(code, message);
        assert_eq!((error.kind, error.reason), (QueueErrorKind::Denied, QueueReason::KmsDenied), "{code}");
        assert!(error.advice.meaning.contains("may not do kms:Decrypt"), "{error}");
        assert!(error.advice.fix.contains("allow kms:Decrypt on the key"), "{error:?}");
        assert!(error.advice.fix.contains("key policy"), "{error:?}");
    }
    assert!(receiving("KmsAccessDenied", &named).to_string().contains(key));
    let sent = sending("KmsAccessDenied", cipher);
    assert!(sent.advice.fix.contains("allow kms:GenerateDataKey and kms:Decrypt on the key"), "{sent:?}");
}

#[test]
fn a_refused_signature_is_told_apart_by_what_is_wrong_with_it() {
    use QueueErrorKind::{Credentials, Invalid};
    let mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS \
                    Secret Access Key and signing method. Consult the service documentation for details.";
    let slow = "Signature expired: 20260102T030000Z is now earlier than 20260102T031501Z (20260102T033001Z - 15 min.)";
    let fast = "Signature not yet current: 20260102T040000Z is still later than 20260102T033500Z (20260102T032000Z \
                + 15 min.)";
    let region = "Credential should be scoped to a valid region. ";
    for (code, message, kind, reason, said) in [
        ("SignatureDoesNotMatch", mismatch, Credentials, QueueReason::WrongSecret, "secret access key"),
        ("InvalidSignatureException", slow, Credentials, QueueReason::ClockSkew, "AWS by 30 min: it is slow"),
        ("SignatureDoesNotMatch", fast, Credentials, QueueReason::ClockSkew, "AWS by 40 min: it is fast"),
        ("RequestTimeTooSkewed", "", Credentials, QueueReason::ClockSkew, "from that of AWS"),
        ("SignatureDoesNotMatch", region, Invalid, QueueReason::WrongRegion, "another region"),
        ("InvalidSignatureException", region, Invalid, QueueReason::WrongRegion, "another region"),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            Credentials,
            QueueReason::UnknownKey,
            "does not know",
        ),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            Credentials,
            QueueReason::UnknownKey,
            "does not know",
        ),
        (
            "ExpiredToken",
            "The security token included in the request is expired",
            Credentials,
            QueueReason::ExpiredToken,
            "expired",
        ),
        ("InvalidSecurity", "", Credentials, QueueReason::Unsigned, "signature"),
    ] {
        let error = receiving(code, message);
        assert_eq!((error.kind, error.reason), (kind, reason), "{code} {message}");
        assert!(error.advice.meaning.contains(said), "{error}");
    }
}

#[test]
fn every_other_code_has_its_class() {
    for (code, message, reason) in [
        (
            "AWS.SimpleQueueService.NonExistentQueue",
            "The specified queue does not exist.",
            QueueReason::QueueMissing,
        ),
        ("KMS.DisabledException", "", QueueReason::KmsKeyDisabled),
        ("KmsInvalidState", "", QueueReason::KmsKeyState),
        ("KMS.NotFoundException", "", QueueReason::KmsKeyMissing),
        ("KmsInvalidKeyUsage", "", QueueReason::KmsKeyUsage),
        ("KmsThrottled", "", QueueReason::KmsThrottled),
        ("RequestThrottled", "", QueueReason::Throttled),
        ("OverLimit", "", QueueReason::OverLimit),
        ("InvalidAddress", "The address https://x/ is not valid for this endpoint.", QueueReason::Address),
        ("PermanentRedirect", "", QueueReason::WrongRegion),
        ("AWS.SimpleQueueService.UnsupportedOperation", "", QueueReason::Unsupported),
        ("AWS.SimpleQueueService.BatchRequestTooLong", "", QueueReason::TooLong),
        (
            "InvalidParameterValue",
            "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
            QueueReason::TooLong,
        ),
        ("InvalidMessageContents", "", QueueReason::Contents),
        (
            "MissingParameter",
            "The request must contain the parameter MessageGroupId.",
            QueueReason::Parameter,
        ),
        ("AWS.SimpleQueueService.EmptyBatchRequest", "", QueueReason::Batch),
        ("SomethingNew", "", QueueReason::Refused),
    ] {
        assert_eq!(receiving(code, message).reason, reason, "{code}");
    }
}

#[test]
fn a_failed_search_for_credentials_says_where_it_failed() {
    let sts = |code: &str, message: &str| {
        format!(
            "an error occurred while loading credentials: service error: unhandled error ({code}): Error {{ code: \
             \"{code}\", message: \"{message}\", aws_request_id: \"1\" }}"
        )
    };
    let role = format!(
        "User: {ROLE} is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/consumer"
    );
    for (said, reason) in [
        (sts("AccessDenied", &role), QueueReason::RoleDenied),
        (sts("AccessDenied", "Access denied"), QueueReason::RoleDenied),
        (
            sts("ExpiredToken", "The security token included in the request is expired"),
            QueueReason::ExpiredToken,
        ),
        (
            sts("SignatureDoesNotMatch", "Signature expired: 20260102T030000Z is now earlier than ..."),
            QueueReason::ClockSkew,
        ),
        (
            sts("InvalidIdentityToken", "No OpenIDConnect provider found in your account"),
            QueueReason::WebIdentity,
        ),
        (
            sts("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
            QueueReason::WebIdentity,
        ),
        (
            "no providers in chain provided credentials: the credential provider was not enabled: could not \
             communicate with IMDS"
                .to_owned(),
            QueueReason::NoCredentials,
        ),
        (
            "the credential provider was not enabled: no credentials found in chain. Attempted: Environment: the \
             credential provider was not enabled: environment variable not set Profile: the credential provider was \
             not enabled WebIdentityToken: the credential provider was not enabled: $AWS_WEB_IDENTITY_TOKEN_FILE was \
             not set"
                .to_owned(),
            QueueReason::NoCredentials,
        ),
        (
            "an error occurred while loading credentials: No such file or directory (os error 2)".to_owned(),
            QueueReason::WebIdentity,
        ),
        ("an error occurred: failed to load IMDS session token".to_owned(), QueueReason::InstanceMetadata),
        ("identity resolver timed out after 9s".to_owned(), QueueReason::CredentialsSlow),
        ("the SSO token has expired and cannot be refreshed".to_owned(), QueueReason::SsoSession),
        ("profile `nobody` was not defined: could not find source profile".to_owned(), QueueReason::Profile),
        ("no idea".to_owned(), QueueReason::Credentials),
    ] {
        assert_eq!(of_credentials(&said), reason, "{said}");
        assert_eq!(reason.kind(), QueueErrorKind::Credentials);
    }
}

#[test]
fn a_role_that_may_not_be_assumed_is_named_with_whom_to_trust() {
    let role = "arn:aws:iam::210987654321:role/consumer";
    let text = format!(
        "an error occurred while loading credentials: code: \"AccessDenied\", message: \"User: {ROLE} is not \
         authorized to perform: sts:AssumeRole on resource: {role}\""
    );
    let advice = of_credentials(&text).advice(
        &crate::policy::advice::queue::Call {
            operation: "ReceiveMessage",
            action: "sqs:ReceiveMessage",
            queue: QUEUE,
        },
        &super::reason::named(&text),
    );
    assert_eq!(
        advice.meaning,
        format!("the role was not assumed: {ROLE} may not do sts:AssumeRole on {role}")
    );
    for words in ["sts:AssumeRole", "trust policy", "external_id", ROLE] {
        assert!(advice.fix.contains(words), "{words} is not in {}", advice.fix);
    }
}

#[test]
fn connections_fail_in_different_ways() {
    for (said, reason) in [
        ("client error (Connect): dns error: failed to lookup address information", QueueReason::Dns),
        ("tcp connect error: Connection refused (os error 111)", QueueReason::ConnectionRefused),
        ("invalid peer certificate: UnknownIssuer", QueueReason::Tls),
        ("received fatal alert: HandshakeFailure", QueueReason::Tls),
        ("tunnel error: unsuccessful", QueueReason::Proxy),
        ("tunnel error: failed to create underlying connection: dns error: no such name", QueueReason::Proxy),
        ("tunnel error: failed to create underlying connection: Connection refused", QueueReason::Proxy),
        ("tunnel error: proxy authorization required", QueueReason::ProxyCredentials),
        ("client error (SendRequest): invalid HTTP version parsed", QueueReason::NotSqs),
        ("connection closed before message completed", QueueReason::Connection),
        ("Connection reset by peer (os error 104)", QueueReason::Connection),
        ("Network is unreachable (os error 101)", QueueReason::Network),
    ] {
        assert_eq!(of_connection(said), reason, "{said}");
    }
    let slow = "HTTP connect timeout occurred after 3s";
    let error: SdkError<ReceiveMessageError, HttpResponse> =
        SdkError::dispatch_failure(ConnectorError::timeout(slow.into()));
    let error = queue_error(Operation::Receive, &Arc::from(QUEUE), &error);
    assert_eq!((error.kind, error.reason), (QueueErrorKind::TimedOut, QueueReason::ConnectTimedOut));
}

#[test]
fn no_secret_and_no_quoted_request_is_in_what_a_person_is_told() {
    let message = "The request signature we calculated does not match.\n\nThe Canonical String for this request should \
                   have been\n'POST\n/\n\nx-amz-security-token:swordfish on resource: swordfish'";
    let error = receiving("SignatureDoesNotMatch", message);
    let Advice { meaning, fix } = &error.advice;
    for text in [&error.to_string(), meaning, fix, &error.source.to_string()] {
        assert!(!text.contains("swordfish"), "{text}");
    }
}
