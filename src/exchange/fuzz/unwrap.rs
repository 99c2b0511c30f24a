//! Envelopes of SNS, `EventBridge` and S3, messages that are no work, and claim checks.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::message::{self, PART};
use crate::exchange::{Envelope, NoWork, Pointer, Raw, Single, Success, Unwrap};
use crate::exchange::{Exchange as _, is_beyond_messages};
use crate::message::{Attribute, AttributeValue, Message};

/// A message in any of the envelopes, and as a claim check.
///
/// What is taken out is what stands in the envelope, read by another reader; a message in none of them stays as it is.
pub(crate) fn unwrap(data: &[u8]) {
    let message = message::of(data.split(|byte| *byte == PART));
    let outer: Option<Value> = serde_json::from_slice(&message.body).ok();
    sns(&message, outer.as_ref());
    event_bridge(&message, outer.as_ref());
    let described = taken_off(&message, Envelope::S3);
    assert!(described.is_none_or(|described| described.body == message.body), "an S3 event stays as it is");
    no_work(&message, outer.as_ref());
    claim_check(&message, outer.as_ref());
    let envelopes = vec![Envelope::Sns, Envelope::EventBridge, Envelope::S3];
    let all = Unwrap { envelopes, deletes_no_work: true };
    let exchange = Single::new(Raw::new("listener", "queue"), Success::default()).unwrapping(all);
    if let Ok(request) = exchange.request(&[&message]) {
        assert!(request.headers.values().all(|value| value.to_str().is_ok()));
        assert!(!request.headers.keys().any(is_beyond_messages));
    }
}

/// The message without this envelope; `None` if it is refused.
fn taken_off(message: &Message, envelope: Envelope) -> Option<Message> {
    let unwrap = Unwrap { envelopes: vec![envelope], deletes_no_work: false };
    unwrap.apply(message).ok().map(|unwrapped| unwrapped.message).map(Cow::into_owned)
}

fn sns(message: &Message, outer: Option<&Value>) {
    let Some(inner) = taken_off(message, Envelope::Sns) else { return };
    let names = inner.attributes.iter().map(|attribute| &attribute.name);
    assert!(names.is_sorted_by(|one, next| one < next), "each attribute once, by name");
    if let Some(outer) = outer.filter(|_| inner.body != message.body) {
        let sent = outer.get("Message").and_then(Value::as_str);
        assert_eq!(sent.map(str::as_bytes), Some(&*inner.body), "the `Message` of the envelope");
        assert_eq!(outer.get("Type").and_then(Value::as_str), Some("Notification"));
    }
}

fn event_bridge(message: &Message, outer: Option<&Value>) {
    let Some(inner) = taken_off(message, Envelope::EventBridge) else { return };
    if let Some(outer) = outer.filter(|_| inner.body != message.body) {
        let detail: Option<Value> = serde_json::from_slice(&inner.body).ok();
        assert_eq!(outer.get("detail"), detail.as_ref(), "the `detail` of the event");
    }
}

/// What is deleted without a POST has all the fields of what the services send.
fn no_work(message: &Message, outer: Option<&Value>) {
    let unwrap = Unwrap { envelopes: Vec::new(), deletes_no_work: true };
    let (Some(found), Some(outer)) = (unwrap.no_work(message), outer) else { return };
    let has = |name: &str| outer.get(name).is_some_and(Value::is_string);
    match found {
        NoWork::Subscription { topic } => {
            assert!(["Type", "TopicArn", "Token", "SubscribeURL", "Message"].into_iter().all(has));
            assert!(topic.is_none_or(|topic| topic.is_ascii() && topic.starts_with("arn:")));
        }
        NoWork::TestEvent => assert!(has("Event") || has("Message")),
    }
}

/// A pointer is that of the body, and no message without the attribute has one.
fn claim_check(message: &Message, outer: Option<&Value>) {
    let reserved = |attribute: &Attribute| attribute.name == "ExtendedPayloadSize";
    if !message.attributes.iter().any(|one| reserved(one) || one.name == "SQSLargePayloadSize") {
        assert_eq!(Pointer::of(message), Ok(None));
    }
    let mut checked = message.clone();
    checked.attributes.push(Attribute {
        name: "ExtendedPayloadSize".to_owned(),
        data_type: "Number".to_owned(),
        value: AttributeValue::Text("300000".to_owned()),
    });
    let found = Pointer::of(&checked);
    assert_ne!(found, Ok(None), "a claim check is redeemed or refused");
    let (Ok(Some(pointer)), Some(outer)) = (found, outer) else { return };
    let written = |name: &str| outer.get(1).and_then(|there| there.get(name)).and_then(Value::as_str);
    // A pointer is also read from a list of its two texts.
    if outer.get(1).is_some_and(Value::is_object) {
        assert_eq!(written("s3BucketName"), Some(&*pointer.bucket));
        assert_eq!(written("s3Key"), Some(&*pointer.key));
    }
    assert!(!pointer.bucket.is_empty() && !pointer.key.is_empty());
    let redeemed = Pointer::redeemed(&checked, Bytes::from_static(b"body"));
    assert!(!redeemed.attributes.iter().any(reserved));
}
