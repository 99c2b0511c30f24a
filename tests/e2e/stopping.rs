//! SIGTERM, a second signal, kill -9.

use std::time::Duration;

use super::process::{Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};

#[tokio::test]
async fn sigterm_under_load_duplicates_nothing_and_leaves_nothing_in_flight() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for number in 0..5_000 {
        queues.send("orders", &format!("m-{number}"));
    }
    let endpoint = HttpEndpoint::start(200, Duration::from_millis(20)).await;
    for stop_at in [100, 700, 1_500] {
        let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--workers", "32"]).await;
        assert!(until(|| (endpoint.seen.count() >= stop_at).then_some(())).await.is_some());
        let ended = bridge.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        let (visible, in_flight, dead) = queues.census("orders");
        assert_eq!((in_flight, dead), (0, 0), "{}", ended.output);
        assert_eq!(endpoint.seen.count() + visible, 5_000);
    }
    assert_eq!(endpoint.seen.bodies().len(), endpoint.seen.count(), "nothing came twice");
}

#[tokio::test]
async fn kill_minus_nine_at_any_moment_loses_nothing() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 1_000);
    for number in 0..1_000 {
        queues.send("orders", &format!("m-{number}"));
    }
    let endpoint = HttpEndpoint::start(200, Duration::from_millis(10)).await;
    // A timeout of 100 ms leases for 31 s; then the queue hands out the messages of a killed process.
    for kill_at in [1, 60, 333] {
        let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--timeout", "100ms"]).await;
        assert!(until(|| (endpoint.seen.count() >= kill_at).then_some(())).await.is_some());
        bridge.kill().await;
        let (visible, in_flight, dead) = queues.census("orders");
        assert_eq!(dead, 0);
        let deleted = 1_000 - visible - in_flight;
        assert!(deleted <= endpoint.seen.bodies().len(), "nothing is deleted that was not accepted");
    }
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--timeout", "100ms"]).await;
    queues.until_empty("orders").await;
    assert_eq!(endpoint.seen.bodies().len(), 1_000);
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_second_signal_cuts_off_what_runs_and_hides_it() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", "x");
    let endpoint = HttpEndpoint::start(200, Duration::from_secs(3_600)).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--workers", "1"]).await;
    let running = || (endpoint.seen.most_running() == 1).then_some(());
    assert!(until(running).await.is_some());
    bridge.signal("TERM");
    let line = bridge.until_line("draining").await;
    let words =
        "draining: 1 POST still runs; a second signal (Ctrl-C once more) cuts off what runs at that time";
    assert!(line.contains(words) && line.contains(r#""posts":1"#), "{line}");
    assert_eq!(bridge.admin("/readyz").await.0, 503);
    assert_eq!(bridge.admin("/livez").await.0, 200);
    bridge.signal("INT");
    let ended = bridge.ended().await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    let (visible, in_flight, _) = queues.census("orders");
    assert_eq!((visible, in_flight), (0, 1), "its outcome is unknown: never visible at once");
}
