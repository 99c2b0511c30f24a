//! Every failure has texts, and every placeholder in them is replaced.

use std::collections::BTreeSet;

use super::endpoint::{EndpointReason, Seen};
use super::entry::EntryErrorKind;
use super::queue::{Call, Named, QueueErrorKind, QueueReason};
use super::*;
use crate::policy::outcome::{Answer, Attempt, Break, Broken, Outcome, StatusSet, Step, Unsent, classify};
use crate::policy::preflight::Warning;

const CALL: Call<'_> =
    Call { operation: "ReceiveMessage", action: "sqs:ReceiveMessage", queue: "https://sqs.test/1/orders" };

/// Label, meaning and fix of every class there is.
fn all() -> Vec<(&'static str, String, String)> {
    let said = |text: &str| Some(text.to_owned());
    let named = Named {
        principal: said("arn:aws:iam::1:role/consumer"),
        action: None,
        resource: None,
        place: said("in a resource-based policy"),
        skew: said("by 30 min"),
    };
    let seen = Seen { status: Some(418), location: said("https://elsewhere.test") };
    let queue = QueueReason::ALL.iter().flat_map(|reason| {
        let bare = reason.advice(&CALL, &Named::default());
        [bare, reason.advice(&CALL, &named)].map(|advice| (reason.label(), advice.meaning, advice.fix))
    });
    let endpoint = EndpointReason::ALL.iter().flat_map(|reason| {
        [reason.advice(&Seen::default()), reason.advice(&seen)]
            .map(|advice| (reason.label(), advice.meaning, advice.fix))
    });
    let entries = EntryErrorKind::ALL
        .iter()
        .map(|kind| (kind.label(), kind.meaning().to_owned(), kind.fix().to_owned()));
    queue.chain(endpoint).chain(entries).collect()
}

#[test]
fn every_class_says_what_it_means_and_what_to_do_and_leaves_no_gap_open() {
    for (label, meaning, fix) in all() {
        for text in [&meaning, &fix] {
            assert!(!text.is_empty() && !text.ends_with('.') && text.trim() == text, "{label}: {text:?}");
            assert!(!text.contains(['{', '}', '\n']) && !text.contains("  "), "{label}: {text:?}");
        }
    }
}

#[test]
fn labels_are_unique_and_fit_for_logs() {
    // Across all tables: a search for a label must find one class only.
    fn unique(labels: impl Iterator<Item = &'static str>) {
        let mut seen = BTreeSet::new();
        for label in labels {
            assert!(seen.insert(label), "{label} twice");
            assert!(label.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{label}");
        }
    }
    let queue = QueueReason::ALL.iter().map(|reason| reason.label());
    let endpoint = EndpointReason::ALL.iter().map(|reason| reason.label());
    let entries = EntryErrorKind::ALL.iter().map(|kind| kind.label());
    let warnings = Warning::ALL.iter().map(|warning| warning.label());
    unique(queue.chain(endpoint).chain(entries).chain(warnings));
}

#[test]
fn every_kind_and_every_outcome_has_words_of_its_own_kind() {
    for kind in QueueErrorKind::ALL {
        assert!(QueueReason::ALL.iter().any(|reason| reason.kind() == kind), "{kind:?}");
    }
    for outcome in Outcome::ALL {
        assert_eq!(EndpointReason::of_outcome(outcome).kind(), outcome);
    }
}

#[test]
fn what_aws_leaves_unsaid_is_taken_from_the_call() {
    let advice = QueueReason::AccessDenied.advice(&CALL, &Named::default());
    let expected = "access denied: the caller may not do sqs:ReceiveMessage on https://sqs.test/1/orders";
    assert_eq!(advice.meaning, expected);
    let small = Named { action: Some("sqs:receivemessage".to_owned()), ..Named::default() };
    assert_eq!(QueueReason::AccessDenied.advice(&CALL, &small), advice);
    let other = Named { action: Some("sqs:GetQueueUrl".to_owned()), ..Named::default() };
    assert!(QueueReason::AccessDenied.advice(&CALL, &other).fix.contains("allow sqs:GetQueueUrl on"));
}

#[test]
fn a_denied_key_names_what_receiving_or_sending_needs() {
    let receiving = QueueReason::KmsDenied.advice(&CALL, &Named::default());
    assert!(receiving.fix.starts_with("allow kms:Decrypt on the key,"), "{receiving:?}");
    let sending = Call { operation: "SendMessage", action: "sqs:SendMessage", ..CALL };
    let sending = QueueReason::KmsDenied.advice(&sending, &Named::default());
    assert!(sending.fix.starts_with("allow kms:GenerateDataKey and kms:Decrypt on the key,"), "{sending:?}");
}

#[test]
fn a_value_that_looks_like_a_gap_is_none() {
    assert_eq!(fill("{a} and {b}, {c} {", &[("a", "{b}"), ("b", "2")]), "{b} and 2, {c} {");
}

#[test]
fn what_an_endpoint_did_is_told_by_status_and_by_step() {
    let success = StatusSet::default();
    let label = |attempt: &Attempt| {
        let outcome = classify(attempt, &success);
        let reason = EndpointReason::of(outcome, attempt);
        assert_eq!(reason.kind(), outcome, "{attempt:?}");
        reason.label()
    };
    for (status, expected) in [
        (200, "delivered"),
        (204, "unlisted_success"),
        (301, "redirected"),
        (400, "rejected"),
        (401, "unauthenticated"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (407, "proxy_credentials"),
        (408, "try_again"),
        (410, "not_found"),
        (411, "length_required"),
        (413, "too_large"),
        (414, "headers_too_large"),
        (415, "media_type"),
        (421, "wrong_server"),
        (422, "rejected"),
        (429, "too_many_requests"),
        (431, "headers_too_large"),
        (500, "server_error"),
        (501, "not_implemented"),
        (502, "bad_gateway"),
        (503, "overloaded"),
        (504, "gateway_timeout"),
        (599, "server_error"),
    ] {
        assert_eq!(label(&Attempt::Answered(Answer { status, ..Answer::default() })), expected, "{status}");
    }
    let sidecar = Answer { status: 403, for_neighbours_only: true, ..Answer::default() };
    assert_eq!(label(&Attempt::Answered(sidecar)), "sidecar_only");
    assert_eq!(EndpointReason::of_outcome(Outcome::AlgorithmError).label(), "algorithm_error");
    assert_eq!(label(&Attempt::TimedOut), "timed_out");
    assert_eq!(label(&Attempt::Endless), "endless_answer");
    for (at, expected) in [
        (Break::BeforeAnswer, "closed_before_answer"),
        (Break::AmidAnswer, "closed_amid_answer"),
        (Break::NotHttp, "not_http"),
    ] {
        assert_eq!(label(&Attempt::Broken(Broken { at, text: String::new() })), expected);
    }
    for (step, expected) in [
        (Step::Resolve, "dns"),
        (Step::Refused, "connection_refused"),
        (Step::TimedOut, "connect_timed_out"),
        (Step::Proxy, "proxy"),
        (Step::Trust, "tls_untrusted"),
        (Step::Name, "tls_wrong_name"),
        (Step::Validity, "tls_expired"),
        (Step::ClientCertificate, "tls_client_certificate"),
        (Step::Tls, "tls"),
        (Step::TokenServer, "token_server"),
        (Step::TokenClient, "token_client"),
        (Step::TokenRefused, "token_refused"),
        (Step::TokenAnswer, "token_answer"),
        (Step::AwsCredentials, "aws_credentials"),
        (Step::Other, "not_sent"),
    ] {
        assert_eq!(label(&Attempt::Unsent(Unsent { step, text: String::new() })), expected);
    }
}

#[test]
fn a_success_that_an_exchange_calls_failed_is_told_by_what_it_found() {
    let label = |answer| EndpointReason::of(Outcome::Failed, &Attempt::Answered(answer)).label();
    let answer = Answer { status: 200, ..Answer::default() };
    assert_eq!(label(answer.clone()), "bad_batch_answer");
    assert_eq!(label(Answer { function_error: true, ..answer.clone() }), "function_error");
    let mut long = answer;
    long.body.is_whole = false;
    assert_eq!(label(long), "long_batch_answer");
    assert_eq!(EndpointReason::of_message(Outcome::Failed).label(), "batch_item_failed");
    assert_eq!(EndpointReason::of_message(Outcome::Success).label(), "delivered");
}

#[test]
fn a_status_that_a_listener_takes_for_success_is_no_failure() {
    let attempt = Attempt::Answered(Answer { status: 413, ..Answer::default() });
    let outcome = classify(&attempt, &StatusSet::new([(413, 413)]));
    assert_eq!(EndpointReason::of(outcome, &attempt).label(), "delivered");
}

#[test]
fn a_redirect_names_where_it_points_and_an_unlisted_success_how_to_list_it() {
    let redirected = EndpointReason::Redirected
        .advice(&Seen { status: Some(302), location: Some("https://login.test".to_owned()) });
    let expected = "the endpoint answered 302, a redirect to https://login.test; queuepost follows none";
    assert_eq!(redirected.meaning, expected);
    let unlisted = EndpointReason::UnlistedSuccess.advice(&Seen { status: Some(204), location: None });
    assert!(
        unlisted
            .fix
            .starts_with("add the line `success: 2xx` to the listener (or --success 2xx) to accept 204"),
        "{unlisted:?}"
    );
}
