//! What a copy for a dead-letter queue keeps, adds and leaves out.

use bytes::Bytes;

use super::*;
use crate::message::{MessageId, ReceiptHandle};

const REASON: DeadLetterReason =
    DeadLetterReason { outcome: "rejected", status: Some(422), answer: None, listener: None };

fn text(name: &str, value: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(value.to_owned()),
    }
}

fn message(body: String, attributes: Vec<Attribute>) -> Message {
    Message {
        deduplication_id: Some("d".to_owned()),
        trace_header: Some("Root=1-2-3".to_owned()),
        attributes,
        ..Message::new(MessageId::new("4a1b"), ReceiptHandle::new("AQEB"), Bytes::from(body))
    }
}

fn names(outgoing: &Outgoing) -> Vec<&str> {
    outgoing.attributes.iter().map(|attribute| attribute.name.as_str()).collect()
}

#[test]
fn a_copy_keeps_the_original_and_says_why() {
    let copy = copy(&message("{}".to_owned(), vec![text("tenant", "a")]), "orders", &REASON, false).unwrap();
    assert_eq!(copy.body, "{}");
    assert_eq!(copy.trace_header.as_deref(), Some("Root=1-2-3"));
    let mut expected =
        vec![text("tenant", "a"), text("queuepost.reason", "rejected"), text("queuepost.status", "422")];
    expected[2].data_type = "Number".to_owned();
    expected.push(text("queuepost.source-message-id", "4a1b"));
    expected.push(text("queuepost.source-queue", "orders"));
    assert_eq!(copy.attributes, expected);
    assert_eq!((copy.group_id, copy.deduplication_id), (None, None));
}

#[test]
fn without_an_answer_there_is_no_status() {
    let reason = DeadLetterReason { outcome: "unshapeable", ..DeadLetterReason::default() };
    let copy = copy(&message(String::new(), Vec::new()), "orders", &reason, false).unwrap();
    assert_eq!(names(&copy), ["queuepost.reason", "queuepost.source-message-id", "queuepost.source-queue"]);
}

#[test]
fn the_users_attributes_come_first_up_to_ten() {
    let users: Vec<Attribute> = (0..9).map(|index| text(&format!("a{index}"), "v")).collect();
    let copied = copy(&message(String::new(), users.clone()), "orders", &REASON, false).unwrap();
    assert_eq!(copied.attributes.len(), 10);
    assert_eq!(names(&copied).last(), Some(&"queuepost.reason"));
    let mut ten = users;
    ten.push(text("a9", "v"));
    let copied = copy(&message(String::new(), ten.clone()), "orders", &REASON, false).unwrap();
    assert_eq!(copied.attributes, ten);
}

#[test]
fn a_message_of_full_size_is_copied_without_explanation() {
    let body = "x".repeat(Outgoing::MAX_BYTES - 40);
    let copy = copy(&message(body, Vec::new()), "orders", &REASON, false).unwrap();
    // 16 + 6 + 8 bytes fit into 40; nothing else does.
    assert_eq!(names(&copy), ["queuepost.reason"]);
}

#[test]
fn a_copy_of_a_copy_says_its_own_reason_once() {
    let first = vec![text("queuepost.reason", "misdirected"), text("tenant", "a")];
    let copy = copy(&message(String::new(), first), "orders", &REASON, false).unwrap();
    let expected = [
        "tenant",
        "queuepost.reason",
        "queuepost.status",
        "queuepost.source-message-id",
        "queuepost.source-queue",
    ];
    assert_eq!(names(&copy), expected);
    assert_eq!(copy.attributes[1], text("queuepost.reason", "rejected"));
}

#[test]
fn a_fifo_copy_has_a_group_and_is_told_apart_by_the_message_id() {
    let mut original = message(String::new(), Vec::new());
    let lone = copy(&original, "orders", &REASON, true).unwrap();
    assert_eq!(lone.group_id.as_deref(), Some("4a1b"));
    original.group_id = Some("g".to_owned());
    let copy = copy(&original, "orders", &REASON, true).unwrap();
    assert_eq!((copy.group_id.as_deref(), copy.deduplication_id.as_deref()), (Some("g"), Some("4a1b")));
}

#[test]
fn a_body_that_is_no_text_is_not_copied() {
    let mut original = message(String::new(), Vec::new());
    original.body = Bytes::from_static(&[0xff]);
    assert!(copy(&original, "orders", &REASON, false).is_none());
}

#[test]
fn a_copy_says_what_the_endpoint_answered_as_far_as_sqs_carries_it_and_who_gave_up() {
    let answer = Some(format!("a\u{fffe}\u{1}b{}", "é".repeat(150)));
    let reason = DeadLetterReason { answer, listener: Some("orders".into()), ..REASON };
    let copy = copy(&message("{}".to_owned(), Vec::new()), "orders", &reason, false).unwrap();
    let expected = ["reason", "status", "answer", "source-message-id", "source-queue", "listener"];
    assert_eq!(names(&copy), expected.map(|name| format!("queuepost.{name}")));
    assert_eq!(copy.attributes[2], text("queuepost.answer", &format!("ab{}", "é".repeat(99))));
    assert_eq!(copy.attributes[5], text("queuepost.listener", "orders"));
}

#[test]
fn a_fifo_copy_says_the_ids_of_its_original() {
    let mut original = message(String::new(), vec![text("queuepost.source-group-id", "older")]);
    original.group_id = Some("g".to_owned());
    let copy = copy(&original, "orders", &REASON, true).unwrap();
    assert_eq!(copy.attributes[4], text("queuepost.source-group-id", "g"));
    assert_eq!(copy.attributes[5], text("queuepost.source-deduplication-id", "d"));
    assert_eq!(copy.attributes.len(), 6);
}
