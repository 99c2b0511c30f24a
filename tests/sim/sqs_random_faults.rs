//! Random faults of SQS: every message is delivered, none is lost, none is accepted twice without need.

use std::collections::BTreeMap;
use std::time::Duration;

use queuepost::pipeline::Preflight;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, refused};
use super::simulated_queue::{Deletes, Faults};

const MINUTE: Duration = Duration::from_secs(60);

fn some_faults() -> Faults {
    Faults {
        throttled: 0.02,
        answer_lost: 0.01,
        entry_failed: 0.05,
        latency: Duration::from_millis(50),
        ..Faults::default()
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_failed_entries_and_lost_answers_cost_nothing_but_time() {
    for seed in 0..10 {
        let mut process = SimProcess::new(seed);
        process.world.queue("orders", 1_000);
        let endpoint = ScriptedEndpoint::always(200, 20);
        let (queue, _) = process.listen(settings("orders", 32), &endpoint, &limits(32));
        queue.set_faults(some_faults());
        for number in 0..2_000 {
            process.world.send("orders", &format!("m-{number}"));
        }
        process.until_empty("orders", 60 * MINUTE).await;
        process.stop(MINUTE).await;
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for body in endpoint.accepted() {
            *times.entry(body).or_default() += 1;
        }
        assert_eq!(times.len(), 2_000, "seed {seed}: everything is delivered");
        let twice = times.values().filter(|count| **count > 1).count();
        // A lost answer of a delete is no reason: the delete is repeated and the id is remembered.
        assert_eq!(twice, 0, "seed {seed}: accepted twice");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_after_a_failed_delete_is_deleted_not_posted() {
    let mut process = SimProcess::new(50);
    process.world.queue("orders", 1_000);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    for number in 0..20 {
        process.world.send("orders", &format!("m-{number}"));
    }
    // No delete succeeds for longer than the lease lasts.
    queue.set_faults(Faults { entry_failed: 1.0, ..Faults::default() });
    tokio::time::sleep(3 * MINUTE).await;
    assert!(process.census("orders").visible + process.census("orders").in_flight == 20);
    queue.set_faults(Faults::default());
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(endpoint.posts().len(), 20);
    assert!(process.metric("duplicates_suppressed_total", "") >= 20.0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_sqs_ends_nothing_and_is_recovered_from_within_half_a_minute() {
    let mut process = SimProcess::new(51);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, health) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    tokio::time::sleep(MINUTE).await;
    queue.set_faults(Faults { throttled: 1.0, ..Faults::default() });
    tokio::time::sleep(30 * MINUTE).await;
    let calls = queue.receives.lock().unwrap().len();
    assert!(calls < 400, "{calls} receives in an outage of half an hour");
    assert_eq!(health.stuck(), None);
    queue.set_faults(Faults::default());
    process.world.send("orders", "x");
    process.until_empty("orders", Duration::from_secs(31)).await;
    process.stop(MINUTE).await;
    assert_eq!(endpoint.accepted(), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_queue_faults_its_listener_alone_until_it_exists() {
    let mut process = SimProcess::new(52);
    process.world.queue("there", 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (_, there) = process.listen(settings("there", 4), &endpoint, &limits(4));
    let (_, missing) = process.listen(settings("missing", 4), &endpoint, &limits(4));
    process.world.send("there", "x");
    process.until_empty("there", MINUTE).await;
    assert_eq!(there.preflight(), Preflight::Passed);
    let Preflight::Faulted(why) = missing.preflight() else { panic!("{:?}", missing.preflight()) };
    assert!(why.contains("does not exist"), "{why}");
    assert!((process.metric("listener_faulted", r#"listener="missing""#) - 1.0).abs() < f64::EPSILON);
    process.world.queue("missing", 10);
    process.world.send("missing", "y");
    process.until_empty("missing", MINUTE).await;
    assert_eq!(missing.preflight(), Preflight::Passed);
    assert!(process.metric("listener_faulted", "").abs() < f64::EPSILON);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_deleted_while_running_faults_its_listener_until_it_is_back() {
    let mut process = SimProcess::new(53);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (_, health) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    tokio::time::sleep(MINUTE).await;
    process.world.with(|broker, _| broker.delete_queue("orders")).unwrap();
    tokio::time::sleep(2 * MINUTE).await;
    assert!(matches!(health.preflight(), Preflight::Faulted(_)));
    process.world.with(|broker, now| broker.create_queue(now, "orders", &[].into())).unwrap();
    process.world.send("orders", "x");
    process.until_empty("orders", MINUTE).await;
    assert_eq!(health.preflight(), Preflight::Passed);
    process.stop(MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_trace() {
    async fn trace(seed: u64) -> Vec<super::scripted_endpoint::Post> {
        let mut process = SimProcess::new(seed);
        process.world.queue("orders", 5);
        let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
        let endpoint = ScriptedEndpoint::new(move |_, _| {
            let mut random = random.lock().unwrap();
            let status = [200, 429, 500, 503][random.usize(..4)];
            (Duration::from_millis(random.u64(1..5_000)), answer(status))
        });
        let (queue, _) = process.listen(settings("orders", 8), &endpoint, &limits(6));
        queue.set_faults(some_faults());
        for number in 0..100 {
            process.world.send("orders", &format!("m-{number}"));
        }
        tokio::time::sleep(20 * MINUTE).await;
        process.stop(MINUTE).await;
        endpoint.posts()
    }
    let (first, second, other) = (trace(60).await, trace(60).await, trace(61).await);
    assert_eq!(first, second);
    assert_ne!(first, other);
}

#[tokio::test(start_paused = true)]
async fn a_finished_message_stays_ours_while_its_delete_fails() {
    let mut process = SimProcess::new(54);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, health) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    queue.set_faults(Faults { deletes: Deletes::Denied, ..Faults::default() });
    for number in 0..4 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let Preflight::Faulted(why) = health.preflight() else { panic!("{:?}", health.preflight()) };
    assert!(why.contains("DeleteMessageBatch") && why.contains("denied"), "{why}");
    // Another process would receive them if their visibility ended.
    let mut other = SimProcess::in_world(&process.world, 55);
    other.listen(settings("orders", 4), &endpoint, &limits(4));
    tokio::time::sleep(20 * MINUTE).await;
    assert_eq!(endpoint.posts().len(), 4);
    queue.set_faults(Faults::default());
    process.until_empty("orders", MINUTE).await;
    assert_eq!(health.preflight(), Preflight::Passed);
    process.stop(MINUTE).await;
    other.stop(MINUTE).await;
    assert_eq!((process.census("orders").dead, endpoint.posts().len()), (0, 4));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn while_settling_is_denied_nothing_more_is_received() {
    let mut process = SimProcess::new(56);
    process.world.queue("orders", 3);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    queue.set_faults(Faults { deletes: Deletes::Denied, ..Faults::default() });
    for number in 0..500 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(60 * MINUTE).await;
    let posts = endpoint.posts().len();
    assert!(posts <= 40, "{posts} posts whose deletes are denied");
    assert_eq!(process.census("orders").dead, 0);
    assert!((process.metric("listener_faulted", "") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_lease_was_lost_while_it_was_held_is_not_posted() {
    let mut process = SimProcess::new(57);
    process.world.queue("orders", 10);
    let up_at = Duration::from_secs(185);
    let endpoint = ScriptedEndpoint::new(move |post, _| {
        if post.began < up_at { (Duration::ZERO, refused()) } else { (Duration::from_secs(20), answer(200)) }
    });
    let (queue, _) = process.listen(settings("orders", 1), &endpoint, &limits(1));
    process.world.send("orders", "x");
    tokio::time::sleep(Duration::from_secs(5)).await;
    // No extension succeeds, so the message becomes visible and another process receives it.
    queue.set_faults(Faults { throttled: 1.0, ..Faults::default() });
    tokio::time::sleep(Duration::from_secs(180)).await;
    let mut other = SimProcess::in_world(&process.world, 58);
    other.listen(settings("orders", 1), &endpoint, &limits(1));
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(endpoint.accepted(), ["x"]);
    assert!((process.metric("messages_abandoned_total", "") - 1.0).abs() < f64::EPSILON);
    assert!((process.metric("leases_lost_total", "") - 1.0).abs() < f64::EPSILON);
    other.stop(MINUTE).await;
    process.stop(MINUTE).await;
    process.assert_balanced();
}
