//! Drains: at any moment every message is deleted, visible, in flight or dead-lettered.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use queuepost::ports::{Operation, QueueReason};
use tokio::time::Instant;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, refused};
use super::scripted_queue::{CallBehaviour, ScriptedQueue};
use super::simulated_queue::Faults;

const DEADLINE: Duration = Duration::from_secs(25);

#[tokio::test(start_paused = true)]
async fn a_drain_gives_back_what_was_never_attempted_and_finishes_what_runs() {
    let mut process = SimProcess::new(40);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 10_000);
    // Eight workers, three sessions: a message may wait in flight here when the drain begins.
    process.listen(settings("orders", 8), &endpoint, &limits(3));
    for number in 0..30 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(process.stop(DEADLINE).await);
    let census = process.census("orders");
    assert_eq!(census.in_flight, 0, "{census:?}");
    assert_eq!(endpoint.accepted().len() + census.visible, 30);
    assert_eq!(endpoint.running(), 0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_drain_awaits_the_receive_under_way_and_gives_back_what_it_brings() {
    let mut process = SimProcess::new(41);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 10);
    process.listen(settings("orders", 8), &endpoint, &limits(8));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let world = process.world.clone();
    let late = async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.send("orders", "late");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        clean = process.stop(DEADLINE) => assert!(clean),
        () = late => {}
    }
    assert_eq!(process.census("orders").visible, 1);
    assert_eq!(endpoint.posts().len(), 0);
    assert!((process.metric("messages_released_total", r#"reason="drain""#) - 1.0).abs() < f64::EPSILON);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_what_runs_is_cut_off_and_deferred_never_made_visible() {
    let mut process = SimProcess::new(42);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 600_000);
    let mut slow = settings("orders", 4);
    slow.timeout = Duration::from_secs(900);
    process.listen(slow, &endpoint, &limits(4));
    for number in 0..4 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(!process.stop(DEADLINE).await, "the deadline cuts the deliveries off");
    let census = process.census("orders");
    assert_eq!((census.visible, census.in_flight), (0, 4));
    assert!((process.metric("messages_deferred_total", r#"reason="aborted""#) - 4.0).abs() < f64::EPSILON);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_held_message_is_given_back_at_once_in_a_drain() {
    let mut process = SimProcess::new(43);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|_, _| (Duration::ZERO, refused()));
    process.listen(settings("orders", 2), &endpoint, &limits(2));
    process.world.send("orders", "x");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(process.stop(DEADLINE).await);
    let census = process.census("orders");
    assert_eq!((census.visible, census.in_flight), (1, 0));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_instant_of_the_deadline_counts() {
    let mut process = SimProcess::new(44);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 40_000);
    process.listen(settings("orders", 1), &endpoint, &limits(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.world.send("orders", "x");
    tokio::time::sleep(Duration::from_secs(15)).await;
    process.stop(DEADLINE).await;
    assert_eq!(endpoint.accepted(), ["x"]);
    assert!((process.metric("messages_deleted_total", "") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_look_at_the_queue() {
    let mut process = SimProcess::new(45);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let queue = ScriptedQueue::new(&process.world, "orders", 45);
    process.listen_on(settings("orders", 4), Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(4));
    tokio::time::sleep(Duration::from_secs(20)).await;
    queue.set_for(Operation::Attributes, CallBehaviour::Slow(Duration::from_secs(27), Duration::ZERO));
    // The attribute call of the 30th second is running.
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(process.stop(Duration::from_secs(15)).await, "nothing is in flight here");
    process.assert_balanced();
}

/// One message that waits for a session behind another. Its process is drained while SQS carries out changes
/// and answers none.
#[tokio::test(start_paused = true)]
async fn a_release_without_an_answer_is_not_sent_again_to_a_message_that_somebody_else_may_have() {
    let mut process = SimProcess::new(46);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 40_000);
    let queue = ScriptedQueue::new(&process.world, "orders", 46);
    process.listen_on(
        settings("orders", 10),
        Arc::clone(&queue) as _,
        Arc::clone(&endpoint) as _,
        &limits(5),
    );
    for number in 0..6 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((endpoint.running(), process.census("orders").in_flight), (5, 6), "one waits for a session");
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::NoAnswer);
    let mut other = SimProcess::in_world(&process.world, 47);
    other.listen(settings("orders", 10), &endpoint, &limits(10));
    let began = Instant::now();
    assert!(process.stop(Duration::from_secs(60)).await);
    assert_eq!(queue.calls(Operation::ChangeVisibility, began).len(), 1);
    assert_eq!(process.count("messages_abandoned_total", ""), 1, "whether it was released is not known");
    other.until_empty("orders", Duration::from_secs(120)).await;
    other.stop(DEADLINE).await;
    assert_eq!(endpoint.posts().len(), 6);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_lease_is_over_is_not_released_for_somebody_else_may_have_it() {
    let mut process = SimProcess::new(48);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 150_000);
    let queue = ScriptedQueue::new(&process.world, "orders", 48);
    process.listen_on(
        settings("orders", 10),
        Arc::clone(&queue) as _,
        Arc::clone(&endpoint) as _,
        &limits(5),
    );
    for number in 0..6 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(endpoint.running(), 5, "one waits for a session");
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::Refused(QueueReason::Server));
    tokio::time::sleep(Duration::from_secs(100)).await;
    queue.set(|_| CallBehaviour::Works);
    assert!(process.stop(Duration::from_secs(120)).await);
    let count = |name| process.count(name, "");
    assert_eq!((count("messages_released_total"), count("messages_abandoned_total")), (0, 1));
    assert_eq!((count("messages_deleted_total"), endpoint.posts().len()), (5, 5));
    process.assert_balanced();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_drain_at_any_moment_loses_nothing(
        seed in 0_u64..1_000_000,
        stop_after_ms in 0_u64..40_000,
        workers in 1_usize..40,
        sessions in 1_usize..40,
        faulty in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut process = SimProcess::new(seed);
            process.world.queue("orders", 4);
            let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
            let endpoint = ScriptedEndpoint::new(move |_, _| {
                let mut random = random.lock().unwrap();
                let statuses = [200, 200, 200, 429, 500, 503, 404, 400, 204];
                let status = statuses[random.usize(..statuses.len())];
                (Duration::from_millis(random.u64(1..8_000)), answer(status))
            });
            let mut own = settings("orders", workers);
            own.policy.throttle_delay = Duration::from_secs(5);
            let (queue, _) = process.listen(own, &endpoint, &limits(sessions));
            if faulty {
                queue.set_faults(Faults {
                    throttled: 0.05,
                    answer_lost: 0.0,
                    entry_failed: 0.1,
                    latency: Duration::from_millis(300),
                    ..Faults::default()
                });
            }
            for number in 0..60 {
                process.world.send("orders", &format!("m-{number}"));
            }
            tokio::time::sleep(Duration::from_millis(stop_after_ms)).await;
            let clean = process.stop(DEADLINE).await;
            let census = process.census("orders");
            let deleted = process.metric("messages_deleted_total", "") as usize;
            assert_eq!(census.visible + census.in_flight + census.dead + deleted, 60, "{census:?}");
            assert_eq!(endpoint.running(), 0);
            assert!(clean, "deliveries of up to 8 s end within the deadline");
            let accepted = endpoint.accepted().len();
            assert!(deleted <= accepted);
            process.assert_balanced();
            assert!(process.metric("messages_in_progress", "").abs() < f64::EPSILON);
        });
    }
}
