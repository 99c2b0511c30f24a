//! The class of a failure: by SQS's codes, and by AWS's text where codes are too coarse.
//!
//! For the program a code alone decides: its kind does not depend on the text. The text refines only what
//! people read, so a new wording at AWS costs precision and nothing else. One exception: a signature refused
//! for its region has the code of a wrong secret.

use std::time::Duration;

use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};

use crate::policy::advice::queue::{Named, QueueReason};
use crate::policy::preflight::spoken;

/// Codes by class, without their `AWS.SimpleQueueService.` prefix, in both dialects.
const CODES: &[(QueueReason, &[&str])] = &[
    (QueueReason::QueueMissing, &["NonExistentQueue", "QueueDoesNotExist"]),
    (QueueReason::AccessDenied, &["AccessDenied", "AccessDeniedException", "NotAuthorized"]),
    (QueueReason::KmsDenied, &["KmsAccessDenied", "KMS.AccessDeniedException"]),
    (QueueReason::OptIn, &["OptInRequired", "KmsOptInRequired", "KMS.OptInRequired"]),
    (QueueReason::ExpiredToken, &["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"]),
    (QueueReason::ClockSkew, &["RequestTimeTooSkewed", "RequestExpired"]),
    (QueueReason::WrongSecret, &["SignatureDoesNotMatch", "InvalidSignatureException"]),
    (QueueReason::UnknownKey, &["InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"]),
    (
        QueueReason::Unsigned,
        &[
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidSecurity",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
        ],
    ),
    (QueueReason::WebIdentity, &["InvalidIdentityToken", "IDPCommunicationError", "IDPRejectedClaim"]),
    (
        QueueReason::Throttled,
        &[
            "BandwidthLimitExceeded",
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
    (QueueReason::KmsThrottled, &["KmsThrottled", "KMS.ThrottlingException"]),
    (QueueReason::OverLimit, &["OverLimit"]),
    (
        QueueReason::Server,
        &[
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServiceError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ],
    ),
    (QueueReason::TimedOut, &["RequestTimeout", "RequestTimeoutException"]),
    (QueueReason::WrongRegion, &["AuthorizationHeaderMalformed", "PermanentRedirect"]),
    (QueueReason::Address, &["InvalidAddress"]),
    (QueueReason::KmsKeyDisabled, &["KmsDisabled", "KMS.DisabledException"]),
    (
        QueueReason::KmsKeyState,
        &["KmsInvalidState", "KMS.InvalidStateException", "KMS.KMSInvalidStateException"],
    ),
    (QueueReason::KmsKeyMissing, &["KmsNotFound", "KMS.NotFoundException"]),
    (QueueReason::KmsKeyUsage, &["KmsInvalidKeyUsage", "KMS.InvalidKeyUsageException"]),
    (QueueReason::Unsupported, &["InvalidAction", "UnknownOperationException", "UnsupportedOperation"]),
    (QueueReason::TooLong, &["BatchRequestTooLong"]),
    (QueueReason::Contents, &["InvalidMessageContents"]),
    (
        QueueReason::Parameter,
        &[
            "InvalidAttributeName",
            "InvalidAttributeValue",
            "InvalidParameterCombination",
            "InvalidParameterValue",
            "InvalidParameterValueException",
            "MissingParameter",
            "MissingRequiredParameterException",
        ],
    ),
    (
        QueueReason::Batch,
        &[
            "BatchEntryIdsNotDistinct",
            "EmptyBatchRequest",
            "InvalidBatchEntryId",
            "TooManyEntriesInBatchRequest",
        ],
    ),
];

/// The class of an error code, refined by AWS's text; `None` for an unknown code.
pub(super) fn of_code(code: &str, message: &str) -> Option<QueueReason> {
    let code = plain(code);
    let (reason, _) = CODES.iter().find(|(_, codes)| codes.contains(&code))?;
    Some(refined(*reason, message))
}

/// The class of an answer without a code of SQS: from a proxy or an incomplete server.
pub(super) fn of_status(status: u16, has_code: bool) -> QueueReason {
    match status {
        401 => QueueReason::Credentials,
        403 => QueueReason::Forbidden,
        407 => QueueReason::ProxyCredentials,
        408 => QueueReason::TimedOut,
        429 => QueueReason::Throttled,
        500.. => QueueReason::Server,
        // A successful answer that does not come from SQS.
        200..=299 => QueueReason::NotSqs,
        _ if has_code => QueueReason::Refused,
        _ => QueueReason::UnexpectedAnswer,
    }
}

/// The class of a failed search for credentials, by the texts of the SDK's providers.
pub(super) fn of_credentials(said: &str) -> QueueReason {
    let has = |words: &str| said.contains(words);
    // The answer of STS is quoted with its code.
    let code = CODES.iter().flat_map(|(_, codes)| *codes).find(|code| has(&format!("\"{code}\"")));
    let of_sts = code.and_then(|code| of_code(code, said));
    // This text lists every provider that was asked; the names in it tell nothing.
    if has("no credentials found in chain") || has("no providers in chain") {
        return QueueReason::NoCredentials;
    }
    if has("WebIdentity") || has("web identity") || has("web_identity") || has("token file") {
        return QueueReason::WebIdentity;
    }
    if has("sts:AssumeRole") {
        return QueueReason::RoleDenied;
    }
    match of_sts {
        Some(
            QueueReason::AccessDenied
            | QueueReason::QueuePolicy
            | QueueReason::ExplicitDeny
            | QueueReason::PolicyBoundary,
        ) => QueueReason::RoleDenied,
        Some(reason) if reason.kind() == QueueReason::Credentials.kind() => reason,
        _ if has("identity resolver timed out") => QueueReason::CredentialsSlow,
        _ if has("SSO") || has("sso_") || has("sso-session") => QueueReason::SsoSession,
        _ if has("IMDS") => QueueReason::InstanceMetadata,
        _ if has("profile") => QueueReason::Profile,
        // Only the token file's provider passes on the system's error about a file.
        _ if has("No such file or directory") || has("Permission denied") => QueueReason::WebIdentity,
        _ => QueueReason::Credentials,
    }
}

/// The class of a failed connection, by the text of the HTTP client.
pub(super) fn of_connection(said: &str) -> QueueReason {
    let has_any = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if has_any(&["proxy authorization required"]) {
        QueueReason::ProxyCredentials
    } else if has_any(&["tunnel error"]) {
        // Checked before the resolver: the name without an address may be the proxy's.
        QueueReason::Proxy
    } else if has_any(&["dns error", "failed to lookup address"]) {
        QueueReason::Dns
    } else if has_any(&["proxy"]) {
        QueueReason::Proxy
    } else if has_any(&["Connection refused"]) {
        QueueReason::ConnectionRefused
    } else if has_any(&["certificate", "fatal alert", "handshake", "corrupt message"]) {
        QueueReason::Tls
    } else if has_any(&["invalid HTTP"]) {
        QueueReason::NotSqs
    } else if has_any(&["reset", "closed", "Broken pipe", "unexpected end", "IncompleteMessage", "eof"]) {
        QueueReason::Connection
    } else {
        QueueReason::Network
    }
}

/// A code without the prefix of the older dialect.
pub(super) fn plain(code: &str) -> &str {
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

fn refined(reason: QueueReason, message: &str) -> QueueReason {
    let has = |words: &str| message.contains(words);
    match reason {
        QueueReason::AccessDenied
            if has("perform: kms:") || has("AWSKMS") || has("The ciphertext refers to") =>
        {
            QueueReason::KmsDenied
        }
        QueueReason::AccessDenied if has("with an explicit deny") => QueueReason::ExplicitDeny,
        QueueReason::AccessDenied if has("no resource-based policy") => QueueReason::QueuePolicy,
        QueueReason::AccessDenied if has("because no ") && !has("no identity-based policy") => {
            QueueReason::PolicyBoundary
        }
        QueueReason::WrongSecret if has("Credential should be scoped") => QueueReason::WrongRegion,
        QueueReason::WrongSecret if has("Signature expired") || has("Signature not yet current") => {
            QueueReason::ClockSkew
        }
        QueueReason::Parameter if has("must be shorter than") => QueueReason::TooLong,
        reason => reason,
    }
}

/// Extracts principal, action, resource, policy and clock difference from AWS's text.
pub(super) fn named(message: &str) -> Named {
    Named {
        principal: between(message, "User: ", " is not authorized"),
        action: word_after(message, "not authorized to perform: "),
        resource: word_after(message, " on resource: "),
        place: place(message),
        skew: skew(message),
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (found, _) = rest.split_once(after)?;
    Some(found.to_owned()).filter(|found| !found.is_empty() && !found.contains(' '))
}

fn word_after(text: &str, before: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let word = rest.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ',' | ')')).next()?;
    Some(word.trim_end_matches('.').to_owned()).filter(|word| !word.is_empty())
}

/// The policy that refused: `with an explicit deny in a VPC endpoint policy`, `because no permissions
/// boundary allows the …`.
fn place(text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("with an explicit deny in ") {
        // The ARN of the policy may follow.
        let end = rest.find(['.', ':', '(', '"', '\\', ',']).unwrap_or(rest.len());
        let (place, _) = rest.split_at(end);
        return Some(format!("in {}", place.trim())).filter(|place| place.len() > "in ".len());
    }
    between_words(text, "because no ", " allows").map(|policy| format!("in the {policy}"))
}

fn between_words(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found.to_owned())
}

/// `Signature expired: OURS is now earlier than … (THEIRS - 15 min.)`, and the like for a clock that is
/// ahead.
fn skew(text: &str) -> Option<String> {
    let (_, times) = text.split_once("Signature ")?;
    let (_, theirs) = times.split_once('(')?;
    let ours = times.split(|c: char| !c.is_ascii_alphanumeric()).find_map(seconds)?;
    let theirs = theirs.split(|c: char| !c.is_ascii_alphanumeric()).find_map(seconds)?;
    // Whole minutes, because the difference includes the travel time of the request.
    let minutes = Duration::from_secs(ours.abs_diff(theirs).saturating_add(30) / 60 * 60);
    let side = if ours < theirs { "slow" } else { "fast" };
    Some(format!("by {}: it is {side}", spoken(minutes)))
}

/// Seconds since 1970 of a time in the format of signatures: `20260102T030405Z`.
fn seconds(time: &str) -> Option<i64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    let (hour, minute, second) = (clock.get(..2)?, clock.get(2..4)?, clock.get(4..)?);
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    DateTime::from_str(&text, DateTimeFormat::DateTime).ok().map(|time| time.secs())
}
