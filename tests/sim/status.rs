//! What a listener's status says while something is wrong: that it is, since when, and why.

use std::sync::Arc;
use std::time::Duration;

use queuepost::limit::GateState;
use queuepost::pipeline::{Preflight, Status};
use queuepost::ports::{Operation, QueueReason};

use super::endpoint::Scripted;
use super::house::{House, limits, settings};
use super::troubled::{How, Troubled};

const MINUTE: Duration = Duration::from_secs(60);

fn status(house: &House, name: &str) -> Status {
    house.statuses().into_iter().find(|status| status.name == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_listener_whose_deliveries_all_fail_for_a_minute_says_so_and_counts_them() {
    let mut house = House::new(80);
    house.world.queue("orders", 2);
    let endpoint = Scripted::always(400, 20);
    house.listen(settings("orders", 4), &endpoint, &limits(4));
    for number in 0..8 {
        house.world.send("orders", &number.to_string());
    }
    tokio::time::sleep(MINUTE / 2).await;
    assert_eq!(status(&house, "orders").trouble, None, "it is too early to tell");
    tokio::time::sleep(MINUTE).await;
    let seen = status(&house, "orders");
    let why = seen.trouble.unwrap();
    assert!(why.contains("no delivery has succeeded for ") && why.contains("answered 400"), "{why}");
    assert_eq!((seen.totals.received, seen.totals.deferred), (16, 16));
    assert_eq!((seen.failures.deliveries, seen.failures.final_receives), (16, 8));
    tokio::time::sleep(Duration::from_millis(30_500)).await;
    let depths = status(&house, "orders").depth.unwrap();
    assert!(depths.age <= Duration::from_secs(30), "{depths:?}");
    let dead_letter = depths.dead_letter.unwrap();
    assert_eq!((&*dead_letter.name, dead_letter.depth.unwrap().visible), ("orders-dlq", 8));
    house.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_of_the_endpoint_shows_at_each_of_its_listeners() {
    let mut house = House::new(81);
    let limits = limits(4);
    let endpoint = Scripted::always(401, 20);
    for name in ["orders", "refunds"] {
        house.world.queue(name, 100);
        house.listen(settings(name, 4), &endpoint, &limits);
    }
    for number in 0..20 {
        house.world.send("orders", &number.to_string());
    }
    tokio::time::sleep(2 * MINUTE).await;
    for name in ["orders", "refunds"] {
        let seen = status(&house, name);
        assert_ne!(seen.endpoint_gate.state, GateState::Open, "{name}");
        assert_eq!(seen.gate.state, GateState::Open, "{name}");
        let why = seen.trouble.unwrap();
        assert!(why.starts_with("the endpoint's gate has not been open for "), "{name}: {why}");
    }
    house.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_unreachable_after_a_minute_without_sqs_and_well_with_its_first_answer() {
    for reason in [QueueReason::Connection, QueueReason::Dns, QueueReason::Server, QueueReason::Throttled] {
        let mut house = House::new(82);
        house.world.queue("orders", 10);
        let queue = Troubled::new(&house.world, "orders", 82);
        let endpoint = Scripted::always(200, 20);
        let health = house.listen_on(
            settings("orders", 4),
            Arc::clone(&queue) as _,
            Arc::clone(&endpoint) as _,
            &limits(4),
        );
        tokio::time::sleep(MINUTE).await;
        assert_eq!(health.preflight(), Preflight::Passed);
        queue.set(move |_| How::Refused(reason));
        // A long poll of 20 s was under way.
        tokio::time::sleep(MINUTE + Duration::from_secs(25)).await;
        let Preflight::Unreachable(why) = health.preflight() else { panic!("{:?}", health.preflight()) };
        assert!(why.starts_with("its queue could not be read for "), "{why}");
        assert_eq!(health.stuck(), None);
        queue.set(|_| How::Works);
        tokio::time::sleep(MINUTE).await;
        assert_eq!(health.preflight(), Preflight::Passed);
        house.stop(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_settlements_alone_fail_is_reachable() {
    let mut house = House::new(83);
    house.world.queue("orders", 10);
    let queue = Troubled::new(&house.world, "orders", 83);
    let endpoint = Scripted::always(200, 20);
    let health = house.listen_on(
        settings("orders", 4),
        Arc::clone(&queue) as _,
        Arc::clone(&endpoint) as _,
        &limits(4),
    );
    queue.set_for(Operation::Delete, How::Refused(QueueReason::Server));
    house.world.send("orders", "x");
    tokio::time::sleep(3 * MINUTE).await;
    assert_eq!(health.preflight(), Preflight::Passed);
    queue.set(|_| How::Works);
    house.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_with_nothing_behind_it_is_no_trouble_for_ever() {
    let mut house = House::new(88);
    house.world.queue("orders", 2);
    let endpoint = Scripted::always(503, 20);
    house.listen(settings("orders", 4), &endpoint, &limits(4));
    for number in 0..4 {
        house.world.send("orders", &number.to_string());
    }
    tokio::time::sleep(2 * MINUTE).await;
    assert!(status(&house, "orders").trouble.is_some());
    house.until_empty("orders", 600 * MINUTE).await;
    tokio::time::sleep(60 * MINUTE).await;
    let seen = status(&house, "orders");
    assert_ne!(seen.endpoint_gate.state, GateState::Open);
    assert_eq!(seen.trouble, None, "all messages have gone to the dead-letter queue");
    house.stop(MINUTE).await;
}
