//! SQS in trouble, over real connections: each failure is told for what it is, and over when it is over.

use std::ops::RangeInclusive;
use std::time::Duration;

use queuepost::localqueue::{FaultPlan, FaultRates, Operation};

use super::door::{Door, Said, refusal};
use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

/// What goes wrong.
enum Trouble {
    /// Somebody answers so in SQS's place.
    Says(Said),
    /// Connections and answers suffer.
    Suffers(FaultRates),
}

/// A trouble, its class in the log, its kind in the metric, and whether the listener is faulted.
type Row = (Trouble, &'static str, &'static str, bool);

fn says(status: u16, code: &str, reason: &'static str, result: &'static str, faulted: bool) -> Row {
    (Trouble::Says(refusal(status, code, "no")), reason, result, faulted)
}

fn suffers(rates: FaultRates, reason: &'static str, result: &'static str) -> Row {
    (Trouble::Suffers(rates), reason, result, false)
}

impl Queuepost {
    /// Waits until a metric is in a range.
    async fn until_metric(&self, name: &str, labels: &str, range: RangeInclusive<f64>) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = self.metric(name, labels).await;
            if range.contains(&now) {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{name} {labels} is {now}:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Lives through one trouble after the other on the queue `orders`, called `queue` by the bridge.
async fn live_through(queues: &QueueServer, door: &Door, queue: &str, rows: Vec<Row>) {
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let workers = ["--workers", "1", "--timeout", "1s"];
    let mut bridge = Queuepost::run(queue, &endpoint.url, &workers).await;
    bridge.until_line("listening").await;
    for (number, (trouble, reason, result, faulted)) in rows.into_iter().enumerate() {
        let labels = format!(r#"operation="ReceiveMessage",result="{result}""#);
        let before = bridge.metric("sqs_requests_total", &labels).await;
        match trouble {
            Trouble::Says(said) => door.says(Some(said)),
            Trouble::Suffers(rates) => {
                let rates = Operation::ALL.into_iter().map(|operation| (operation, rates.clone())).collect();
                queues.faults.start(FaultPlan { seed: 1, rates });
            }
        }
        bridge.until_metric("sqs_requests_total", &labels, before + 2.0..=f64::MAX).await;
        bridge.until_line(&format!(r#""reason":"{reason}""#)).await;
        let gauge = bridge.metric("listener_faulted", "").await;
        assert_eq!(gauge > 0.5, faulted, "{reason}:\n{}", bridge.output());
        assert_eq!(bridge.admin("/livez").await.0, 200, "{reason}");
        door.says(None);
        queues.faults.start(FaultPlan::default());
        queues.send("orders", &format!("after {reason}"));
        queues.until_empty("orders").await;
        bridge.until_metric("listener_faulted", "", 0.0..=0.0).await;
        assert_eq!(endpoint.seen.count(), number + 1, "{reason}");
    }
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn every_refusal_of_sqs_is_told_for_what_it_is_and_over_when_it_is_over() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 100);
    let door = Door::before(&queues, "orders").await;
    let rows = vec![
        says(400, "RequestThrottled", "sqs_throttled", "throttled", false),
        says(400, "KmsThrottled", "kms_throttled", "throttled", false),
        says(403, "OverLimit", "over_limit", "over_limit", false),
        says(503, "ServiceUnavailable", "sqs_failed", "server", false),
        (Trouble::Says((502, "<html>".to_owned())), "sqs_failed", "server", false),
        (Trouble::Says((200, "<html>".to_owned())), "not_sqs", "network", false),
        says(400, "KmsAccessDenied", "kms_denied", "denied", true),
        says(403, "AccessDeniedException", "access_denied", "denied", true),
        says(400, "QueueDoesNotExist", "queue_missing", "missing", true),
        says(403, "RequestExpired", "clock_skew", "credentials", true),
        says(403, "InvalidClientTokenId", "unknown_key", "credentials", true),
    ];
    live_through(&queues, &door, &door.url, rows).await;
}

#[tokio::test]
async fn resets_lost_and_late_answers_are_told_for_what_they_are_and_over_when_they_are_over() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 100);
    let door = Door::before(&queues, "orders").await;
    let none = FaultRates::default;
    let rows = vec![
        suffers(FaultRates { reset: 1.0, ..none() }, "sqs_connection", "network"),
        suffers(FaultRates { lost_answer: 1.0, ..none() }, "sqs_connection", "network"),
        // Longer than a receive of 1 s is waited for.
        suffers(
            FaultRates { slow: 1.0, slow_millis: Some(60_000..=60_000), ..none() },
            "sqs_timed_out",
            "timed_out",
        ),
    ];
    live_through(&queues, &door, &queue, rows).await;
}
