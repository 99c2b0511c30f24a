//! The event, its size, and what an answer says of each message.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::exchange::{Exchange, Several, Success, Unwrap, Verdicts};
use crate::message::{Attribute, AttributeValue, ReceiptHandle, ReceiveCount};
use crate::policy::outcome::{Body, StatusSet};

const ARN: &str = "arn:aws:sqs:us-east-2:123456789012:my-queue";

fn exchange(partial_failures: bool, most: usize) -> Arc<dyn Exchange> {
    let lambda = Lambda { source_arn: ARN.to_owned(), region: "us-east-2".to_owned(), partial_failures };
    let success = Success { statuses: StatusSet::new([(200, 299)]), ..Success::default() };
    Arc::new(Several::new(lambda, success, most, Unwrap::default()))
}

fn at(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

fn attribute(name: &str, data_type: &str, value: AttributeValue) -> Attribute {
    Attribute { name: name.to_owned(), data_type: data_type.to_owned(), value }
}

fn message(id: &str, body: &'static str) -> Message {
    Message {
        sent_at: at(1_545_082_649_183),
        first_received_at: at(1_545_082_649_185),
        sender_id: Some("AIDAIENQZJOLO23YVJ4VO".to_owned()),
        ..Message::new(
            MessageId::new(id),
            ReceiptHandle::new("AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a"),
            Bytes::from_static(body.as_bytes()),
        )
    }
}

fn full() -> Message {
    Message {
        receive_count: ReceiveCount::new(3),
        group_id: Some("g".to_owned()),
        deduplication_id: Some("d".to_owned()),
        sequence_number: Some("18849496460467696128".to_owned()),
        trace_header: Some("Root=1-2-3".to_owned()),
        attributes: vec![
            attribute("count", "Number.int", AttributeValue::Text("7".to_owned())),
            attribute("raw", "Binary", AttributeValue::Binary(Bytes::from_static(&[0, 255]))),
            attribute("who", "String", AttributeValue::Text("Größe".to_owned())),
        ],
        ..message("full", "{\"a\":\"ü\\n\"}")
    }
}

fn event(messages: &[&Message]) -> Value {
    let request = exchange(true, 10).request(messages).unwrap();
    assert_eq!(request.headers["content-type"], "application/json");
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn the_event_is_the_one_that_aws_documents() {
    let simple = Message {
        attributes: vec![attribute("myAttribute", "String", AttributeValue::Text("myValue".to_owned()))],
        ..message("059f36b4-87a3-44ab-83d2-661975830a7d", "Test message.")
    };
    let mut made = event(&[&simple]);
    let sum = made["Records"][0].as_object_mut().unwrap().remove("md5OfMessageAttributes");
    assert_eq!(sum.and_then(|sum| sum.as_str().map(str::len)), Some(32));
    let documented = json!({"Records": [{
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": "Test message.",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185"
        },
        "messageAttributes": {"myAttribute": {
            "stringValue": "myValue",
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String"
        }},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
        "awsRegion": "us-east-2"
    }]});
    assert_eq!(made, documented);
}

#[test]
fn every_property_of_a_message_is_in_its_record_and_several_are_in_order() {
    let (full, bare) = (full(), Message { sender_id: None, sent_at: None, ..message("bare", "") });
    let made = event(&[&full, &bare]);
    let record = &made["Records"][0];
    let system = json!({
        "ApproximateReceiveCount": "3", "AWSTraceHeader": "Root=1-2-3", "SentTimestamp": "1545082649183",
        "SequenceNumber": "18849496460467696128", "MessageGroupId": "g", "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "MessageDeduplicationId": "d", "ApproximateFirstReceiveTimestamp": "1545082649185"
    });
    assert_eq!(record["attributes"], system);
    let binary =
        json!({"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"});
    assert_eq!(record["messageAttributes"]["raw"], binary);
    assert_eq!(record["messageAttributes"]["count"]["dataType"], "Number.int");
    assert_eq!(record["body"], "{\"a\":\"ü\\n\"}");
    // Computed by the rule of AWS in Python.
    assert_eq!(record["md5OfMessageAttributes"], "00ce4ab95297cccc7d999362bfa504fc");
    let record = &made["Records"][1];
    assert_eq!((&record["messageId"], &record["messageAttributes"]), (&json!("bare"), &json!({})));
    assert_eq!(record.get("md5OfMessageAttributes"), None, "as AWS leaves it out without attributes");
    assert_eq!(record["attributes"].get("SenderId"), None, "what the queue did not say is left out");
    assert_eq!(made["Records"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_size_of_a_message_is_what_it_adds_to_the_request() {
    let exchange = exchange(true, 10);
    let (full, bare, quoted) = (full(), message("b", ""), message("q", "\"\u{1}\\ü"));
    let length = |messages: &[&Message]| exchange.request(messages).unwrap().body.len();
    for each in [&full, &bare, &quoted] {
        assert_eq!(length(&[&bare, each]) - length(&[&bare]), exchange.size_of(each), "{}", each.id);
    }
}

#[test]
fn a_body_that_is_no_text_makes_no_record_and_is_named() {
    let broken = Message { body: Bytes::from_static(&[0xff]), ..message("x", "") };
    let unshapeable = exchange(true, 10).request(&[&message("a", "a"), &broken]).unwrap_err();
    assert_eq!((unshapeable.position, unshapeable.why.as_str()), (1, "its body is no UTF-8"));
}

fn ids() -> Vec<MessageId> {
    ["a", "b", "c"].map(MessageId::new).to_vec()
}

fn success(body: &str) -> Answer {
    let body = Body { kept: Bytes::copy_from_slice(body.as_bytes()), is_whole: true };
    Answer { status: 200, body, ..Answer::default() }
}

fn verdicts(answer: &Answer) -> Verdicts {
    exchange(true, 10).verdicts(answer, &ids())
}

#[test]
fn an_answer_without_failures_is_a_success_of_all() {
    for body in [
        "",
        " \n",
        "null",
        "{}",
        " {\"statusCode\": 200} ",
        r#"{"batchItemFailures":[]}"#,
        r#"{"batchItemFailures":null}"#,
        r#"{"batchItemFailures": [ ], "other": [1]}"#,
    ] {
        assert_eq!(verdicts(&success(body)), Verdicts::All(Outcome::Success), "{body}");
    }
    let created = Answer { status: 202, ..success("") };
    assert_eq!(verdicts(&created), Verdicts::All(Outcome::Success));
}

#[test]
fn a_named_message_has_failed_and_the_others_have_not() {
    let (good, bad) = (Outcome::Success, Outcome::Failed);
    for (body, expected) in [
        (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, [good, bad, good]),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a","why":1}]}"#,
            [bad, good, bad],
        ),
        (r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]}"#, [good, bad, good]),
        (
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"},{"itemIdentifier":"c"}]}"#,
            [bad, bad, bad],
        ),
    ] {
        assert_eq!(verdicts(&success(body)), Verdicts::Each(expected.to_vec()), "{body}");
    }
}

#[test]
fn a_malformed_answer_or_an_unknown_id_is_a_failure_of_all() {
    for body in [
        "OK",
        "\"OK\"",
        "true",
        "[]",
        "[{\"itemIdentifier\":\"a\"}]",
        "{",
        r#"{"batchItemFailures":"a"}"#,
        r#"{"batchItemFailures":{"itemIdentifier":"a"}}"#,
        r#"{"batchItemFailures":["a"]}"#,
        r#"{"batchItemFailures":[["a"]]}"#,
        r#"{"batchItemFailures":[null]}"#,
        r#"{"batchItemFailures":[{}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
        r#"{"batchItemFailures":[{"itemidentifier":"a"}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"id":"b"}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"unknown"}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":"a"}],"batchItemFailures":[]}"#,
        r#"{"batchItemFailures":[]} and more"#,
    ] {
        assert_eq!(verdicts(&success(body)), Verdicts::All(Outcome::Failed), "{body}");
    }
}

/// Found by fuzzing.
#[test]
fn an_answer_with_space_around_it_that_json_does_not_know_is_a_failure_of_all() {
    for body in ["\u{c}null\u{c}", "\u{c}", "\u{b}{}", "{\"batchItemFailures\":[]}\u{c}"] {
        assert_eq!(verdicts(&success(body)), Verdicts::All(Outcome::Failed), "{body:?}");
    }
    assert_eq!(verdicts(&success("\t\r\n {} \n\r\t")), Verdicts::All(Outcome::Success));
}

#[test]
fn an_answer_that_is_longer_than_what_is_kept_is_a_failure_of_all() {
    let mut answer = success("");
    answer.body.is_whole = false;
    assert_eq!(verdicts(&answer), Verdicts::All(Outcome::Failed));
}

#[test]
fn ten_thousand_failures_fit_into_what_is_kept_of_an_answer() {
    let kept = |most| exchange(true, most).answer_kept();
    assert_eq!((kept(1), kept(10), kept(1_000), kept(10_000)), (65_536, 65_536, 200_000, 2_000_000));
    let id = "059f36b4-87a3-44ab-83d2-661975830a7d";
    let item = json!({"itemIdentifier": id});
    let printed = serde_json::to_string_pretty(&json!({"batchItemFailures": vec![item; 10_000]})).unwrap();
    assert!(printed.len() < kept(10_000), "{}", printed.len());
}

#[test]
fn another_status_is_what_it_is_for_all() {
    for (status, outcome) in [
        (429, Outcome::Throttled),
        (500, Outcome::Failed),
        (502, Outcome::Overloaded),
        (403, Outcome::Unauthorized),
        (413, Outcome::Rejected),
    ] {
        let answer = Answer { status, ..success(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#) };
        assert_eq!(verdicts(&answer), Verdicts::All(outcome), "{status}");
    }
}

#[test]
fn a_function_that_failed_behind_a_200_of_the_invoke_api_has_failed_for_all() {
    let thrown = r#"{"errorMessage":"boom","errorType":"Error"}"#;
    for partial_failures in [true, false] {
        let answer = Answer { function_error: true, ..success(thrown) };
        let verdicts = exchange(partial_failures, 10).verdicts(&answer, &ids());
        assert_eq!(verdicts, Verdicts::All(Outcome::Failed));
    }
}

#[test]
fn without_partial_failures_the_status_alone_is_the_verdict() {
    let status_alone = exchange(false, 10);
    for body in ["OK", "{", r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#] {
        assert_eq!(status_alone.verdicts(&success(body), &ids()), Verdicts::All(Outcome::Success), "{body}");
    }
}
