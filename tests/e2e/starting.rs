//! Starts that fail, and the admin port.

use std::time::Duration;

use super::process::{Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_key_and_reason() {
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["run", "--workers", "0", "--url", "nonsense"], 78, &["queue", "--workers", "--url"]),
        (
            &["run", "--config", "/does/not/exist.yaml"],
            78,
            &["/does/not/exist.yaml", "there is no such file"],
        ),
        (&["run", "--config", "/"], 78, &["it is a directory", "name the file in it"]),
        (&["run"], 78, &["--config", "--queue", "--url"]),
        (&["run", "--queue"], 2, &["--queue"]),
        (&["run", "--worker", "3"], 2, &["--worker", "--workers"]),
        (&["run", "--no-such-flag"], 2, &["--no-such-flag"]),
        (&["send", "body"], 78, &["queue"]),
    ];
    for (args, code, words) in cases {
        let ended = Queuepost::start(args, &[]).ended().await;
        assert_eq!(ended.code, Some(*code), "{args:?}: {}", ended.output);
        for word in *words {
            assert!(ended.output.contains(word), "{args:?} does not say {word:?}: {}", ended.output);
        }
    }
}

/// A file with one listener, and more lines after it.
fn file(queue: &str, url: &str, more: &str) -> String {
    format!("listeners:\n  - queue: {queue}\n    url: {url}\n    timeout: 5s\n{more}")
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_place_line_rule_and_fix_and_without_secrets() {
    let (queue, url) = ("orders", "https://api.example/run");
    let twice = "  - {queue: orders, url: 'https://api.example/run', name: other}\n";
    let auth = "endpoints:\n  api: {url: 'https://h', auth: {bearer: s3cr3t}}\n";
    let cases: &[(String, &[&str])] = &[
        (
            file(queue, url, "    worker: 3\n"),
            &[":5:5: listeners[0].worker", "`workers`", "    5 |     worker: …"],
        ),
        (file(queue, url, "    workers: 0\n"), &[":5:14: ", "0 is out of range", "      |              ^"]),
        (file(queue, url, "    workers: many\n"), &[":5:14: ", "many is not a number: 1 to 10,000"]),
        (file(queue, url, "    receive_wait: 5\n"), &["5 has no unit; write 30s"]),
        (file(queue, url, "    timeout: 6s\n"), &[":5:5: ", "duplicate", "keep one"]),
        (file(queue, url, "\tworkers: 3\n"), &[":5:1: ", "tabs are not allowed for indentation; use spaces"]),
        (file(queue, url, "---\nlisteners: []\n"), &["keep one document"]),
        (
            file(queue, url, twice),
            &[":5:13: listeners[1].queue", "queue of listeners[0] too", "raise `workers`"],
        ),
        (file(queue, url, "    success: 200-499\n"), &["takes in 429", "action: delete"]),
        (
            file("my orders", url, ""),
            &[":2:12: ", "\"my orders\" is no queue", "write https://sqs.", "arn:aws:sqs:"],
        ),
        (
            file("arn:aws:sns:eu-west-1:123456789012:a", url, ""),
            &["an ARN of sns, not of SQS; write arn:aws:sqs"],
        ),
        (file("${NO_SUCH_VARIABLE}", url, ""), &["not set: NO_SUCH_VARIABLE; set it"]),
        (
            file(queue, "localhost:8080/x", ""),
            &[":3:10: ", "has no http:// or https:// in front; write https"],
        ),
        (file(queue, "http://127.0.0.1:70000/", ""), &["invalid port number; a port is 1 to 65535"]),
        (file(queue, "https://u:s3cr3t@h/s3cr3t", ""), &["credentials", "header_file", "    3 |     url: …"]),
        (file(queue, url, auth), &["endpoints.api.auth.bearer must be a map", "… bearer: …"]),
        (String::new(), &["listeners is required", "write `listeners:`"]),
    ];
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong.yaml");
    for (text, words) in cases {
        std::fs::write(&path, text).unwrap();
        let ended = Queuepost::start(&["run", "--config", path.to_str().unwrap()], &[]).ended().await;
        assert_eq!(ended.code, Some(78), "{text}\n{}", ended.output);
        assert!(!ended.output.contains("s3cr3t"), "{text}\n{}", ended.output);
        for word in *words {
            assert!(ended.output.contains(word), "{text}\ndoes not say {word:?}:\n{}", ended.output);
        }
    }
}

#[tokio::test]
async fn a_missing_queue_is_waited_for_unless_health_is_required() {
    let queues = QueueServer::start().await;
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let url = queues.url("later");
    let mut bridge = Queuepost::run(&url, &endpoint.url, &[]).await;
    let line = bridge.until_line("faulted").await;
    assert!(line.contains("the queue does not exist"), "{line}");
    let (status, text) = bridge.admin("/readyz?verbose").await;
    assert_eq!(status, 503);
    assert!(text.contains("[-]listener/later failed"), "{text}");
    assert_eq!(bridge.admin("/livez").await.0, 200);
    queues.queue("later", 10);
    queues.send("later", "x");
    queues.until_empty("later").await;
    assert_eq!(bridge.admin("/readyz").await, (200, "ok\n".to_owned()));
    assert_eq!(bridge.stop().await.code, Some(0));

    let url = queues.url("never");
    let mut bridge = Queuepost::run(&url, &endpoint.url, &["--require-healthy"]).await;
    assert_eq!(bridge.ended().await.code, Some(1));
}

#[tokio::test]
async fn a_queue_deleted_while_running_is_waited_for() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    bridge.until_line("listening").await;
    queues.broker.with(|broker, _| broker.delete_queue("orders")).unwrap();
    bridge.until_line("faulted").await;
    queues.broker.with(|broker, now| broker.create_queue(now, "orders", &[].into())).unwrap();
    queues.send("orders", "x");
    queues.until_empty("orders").await;
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn several_listeners_run_from_a_file_and_one_that_fails_concerns_no_other() {
    let queues = QueueServer::start().await;
    let (good, bad) = (queues.queue("good", 10), queues.url("bad"));
    let endpoint = HttpEndpoint::start(200, Duration::from_millis(5)).await;
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("several.yaml");
    let url = &endpoint.url;
    let file = format!(
        "listeners:\n  - queue: {good}\n    url: {url}\n    workers: 4\n    receive_wait: 1s\n  - queue: {bad}\n    url: {url}\n"
    );
    std::fs::write(&path, file).unwrap();
    let args =
        ["run", "--config", path.to_str().unwrap(), "--admin-listen", "127.0.0.1:0", "--log-format", "json"];
    let mut bridge = Queuepost::start(&args, &[]);
    bridge.find_admin().await;
    for number in 0..200 {
        queues.send("good", &format!("m-{number}"));
    }
    queues.until_empty("good").await;
    assert_eq!(endpoint.seen.count(), 200);
    assert!((bridge.metric("listener_faulted", r#"listener="bad""#).await - 1.0).abs() < f64::EPSILON);
    assert_eq!(bridge.admin("/readyz").await.0, 200, "one healthy listener is enough");
    assert_eq!(bridge.admin("/readyz?listeners=all").await.0, 503, "unless all are asked for");
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn the_admin_port_shows_metrics_health_and_version() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--workers", "7"]).await;
    bridge.until_line("listening").await;
    assert!((bridge.metric("workers_limit", "").await - 7.0).abs() < f64::EPSILON);
    let (_, version) = bridge.admin("/version").await;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let (status, ready) = bridge.admin("/readyz?verbose").await;
    assert_eq!((status, ready.contains("[+]listener/orders ok")), (200, true), "{ready}");
    let reserved = bridge.metric("workers_reserved", "").await;
    assert!(reserved <= 1.0);
    // Every line for machines is one JSON object.
    for line in bridge.output().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string());
    }
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_taken_admin_port_is_said_and_ends_the_start() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = ["run", "--queue", "orders", "--url", "http://127.0.0.1:1/", "--admin-listen", &address];
    let ended = Queuepost::start(&args, &[]).ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.output.contains(&address) && ended.output.contains("--admin-listen"), "{}", ended.output);
}

#[tokio::test]
async fn wrong_credentials_fault_the_listener_and_never_end_the_process() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let role = "arn:aws:iam::123456789012:role/consumer";
    // The embedded queue has no STS, so the role cannot be assumed.
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--role-arn", role]).await;
    let line = bridge.until_line("faulted").await;
    assert!(line.contains("role") || line.contains("credentials"), "{line}");
    let healthy = until(|| (endpoint.seen.count() > 0).then_some(()));
    assert!(tokio::time::timeout(Duration::from_secs(2), healthy).await.is_err());
    assert_eq!(bridge.admin("/livez").await.0, 200);
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[cfg(not(feature = "otlp"))]
#[tokio::test]
async fn whoever_asks_a_binary_without_traces_for_them_is_told() {
    let asked = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")];
    // No address of this machine, so that it ends by itself.
    let admin = ["--admin-listen", "192.0.2.1:1"];
    let options =
        [&["run", "--queue", "http://127.0.0.1:1/1/orders", "--url", "http://127.0.0.1:1/"], &admin[..]]
            .concat();
    let ended = Queuepost::start(&options, &asked).ended().await;
    assert!(
        ended.output.contains("no traces are sent") && ended.output.contains("--features otlp"),
        "{}",
        ended.output
    );
    let ended = Queuepost::start(&options, &[]).ended().await;
    assert!(!ended.output.contains("traces"), "{}", ended.output);
}
