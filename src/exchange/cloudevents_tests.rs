//! Events in all three modes, of messages that are events already and of those that are not.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::*;
use crate::message::{AttributeValue, MessageId, ReceiptHandle, ReceiveCount};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ID: &str = "5fea7756-0ea4-451a-a703-a558b933e274";
/// An event with a number that no double holds, and with members that must not be reordered.
const EVENT: &str = r#"{"specversion":"1.0","id":"A 1","source":"/mine","type":"com.example.made","time":"2020-01-02T03:04:05Z",
 "zone":7,"dry":true,"data":{"b":12345678901234567890123,"a":1}}"#;

fn message(body: &str, attributes: &[(&str, &str)]) -> Message {
    let attribute = |&(name, value): &(&str, &str)| Attribute {
        name: name.to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(value.to_owned()),
    };
    Message {
        receive_count: ReceiveCount::new(2),
        sent_at: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)),
        attributes: attributes.iter().map(attribute).collect(),
        ..Message::new(
            MessageId::new(ID),
            ReceiptHandle::new("handle"),
            Bytes::copy_from_slice(body.as_bytes()),
        )
    }
}

fn shape(mode: ContentMode) -> CloudEvents {
    CloudEvents {
        mode,
        source: "arn:aws:sqs:eu-west-1:123456789012:orders".to_owned(),
        event_type: "com.amazon.sqs.message".to_owned(),
        subject: Some("Größe \"7\" %".to_owned()),
    }
}

fn binary(message: &Message) -> Request {
    shape(ContentMode::Binary).request(message).unwrap()
}

fn structured(message: &Message) -> Value {
    serde_json::from_slice(&shape(ContentMode::Structured).request(message).unwrap().body).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn in_binary_mode_attributes_are_headers_and_the_body_is_the_data() {
    let mut sent = message(r#" {"a": 1.0}"#, &[("Tenant-Id", "a b"), ("traceparent", PARENT)]);
    sent.group_id = Some("acme".to_owned());
    sent.sequence_number = Some("18850000000000000001".to_owned());
    let request = binary(&sent);
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", ID),
        ("ce-source", "arn:aws:sqs:eu-west-1:123456789012:orders"),
        ("ce-type", "com.amazon.sqs.message"),
        ("ce-time", "2023-11-14T22:13:20.123Z"),
        ("ce-subject", "Gr%C3%B6%C3%9Fe%20%227%22%20%25"),
        ("ce-partitionkey", "acme"),
        ("ce-sequence", "18850000000000000001"),
        ("ce-tenantid", "a%20b"),
        ("ce-traceparent", PARENT),
        ("traceparent", PARENT),
        ("content-type", "application/json"),
        ("idempotency-key", ID),
    ] {
        assert_eq!(header(&request, name), Some(value), "{name}");
    }
    assert_eq!(header(&request, "ce-datacontenttype"), None);
    assert_eq!((&*request.body, request.headers_dropped), (&br#" {"a": 1.0}"#[..], 0));
    assert_eq!(header(&binary(&message("hello", &[])), "content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn in_structured_mode_json_is_inlined_text_is_a_string_and_bytes_are_base64() {
    let event = structured(&message(r#"{"b":1,"a":2}"#, &[]));
    assert_eq!(
        (&event["data"], &event["datacontenttype"]),
        (&json!({"a": 2, "b": 1}), &json!("application/json"))
    );
    assert_eq!((&event["specversion"], &event["id"]), (&json!("1.0"), &json!(ID)));
    assert_eq!(event["subject"], json!("Größe \"7\" %"));
    let event = structured(&message("a \"b\"\n", &[]));
    assert_eq!(
        (&event["data"], &event["datacontenttype"]),
        (&json!("a \"b\"\n"), &json!("text/plain; charset=utf-8"))
    );
    let mut bytes = message("", &[]);
    bytes.body = Bytes::from_static(b"\xff\x00");
    let event = structured(&bytes);
    assert_eq!((&event["data_base64"], event.get("data")), (&json!("/wA="), None));
    let request = shape(ContentMode::Structured).request(&bytes).unwrap();
    assert_eq!(header(&request, "content-type"), Some("application/cloudevents+json; charset=UTF-8"));
    assert_eq!(header(&request, "ce-id"), None);
}

#[test]
fn in_batched_mode_the_event_is_the_one_element_of_an_array() {
    let sent = message("hello", &[]);
    let request = shape(ContentMode::Batched).request(&sent).unwrap();
    assert_eq!(header(&request, "content-type"), Some("application/cloudevents-batch+json; charset=UTF-8"));
    let batch: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(batch, json!([structured(&sent)]));
}

#[test]
fn a_body_that_is_an_event_is_not_wrapped_and_its_data_is_passed_on_byte_for_byte() {
    let sent = message(EVENT, &[("tenant", "a")]);
    let request = shape(ContentMode::Structured).request(&sent).unwrap();
    assert_eq!(request.body, EVENT);
    let request = shape(ContentMode::Batched).request(&sent).unwrap();
    assert_eq!(request.body, format!("[{EVENT}]"));
    let request = binary(&sent);
    assert_eq!(request.body, r#"{"b":12345678901234567890123,"a":1}"#);
    for (name, value) in [
        ("ce-id", Some("A%201")),
        ("ce-source", Some("/mine")),
        ("ce-type", Some("com.example.made")),
        ("ce-time", Some("2020-01-02T03:04:05Z")),
        ("ce-zone", Some("7")),
        ("ce-dry", Some("true")),
        ("ce-tenant", None),
        ("content-type", Some("application/json")),
    ] {
        assert_eq!(header(&request, name), value, "{name}");
    }
}

#[test]
fn the_data_of_an_event_is_text_bytes_or_nothing_as_its_members_say() {
    let of = |members: &str| {
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"b"{members}}}"#);
        let request = shape(ContentMode::Binary).request(&message(&body, &[]));
        request.map(|request| (header(&request, "content-type").map(str::to_owned), request.body.to_vec()))
    };
    let typed =
        |content_type: &str, data: &str| Ok((Some(content_type.to_owned()), data.as_bytes().to_vec()));
    assert_eq!(of(r#","data":"x y""#), typed("application/json", "\"x y\""));
    assert_eq!(of(r#","data":"x\ny","datacontenttype":"text/plain""#), typed("text/plain", "x\ny"));
    assert_eq!(
        of(r#","data":"x","datacontenttype":"application/a+JSON; v=1""#),
        typed("application/a+JSON; v=1", "\"x\"")
    );
    assert_eq!(of(r#","data":{"a":1},"datacontenttype":"text/xml""#), typed("text/xml", r#"{"a":1}"#));
    assert_eq!(of(r#","data_base64":"eHk=","datacontenttype":"image/png""#), typed("image/png", "xy"));
    assert_eq!(of(""), Ok((None, Vec::new())));
    assert_eq!(of(r#","data":null"#), Ok((None, Vec::new())));
    assert!(of(r#","data_base64":"!""#).unwrap_err().contains("no base64"));
    assert!(of(r#","data":1,"datacontenttype":"a\nb""#).unwrap_err().contains("content type"));
}

#[test]
fn attributes_that_are_an_event_are_not_wrapped_whatever_their_prefix() {
    for prefix in ["ce-", "ce_", "cloudEvents_", "CE-"] {
        let prefixed = |name: &str| format!("{prefix}{name}");
        let names = ["id", "source", "type", "specversion", "subject", "zone"].map(prefixed);
        let values = ["A 1", "/mine", "com.example.made", "1.0", "s", "eu"];
        let mut attributes: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values).collect();
        attributes.extend([("content-type", "text/xml"), ("tenant", "a")]);
        let request = binary(&message("<a/>", &attributes));
        let of = |name: &str| header(&request, name).unwrap_or_default();
        assert_eq!((of("ce-id"), of("ce-source"), of("ce-zone")), ("A%201", "/mine", "eu"), "{prefix}");
        assert_eq!((of("content-type"), of("ce-tenant"), of("ce-time")), ("text/xml", "", ""));
        assert_eq!((&*request.body, request.headers_dropped), (&b"<a/>"[..], 0));
        let event = structured(&message("<a/>", &attributes));
        assert_eq!((&event["data"], &event["datacontenttype"]), (&json!("<a/>"), &json!("text/xml")));
    }
}

#[test]
fn data_that_claims_to_be_json_and_is_not_stays_what_it_is() {
    let event = [("ce-id", "1"), ("ce-source", "/a"), ("ce-type", "b"), ("ce-specversion", "1.0")];
    let attributes = [&event[..], &[("ce-datacontenttype", "application/json")]].concat();
    let event = structured(&message("{", &attributes));
    assert_eq!((&event["data_base64"], event.get("data")), (&json!("ew=="), None));
}

#[test]
fn an_incomplete_event_is_wrapped_like_any_other_message() {
    let body = r#"{"specversion":"1.0","id":"1","source":"/a"}"#;
    let cases = [
        body.to_owned(),
        body.replace("/a\"", "/a\",\"type\":7"),
        body.replace("/a\"", "/a\",\"type\":\"\""),
        body.replace("/a\"", "/a\",\"type\":\"b\"").replace("1.0", "0.3"),
        body.replace("/a\"", "/a\",\"type\":\"b\",\"data\":1,\"data_base64\":\"\""),
        format!("[{}]", body.replace("/a\"", "/a\",\"type\":\"b\"")),
    ];
    for body in cases {
        let request = binary(&message(&body, &[]));
        assert_eq!(header(&request, "ce-id"), Some(ID), "{body}");
        assert_eq!(request.body, body);
    }
    let parts = [("ce-id", "1"), ("ce-source", "/a"), ("ce-type", "b"), ("ce-specversion", "1.0")];
    for (missing, replaced) in [(0, ""), (1, "\n"), (3, "0.3")] {
        let mut parts = parts;
        parts[missing].1 = replaced;
        assert_eq!(header(&binary(&message("x", &parts)), "ce-id"), Some(ID), "{parts:?}");
    }
    let twice = [&parts[..], &[("ce_id", "2")]].concat();
    assert_eq!(header(&binary(&message("x", &twice)), "ce-id"), Some(ID));
}

#[test]
fn extensions_that_no_event_may_have_or_that_could_be_two_are_left_out_and_counted() {
    let mut sent = message(
        "x",
        &[
            ("source", "/forged"),
            ("Data", "1"),
            ("tenant", "a"),
            ("TENANT", "b"),
            ("note", "a\r\nEvil: 1"),
            ("tracestate", "a=b"),
            ("sequence", "0"),
            ("größe", "7"),
            ("empty", ""),
            ("zone", "eu"),
        ],
    );
    sent.sequence_number = Some("1".to_owned());
    let request = binary(&sent);
    // Nine extensions, and the trace header without its parent.
    assert_eq!(request.headers_dropped, 9 + 1);
    assert_eq!(header(&request, "ce-source"), Some("arn:aws:sqs:eu-west-1:123456789012:orders"));
    assert_eq!((header(&request, "ce-sequence"), header(&request, "ce-zone")), (Some("1"), Some("eu")));
    for name in ["ce-tenant", "ce-note", "ce-data", "ce-tracestate", "tracestate", "ce-empty"] {
        assert_eq!(header(&request, name), None, "{name}");
    }
}

#[test]
fn an_event_whose_id_has_no_room_in_the_headers_makes_no_request_and_says_so() {
    let body = EVENT.replace("A 1", &"x".repeat(9_000));
    let why = shape(ContentMode::Binary).request(&message(&body, &[])).unwrap_err();
    assert_eq!(why, "the event's `id` has no room in 8 KiB of headers");
    assert!(shape(ContentMode::Structured).request(&message(&body, &[])).is_ok());
}

#[test]
fn a_batch_is_a_list_with_an_event_for_each_message() {
    let events = shape(ContentMode::Batched);
    let (plain, made) = (message("{\"a\":1}", &[("tenant", "x"), ("ä", "left out")]), message(EVENT, &[]));
    let request = events.request_of(&[Cow::Borrowed(&plain), Cow::Borrowed(&made)]).unwrap();
    assert_eq!(header(&request, "content-type"), Some("application/cloudevents-batch+json; charset=UTF-8"));
    assert_eq!(header(&request, "idempotency-key"), None, "it is of one message");
    let list: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((list.len(), &list[0]["data"]["a"], &list[1]["id"]), (2, &json!(1), &json!("A 1")));
    assert_eq!(request.headers_dropped, 1);
    assert_eq!(request.body.len(), events.size_of(&plain) + events.size_of(&made) + "]".len());
}
