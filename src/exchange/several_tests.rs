//! What all requests with several messages have in common.

use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::exchange::Envelope;
use crate::message::ReceiptHandle;
use crate::policy::outcome::{Body, StatusSet};

/// Bodies, a line each.
#[derive(Debug)]
struct Lines;

impl BatchShape for Lines {
    fn request_of(&self, messages: &[Cow<'_, Message>]) -> Result<Request, Unshapeable> {
        let lines: Vec<&[u8]> = messages.iter().map(|message| &*message.body).collect();
        Ok(Request::new(HeaderMap::new(), lines.join(&b'\n').into()))
    }

    fn size_of(&self, message: &Message) -> usize {
        message.body.len() + 1
    }
}

fn several(unwrap: Unwrap) -> Several {
    let success = Success { statuses: StatusSet::new([(200, 204)]), error_in_body_is_failure: true };
    Several::new(Lines, success, 10, unwrap)
}

fn message(id: &str, body: &str) -> Message {
    Message::new(
        MessageId::new(id),
        ReceiptHandle::new(format!("handle of {id}")),
        Bytes::copy_from_slice(body.as_bytes()),
    )
}

#[test]
fn the_id_of_a_request_is_that_of_the_same_messages_alone() {
    let (a, b, c) = (message("a", "1"), message("b", "2"), message("c", "3"));
    let id = |messages: &[&Message]| several(Unwrap::default()).request(messages).unwrap().id.unwrap();
    assert_eq!(id(&[&a, &b]), id(&[&a, &b]));
    let others = [id(&[&a, &b]), id(&[&a]), id(&[&a, &c]), id(&[&b, &a]), a.id.clone()];
    for (index, one) in others.iter().enumerate() {
        assert!(!others[..index].contains(one), "{one}: a receiver would take it for a repetition");
    }
}

#[test]
fn no_log_may_repeat_a_body_or_a_receipt_handle_of_any_message() {
    let request = several(Unwrap::default()).request(&[&message("a", "1"), &message("b", "2")]).unwrap();
    let contents: Vec<&[u8]> = request.contents.iter().map(|content| &**content).collect();
    for content in [&b"1"[..], b"2", b"handle of a", b"handle of b"] {
        assert!(contents.contains(&content), "{contents:?}");
    }
}

#[test]
fn no_log_may_repeat_what_was_in_an_envelope() {
    let sns = Unwrap { envelopes: vec![Envelope::Sns], ..Unwrap::default() };
    let envelope = serde_json::json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": "the card 4111", "Timestamp": "2020-01-01T00:00:00Z"});
    let message = message("a", &envelope.to_string());
    let request = several(sns).request(&[&message]).unwrap();
    assert!(
        request.contents.iter().any(|content| content == "the card 4111"),
        "the endpoint saw nothing else"
    );
}

#[test]
fn envelopes_are_taken_off_each_message_and_a_broken_one_is_named() {
    let sns = Unwrap { envelopes: vec![Envelope::Sns], ..Unwrap::default() };
    let envelope = |text: &str| {
        let message = serde_json::json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
            "Message": text, "Timestamp": "2020-01-01T00:00:00Z"});
        message.to_string()
    };
    let (wrapped, plain) = (message("a", &envelope("inner")), message("b", "plain"));
    let request = several(sns.clone()).request(&[&wrapped, &plain]).unwrap();
    assert_eq!(request.body, "inner\nplain");
    assert_eq!(several(sns.clone()).size_of(&wrapped), "inner\n".len());
    let broken = envelope("x").replace("\"x\"", "7");
    let unshapeable = several(sns).request(&[&plain, &message("c", &broken)]).unwrap_err();
    assert_eq!(unshapeable.position, 1, "{unshapeable}");
}

#[test]
fn without_more_in_the_answer_a_batch_succeeds_or_fails_whole() {
    let ids = [MessageId::new("a"), MessageId::new("b")];
    let all = |status: u16, body: &str| {
        let body = Body { kept: Bytes::copy_from_slice(body.as_bytes()), is_whole: true };
        several(Unwrap::default()).verdicts(&Answer { status, body, ..Answer::default() }, &ids)
    };
    assert_eq!(all(204, ""), Verdicts::All(Outcome::Success));
    assert_eq!(all(205, ""), Verdicts::All(Outcome::UnlistedSuccess));
    assert_eq!(all(500, ""), Verdicts::All(Outcome::Failed));
    assert_eq!(all(200, r#"{"error":"x"}"#), Verdicts::All(Outcome::AlgorithmError));
}
