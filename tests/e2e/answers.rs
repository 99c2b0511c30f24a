//! What is shown of an endpoint's answers, and that `record_answers: false` shows nothing of them anywhere.

use std::net::TcpListener as StdListener;

use axum::Router;
use axum::http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::process::Queuepost;
use super::servers::QueueServer;

/// What the endpoint answers to every message.
const WORDS: &str = "account of Hopper is overdrawn";

/// Refuses every message in the same words; its address.
fn refusing(server: &mut JoinSet<()>) -> String {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/work", listener.local_addr().unwrap());
    let router = Router::new().fallback(|body: String| async move {
        let status =
            if body == "letter" { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        (status, WORDS)
    });
    let listener = TcpListener::from_std(listener).unwrap();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// Log, status and dead-letter copy after one message was deferred and one was sent to the dead-letter queue.
async fn shown(name: &str, more: &str) -> [String; 3] {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let mut server = JoinSet::new();
    let url = refusing(&mut server);
    let config = format!(
        "listeners:\n  - name: orders\n    queue: '{queue}'\n    url: {url}\n    timeout: 10s\n{more}    \
         on_response: [{{status: 422, action: dead_letter}}]\nadmin: {{listen: 127.0.0.1:0}}\nlog: {{format: json, level: debug}}\n"
    );
    let path =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.yaml", std::process::id()));
    std::fs::write(&path, config).unwrap();
    let mut bridge = Queuepost::start(&["run", "--config", path.to_str().unwrap()], &[]);
    bridge.find_admin().await;
    queues.send("orders", "letter");
    queues.send("orders", "order");
    bridge.until_line("sent to the dead-letter queue").await;
    bridge.until_line("deferred for").await;
    let copied = super::process::until(|| (queues.census("orders").2 == 1).then_some(())).await;
    assert!(copied.is_some(), "no copy: {}", bridge.output());
    let (code, status) = bridge.admin("/api/v1/status").await;
    assert_eq!(code, 200);
    let ended = bridge.stop().await;
    let letters = Queuepost::start(&["receive", "--queue", &queues.url("orders-dlq")], &[]).ended().await;
    assert!(letters.output.contains("queuepost.reason"), "{}", letters.output);
    [ended.output, status, letters.output]
}

#[tokio::test]
async fn an_answer_is_shown_in_log_status_and_dead_letter_copy_and_where_that_is_switched_off_in_none() {
    let recorded = shown("answers-recorded", "").await;
    assert_eq!(recorded.each_ref().map(|text| text.contains(WORDS)), [true; 3], "{recorded:?}");
    let silent = shown("answers-silent", "    record_answers: false\n").await;
    for text in &silent {
        assert!(!text.contains("Hopper") && !text.contains("overdrawn"), "{text}");
    }
    let status: Value = serde_json::from_str(&silent[1]).unwrap();
    let failures = status.pointer("/listeners/0/recent_failures").and_then(Value::as_array).unwrap();
    let statuses: Vec<_> = failures.iter().filter_map(|each| each["status"].as_u64()).collect();
    assert!(statuses.contains(&422) && statuses.contains(&400), "{status:#}");
}
