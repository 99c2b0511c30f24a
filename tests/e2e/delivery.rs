//! Deliveries: every message arrives once, with body and headers, within the caps.

use std::time::Duration;

use super::process::Queuepost;
use super::servers::{HttpEndpoint, QueueServer};

#[tokio::test]
async fn messages_move_once_each_within_the_cap_and_in_batches() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for number in 0..3_000 {
        queues.send("orders", &format!("m-{number}"));
    }
    let endpoint = HttpEndpoint::start(200, Duration::from_millis(5)).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--workers", "32"]).await;
    queues.until_empty("orders").await;
    let bodies = endpoint.seen.bodies();
    assert_eq!((bodies.len(), endpoint.seen.count()), (3_000, 3_000));
    assert!(endpoint.seen.most_running() <= 32, "{} at once", endpoint.seen.most_running());
    let calls = bridge.metric("sqs_requests_total", "").await;
    assert!(calls / 3_000.0 <= 0.25, "{calls} SQS calls for 3,000 messages");
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}

#[tokio::test]
async fn a_message_arrives_with_its_body_and_its_headers() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let big = "x".repeat(1_048_576 - 200);
    queues.send_with("orders", &big, &[("note", "line one\r\nline two 🦀"), ("tenant", "a")]);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    queues.until_empty("orders").await;
    let (headers, body) = endpoint.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(body, big.as_bytes());
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(header("x-queuepost-queue"), "orders");
    assert_eq!(header("x-queuepost-listener"), "orders");
    assert_eq!(header("x-queuepost-receive-count"), "1");
    assert_eq!(header("x-queuepost-attr-note"), "line one%0D%0Aline two %F0%9F%A6%80");
    assert_eq!(header("x-queuepost-attr-note-encoding"), "percent");
    assert_eq!(header("x-queuepost-attr-tenant"), "a");
    assert_eq!(header("idempotency-key"), header("x-queuepost-message-id"));
    assert_eq!(header("user-agent"), concat!("queuepost/", env!("CARGO_PKG_VERSION")));
    assert!(header("x-queuepost-sent-at").ends_with('Z'));
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn an_algorithm_is_called_by_its_path_with_its_key() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("jobs", 10);
    queues.send("jobs", "hello");
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let folder = tempfile("algorithm-auth", "Authorization: Simple sim1234\n");
    let base = endpoint.url.trim_end_matches("/work").to_owned();
    let more = ["--algorithm", "demo/Hello/0.1.3", "--auth-header-file", &folder];
    let mut bridge = Queuepost::run(&queue, &base, &more).await;
    queues.until_empty("jobs").await;
    let (headers, body) = endpoint.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(body, "hello");
    assert_eq!(headers["authorization"], "Simple sim1234");
    assert_eq!(headers["content-type"], "application/text");
    let ended = bridge.stop().await;
    assert!(!ended.output.contains("sim1234"), "{}", ended.output);
}

#[tokio::test]
async fn a_429_hides_the_message_for_the_throttle_delay_and_max_receives_dead_letters_it() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 2);
    let endpoint = HttpEndpoint::start(429, Duration::ZERO).await;
    queues.send("orders", "x");
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    bridge.until_line("parked for 300 s").await;
    let hidden = super::process::until(|| {
        queues.hidden_for("orders").first().copied().filter(|seconds| *seconds > 200.0)
    });
    let hidden = hidden.await.unwrap_or_else(|| panic!("{:?}", queues.hidden_for("orders")));
    assert!((299.0 - 60.0..=300.0).contains(&hidden), "{hidden}");
    assert_eq!(bridge.stop().await.code, Some(0));

    let queue = queues.queue("short", 2);
    queues.send("short", "y");
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--throttle-delay", "1s"]).await;
    queues.until_empty("short").await;
    assert_eq!(queues.census("short").2, 1);
    assert_eq!(endpoint.seen.bodies()["y"], 2);
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_message_a_row_dead_lettered_moves_back_with_the_command_that_check_prints() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", "x");
    let endpoint = HttpEndpoint::start(422, Duration::ZERO).await;
    let config = format!(
        "listeners:\n  - name: orders\n    queue: '{queue}'\n    url: {}\n    timeout: 10s\n    \
         on_response: [{{status: 422, action: dead_letter}}]\nadmin: {{listen: 127.0.0.1:0}}\nlog: {{format: json}}\n",
        endpoint.url
    );
    let config = tempfile("dead-letter-row.yaml", &config);
    let checked = Queuepost::start(&["check", "--config", &config], &[]).ended().await;
    let command = checked.output.lines().find_map(|line| line.split_once("queuepost redrive "));
    let (_, arguments) = command.unwrap_or_else(|| panic!("no command in {}", checked.output));
    let words: Vec<&str> = std::iter::once("redrive").chain(arguments.split_whitespace()).collect();

    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    bridge.until_line("sent to the dead-letter queue").await;
    queues.until_empty("orders").await;
    assert_eq!(bridge.stop().await.code, Some(0));
    assert_eq!(queues.census("orders"), (0, 0, 1));
    let moved = Queuepost::start(&words, &[]).ended().await;
    assert_eq!(moved.code, Some(0), "{}", moved.output);
    assert_eq!(queues.census("orders"), (1, 0, 0));
}

/// A file for one test; its path.
fn tempfile(name: &str, content: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("{name}-{}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}
