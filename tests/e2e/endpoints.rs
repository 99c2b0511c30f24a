//! Endpoints that refuse, reset, hang or answer nonsense: nothing is lost, and the outcome is named.

use std::time::Duration;

use tokio::net::TcpListener;

use super::process::Queuepost;
use super::servers::{Bad, BadEndpoint, HttpEndpoint, QueueServer};

/// An endpoint that misbehaves once and then works: one failed attempt with this outcome, then a success.
async fn survives(bad: Bad, outcome: &str) {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", "x");
    let endpoint = BadEndpoint::start(bad).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--timeout", "300ms"]).await;
    bridge.until_line(&format!(r#""outcome":"{outcome}""#)).await;
    endpoint.be_good();
    queues.until_empty("orders").await;
    assert!(bridge.metric("deliveries_total", &format!("outcome=\"{outcome}\"")).await >= 1.0);
    assert!((bridge.metric("deliveries_total", r#"outcome="success""#).await - 1.0).abs() < f64::EPSILON);
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}

#[tokio::test]
async fn an_endpoint_that_closes_the_connection_is_survived() {
    survives(Bad::Closes, "broken").await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_survived() {
    survives(Bad::Hangs, "timed_out").await;
}

#[tokio::test]
async fn an_endpoint_that_answers_garbage_is_survived() {
    survives(Bad::Garbage, "broken").await;
}

#[tokio::test]
async fn an_endpoint_that_never_ends_its_answer_is_survived_and_the_200_does_not_count() {
    survives(Bad::Endless, "timed_out").await;
}

#[tokio::test]
async fn a_refusing_endpoint_costs_one_receive_until_it_is_there() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 2);
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    queues.send("orders", "x");
    let mut bridge = Queuepost::run(&queue, &format!("http://{address}/work"), &[]).await;
    bridge.until_line(r#""outcome":"unsent""#).await;
    let endpoint = HttpEndpoint::on(TcpListener::bind(address).await.unwrap(), 200, Duration::ZERO);
    queues.until_empty("orders").await;
    let (headers, _) = endpoint.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(headers["x-queuepost-receive-count"], "1");
    assert_eq!(queues.census("orders"), (0, 0, 0));
    assert_eq!(bridge.stop().await.code, Some(0));
}
