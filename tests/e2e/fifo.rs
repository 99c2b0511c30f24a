//! A FIFO queue: order within groups, across processes that start and stop.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::process::{Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer, Seen};

/// Bodies in the order of their arrival, by the group in their header.
fn by_group(seen: &Seen) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (headers, body) in seen.requests.lock().unwrap().iter() {
        let group = headers["x-queuepost-message-group-id"].to_str().unwrap().to_owned();
        groups.entry(group).or_default().push(String::from_utf8(body.to_vec()).unwrap());
    }
    groups
}

fn sent(group: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{group}-{number}")).collect()
}

#[tokio::test]
async fn groups_come_in_order_while_processes_come_and_go() {
    let queues = QueueServer::start().await;
    let queue = queues.fifo("orders.fifo");
    for group in 0..20 {
        for body in sent(group, 20) {
            queues.send_to("orders.fifo", &group.to_string(), &body);
        }
    }
    let endpoint = HttpEndpoint::start(200, Duration::from_millis(20)).await;
    let mut stays = Queuepost::run(&queue, &endpoint.url, &[]).await;
    for stop_at in [50, 150, 250] {
        let mut goes = Queuepost::run(&queue, &endpoint.url, &[]).await;
        assert!(until(|| (endpoint.seen.count() >= stop_at).then_some(())).await.is_some());
        let ended = goes.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
    }
    queues.until_empty("orders.fifo").await;
    assert!(stays.metric("messages_abandoned_total", "").await < 0.5);
    assert_eq!(stays.stop().await.code, Some(0));
    for group in 0..20 {
        assert_eq!(by_group(&endpoint.seen)[&group.to_string()], sent(group, 20));
    }
    assert!(endpoint.seen.most_running() > 4, "groups run side by side");
}

#[tokio::test]
async fn a_throttled_head_keeps_its_group_waiting_and_no_other() {
    let queues = QueueServer::start().await;
    let queue = queues.fifo("orders.fifo");
    let endpoint = HttpEndpoint::start(429, Duration::from_millis(20)).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--throttle-delay", "2s"]).await;
    queues.send_to("orders.fifo", "0", "0-0");
    assert!(until(|| (endpoint.seen.count() == 1).then_some(())).await.is_some());
    endpoint.seen.status.store(200, Ordering::SeqCst);
    for (group, body) in [(0, "0-1"), (0, "0-2"), (1, "1-0")] {
        queues.send_to("orders.fifo", &group.to_string(), body);
    }
    queues.until_empty("orders.fifo").await;
    assert_eq!(bridge.stop().await.code, Some(0));
    let groups = by_group(&endpoint.seen);
    assert_eq!(groups["0"], ["0-0", "0-0", "0-1", "0-2"]);
    let all: Vec<_> = endpoint.seen.requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert_eq!((&all[0][..], &all[1][..]), (&b"0-0"[..], &b"1-0"[..]), "the other group did not wait");
}
