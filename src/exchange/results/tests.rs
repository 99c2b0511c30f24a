//! What a result says, how long it gets, and what is said instead.

use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::*;
use crate::exchange::template::ResultTemplates;
use crate::exchange::{Envelope, Unwrap};
use crate::message::{AttributeValue, MessageId, ReceiptHandle, ReceiveCount};

fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

fn message(body: &str) -> Message {
    Message {
        receive_count: ReceiveCount::new(3),
        sent_at: Some(at(1_700_000_000_001)),
        trace_header: Some("Root=1-2".to_owned()),
        ..Message::new(MessageId::new("4a1b-22"), ReceiptHandle::new("AQEB"), body.to_owned())
    }
}

fn whole(body: impl Into<Bytes>) -> Body {
    Body { kept: body.into(), is_whole: true }
}

fn done<'a>(message: &'a Message, body: &'a Body) -> ResultFacts<'a> {
    ResultFacts {
        message,
        state: State::Success,
        outcome: Outcome::Success,
        status: Some(200),
        body,
        why: None,
        started: Some(at(1_700_000_000_500)),
        ended: at(1_700_000_000_900),
    }
}

fn form(wording: Wording) -> Form {
    Form::new("orders", "orders-queue", wording)
}

fn templates(text: &str) -> ResultTemplates {
    let mut templates = ResultTemplates::default();
    templates.text("results.success.template", text).unwrap();
    templates
}

fn read(outgoing: &Outgoing) -> Value {
    serde_json::from_str(&outgoing.body).unwrap_or_else(|error| panic!("{error}: {}", outgoing.body))
}

fn attribute<'a>(outgoing: &'a Outgoing, name: &str) -> Option<&'a str> {
    let found = outgoing.attributes.iter().find(|attribute| attribute.name == name)?;
    match &found.value {
        AttributeValue::Text(text) => Some(text),
        AttributeValue::Binary(_) => None,
    }
}

fn unpacked(outgoing: &Outgoing) -> String {
    let bytes = STANDARD.decode(&outgoing.body).unwrap();
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_default_result_is_json_with_every_key() {
    let (message, body) = (message("in"), whole(r#"{"ok":"é"}"#));
    let made = form(Wording::default()).of(&done(&message, &body));
    let expected = r#"{"listener":"orders","messageId":"4a1b-22","state":"SUCCESS","outcome":"success","enqueuedTime":1700000000001,"startTime":1700000000500,"endTime":1700000000900,"status":200,"body":"{\"ok\":\"é\"}","bodyTruncated":false,"receive":3}"#;
    assert_eq!(made.body, expected);
    assert_eq!(attribute(&made, "queuepost.listener"), Some("orders"));
    assert_eq!(attribute(&made, "queuepost.source-message-id"), Some("4a1b-22"));
    assert_eq!(attribute(&made, "queuepost.state"), Some("SUCCESS"));
    assert_eq!((made.attributes.len(), made.group_id, made.deduplication_id), (3, None, None));
    assert_eq!((made.trace_header.as_deref(), made.delay), (Some("Root=1-2"), None));
}

#[test]
fn what_did_not_happen_is_null_and_why_is_the_error() {
    let (message, body) = (message("in"), Body::default());
    let facts = ResultFacts {
        state: State::Failed,
        outcome: Outcome::Unsent,
        status: None,
        why: Some("connection refused"),
        started: None,
        ..done(&message, &body)
    };
    let made = read(&form(Wording::default()).of(&facts));
    assert_eq!((&made["state"], &made["outcome"]), (&json!("FAILED"), &json!("unsent")));
    for key in ["startTime", "status", "body"] {
        assert_eq!(made.get(key), Some(&Value::Null), "{key}");
    }
    assert_eq!(made["error"], "connection refused");
    let late = ResultFacts { outcome: Outcome::TimedOut, why: None, ..facts };
    assert_eq!(read(&form(Wording::default()).of(&late))["error"], "no complete answer came in time");
    let templates = templates("{{ result.error }}");
    let made = form(Wording { templates, ..Wording::default() }).of(&late);
    assert_eq!(made.body, "no complete answer came in time");
}

#[test]
fn a_body_that_is_no_text_is_base64_and_a_character_cut_in_two_is_left_out() {
    let message = message("in");
    let binary = whole(Bytes::from_static(&[0xff, 0, 1]));
    let made = read(&form(Wording::default()).of(&done(&message, &binary)));
    assert_eq!((&made["body"], &made["bodyEncoding"]), (&json!("/wAB"), &json!("base64")));
    let cut = Body { kept: Bytes::from_static(&"aé".as_bytes()[..2]), is_whole: false };
    let made = read(&form(Wording::default()).of(&done(&message, &cut)));
    assert_eq!((&made["body"], &made["bodyTruncated"]), (&json!("a"), &json!(true)));
    assert_eq!(made.get("bodyEncoding"), None);
}

#[test]
fn every_result_is_below_256_kib_whatever_the_answer_and_the_template() {
    let message = message("in");
    // A generator by Knuth: bytes that gzip cannot shorten.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..64 * 1024)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56).to_le_bytes()[0]
        })
        .collect();
    let controls: Vec<u8> = noise.iter().map(|byte| byte % 32).collect();
    let texts = ["\u{1}".repeat(64 * 1024), "\"\u{ffff}".repeat(16 * 1024), "é".repeat(32 * 1024)];
    let kept = texts.map(Bytes::from).into_iter().chain([noise.into(), controls.into()]);
    for body in kept.map(whole) {
        for compresses in [false, true] {
            for templates in [ResultTemplates::default(), templates("{{ result.body }}{{ body }}")] {
                let made = form(Wording { templates, compresses, ..Wording::default() });
                let made = made.of(&done(&message, &body));
                assert!(made.bytes() < 256 * 1024, "{} bytes of {body:?}", made.bytes());
                assert!(!made.body.is_empty());
            }
        }
    }
}

#[test]
fn escapes_are_counted_and_a_body_cut_for_them_says_so() {
    let (message, body) = (message("in"), whole("\u{1}".repeat(64 * 1024)));
    let made = read(&form(Wording::default()).of(&done(&message, &body)));
    assert_eq!(made["bodyTruncated"], true);
    assert_eq!(made["body"].as_str().map(str::len), Some(240 * 1024 / 6));
}

#[test]
fn characters_that_sqs_refuses_never_reach_it() {
    let (message, body) = (message("in"), whole("a\u{ffff}\u{fffe}\u{0}"));
    let made = form(Wording::default()).of(&done(&message, &body));
    assert!(made.body.chars().all(packed::is_taken), "{}", made.body);
    assert_eq!(read(&made)["body"], "a\u{ffff}\u{fffe}\u{0}");
    let worded = form(Wording { templates: templates("{{ result.body }}"), ..Wording::default() });
    let worded = worded.word(&done(&message, &body));
    assert!(worded.trouble.unwrap().contains("a character that SQS does not take"));
    assert_eq!(read(&worded.message)["body"], "a\u{ffff}\u{fffe}\u{0}");
}

#[test]
fn a_template_sees_the_message_and_what_became_of_it() {
    let (message, body) = (message(r#"{"id":7}"#), whole(r#"{"n":[1,2]}"#));
    let text = "{{ json.id }} {{ message.id }} {{ listener }} {{ queue }} {{ result.state }} {{ result.outcome }} \
                {{ result.status }} {{ result.json.n | tojson }} {{ result.body }} {{ result.body_truncated }} \
                {{ result.enqueued_time }} {{ result.start_time }} {{ result.end_time }}\
                {% if result.error is defined %}!{% endif %}";
    let made = form(Wording { templates: templates(text), ..Wording::default() }).of(&done(&message, &body));
    let expected = "7 4a1b-22 orders orders-queue SUCCESS success 200 [1,2] {\"n\":[1,2]} false 1700000000001 1700000000500 1700000000900";
    assert_eq!(made.body, expected);
}

#[test]
fn a_template_that_cannot_be_rendered_makes_the_default_json_with_the_reason() {
    let (message, body) = (message("no json"), whole("done"));
    let form = form(Wording { templates: templates("{{ json.id }}"), ..Wording::default() });
    let worded = form.word(&done(&message, &body));
    let why = "results.success.template at 1:4: `json.id` is missing: the body is no JSON, or is nested deeper than 127 levels";
    assert_eq!(worded.trouble.as_deref(), Some(why));
    let made = read(&worded.message);
    assert_eq!(
        (&made["error"], &made["body"], &made["state"]),
        (&json!(why), &json!("done"), &json!("SUCCESS"))
    );
    let too_long = templates(&format!(
        "{{% for c in [{}] | list %}}{}{{% endfor %}}",
        "1,".repeat(9),
        "x".repeat(40_000)
    ));
    let worded = super::Form::new("o", "q", Wording { templates: too_long, ..Wording::default() });
    let worded = worded.word(&done(&message, &body));
    assert!(worded.trouble.unwrap().contains("more than the 256 KiB"));
    assert_eq!(read(&worded.message)["body"], "done");
}

#[test]
fn a_template_knows_no_name_that_a_result_does_not_have_and_a_request_has_no_result() {
    let flaws = ResultTemplates::default().text("k", "{{ result.stat }}{{ resul }}").unwrap_err();
    let rules: Vec<&str> = flaws.iter().map(|flaw| flaw.rule.as_str()).collect();
    assert_eq!(
        rules,
        ["the property of `result` `stat` does not exist", "the variable `resul` does not exist"]
    );
    let mut parts = crate::exchange::template::Parts::default();
    assert!(parts.body("{{ result.state }}").is_err());
}

#[test]
fn a_compressed_result_is_gzip_in_base64_says_so_and_is_always_the_same() {
    let (message, body) = (message("in"), whole("x".repeat(60_000)));
    let plain = form(Wording::default()).of(&done(&message, &body));
    let packed = form(Wording { compresses: true, ..Wording::default() });
    let (made, again) = (packed.of(&done(&message, &body)), packed.of(&done(&message, &body)));
    assert_eq!(unpacked(&made), plain.body);
    assert!(made.body.len() < 1_000, "{}", made.body.len());
    assert_eq!(attribute(&made, "Content-Encoding"), Some("gzip"));
    assert_eq!(attribute(&made, "Content-Transfer-Encoding"), Some("base64"));
    // Bytes 4 to 7 are the time (RFC 1952), byte 9 the system: unknown.
    assert_eq!(STANDARD.decode(&made.body).unwrap()[4..10], [0, 0, 0, 0, 0, 255]);
    assert_eq!(made, again);
}

#[test]
fn a_result_for_a_fifo_queue_has_ids_of_its_message_or_of_templates() {
    let (mut message, body) = (message(r#"{"customer":"c 1","id":"9"}"#), whole("ok"));
    let made = form(Wording { is_fifo: true, ..Wording::default() }).of(&done(&message, &body));
    assert_eq!(
        (made.group_id.as_deref(), made.deduplication_id.as_deref()),
        (Some("4a1b-22"), Some("4a1b-22-SUCCESS"))
    );
    message.group_id = Some("g1".to_owned());
    let each = form(Wording { is_fifo: true, every_try: true, ..Wording::default() });
    let made = each.of(&ResultFacts { state: State::Failed, ..done(&message, &body) });
    assert_eq!(
        (made.group_id.as_deref(), made.deduplication_id.as_deref()),
        (Some("g1"), Some("4a1b-22-FAILED-3"))
    );
    let mut templates = ResultTemplates::default();
    templates.group_id("results.success.group_id", "{{ json.customer }}").unwrap();
    templates.deduplication_id("results.success.deduplication_id", "order-{{ json.id }}").unwrap();
    let worded = form(Wording { is_fifo: true, templates, ..Wording::default() });
    let worded = worded.word(&done(&message, &body));
    assert!(worded.trouble.unwrap().contains("group_id makes no id"));
    assert_eq!(worded.message.group_id.as_deref(), Some("g1"));
    assert_eq!(worded.message.deduplication_id.as_deref(), Some("order-9"));
}

const JOB: &str =
    r#"{"group":"Sales","project":"Nightly","version":"default","environment":"prod","job":"Load"}"#;

#[test]
fn a_result_of_matillion_has_its_keys_with_names_of_the_job() {
    let message = message(JOB);
    let form = form(Wording { format: Format::Matillion, ..Wording::default() });
    let queued = whole(r#"{"success":true,"msg":"Successfully queued job","id":82}"#);
    let expected = r#"{"type":"QUEUE_ORCHESTRATION","groupName":"Sales","projectName":"Nightly","versionName":"default","environmentName":"prod","state":"SUCCESS","enqueuedTime":1700000000001,"startTime":1700000000500,"endTime":1700000000900,"message":"Successfully queued job","originator ID":"q_orders-queue","rowCount":0,"tasks":[]}"#;
    assert_eq!(form.of(&done(&message, &queued)).body, expected);
    let ran = whole(r#"{"type":"RUN_ORCHESTRATION","message":"m","rowCount":12,"tasks":[{"taskID":1}]}"#);
    let made = read(&form.of(&done(&message, &ran)));
    assert_eq!((&made["type"], &made["rowCount"]), (&json!("RUN_ORCHESTRATION"), &json!(12)));
    assert_eq!((&made["tasks"], &made["message"]), (&json!([{"taskID": 1}]), &json!("m")));
}

#[test]
fn a_failed_result_of_matillion_says_why_and_lacks_no_key() {
    let message = message("no job");
    let form = form(Wording { format: Format::Matillion, ..Wording::default() });
    let refused = whole("no such job");
    let facts = ResultFacts {
        state: State::Failed,
        outcome: Outcome::Misdirected,
        status: Some(404),
        ..done(&message, &refused)
    };
    let made = read(&form.of(&facts));
    assert_eq!(
        (&made["state"], &made["message"], &made["groupName"]),
        (&json!("FAILED"), &json!("no such job"), &json!(""))
    );
    assert_eq!(read(&form.of(&ResultFacts { why: Some("no answer"), ..facts }))["message"], "no answer");
}

#[test]
fn tasks_of_matillion_that_leave_no_room_are_left_out() {
    let long = "\\u0001".repeat(1024);
    let job = JOB.replace("Sales", &long).replace("Nightly", &long).replace("default", &long);
    let message = message(&job.replace("prod", &long));
    // Each number is printed much longer than it was written.
    let tasks = whole(format!(r#"{{"tasks":[{}1]}}"#, "9e15,".repeat(13_000)));
    let form = form(Wording { format: Format::Matillion, ..Wording::default() });
    let worded = form.word(&done(&message, &tasks));
    assert_eq!(worded.trouble, None);
    assert!(read(&worded.message)["tasks"].as_array().is_some_and(Vec::is_empty));
    assert!(worded.message.bytes() < 256 * 1024);
}

#[test]
fn a_result_sees_the_message_without_its_envelope() {
    let sns = json!({"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": JOB, "Timestamp": "2026-01-31T00:00:00.000Z"});
    let (message, body) = (message(&sns.to_string()), whole("ok"));
    let unwrap = Unwrap { envelopes: vec![Envelope::Sns], deletes_no_work: false };
    let form = form(Wording { format: Format::Matillion, unwrap, ..Wording::default() });
    assert_eq!(read(&form.of(&done(&message, &body)))["groupName"], "Sales");
}
