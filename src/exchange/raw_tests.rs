//! Headers and bodies of the raw shape, with the messages people really send.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::*;
use crate::exchange::{Exchange as _, Single, Success, Verdicts};
use crate::message::{Attribute, AttributeValue, MessageId, ReceiptHandle, ReceiveCount};
use crate::policy::outcome::{Answer, Body, Outcome, StatusSet};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn message(body: &str) -> Message {
    Message {
        receive_count: ReceiveCount::new(2),
        sent_at: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)),
        ..Message::new(
            MessageId::new("5fea7756-0ea4-451a-a703-a558b933e274"),
            ReceiptHandle::new("handle"),
            Bytes::copy_from_slice(body.as_bytes()),
        )
    }
}

fn text(name: &str, value: &str) -> Attribute {
    let value = AttributeValue::Text(value.to_owned());
    Attribute { name: name.to_owned(), data_type: "String".to_owned(), value }
}

fn shape(message: &Message) -> Request {
    Raw::new("orders", "orders-queue").request(message).unwrap()
}

fn of_algorithmia(message: &Message) -> Result<Request, String> {
    let look = Look { content_type: ContentType::Algorithmia, ..Look::default() };
    Raw::new("a", "q").with(look).request(message)
}

fn header<'a>(shaped: &'a Request, name: &str) -> Option<&'a str> {
    shaped.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_message_becomes_its_body_and_its_properties() {
    let shaped = shape(&message(r#"{"hello":"world"}"#));
    assert_eq!(shaped.body, r#"{"hello":"world"}"#);
    let expected = [
        ("content-type", "application/json"),
        ("user-agent", concat!("queuepost/", env!("CARGO_PKG_VERSION"))),
        ("idempotency-key", "5fea7756-0ea4-451a-a703-a558b933e274"),
        ("x-queuepost-message-id", "5fea7756-0ea4-451a-a703-a558b933e274"),
        ("x-queuepost-queue", "orders-queue"),
        ("x-queuepost-listener", "orders"),
        ("x-queuepost-receive-count", "2"),
        ("x-queuepost-sent-at", "2023-11-14T22:13:20.123Z"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&shaped, name), Some(value), "{name}");
    }
    assert_eq!(shaped.headers.len(), expected.len());
    assert_eq!(shaped.headers_dropped, 0);
}

#[test]
fn a_body_that_is_not_json_is_sent_as_text() {
    assert_eq!(header(&shape(&message("hello")), "content-type"), Some("text/plain; charset=utf-8"));
    let shaped = of_algorithmia(&message("hello")).unwrap();
    assert_eq!(header(&shaped, "content-type"), Some("application/text"));
    assert_eq!(header(&shape(&message("3")), "content-type"), Some("application/json"));
}

#[test]
fn fifo_properties_and_the_trace_header_are_passed_on() {
    let mut message = message("x");
    message.group_id = Some("tenant-1".to_owned());
    message.deduplication_id = Some("d-1".to_owned());
    message.sequence_number = Some("18849496460467696128".to_owned());
    message.trace_header = Some("Root=1-5759e988-bd862e3fe1be46a994272793".to_owned());
    message.attributes = vec![text("traceparent", TRACEPARENT), text("tracestate", "a=b")];
    let shaped = shape(&message);
    assert_eq!(header(&shaped, "x-queuepost-message-group-id"), Some("tenant-1"));
    assert_eq!(header(&shaped, "x-queuepost-message-deduplication-id"), Some("d-1"));
    assert_eq!(header(&shaped, "x-queuepost-sequence-number"), Some("18849496460467696128"));
    assert_eq!(header(&shaped, "x-amzn-trace-id"), Some("Root=1-5759e988-bd862e3fe1be46a994272793"));
    assert_eq!(header(&shaped, "traceparent"), Some(TRACEPARENT));
    assert_eq!(header(&shaped, "tracestate"), Some("a=b"));
}

#[test]
fn a_tracestate_with_space_around_its_members_is_passed_on_without_it_and_not_encoded() {
    let mut message = message("x");
    for (sent, expected) in [(" a=b\t", "a=b"), ("a=b\t,\tc=d", "a=b,c=d"), ("a=b , c=d", "a=b , c=d")] {
        message.attributes = vec![text("traceparent", TRACEPARENT), text("tracestate", sent)];
        let shaped = shape(&message);
        assert_eq!(header(&shaped, "tracestate"), Some(expected));
        assert_eq!(header(&shaped, "tracestate-encoding"), None);
    }
}

#[test]
fn newlines_and_emoji_in_attributes_are_percent_encoded_and_say_so() {
    let mut message = message("x");
    message.attributes = vec![
        text("note", "line one\r\nX-Evil: 1 🦀"),
        text("plain", "100 %"),
        text("padded", " x "),
        Attribute {
            name: "blob".to_owned(),
            data_type: "Binary".to_owned(),
            value: AttributeValue::Binary(Bytes::from_static(&[0, 255])),
        },
    ];
    let shaped = shape(&message);
    assert_eq!(header(&shaped, "x-queuepost-attr-note"), Some("line one%0D%0AX-Evil: 1 %F0%9F%A6%80"));
    assert_eq!(header(&shaped, "x-queuepost-attr-note-encoding"), Some("percent"));
    assert_eq!(header(&shaped, "x-evil"), None);
    assert_eq!(header(&shaped, "x-queuepost-attr-plain"), Some("100 %"));
    assert_eq!(header(&shaped, "x-queuepost-attr-plain-encoding"), None);
    assert_eq!(header(&shaped, "x-queuepost-attr-padded"), Some("%20x%20"));
    assert_eq!(header(&shaped, "x-queuepost-attr-padded-encoding"), Some("percent"));
    assert_eq!(header(&shaped, "x-queuepost-attr-blob"), Some("AP8="));
}

#[test]
fn an_attribute_is_no_header_but_one_with_the_prefix_whatever_it_is_called() {
    let own = shape(&message("{}"));
    for name in ["Authorization", "host", "Content-Length", "Connection", "x-queuepost-message-id", "Cookie"]
    {
        let mut with = message("{}");
        with.attributes = vec![text(name, "of the sender")];
        let shaped = shape(&with);
        let theirs: Vec<&str> = shaped
            .headers
            .iter()
            .filter(|(_, value)| value.as_bytes() == b"of the sender")
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(theirs, [format!("{ATTRIBUTE_PREFIX}{name}").to_lowercase()], "{name}");
        for (name, value) in &own.headers {
            assert_eq!(shaped.headers.get(name), Some(value), "{name}");
        }
    }
}

#[test]
fn names_that_are_no_token_and_headers_past_8_kib_are_dropped_and_counted() {
    let mut message = message("x");
    let long = "v".repeat(5_000);
    message.attributes = vec![text("späße", "1"), text("a", &long), text("b", &long), text("c", "fits")];
    let shaped = shape(&message);
    assert_eq!(shaped.headers_dropped, 2);
    assert!(header(&shaped, "x-queuepost-attr-a").is_some());
    assert_eq!(header(&shaped, "x-queuepost-attr-b"), None);
    assert_eq!(header(&shaped, "x-queuepost-attr-c"), Some("fits"));
}

#[test]
fn attributes_that_differ_in_case_only_are_all_dropped_whatever_their_order() {
    for names in [["Tenant", "tenant"], ["tenant", "Tenant"], ["TENANT", "tenant"]] {
        let mut message = message("x");
        message.attributes = vec![text(names[0], "A"), text(names[1], "B"), text("other", "C")];
        let shaped = shape(&message);
        assert_eq!(shaped.headers.get_all("x-queuepost-attr-tenant").iter().count(), 0, "{names:?}");
        assert_eq!(header(&shaped, "x-queuepost-attr-other"), Some("C"));
        assert_eq!(shaped.headers_dropped, 2);
    }
}

#[test]
fn an_attribute_cannot_pass_for_the_companion_of_another() {
    let mut message = message("x");
    message.attributes =
        vec![text("tenant", "%0d%0aX"), text("tenant-Encoding", "percent"), text("-encoding", "x")];
    let shaped = shape(&message);
    assert_eq!(header(&shaped, "x-queuepost-attr-tenant"), Some("%0d%0aX"));
    assert_eq!(header(&shaped, "x-queuepost-attr-tenant-encoding"), None);
    assert_eq!(shaped.headers_dropped, 2);
    message.attributes = vec![text("tenant", "ü"), text("tenant-Encoding", "none")];
    let shaped = shape(&message);
    let companions: Vec<_> = shaped.headers.get_all("x-queuepost-attr-tenant-encoding").iter().collect();
    assert_eq!(companions, ["percent"]);
}

#[test]
fn trace_context_that_is_not_valid_is_dropped_and_counted() {
    let mut message = message("x");
    message.trace_header = Some("Root=1\r\nX-Evil: 2".to_owned());
    message.attributes = vec![text("traceparent", "00-ab-cd-01"), text("tracestate", "a=b")];
    let shaped = shape(&message);
    for name in ["traceparent", "tracestate", "x-amzn-trace-id"] {
        assert_eq!(header(&shaped, name), None, "{name}");
    }
    assert_eq!(shaped.headers_dropped, 3, "a state without its parent says nothing");
    message.trace_header = None;
    message.attributes = vec![text("traceparent", TRACEPARENT), text("tracestate", "A")];
    let shaped = shape(&message);
    assert_eq!((header(&shaped, "traceparent"), header(&shaped, "tracestate")), (Some(TRACEPARENT), None));
    assert_eq!(shaped.headers_dropped, 1);
}

fn judged(body: &'static [u8], is_whole: bool, error_in_body_is_failure: bool) -> Verdicts {
    let success = Success { error_in_body_is_failure, ..Success::default() };
    let body = Body { kept: Bytes::from_static(body), is_whole };
    Single::new(Raw::new("a", "q"), success).verdicts(&Answer { status: 200, body, ..Answer::default() }, &[])
}

#[test]
fn an_error_in_the_body_of_a_200_counts_only_when_asked_for() {
    let success = Verdicts::All(Outcome::Success);
    let failure = Verdicts::All(Outcome::AlgorithmError);
    assert_eq!(judged(br#"{"error":"bad"}"#, true, false), success);
    assert_eq!(judged(b" \n{\"error\":{\"message\":\"bad\"},\"metadata\":{}}", true, true), failure);
    let harmless = [
        &br#"{"error":null,"result":1}"#[..],
        br#"{"result":{"error":1}}"#,
        br#"[{"error":1}]"#,
        br#""error""#,
        br#"{"error":1"#,
        b"",
    ];
    for harmless in harmless {
        assert_eq!(judged(harmless, true, true), success, "{harmless:?}");
    }
    assert_eq!(judged(br#"{"error":"bad"}"#, false, true), success, "it goes on beyond what is kept");
}

#[test]
fn an_error_that_stands_twice_in_the_body_counts_as_its_last() {
    let failure = Verdicts::All(Outcome::AlgorithmError);
    assert_eq!(judged(br#"{"error":null,"error":{"message":"bad"}}"#, true, true), failure);
    let null_at_last = judged(br#"{"error":"bad","error":null}"#, true, true);
    assert_eq!(null_at_last, Verdicts::All(Outcome::Success));
}

#[test]
fn a_status_that_is_not_listed_is_no_success_whatever_the_body_says() {
    let success = Success { statuses: StatusSet::new([(202, 202)]), ..Success::default() };
    let single = Single::new(Raw::new("a", "q"), success);
    let verdicts = |status| single.verdicts(&Answer { status, ..Answer::default() }, &[]);
    assert_eq!(verdicts(202), Verdicts::All(Outcome::Success));
    assert_eq!(verdicts(200), Verdicts::All(Outcome::UnlistedSuccess));
    assert_eq!(verdicts(429), Verdicts::All(Outcome::Throttled));
}

#[test]
fn a_request_carries_exactly_one_message() {
    let (single, one) = (Single::new(Raw::new("a", "q"), Success::default()), message("1"));
    assert!(single.request(&[&one]).is_ok());
    assert_eq!(single.request(&[&one, &one]).map(|_| ()).unwrap_err().position, 0);
}

#[test]
fn an_algorithm_gets_bytes_of_a_body_that_its_message_says_is_base64() {
    let with = |body: &str, encoding: &str| Message {
        attributes: vec![text("Content-Encoding", encoding)],
        ..message(body)
    };
    let shaped = of_algorithmia(&with("AP8=\n", "base64")).unwrap();
    assert_eq!(
        (header(&shaped, "content-type"), &shaped.body[..]),
        (Some("application/octet-stream"), &b"\0\xff"[..])
    );
    let shaped = of_algorithmia(&with("AP8=", "gzip")).unwrap();
    assert_eq!((header(&shaped, "content-type"), &shaped.body[..]), (Some("application/text"), &b"AP8="[..]));
    let shaped = of_algorithmia(&with("{}", "none")).unwrap();
    assert_eq!(header(&shaped, "content-type"), Some("application/json"));
    let why = of_algorithmia(&with("s3cr3t!", "base64")).unwrap_err();
    assert!(why.contains("base64") && !why.contains("s3cr3t"), "{why}");
    let raw = shape(&with("AP8=", "base64"));
    assert_eq!(raw.body, "AP8=", "in other shapes a body stays as it is");
}

#[test]
fn without_message_headers_a_request_tells_nothing_of_its_message() {
    let look = Look { properties: Properties::None, ..Look::default() };
    let told = Message {
        attributes: vec![text("a", "b")],
        trace_header: Some("Root=1-2-3".to_owned()),
        ..message("{}")
    };
    let shaped = Raw::new("orders", "q").with(look).request(&told).unwrap();
    let names: Vec<&str> = shaped.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["content-type", "user-agent"]);
}
