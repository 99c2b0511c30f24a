//! SQS failures over real connections: each is named correctly, and the process recovers when it ends.

use std::ops::RangeInclusive;
use std::time::Duration;

use queuepost::localqueue::{FaultPlan, FaultRates, Operation};

use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};
use super::sqs_proxy::{CannedAnswer, SqsProxy, refusal};

/// One kind of failure.
enum Failure {
    /// The proxy answers so in SQS's place.
    Answer(CannedAnswer),
    /// Faults of connections and answers.
    Faults(FaultRates),
}

/// A failure, its class in the log, its kind in the metric, and whether the listener is faulted.
type Row = (Failure, &'static str, &'static str, bool);

fn refused(status: u16, code: &str, reason: &'static str, result: &'static str, faulted: bool) -> Row {
    (Failure::Answer(refusal(status, code, "no")), reason, result, faulted)
}

fn faulty(rates: FaultRates, reason: &'static str, result: &'static str) -> Row {
    (Failure::Faults(rates), reason, result, false)
}

impl Queuepost {
    /// Waits until a metric is within a range.
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

/// Runs one failure after the other on the queue `orders`, whose URL is `queue` for the bridge.
async fn run_through(queues: &QueueServer, sqs_proxy: &SqsProxy, queue: &str, rows: Vec<Row>) {
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let workers = ["--workers", "1", "--timeout", "1s"];
    let mut bridge = Queuepost::run(queue, &endpoint.url, &workers).await;
    bridge.until_line("listening").await;
    for (number, (failure, reason, result, faulted)) in rows.into_iter().enumerate() {
        let labels = format!(r#"operation="ReceiveMessage",result="{result}""#);
        let before = bridge.metric("sqs_requests_total", &labels).await;
        match failure {
            Failure::Answer(answer) => sqs_proxy.answer_with(Some(answer)),
            Failure::Faults(rates) => {
                let rates = Operation::ALL.into_iter().map(|operation| (operation, rates.clone())).collect();
                queues.faults.start(FaultPlan { seed: 1, rates });
            }
        }
        bridge.until_metric("sqs_requests_total", &labels, before + 2.0..=f64::MAX).await;
        bridge.until_line(&format!(r#""reason":"{reason}""#)).await;
        let gauge = bridge.metric("listener_faulted", "").await;
        assert_eq!(gauge > 0.5, faulted, "{reason}:\n{}", bridge.output());
        assert_eq!(bridge.admin("/livez").await.0, 200, "{reason}");
        sqs_proxy.answer_with(None);
        queues.faults.start(FaultPlan::default());
        queues.send("orders", &format!("after {reason}"));
        queues.until_empty("orders").await;
        bridge.until_metric("listener_faulted", "", 0.0..=0.0).await;
        assert_eq!(endpoint.seen.count(), number + 1, "{reason}");
    }
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn every_refusal_of_sqs_is_named_for_what_it_is_and_over_when_it_is_over() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 100);
    let sqs_proxy = SqsProxy::start(&queues, "orders").await;
    let rows = vec![
        refused(400, "RequestThrottled", "sqs_throttled", "throttled", false),
        refused(400, "KmsThrottled", "kms_throttled", "throttled", false),
        refused(403, "OverLimit", "over_limit", "over_limit", false),
        refused(503, "ServiceUnavailable", "sqs_failed", "server", false),
        (Failure::Answer((502, "<html>".to_owned())), "sqs_failed", "server", false),
        (Failure::Answer((200, "<html>".to_owned())), "not_sqs", "network", false),
        refused(400, "KmsAccessDenied", "kms_denied", "denied", true),
        refused(403, "AccessDeniedException", "access_denied", "denied", true),
        refused(400, "QueueDoesNotExist", "queue_missing", "missing", true),
        refused(403, "RequestExpired", "clock_skew", "credentials", true),
        refused(403, "InvalidClientTokenId", "unknown_key", "credentials", true),
    ];
    run_through(&queues, &sqs_proxy, &sqs_proxy.url, rows).await;
}

#[tokio::test]
async fn resets_lost_and_late_answers_are_named_for_what_they_are_and_over_when_they_are_over() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 100);
    let sqs_proxy = SqsProxy::start(&queues, "orders").await;
    let none = FaultRates::default;
    let rows = vec![
        faulty(FaultRates { reset: 1.0, ..none() }, "sqs_connection", "network"),
        faulty(FaultRates { lost_answer: 1.0, ..none() }, "sqs_connection", "network"),
        // Longer than the timeout of a receive of 1 s.
        faulty(
            FaultRates { slow: 1.0, slow_millis: Some(60_000..=60_000), ..none() },
            "sqs_timed_out",
            "timed_out",
        ),
    ];
    run_through(&queues, &sqs_proxy, &queue, rows).await;
}
