//! Presets: what `check --explain` shows of them, and listeners that need few values more.

use std::time::Duration;

use serde_json::Value;

use super::process::Queuepost;
use super::servers::{HttpEndpoint, QueueServer};

/// What `check --explain` prints.
async fn explained(args: &[&str], env: &[(&str, &str)]) -> String {
    let mut all = vec!["check", "--explain"];
    all.extend(args);
    let ended = Queuepost::start(&all, env).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    ended.output
}

#[tokio::test]
async fn explain_says_of_every_value_where_it_came_from_and_calls_nobody() {
    // No such queue and no such endpoint exist.
    let args = ["--queue", "https://127.0.0.1:1/000000000000/orders", "--preset", "sqsd", "--workers", "3"];
    let env = [("QUEUEPOST_TIMEOUT", "9s"), ("QUEUEPOST_ALGORITHM_KEY", "s3cr3t")];
    let text = explained(&args, &env).await;
    let columns = |key: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(key));
        let line = line.unwrap_or_else(|| panic!("{key}: {text}"));
        line.split("  ").map(str::trim).filter(|column| !column.is_empty()).map(str::to_owned).collect()
    };
    for row in [
        ["preset", "sqsd", "--preset"],
        ["workers", "3", "--workers"],
        ["timeout", "9s", "QUEUEPOST_TIMEOUT"],
        ["user_agent", "aws-sqsd/3.0.4", "preset sqsd"],
        ["retry_delay", "2s", "preset sqsd"],
        ["throttle_delay", "5m", "default"],
        ["endpoint.sessions", "3", "default"],
        ["endpoint.auth.api_key.env", "QUEUEPOST_ALGORITHM_KEY", "QUEUEPOST_ALGORITHM_KEY"],
    ] {
        assert_eq!(columns(row[0]), row);
    }
    let mut as_json = args.to_vec();
    as_json.extend(["--format", "json"]);
    let json = explained(&as_json, &env).await;
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert!(rows.iter().any(|row| row["key"] == "user_agent" && row["from"] == "preset sqsd"), "{json}");
    assert!(!text.contains("s3cr3t") && !json.contains("s3cr3t"));
}

#[tokio::test]
async fn an_unknown_preset_is_bad_configuration_also_for_explain() {
    let args = ["check", "--explain", "--queue", "q", "--preset", "sqs"];
    let ended = Queuepost::start(&args, &[]).ended().await;
    assert_eq!(ended.code, Some(78), "{}", ended.output);
    assert!(ended.output.contains("is none of: raw, algorithmia, sqsd, cloudevents"), "{}", ended.output);
}

#[tokio::test]
async fn the_variables_of_simple_sqsd_run_a_listener_and_are_told_at_start() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send_with("orders", "{}", &[("tenant", "a")]);
    let endpoint = HttpEndpoint::start(204, Duration::ZERO).await;
    let env = [
        ("SQSD_QUEUE_REGION", "us-east-1"),
        ("SQSD_QUEUE_URL", queue.as_str()),
        ("SQSD_HTTP_URL", endpoint.url.as_str()),
        ("SQSD_HTTP_TIMEOUT", "15"),
        ("SQSD_QUEUE_WAIT_TIME", "1"),
        ("SQSD_QUEUE_MAX_MSGS", "10"),
    ];
    let mut bridge = Queuepost::start(&["run", "--admin-listen", "127.0.0.1:0"], &env);
    let told = bridge.until_line("variables of sqsd programs are read").await;
    assert!(told.contains("SQSD_HTTP_TIMEOUT as timeout in seconds"), "{told}");
    queues.until_empty("orders").await;
    let (headers, _) = endpoint.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(headers["user-agent"], "aws-sqsd/3.0.4");
    assert_eq!(headers["x-aws-sqsd-queue"], "orders");
    assert_eq!(headers["x-aws-sqsd-attr-tenant"], "a");
    assert!(headers.contains_key("x-aws-sqsd-sender-id"), "{headers:?}");
    assert!(!headers.keys().any(|name| name.as_str().starts_with("x-queuepost")), "{headers:?}");
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}

#[tokio::test]
async fn the_first_204_that_is_no_success_is_told_once_and_loudly_with_the_line_to_add() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", "1");
    queues.send("orders", "2");
    let endpoint = HttpEndpoint::start(204, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    let line = bridge.until_line("answered 204").await;
    assert!(line.contains(r#""level":"ERROR""#) && line.contains("add the line `success: 2xx`"), "{line}");
    let seen = super::process::until(|| (endpoint.seen.count() >= 2).then_some(())).await;
    assert!(seen.is_some(), "both were posted");
    let ended = bridge.stop().await;
    let loud = ended.output.lines().filter(|line| line.contains(r#""level":"ERROR""#)).count();
    assert_eq!(loud, 1, "{}", ended.output);
}

#[tokio::test]
async fn an_algorithm_with_a_key_of_a_variable_gets_the_three_content_types() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("jobs", 10);
    queues.send("jobs", r#"{"a":1}"#);
    queues.send("jobs", "text");
    queues.send_with("jobs", "AP8=", &[("Content-Encoding", "base64")]);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let base = endpoint.url.trim_end_matches("/work").to_owned();
    let args = [
        "run",
        "--admin-listen",
        "127.0.0.1:0",
        "--queue",
        &queue,
        "--url",
        &base,
        "--algorithm",
        "demo/Hello",
    ];
    let args: Vec<&str> = args.into_iter().chain(["--receive-wait", "1s"]).collect();
    let mut bridge = Queuepost::start(&args, &[("QUEUEPOST_ALGORITHM_KEY", "simKEY")]);
    queues.until_empty("jobs").await;
    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    for (headers, body) in endpoint.seen.requests.lock().unwrap().iter() {
        assert_eq!(headers["authorization"], "Simple simKEY");
        seen.push((headers["content-type"].to_str().unwrap().to_owned(), body.to_vec()));
    }
    seen.sort();
    let expected = [
        ("application/json".to_owned(), br#"{"a":1}"#.to_vec()),
        ("application/octet-stream".to_owned(), vec![0, 255]),
        ("application/text".to_owned(), b"text".to_vec()),
    ];
    assert_eq!(seen, expected);
    let ended = bridge.stop().await;
    assert!(ended.code == Some(0) && !ended.output.contains("simKEY"), "{}", ended.output);
}

#[tokio::test]
async fn the_visibility_timeout_is_how_long_a_receive_hides_a_message() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", "{}");
    let endpoint = HttpEndpoint::start(200, Duration::from_secs(600)).await;
    // Without the preset it were the time-out and 30 s.
    let more = ["--preset", "sqsd", "--timeout", "2s"];
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &more).await;
    let hidden = super::process::until(|| queues.hidden_for("orders").first().copied()).await;
    assert!(hidden.is_some_and(|seconds| seconds > 100.0 && seconds <= 300.0), "{hidden:?}");
    bridge.until_line("deferred for 2 s").await;
    bridge.kill().await;
}
