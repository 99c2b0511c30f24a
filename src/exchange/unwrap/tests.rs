//! Envelopes as the services document them, and as nobody should send them.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::exchange::{Exchange as _, Raw, Single, Success, Unshapeable};
use crate::message::{AttributeValue, MessageId, ReceiptHandle};

/// As the SNS developer guide shows it, with attributes of each type.
const SNS: &str = r#"{
  "Type" : "Notification",
  "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
  "TopicArn" : "arn:aws:sns:us-west-2:123456789012:MyTopic",
  "Subject" : "My First Message",
  "Message" : "{\"order\": 7}",
  "Timestamp" : "2012-05-02T00:54:06.655Z",
  "SignatureVersion" : "1",
  "Signature" : "EXAMPLEw6JRN...",
  "SigningCertURL" : "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem",
  "UnsubscribeURL" : "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:us-west-2:123456789012:MyTopic:c9135db0-26c4-47ec-8998-413945fb5a96",
  "MessageAttributes": {
    "tenant": {"Type": "String", "Value": "acme"},
    "size": {"Type": "Number", "Value": "7"},
    "digest": {"Type": "Binary", "Value": "AAEC"},
    "traceparent": {"Type": "String", "Value": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
  }
}"#;

/// As the `EventBridge` user guide shows it; the number would not survive being read as a float.
const EVENT: &str = r#"{
  "version": "0",
  "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
  "detail-type": "EC2 Instance State-change Notification",
  "source": "aws.ec2",
  "account": "111122223333",
  "time": "2017-12-22T18:43:48Z",
  "region": "us-west-1",
  "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
  "detail": { "z": 123456789012345678901234567890.10, "a": "terminated" }
}"#;

/// As the S3 user guide shows it, shortened; the key is "happy face/ünï.jpg".
const S3: &str = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-west-2",
  "eventTime":"1970-01-01T00:00:00.000Z","eventName":"ObjectCreated:Put",
  "s3":{"s3SchemaVersion":"1.0","configurationId":"testConfigRule","bucket":{"name":"amzn-s3-demo-bucket",
  "arn":"arn:aws:s3:::amzn-s3-demo-bucket"},"object":{"key":"happy+face/%C3%BCn%C3%AF.jpg","size":1024,
  "eTag":"d41d8cd98f00b204e9800998ecf8427e","versionId":"096fKKXTRTtl3on89fVO.nfljtsv6qko"}}}]}"#;

const TEST_EVENT: &str = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z",
  "Bucket":"amzn-s3-demo-bucket","RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}"#;

const CONFIRMATION: &str = r#"{"Type":"SubscriptionConfirmation","MessageId":"165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
  "Token":"2336412f37","TopicArn":"arn:aws:sns:us-west-2:123456789012:MyTopic",
  "Message":"You have chosen to subscribe to the topic.\nTo confirm the subscription, visit the SubscribeURL.",
  "SubscribeURL":"https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=2336412f37",
  "Timestamp":"2012-04-26T20:45:04.751Z","SignatureVersion":"1"}"#;

fn message(body: &str) -> Message {
    Message::new(MessageId::new("m-1"), ReceiptHandle::new("handle"), Bytes::copy_from_slice(body.as_bytes()))
}

fn exchange(envelopes: &[Envelope]) -> Single {
    let unwrap = Unwrap { envelopes: envelopes.to_vec(), deletes_no_work: true };
    Single::new(Raw::new("orders", "orders"), Success::default()).unwrapping(unwrap)
}

fn request(envelopes: &[Envelope], body: &str) -> Result<Request, Unshapeable> {
    exchange(envelopes).request(&[&message(body)])
}

fn made(envelopes: &[Envelope], body: &str) -> Request {
    request(envelopes, body).unwrap()
}

fn refused(envelopes: &[Envelope], body: &str) -> String {
    request(envelopes, body).unwrap_err().why
}

fn has(request: &Request, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        assert_eq!(request.headers.get(*name).map(|value| value.to_str().unwrap()), Some(*value), "{name}");
    }
}

/// Names of the headers that an envelope can bring.
fn of_envelopes(request: &Request) -> Vec<&str> {
    let is_one =
        |name: &&str| ["-sns-", "-eventbridge-", "-s3-", "-attr-"].iter().any(|part| name.contains(part));
    request.headers.keys().map(HeaderName::as_str).filter(is_one).collect()
}

#[test]
fn a_notification_of_sns_becomes_what_raw_delivery_would_have_sent() {
    let request = made(&[Envelope::Sns], SNS);
    assert_eq!(request.body, r#"{"order": 7}"#);
    has(
        &request,
        &[
            ("content-type", "application/json"),
            ("x-queuepost-sns-type", "Notification"),
            ("x-queuepost-sns-topic-arn", "arn:aws:sns:us-west-2:123456789012:MyTopic"),
            ("x-queuepost-sns-message-id", "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"),
            ("x-queuepost-sns-subject", "My First Message"),
            ("x-queuepost-sns-timestamp", "2012-05-02T00:54:06.655Z"),
            ("x-queuepost-attr-tenant", "acme"),
            ("x-queuepost-attr-size", "7"),
            ("x-queuepost-attr-digest", "AAEC"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("x-queuepost-message-id", "m-1"),
        ],
    );
    assert_eq!(
        (request.headers_dropped, request.headers.contains_key("x-queuepost-sns-sequence-number")),
        (0, false)
    );
}

#[test]
fn a_message_that_is_in_no_envelope_passes_as_it_is() {
    let all = [Envelope::Sns, Envelope::EventBridge, Envelope::S3];
    let bodies = [
        "",
        "plain",
        "[]",
        "7",
        "{",
        "{}",
        "{\"a\":1} trailing",
        r#"{"Message":"raw delivery"}"#,
        r#"{"Type":"Notification","Message":"of somebody else"}"#,
        r#"{"Type":7,"TopicArn":"arn:aws:sns:x","Message":"m"}"#,
        r#"{"Type":"Order","TopicArn":"arn:aws:sns:x","Message":"m"}"#,
        r#"{"detail-type":"t","source":"s"}"#,
        r#"{"detail":{}}"#,
        r#"{"Records":[]}"#,
        r#"{"Records":{"a":1}}"#,
        r#"{"Records":[{"eventSource":"aws:sqs"}]}"#,
        r#"{"Records":[7]}"#,
        TEST_EVENT,
    ];
    for body in bodies {
        let request = made(&all, body);
        assert_eq!((request.body.as_ref(), of_envelopes(&request)), (body.as_bytes(), Vec::new()), "{body}");
    }
    for body in [SNS, EVENT, S3] {
        let request = made(&[], body);
        assert_eq!((request.body.as_ref(), of_envelopes(&request)), (body.as_bytes(), Vec::new()));
    }
}

#[test]
fn the_detail_of_an_event_is_the_body_byte_for_byte() {
    let request = made(&[Envelope::EventBridge], EVENT);
    assert_eq!(request.body, r#"{ "z": 123456789012345678901234567890.10, "a": "terminated" }"#);
    has(
        &request,
        &[
            ("x-queuepost-eventbridge-id", "6a7e8feb-b491-4cf7-a9f1-bf3703467718"),
            ("x-queuepost-eventbridge-detail-type", "EC2 Instance State-change Notification"),
            ("x-queuepost-eventbridge-source", "aws.ec2"),
            ("x-queuepost-eventbridge-time", "2017-12-22T18:43:48Z"),
            ("x-queuepost-eventbridge-account", "111122223333"),
            ("x-queuepost-eventbridge-region", "us-west-1"),
        ],
    );
}

#[test]
fn an_s3_event_stays_the_body_and_headers_name_its_object() {
    let request = made(&[Envelope::S3], S3);
    assert_eq!(request.body, S3);
    has(
        &request,
        &[
            ("x-queuepost-s3-records", "1"),
            ("x-queuepost-s3-event-name", "ObjectCreated:Put"),
            ("x-queuepost-s3-event-time", "1970-01-01T00:00:00.000Z"),
            ("x-queuepost-s3-bucket", "amzn-s3-demo-bucket"),
            ("x-queuepost-s3-key", "happy face/%C3%BCn%C3%AF.jpg"),
            ("x-queuepost-s3-key-encoding", "percent"),
            ("x-queuepost-s3-version-id", "096fKKXTRTtl3on89fVO.nfljtsv6qko"),
        ],
    );
    let two = S3.replace("}}}]}", "}}},{}]}");
    assert_eq!(of_envelopes(&made(&[Envelope::S3], &two)), ["x-queuepost-s3-records"]);
}

#[test]
fn envelopes_within_each_other_are_taken_off_in_order() {
    let within = |inner: &str| {
        let envelope =
            serde_json::json!({"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": inner});
        envelope.to_string()
    };
    let request = made(&[Envelope::Sns, Envelope::S3], &within(S3));
    assert_eq!(request.body, S3);
    has(
        &request,
        &[("x-queuepost-sns-topic-arn", "arn:aws:sns:x"), ("x-queuepost-s3-bucket", "amzn-s3-demo-bucket")],
    );
    let request = made(&[Envelope::Sns, Envelope::EventBridge], &within(EVENT));
    assert_eq!(request.body, r#"{ "z": 123456789012345678901234567890.10, "a": "terminated" }"#);
    assert_eq!(made(&[Envelope::S3], &within(S3)).headers.get("x-queuepost-s3-bucket"), None);
}

#[test]
fn a_field_of_the_wrong_type_makes_no_request_and_is_named_without_its_value() {
    let sns = |fields: &str| format!(r#"{{"Type":"Notification","TopicArn":"arn:aws:sns:x",{fields}}}"#);
    let event = |fields: &str| format!(r#"{{"detail":{{}},"detail-type":"t","source":"s",{fields}}}"#);
    let s3 = |record: &str| format!(r#"{{"Records":[{{"eventSource":"aws:s3",{record}}}]}}"#);
    let cases = [
        (Envelope::Sns, sns(r#""Message":{"s3cr3t":1}"#), "`Message` of the SNS envelope is not a string"),
        (Envelope::Sns, sns(r#""Message":"\ud800s3cr3t""#), "`Message` of the SNS envelope is not a string"),
        (Envelope::Sns, sns(r#""Message":null"#), "the SNS envelope has no `Message`"),
        (Envelope::Sns, sns(r#""Subject":["s3cr3t"],"Message":"m""#), "`Subject` of the SNS envelope"),
        (
            Envelope::Sns,
            sns(r#""MessageAttributes":{"s3cr3t":7},"Message":"m""#),
            "`MessageAttributes` of the SNS",
        ),
        (
            Envelope::Sns,
            sns(r#""MessageAttributes":["s3cr3t"],"Message":"m""#),
            "`MessageAttributes` of the SNS",
        ),
        (
            Envelope::Sns,
            sns(r#""MessageAttributes":{"s3cr3t":{"Type":"Binary","Value":"s3cr3t!"}},"Message":"m""#),
            "a binary attribute of the SNS envelope is not base64",
        ),
        (Envelope::EventBridge, event(r#""time":7"#), "`time` of the EventBridge event"),
        (Envelope::EventBridge, event(r#""source":["s3cr3t"]"#), "`source` of the EventBridge event"),
        (Envelope::S3, s3(r#""s3":"s3cr3t""#), "`s3` of the S3 event is not an object"),
        (Envelope::S3, s3(r#""s3":{"bucket":{}}"#), "`object` of the S3 event is not an object"),
        (
            Envelope::S3,
            s3(r#""s3":{"bucket":{"name":7},"object":{}}"#),
            "`name` of the S3 event is not a string",
        ),
        (
            Envelope::S3,
            s3(r#""s3":{"bucket":{},"object":{"key":"%ffs3cr3t"}}"#),
            "`key` of the S3 event is not URL",
        ),
    ];
    for (envelope, body, expected) in cases {
        let why = refused(&[envelope], &body);
        assert!(why.starts_with(expected) && !why.contains("s3cr3t"), "{body}: {why}");
    }
}

#[test]
fn of_a_name_that_comes_twice_the_last_counts() {
    let body = r#"{"Type":"Order","Type":"Notification","TopicArn":"a","Message":7,"Message":"second"}"#;
    assert_eq!(made(&[Envelope::Sns], body).body, "second");
}

#[test]
fn nesting_without_end_overflows_nothing() {
    let deep = "[".repeat(500_000) + &"]".repeat(500_000);
    let all = [Envelope::Sns, Envelope::EventBridge, Envelope::S3];
    assert_eq!(made(&all, &deep).body.len(), deep.len());
    let event = format!(r#"{{"source":"s","detail-type":"t","detail":{deep}}}"#);
    assert_eq!(made(&all, &event).body, deep);
    let why = refused(&all, &format!(r#"{{"Type":"Notification","TopicArn":"a","Message":{deep}}}"#));
    assert!(why.starts_with("`Message`"), "{why}");
    let why = refused(
        &all,
        &format!(r#"{{"Type":"Notification","TopicArn":"a","Message":"","MessageAttributes":{deep}}}"#),
    );
    assert!(why.starts_with("`MessageAttributes`"), "{why}");
    assert_eq!(NoWork::recognise(deep.get(..16_000).unwrap().as_bytes()), None);
}

#[test]
fn words_of_an_envelope_are_escaped_and_bounded_like_every_other_header() {
    let long = "x".repeat(9_000);
    let body = serde_json::json!({"Type": "Notification", "TopicArn": long, "Subject": "a\r\nX-Forged: 1",
        "Message": "m", "MessageAttributes": {"a b": {"Type": "String", "Value": "x"}}});
    let request = made(&[Envelope::Sns], &body.to_string());
    has(
        &request,
        &[("x-queuepost-sns-subject", "a%0D%0AX-Forged: 1"), ("x-queuepost-sns-subject-encoding", "percent")],
    );
    assert_eq!(
        (request.headers.get("x-forged"), request.headers.get("x-queuepost-sns-topic-arn")),
        (None, None)
    );
    assert_eq!(request.headers_dropped, 2, "the topic, for want of room, and the attribute");
}

#[test]
fn the_attributes_of_the_envelope_come_before_those_of_its_message() {
    let text = |name: &str, value: &str| Attribute {
        name: name.to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(value.to_owned()),
    };
    let outer = Message { attributes: vec![text("tenant", "outer"), text("zone", "b")], ..message(SNS) };
    let request = exchange(&[Envelope::Sns]).request(&[&outer]).unwrap();
    has(&request, &[("x-queuepost-attr-tenant", "acme"), ("x-queuepost-attr-zone", "b")]);
}

#[test]
fn a_confirmation_is_forwarded_in_its_envelope_and_is_no_work() {
    let request = made(&[Envelope::Sns], CONFIRMATION);
    assert_eq!(request.body, CONFIRMATION);
    has(&request, &[("x-queuepost-sns-type", "SubscriptionConfirmation")]);
    let topic = Some("arn:aws:sns:us-west-2:123456789012:MyTopic".to_owned());
    let recognised = |body: &str| exchange(&[]).no_work(&message(body));
    assert_eq!(recognised(CONFIRMATION), Some(NoWork::Subscription { topic: topic.clone() }));
    let ended = CONFIRMATION.replace("SubscriptionConfirmation", "UnsubscribeConfirmation");
    assert_eq!(recognised(&ended), Some(NoWork::Subscription { topic }));
    let steering = CONFIRMATION.replace(":MyTopic", r":My\u001b[31mTopic");
    assert_eq!(recognised(&steering), Some(NoWork::Subscription { topic: None }));
}

#[test]
fn a_test_event_of_s3_is_no_work_also_in_an_envelope_of_sns() {
    let recognised = |body: &str| exchange(&[]).no_work(&message(body));
    assert_eq!(recognised(TEST_EVENT), Some(NoWork::TestEvent));
    let envelope =
        serde_json::json!({"Type": "Notification", "TopicArn": "a", "Message": TEST_EVENT}).to_string();
    assert_eq!(recognised(&envelope), Some(NoWork::TestEvent));
}

#[test]
fn what_might_be_work_is_never_taken_for_none() {
    let unwrap = Unwrap { envelopes: Vec::new(), deletes_no_work: false };
    assert_eq!(unwrap.no_work(&message(TEST_EVENT)), None);
    let long = TEST_EVENT.replace("amzn", &"x".repeat(20_000));
    let bodies = [
        SNS,
        EVENT,
        S3,
        "s3:TestEvent",
        r#"{"Event":"s3:TestEvent"}"#,
        r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b","Records":[{}]}"#,
        r#"{"Service":"Amazon S3","Event":"s3:ObjectCreated","Bucket":"b"}"#,
        r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:x","order":7}"#,
        r#"[{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}]"#,
        long.as_str(),
    ];
    for body in bodies {
        assert_eq!(exchange(&[]).no_work(&message(body)), None, "{body}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in ".{0,200}", noise in r#"[{}\[\]":,a-z0-9\\]{0,60}"#) {
        let all = [Envelope::Sns, Envelope::EventBridge, Envelope::S3];
        for body in [
            body.clone(),
            noise.clone(),
            format!(r#"{{"Type":"Notification","TopicArn":"a","Message":{noise},"Subject":"{body}"}}"#),
            format!(r#"{{"detail-type":"a","source":"b","detail":{noise}}}"#),
            format!(r#"{{"Records":[{{"eventSource":"aws:s3","s3":{noise}}}]}}"#),
        ] {
            let made = request(&all, &body);
            prop_assert!(made.is_ok() || !made.unwrap_err().why.is_empty());
            exchange(&all).no_work(&message(&body));
        }
    }
}
