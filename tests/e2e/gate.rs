//! The gate with the real binary: an endpoint that refuses closes it, the status says so, and a probe opens
//! it again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use queuepost::localqueue::{Receive, SendMessage};
use serde_json::Value;
use tokio::net::TcpSocket;

use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

impl Queuepost {
    /// Waits until the status has `wanted` at `pointer`; returns the whole status.
    async fn until_status(&self, pointer: &str, wanted: &str) -> Value {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (code, text) = self.admin("/api/v1/status").await;
            assert_eq!(code, 200);
            let status: Value = serde_json::from_str(&text).unwrap();
            if status.pointer(pointer).and_then(Value::as_str) == Some(wanted) {
                return status;
            }
            assert!(tokio::time::Instant::now() < end, "{pointer} is not {wanted:?} in {text}");
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
    bridge.until_status("/endpoints/0/gate/state", "open").await;
    assert!(bridge.metric("gate_closed_seconds_total", r#"reason="unauthorized""#).await > 0.0);
    assert!(bridge.metric("adaptive_limit", "").await >= 4.0);
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
