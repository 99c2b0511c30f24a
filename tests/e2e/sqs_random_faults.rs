//! Random faults of SQS over real connections: throttling, failed entries, lost answers.

use std::collections::BTreeMap;
use std::time::Duration;

use queuepost::localqueue::{BrokerError, FaultPlan, FaultRates, Operation};

use super::process::Queuepost;
use super::servers::{HttpEndpoint, QueueServer};

#[tokio::test]
async fn throttling_failed_entries_and_lost_answers_lose_and_duplicate_nothing() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 1_000);
    for number in 0..2_000 {
        queues.send("orders", &format!("m-{number}"));
    }
    let rates = FaultRates {
        refuse: vec![(0.02, BrokerError::RequestThrottled)],
        failed_entry: 0.05,
        lost_answer: 0.01,
        ..FaultRates::default()
    };
    let rates: BTreeMap<_, _> =
        Operation::ALL.into_iter().map(|operation| (operation, rates.clone())).collect();
    queues.faults.start(FaultPlan { seed: 11, rates });
    let endpoint = HttpEndpoint::start(200, Duration::from_millis(5)).await;
    // The messages of a lost receive answer become visible after the lease, 40 s for this timeout.
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--workers", "32", "--timeout", "10s"]).await;
    queues.until_empty("orders").await;
    assert!(queues.faults.injected() > 20, "only {} faults", queues.faults.injected());
    let bodies = endpoint.seen.bodies();
    assert_eq!(bodies.len(), 2_000, "everything is delivered");
    assert_eq!(endpoint.seen.count(), 2_000, "and nothing twice: {:?}", twice(&bodies));
    assert_eq!(queues.census("orders"), (0, 0, 0));
    assert_eq!(bridge.stop().await.code, Some(0));
}

fn twice(bodies: &BTreeMap<String, usize>) -> Vec<&String> {
    bodies.iter().filter(|(_, count)| **count > 1).map(|(body, _)| body).collect()
}
