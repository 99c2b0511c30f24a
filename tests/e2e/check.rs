//! `queuepost check` with the real binary: its findings, their texts, and that it receives no message.

use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;

use super::process::{Ended, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

async fn check(queue: &str, url: &str, more: &[&str]) -> Ended {
    // Short enough for the default deadline; otherwise there is a warning.
    let mut args = vec!["check", "--queue", queue, "--url", url, "--timeout", "10s"];
    args.extend(more);
    Queuepost::start(&args, &[]).ended().await
}

/// Exit code, and `(check, status)` of each line of the answer in JSON.
async fn check_json(queue: &str, url: &str, more: &[&str]) -> (Option<i32>, Vec<(String, String)>, String) {
    let mut args = vec!["--format", "json"];
    args.extend(more);
    let ended = check(queue, url, &args).await;
    let all: Vec<Value> = serde_json::from_str(&ended.output).unwrap_or_else(|_| panic!("{}", ended.output));
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    for one in &all {
        let keys: Vec<&String> = one.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["check", "detail", "fix", "listener", "problem", "status"], "{one}");
    }
    let found = all.iter().map(|one| (text(one, "check"), text(one, "status"))).collect();
    (ended.code, found, ended.output)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(check, status)| ((*check).to_owned(), (*status).to_owned())).collect()
}

/// A queue without findings.
fn sound_queue(queues: &QueueServer) -> String {
    let queue = queues.queue("orders", 10);
    let fourteen_days = [("MessageRetentionPeriod".to_owned(), "1209600".to_owned())].into();
    queues.broker.with(|broker, now| broker.set_attributes(now, "orders-dlq", &fourteen_days)).unwrap();
    queue
}

#[tokio::test]
async fn all_is_well_and_nothing_is_received_or_posted() {
    let queues = QueueServer::start().await;
    let queue = sound_queue(&queues);
    queues.send("orders", "untouched");
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let ended = check(&queue, &endpoint.url, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(!ended.output.contains(['✘', '!', '\x1b']), "{}", ended.output);
    for words in
        ["valid: 1 listener, 1 endpoint", "orders: 1 visible", "10 receives, then orders-dlq", "for 45 min"]
    {
        assert!(ended.output.contains(words), "{words:?} is not in {}", ended.output);
    }
    let (code, found, text) = check_json(&queue, &endpoint.url, &[]).await;
    let expected = pairs(&[("configuration", "ok"), ("queue", "ok"), ("redrive", "ok"), ("endpoint", "ok")]);
    assert_eq!((code, found), (Some(0), expected), "{text}");
    assert_eq!(queues.census("orders"), (1, 0, 0), "nothing was received");
    assert_eq!(endpoint.seen.count(), 0, "nothing was posted");
}

#[tokio::test]
async fn what_is_only_unwise_is_said_with_its_fix_and_does_not_fail() {
    let queues = QueueServer::start().await;
    queues.broker.with(|broker, now| broker.create_queue(now, "bare", &[].into())).unwrap();
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let ended = check(&queues.url("bare"), &endpoint.url, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let command = format!(
        "fix: create a dead-letter queue and run: aws sqs set-queue-attributes --queue-url {}",
        queues.url("bare")
    );
    assert!(ended.output.contains("! bare"), "{}", ended.output);
    assert!(ended.output.contains(&command), "{}", ended.output);

    let few = queues.queue("few", 2);
    let (code, found, text) = check_json(&few, &endpoint.url, &[]).await;
    let expected = [
        ("configuration", "ok"),
        ("queue", "ok"),
        ("redrive", "warning"),
        ("redrive", "warning"),
        ("endpoint", "ok"),
    ];
    assert_eq!((code, found), (Some(0), pairs(&expected)), "{text}");
}

#[tokio::test]
async fn a_missing_queue_fails_and_the_endpoint_is_looked_at_all_the_same() {
    let queues = QueueServer::start().await;
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let (code, found, text) = check_json(&queues.url("nowhere"), &endpoint.url, &[]).await;
    let expected = pairs(&[("configuration", "ok"), ("queue", "failed"), ("endpoint", "ok")]);
    assert_eq!((code, found), (Some(1), expected), "{text}");
    assert!(text.contains("the queue does not exist") && text.contains("create the queue"), "{text}");
}

#[tokio::test]
async fn an_endpoint_that_refuses_or_has_no_address_fails() {
    let queues = QueueServer::start().await;
    let queue = sound_queue(&queues);
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = format!("http://{}/work", reserved.local_addr().unwrap());
    drop(reserved);
    for (url, fix) in [
        (refusing.as_str(), "start the endpoint"),
        ("http://no-such-host.invalid/", "check the host of the listener's url"),
    ] {
        let (code, found, text) = check_json(&queue, url, &[]).await;
        assert_eq!(code, Some(1), "{text}");
        assert_eq!(found.last(), pairs(&[("endpoint", "failed")]).last(), "{text}");
        assert!(text.contains(fix), "{text}");
    }
    let ended = check(&queue, &refusing, &[]).await;
    assert!(ended.output.contains("✘ orders"), "{}", ended.output);
}

#[tokio::test]
async fn offline_calls_nobody() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    let (queue, url) = (format!("http://{address}/000000000000/orders"), format!("http://{address}/work"));
    let (code, found, text) = check_json(&queue, &url, &["--offline"]).await;
    assert_eq!((code, found), (Some(0), pairs(&[("configuration", "ok")])), "{text}");
    let called = tokio::time::timeout(Duration::from_millis(50), nobody.accept()).await;
    assert!(called.is_err(), "somebody called");
}

#[tokio::test]
async fn a_bad_configuration_is_shown_in_both_formats() {
    let (code, found, text) = check_json("orders", "nonsense", &["--workers", "0"]).await;
    let failed = ("configuration", "failed");
    assert_eq!((code, found), (Some(78), pairs(&[failed, failed])), "{text}");
    let all: Value = serde_json::from_str(&text).unwrap();
    let workers = all.as_array().unwrap().iter().map(|one| &one["problem"]).find(|one| one["value"] == "0");
    let workers = workers.unwrap_or_else(|| panic!("{text}"));
    assert_eq!((&workers["given_by"], &workers["line"]), (&Value::from("--workers"), &Value::Null), "{text}");
    assert_eq!(workers["rule"], "is out of range: 1 to 10,000", "{text}");
    let ended = check("orders", "nonsense", &["--offline"]).await;
    assert_eq!(ended.code, Some(78));
    assert!(ended.output.contains('✘') && ended.output.contains("--url"), "{}", ended.output);
}

#[tokio::test]
async fn listeners_are_checked_side_by_side_and_shown_in_order() {
    let queues = QueueServer::start().await;
    let queue = sound_queue(&queues);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let url = &endpoint.url;
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("check.yaml");
    let missing = queues.url("missing");
    let file = format!(
        "listeners:\n  - queue: {missing}\n    name: first\n    url: {url}\n    timeout: 10s\n  - queue: {queue}\n    name: second\n    url: {url}\n    timeout: 10s\n"
    );
    std::fs::write(&path, file).unwrap();
    let ended = Queuepost::start(&["check", "--config", path.to_str().unwrap()], &[]).ended().await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    let marks: Vec<String> = ended
        .output
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.chars().take(8).collect())
        .collect();
    assert_eq!(marks[1..], ["✘ first ", "✔ first ", "✔ second", "✔ second", "✔ second"], "{}", ended.output);
}

#[tokio::test]
async fn run_says_the_same_about_a_queue_with_its_fix_and_in_the_metrics() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 2);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    let line = bridge.until_line(r#""warning":"few_receives""#).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let table = "2 (now): 5 min; 3: 10 min; 5: 20 min; 10: 45 min; 20: 1 h 35 min";
    assert!(line["message"].as_str().unwrap().ends_with(table), "{line}");
    assert!(line["fix"].as_str().unwrap().starts_with("raise maxReceiveCount"), "{line}");
    bridge.until_line(r#""warning":"dead_letter_retention""#).await;
    for (warning, expected) in [("few_receives", 1.0), ("no_dead_letter_queue", 0.0)] {
        let value = bridge.metric("preflight_warnings", &format!("warning=\"{warning}\"")).await;
        assert!((value - expected).abs() < f64::EPSILON, "{warning}: {value}");
    }
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(ended.output.matches("few_receives").count(), 1, "{}", ended.output);
}

/// `check --post` with a body, for an endpoint.
async fn post(url: &str, body: &str, more: &[&str]) -> Ended {
    let mut args = vec!["check", "--queue", "orders", "--region", "eu-west-1", "--url", url];
    args.extend(["--timeout", "10s", "--post", body]);
    args.extend(more);
    Queuepost::start(&args, &[]).ended().await
}

#[tokio::test]
async fn a_test_post_is_real_and_says_what_would_become_of_the_message_without_any_queue() {
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let ended = post(&endpoint.url, r#"{"id":1}"#, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let ids: Vec<String> = endpoint.seen.requests.lock().unwrap().iter().map(id_of).collect();
    assert_eq!(endpoint.seen.bodies(), [(r#"{"id":1}"#.to_owned(), 1)].into());
    let [id] = ids.as_slice() else { panic!("{ids:?}") };
    for words in [
        &format!("POST {}", endpoint.url),
        id.as_str(),
        "200 after ",
        "done",
        "✔ 200: the message would be deleted",
    ] {
        assert!(ended.output.contains(words), "{words:?} is not in {}", ended.output);
    }
    endpoint.seen.status.store(429, std::sync::atomic::Ordering::SeqCst);
    let ended = post(&endpoint.url, r#"{"id":1}"#, &[]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("✘ 429: the message would be parked for 5 min"), "{}", ended.output);
    assert_ne!(id_of(&endpoint.seen.requests.lock().unwrap()[1]), *id, "an id is new each time");
    let ended = post(&endpoint.url, r#"{"id":1}"#, &["--format", "json"]).await;
    let one: Value = serde_json::from_str(&ended.output).unwrap_or_else(|_| panic!("{}", ended.output));
    assert_eq!((&one["status"], &one["messages"][0]["outcome"]), (&429.into(), &"throttled".into()), "{one}");
    assert_eq!((ended.code, &one["messages"][0]["deleted"]), (Some(1), &false.into()), "{one}");
}

fn id_of((headers, _): &(axum::http::HeaderMap, axum::body::Bytes)) -> String {
    headers["x-queuepost-message-id"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_test_post_has_the_rows_and_secrets_of_its_listener_and_takes_a_batch_of_lines() {
    let endpoint = HttpEndpoint::start(409, Duration::ZERO).await;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (config, lines) = (folder.join("check-post.yaml"), folder.join("check-post.jsonl"));
    let text = format!(
        "listeners:
  - queue: orders
    url: {0}?token=t0k3n-s3cr3t
    headers: {{ X-Key: {{ env: TEST_KEY }} }}
    on_response: [{{ status: 409, action: delete }}]
  - {{ preset: lambda, name: many, queue: jobs, url: {0}, batch: {{ size: 2 }} }}
",
        endpoint.url
    );
    std::fs::write(&config, text).unwrap();
    let line = |id: &str| {
        format!(
            r#"{{"message_id":"{id}","body":"x","attributes":{{"tenant":{{"data_type":"String","value":"t7"}}}}}}"#
        )
    };
    std::fs::write(&lines, format!("{}\n{}\n", line("id-1"), line("id-2"))).unwrap();
    let start = async |more: &[&str]| {
        let args = ["check", "--config", config.to_str().unwrap()].into_iter().chain(more.iter().copied());
        Queuepost::start(&args.collect::<Vec<_>>(), &[("TEST_KEY", "s3cr3t-value")]).ended().await
    };
    let ended = start(&["--listener", "orders", "--post", r#"{"id":1}"#]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains("would be deleted, by on_response"), "{}", ended.output);
    assert!(ended.output.contains("x-key: REDACTED") && !ended.output.contains("s3cr3t"), "{}", ended.output);
    assert_eq!(endpoint.seen.requests.lock().unwrap()[0].0["x-key"], "s3cr3t-value");

    let ended = start(&["--listener", "many", "--post", lines.to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    for words in ["✘ id-1  409: the message would be deferred for ", "✘ id-2  409: "] {
        assert!(ended.output.contains(words), "{words:?} is not in {}", ended.output);
    }
    let body = endpoint.seen.requests.lock().unwrap()[1].1.clone();
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(event["Records"][1]["messageAttributes"]["tenant"]["stringValue"], "t7", "{event}");

    for (wrong, words) in [
        (&["--post", "{}"][..], "--listener is required"),
        (&["--listener", "none", "--post", "{}"], "there is no listener none"),
        (&["--listener", "orders", "--post", "no-such-file"], "cannot read no-such-file"),
        (&["--post", "{}", "--render", "-"], "cannot be used with"),
    ] {
        let ended = start(wrong).await;
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        assert!(ended.output.contains(words), "{words:?} is not in {}", ended.output);
    }
    assert_eq!(endpoint.seen.count(), 2, "nothing else was posted");
    std::fs::remove_file(&config).unwrap();
    std::fs::remove_file(&lines).unwrap();
}
