//! The gate with the real binary: an endpoint that refuses closes it, the status says so, and a probe opens
//! it again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use queuepost::localqueue::{Receive, SendMessage};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

impl Queuepost {
    /// Waits until the status has `wanted` at `pointer`; returns the whole status.
    async fn until_status(&self, pointer: &str, wanted: &str) -> Value {
        self.until_status_is(pointer, wanted, |value| value.as_str() == Some(wanted)).await
    }

    /// Waits until what the status has at `pointer` is as `wanted`; returns the whole status.
    async fn until_status_is(
        &self,
        pointer: &str,
        wanted: &str,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let (code, text) = self.admin("/api/v1/status").await;
            assert_eq!(code, 200);
            let status: Value = serde_json::from_str(&text).unwrap();
            if status.pointer(pointer).is_some_and(&is_wanted) {
                return status;
            }
            assert!(Instant::now() < end, "{pointer} is not {wanted} in {text}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_wrong_key_closes_the_gate_says_why_and_opens_when_it_is_right() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 5);
    let endpoint = HttpEndpoint::start(401, Duration::ZERO).await;
    for number in 0..20 {
        queues.send("orders", &format!("m-{number}"));
    }
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--workers", "4"]).await;
    let status = bridge.until_status("/endpoints/0/gate/reason", "unauthorized").await;
    assert_eq!(status["phase"], "running");
    assert_eq!(status["listeners"][0]["state"], "healthy");
    assert_eq!(status["listeners"][0]["gate"]["state"], "open");
    let words = status["endpoints"][0]["gate"]["words"].as_str().unwrap();
    assert!(words.contains("credentials"), "{words}");
    let line = bridge.until_line("gate closed").await;
    assert!(line.contains(r#""reason":"unauthorized""#) && line.contains(r#""level":"ERROR""#), "{line}");
    endpoint.seen.status.store(200, Ordering::SeqCst);
    bridge.until_line(r#""message":"gate open"#).await;
    let status = bridge.until_status("/endpoints/0/gate/state", "open").await;
    assert!(bridge.metric("gate_closed_seconds_total", r#"reason="unauthorized""#).await > 0.0);
    // A wrong key says nothing of capacity.
    let adaptive = &status["endpoints"][0]["adaptive"];
    assert_eq!((&adaptive["limited_by"], &adaptive["last_refusal"]), (&Value::Null, &Value::Null));
    assert!(bridge.metric("adaptive_limit", "").await >= 1.0);
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_dead_endpoint_costs_no_receives_and_is_found_when_it_is_back() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 2);
    // Bound and not listening: every connection is refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    for number in 0..40 {
        queues.send("orders", &format!("m-{number}"));
    }
    let url = format!("http://{address}/work");
    let mut bridge = Queuepost::run(&queue, &url, &["--workers", "4"]).await;
    bridge.until_status("/endpoints/0/gate/reason", "unreachable").await;
    bridge.until_line("gate still closed").await;
    let endpoint = HttpEndpoint::on(socket.listen(128).unwrap(), 200, Duration::ZERO);
    queues.until_empty("orders").await;
    assert!(endpoint.seen.bodies().values().all(|times| *times == 1));
    assert_eq!(endpoint.seen.count(), 40);
    assert!(bridge.metric("messages_received_total", r#"first="false""#).await.abs() < f64::EPSILON);
    assert_eq!(bridge.stop().await.code, Some(0));
}

/// An endpoint that takes five requests a second, and five at once after a pause; others get a 429.
async fn five_per_second() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/work", listener.local_addr().unwrap());
    let bucket = Arc::new(Mutex::new((5.0, Instant::now())));
    let take = move || {
        let mut bucket = bucket.lock().unwrap();
        let (tokens, since) = *bucket;
        let tokens = f64::min(tokens + 5.0 * since.elapsed().as_secs_f64(), 5.0);
        let is_taken = tokens >= 1.0;
        *bucket = (if is_taken { tokens - 1.0 } else { tokens }, Instant::now());
        std::future::ready(if is_taken { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS })
    };
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, Router::new().fallback(take)).await.unwrap() });
    (url, server)
}

#[tokio::test]
async fn a_rate_that_the_endpoint_limits_is_learned_and_shown_in_status_metric_and_log() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 1_000);
    let (url, _endpoint) = five_per_second().await;
    let mut bridge = Queuepost::run(&queue, &url, &["--throttle-delay", "5s"]).await;
    let status = bridge.until_status("/endpoints/0/gate/state", "open").await;
    let adaptive = &status["endpoints"][0]["adaptive"];
    assert_eq!((&adaptive["enabled"], &adaptive["rate"]), (&Value::Bool(true), &Value::Null), "{adaptive}");
    let (_, text) = bridge.admin("/metrics").await;
    assert!(text.contains("queuepost_adaptive_limit") && !text.contains("queuepost_adaptive_rate"), "{text}");
    for number in 0..1_000 {
        queues.send("orders", &format!("m-{number}"));
    }
    let line = bridge.until_line("/s: rate_limit: {per_second: ").await;
    assert!(line.contains(r#""level":"INFO""#) && line.contains(r#""limited_by":"rate""#), "{line}");
    assert!(line.contains(r#""reason":"throttled""#) && line.contains(r#""fix":"takes about "#), "{line}");
    let near_five = |adaptive: &Value| {
        adaptive["rate"].as_f64().is_some_and(|rate| (3.0..=7.0).contains(&rate))
            && adaptive["limited_by"] == "rate"
    };
    let status = bridge.until_status_is("/endpoints/0/adaptive", "a rate near five", near_five).await;
    let refusal = &status["endpoints"][0]["adaptive"]["last_refusal"];
    assert_eq!((&refusal["reason"], &refusal["retry_after_seconds"]), (&"throttled".into(), &Value::Null));
    let end = Instant::now() + PATIENCE;
    loop {
        let rate = bridge.metric("adaptive_rate", "endpoint=").await;
        if (3.0..=7.0).contains(&rate) {
            break;
        }
        assert!(Instant::now() < end, "{rate} is not near five");
    }
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn half_of_the_messages_that_may_be_in_flight_are_worth_a_warning() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.broker.with(|broker, now| {
        let receive = Receive { max_messages: 10, visibility_timeout: Some(3_600), ..Receive::default() };
        for number in 0..6_001 {
            for _ in 0..10 {
                let body = number.to_string();
                broker.send(now, "orders", SendMessage { body, ..SendMessage::default() }).unwrap();
            }
            broker.receive(now, "orders", &receive).unwrap();
        }
    });
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    let line = bridge.until_line("half of the messages that may be in flight are").await;
    assert!(line.contains(r#""in_flight":60010"#), "{line}");
    assert_eq!(bridge.stop().await.code, Some(0));
}
