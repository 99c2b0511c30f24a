//! The requests that receivers of Elastic Beanstalk's daemon get, held to what these receivers check.
//!
//! The checks are those of the receivers' own sources, named with their versions; no Ruby and no PHP runs here.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use super::*;
use crate::exchange::{ContentType, Look, Properties, Raw, Request, Shape as _};
use crate::message::{MessageId, ReceiptHandle, ReceiveCount};

const ID: &str = "5fea7756-0ea4-451a-a703-a558b933e274";

fn text(name: &str, value: &str) -> Attribute {
    let value = AttributeValue::Text(value.to_owned());
    Attribute { name: name.to_owned(), data_type: "String".to_owned(), value }
}

fn message(body: &str, attributes: Vec<Attribute>) -> Message {
    let at = |millis| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
    Message {
        receive_count: ReceiveCount::new(2),
        sent_at: at(1_700_000_000_123),
        first_received_at: at(1_700_000_001_999),
        group_id: Some("group".to_owned()),
        sender_id: Some("AIDAIT2UOQQY3AUEKVGXU".to_owned()),
        attributes,
        ..Message::new(
            MessageId::new(ID),
            ReceiptHandle::new("handle"),
            Bytes::copy_from_slice(body.as_bytes()),
        )
    }
}

fn request(message: &Message) -> Request {
    let look = Look {
        properties: Properties::Sqsd { path: "/worker".to_owned() },
        user_agent: HeaderValue::from_static(AGENT),
        content_type: ContentType::Fixed(HeaderValue::from_static("application/json")),
    };
    Raw::new("orders", "orders-queue").with(look).request(message).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_message_has_the_headers_of_the_daemon_and_no_others() {
    let request = request(&message("{}", vec![text("Origin", "web"), text("tries", "3")]));
    let mut found: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    found.sort_unstable();
    let expected = [
        ("content-type", "application/json"),
        ("user-agent", "aws-sqsd/3.0.4"),
        ("x-aws-sqsd-attr-origin", "web"),
        ("x-aws-sqsd-attr-tries", "3"),
        ("x-aws-sqsd-first-received-at", "2023-11-14T22:13:21Z"),
        ("x-aws-sqsd-msgid", ID),
        ("x-aws-sqsd-path", "/worker"),
        ("x-aws-sqsd-queue", "orders-queue"),
        ("x-aws-sqsd-receive-count", "2"),
        ("x-aws-sqsd-sender-id", "AIDAIT2UOQQY3AUEKVGXU"),
        ("x-aws-sqsd-sent-at", "2023-11-14T22:13:20Z"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn binary_attributes_are_left_out_and_those_of_the_daemon_become_the_headers_of_a_periodic_task() {
    let binary = AttributeValue::Binary(Bytes::from_static(b"\0\xff"));
    let blob = Attribute { name: "blob".to_owned(), data_type: "Binary".to_owned(), value: binary };
    let request = request(&message(
        "{}",
        vec![
            text("beanstalk.sqsd.path", "//evil.example/"),
            text("beanstalk.sqsd.scheduled_time", "2026-01-02T03:04:05Z"),
            text("beanstalk.sqsd.task_name", "NightlyJob"),
            blob,
        ],
    ));
    assert_eq!(header(&request, "x-aws-sqsd-taskname"), Some("NightlyJob"));
    assert_eq!(header(&request, "x-aws-sqsd-scheduled-at"), Some("2026-01-02T03:04:05Z"));
    assert_eq!(header(&request, "x-aws-sqsd-path"), Some("/worker"));
    assert!(!request.headers.keys().any(|name| name.as_str().starts_with("x-aws-sqsd-attr-")), "{request:?}");
    assert!(request.resource.is_none() && request.headers_dropped == 0);
}

#[test]
fn what_a_message_says_cannot_make_a_second_header_and_has_its_bounds() {
    let long = "x".repeat(9_000);
    let request = request(&message(
        "{}",
        vec![
            text("a", "1\r\nX-Aws-Sqsd-Taskname: evil"),
            text("beanstalk.sqsd.task_name", "a\nb"),
            text("long", &long),
        ],
    ));
    assert_eq!(header(&request, "x-aws-sqsd-attr-a"), Some("1%0D%0AX-Aws-Sqsd-Taskname: evil"));
    assert_eq!(header(&request, "x-aws-sqsd-attr-a-encoding"), Some("percent"));
    assert_eq!(header(&request, "x-aws-sqsd-taskname"), Some("a%0Ab"));
    assert_eq!((header(&request, "x-aws-sqsd-attr-long"), request.headers_dropped), (None, 1));
}

/// aws-sdk-rails 5.1.0, `lib/aws/rails/middleware/elastic_beanstalk_sqsd.rb`.
#[test]
fn aws_sdk_rails_takes_the_request_for_the_daemons() {
    let from_sqs_daemon =
        |request: &Request| header(request, "user-agent").is_some_and(|agent| agent.starts_with("aws-sqsd"));
    let job = request(&message(r#"{"job_class":"MailJob","arguments":[]}"#, Vec::new()));
    assert!(from_sqs_daemon(&job));
    // `execute_job`: the job is the JSON body, `job_class` in it. No header makes it a periodic task.
    let decoded: serde_json::Value = serde_json::from_slice(&job.body).unwrap();
    assert_eq!((&decoded["job_class"], header(&job, "x-aws-sqsd-taskname")), (&"MailJob".into(), None));
    // `periodic_task?`: X-Aws-Sqsd-Taskname is present (and the full path is `/`).
    let task = request(&message(
        "elasticbeanstalk scheduled job",
        vec![text("beanstalk.sqsd.task_name", "NightlyJob")],
    ));
    assert!(from_sqs_daemon(&task));
    assert_eq!(header(&task, "x-aws-sqsd-taskname"), Some("NightlyJob"));
}

/// active-elastic-job 3.0.0, `lib/active_elastic_job/rack/sqs_message_consumer.rb` and `message_verifier.rb`.
#[test]
fn active_elastic_job_finds_its_digest_and_verifies_the_body_with_it() {
    // OpenSSL::HMAC.hexdigest(SHA1, "secret_key_base", BODY)
    const DIGEST: &str = "53633f1ef3698b5f68643d0f40764a21a63d993c";
    const BODY: &str = r#"{"job_class":"MailJob","arguments":[{"ä":1}]}"#;
    let request = request(&message(BODY, vec![text("message-digest", DIGEST), text("origin", "AEJ")]));
    // `aws_sqsd?`: the agent's first eight characters.
    assert_eq!(header(&request, "user-agent").and_then(|agent| agent.get(..8)), Some("aws-sqsd"));
    // `originates_from_gem?` reads HTTP_X_AWS_SQSD_ATTR_ORIGIN, Rack's name of the header.
    assert_eq!(header(&request, "x-aws-sqsd-attr-origin"), Some("AEJ"));
    // `verify!`: the digest is that of the body as it came, byte for byte.
    assert_eq!(header(&request, "x-aws-sqsd-attr-message-digest"), Some(DIGEST));
    assert_eq!(request.body, BODY);
}

/// laravel-aws-worker at 559e451 (after 1.0.05), `src/Controllers/WorkerController.php` and `src/Jobs/AwsJob.php`.
#[test]
fn laravel_aws_worker_finds_its_headers_and_counts_its_tries_by_them() {
    let request = request(&message(r#"{"job":"App\\Jobs\\Mail","data":{}}"#, Vec::new()));
    // `$awsHeaders`.
    for name in ["x-aws-sqsd-queue", "x-aws-sqsd-msgid", "x-aws-sqsd-receive-count"] {
        assert!(header(&request, name).is_some(), "{name}");
    }
    // `attempts`: `(int)` of the receive count; the queue's handler is found by the last part of the name.
    assert_eq!(
        header(&request, "x-aws-sqsd-receive-count").and_then(|count| count.parse().ok()),
        Some(2_u32)
    );
    assert_eq!(header(&request, "x-aws-sqsd-queue"), Some("orders-queue"));
    // `strtotime` of the first receive: ISO 8601, and not a number of milliseconds, which it takes for no time.
    let first = header(&request, "x-aws-sqsd-first-received-at").unwrap();
    let at = humantime::parse_rfc3339(first).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(at.as_secs(), 1_700_000_001);
    // `validateBody`: the body is not empty, and is JSON.
    assert!(serde_json::from_slice::<serde_json::Value>(&request.body).is_ok());
    // `schedule`: without X-Aws-Sqsd-Taskname it would run the whole schedule.
    assert_eq!(header(&request, "x-aws-sqsd-taskname"), None);
}

/// django-eb-sqs-worker 0.5.0, `eb_sqs_worker/views.py`; the package itself runs in `tests/e2e/peers/django.rs`.
#[test]
fn django_eb_sqs_worker_takes_the_agent_and_tells_periodic_tasks_by_their_time() {
    let request = request(&message(
        "x",
        vec![
            text("beanstalk.sqsd.task_name", "nightly"),
            text("beanstalk.sqsd.scheduled_time", "2026-01-02T03:04:05Z"),
        ],
    ));
    assert!(header(&request, "user-agent").unwrap().contains("aws-sqsd"));
    for name in ["x-aws-sqsd-taskname", "x-aws-sqsd-scheduled-at", "x-aws-sqsd-sender-id"] {
        assert!(header(&request, name).is_some(), "{name}");
    }
}
