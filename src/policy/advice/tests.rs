//! That there are words for everything, and that every gap in them is closed.

use std::collections::BTreeSet;

use super::endpoint::{EndpointReason, Seen};
use super::entry::EntryErrorKind;
use super::queue::{Call, Named, QueueErrorKind, QueueReason};
use super::*;
use crate::policy::outcome::Outcome;

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
    fn unique(labels: impl Iterator<Item = &'static str>) {
        let mut seen = BTreeSet::new();
        for label in labels {
            assert!(seen.insert(label), "{label} twice");
            assert!(label.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{label}");
        }
    }
    unique(QueueReason::ALL.iter().map(|reason| reason.label()));
    unique(EndpointReason::ALL.iter().map(|reason| reason.label()));
    unique(EntryErrorKind::ALL.iter().map(|kind| kind.label()));
}

#[test]
fn every_kind_and_every_outcome_has_words_of_its_own_kind() {
    for kind in QueueErrorKind::ALL {
        assert_eq!(kind.reason().kind(), kind);
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
