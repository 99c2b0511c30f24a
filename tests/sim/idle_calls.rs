//! What an idle listener costs in SQS calls, by who asks, and how old what it knows of its queue is.

use std::sync::Arc;
use std::time::Duration;

use queuepost::limit::GateState;
use queuepost::pipeline::Preflight;
use queuepost::ports::{Operation, QueueReason};
use tokio::time::Instant;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, refused};
use super::scripted_queue::{CallBehaviour, ScriptedQueue};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOURS: u32 = 3;

fn idle(seed: u64) -> (SimProcess, Arc<ScriptedQueue>) {
    let mut process = SimProcess::new(seed);
    process.world.queue("orders", 5);
    let queue = ScriptedQueue::new(&process.world, "orders", seed);
    let endpoint = ScriptedEndpoint::always(200, 20);
    process.listen_on(settings("orders", 4), Arc::clone(&queue) as _, endpoint, &limits(4));
    (process, queue)
}

/// Receives and reads of attributes that began since then.
fn calls(queue: &ScriptedQueue, since: Instant) -> (usize, usize) {
    let of = |operation| queue.calls(operation, since).len();
    (of(Operation::Receive), of(Operation::Attributes))
}

#[tokio::test(start_paused = true)]
async fn an_idle_listener_that_nobody_asks_makes_three_calls_a_minute() {
    let (mut process, queue) = idle(90);
    tokio::time::sleep(MINUTE).await;
    let since = Instant::now();
    tokio::time::sleep(HOURS * 60 * MINUTE).await;
    let (receives, looks) = calls(&queue, since);
    assert_eq!(looks, 0, "nobody asked");
    // 3.1 a minute are 558.
    assert!((530..=558).contains(&receives), "{receives} receives in three hours");
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn scrapes_every_fifteen_seconds_have_the_queue_read_every_thirty_and_wait_for_nothing() {
    let (mut process, queue) = idle(91);
    tokio::time::sleep(MINUTE).await;
    let since = Instant::now();
    for _ in 0..HOURS * 240 {
        tokio::time::sleep(MINUTE / 4).await;
        process.metric("queue_messages_visible", "role=\"source\"");
    }
    let (receives, looks) = calls(&queue, since);
    assert!((340..=361).contains(&looks), "{looks} looks in three hours");
    assert!((530..=558).contains(&receives), "{receives} receives in three hours");
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_to_ask_after_hours_gets_what_is_known_and_the_next_one_what_is() {
    let (mut process, queue) = idle(92);
    tokio::time::sleep(60 * MINUTE).await;
    let dead = r#"role="dead_letter""#;
    process.world.send("orders-dlq", "letter");
    assert_eq!(process.count("queue_messages_visible", dead), 0);
    let asked = Instant::now();
    tokio::time::sleep(MINUTE / 60).await;
    assert_eq!(process.count("queue_messages_visible", dead), 1);
    assert_eq!(calls(&queue, asked).1, 1);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_has_the_queue_read_though_nobody_asks() {
    let (mut process, queue) = idle(93);
    tokio::time::sleep(60 * MINUTE).await;
    let since = Instant::now();
    process.world.send("orders", "x");
    tokio::time::sleep(MINUTE / 60).await;
    assert_eq!(calls(&queue, since).1, 1);
    process.stop(MINUTE).await;
}

/// Another process gives the queue this redrive policy.
fn replace_policy(process: &SimProcess, max_receives: u32) {
    let target = "arn:aws:sqs:us-east-1:000000000000:orders-dlq";
    let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":{max_receives}}}"#);
    let attributes = [("RedrivePolicy".to_owned(), policy)].into();
    process.world.with(|broker, now| broker.set_attributes(now, "orders", &attributes)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_redrive_policy_replaced_in_an_idle_hour_holds_for_the_first_message_after_it() {
    let (mut process, queue) = idle(96);
    tokio::time::sleep(60 * MINUTE).await;
    replace_policy(&process, 1);
    queue.set_for(Operation::Attributes, CallBehaviour::Slow(MINUTE / 1200, MINUTE / 1200));
    process.world.send("orders", "x");
    tokio::time::sleep(MINUTE / 60).await;
    assert_eq!(process.count("messages_near_dead_letter_total", ""), 1);
    assert_eq!(process.count("messages_deleted_total", ""), 1);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_after_an_idle_hour_waits_a_second_for_a_read_that_is_not_answered() {
    let (mut process, queue) = idle(97);
    tokio::time::sleep(60 * MINUTE).await;
    queue.set_for(Operation::Attributes, CallBehaviour::NoAnswer);
    process.world.send("orders", "x");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(process.count("messages_deleted_total", ""), 0);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(process.count("messages_deleted_total", ""), 1);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_has_the_queue_read_every_thirty_seconds() {
    let mut process = SimProcess::new(94);
    process.world.queue("orders", 5);
    let queue = ScriptedQueue::new(&process.world, "orders", 94);
    let endpoint = ScriptedEndpoint::new(|_, _| (Duration::ZERO, refused()));
    process.listen_on(settings("orders", 4), Arc::clone(&queue) as _, endpoint, &limits(4));
    process.world.send("orders", "x");
    tokio::time::sleep(MINUTE).await;
    let since = Instant::now();
    tokio::time::sleep(30 * MINUTE).await;
    assert!((59..=61).contains(&calls(&queue, since).1), "{:?}", calls(&queue, since));
    assert_ne!(process.statuses()[0].endpoint_gate.state, GateState::Open);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_could_not_be_read_is_found_again_without_a_receive() {
    let mut process = SimProcess::new(95);
    process.world.queue("orders", 5);
    let queue = ScriptedQueue::new(&process.world, "orders", 95);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let health = process.listen_on(settings("orders", 4), Arc::clone(&queue) as _, endpoint, &limits(4));
    tokio::time::sleep(MINUTE).await;
    queue.set(|_| CallBehaviour::Refused(QueueReason::Connection));
    tokio::time::sleep(2 * MINUTE).await;
    assert!(matches!(health.preflight(), Preflight::Unreachable(_)), "{:?}", health.preflight());
    // No receive ends any more, as while a listener is paused.
    queue.set(|operation| match operation {
        Operation::Receive => CallBehaviour::Slow(60 * MINUTE, Duration::ZERO),
        _ => CallBehaviour::Works,
    });
    tokio::time::sleep(MINUTE).await;
    assert_eq!(health.preflight(), Preflight::Passed);
    process.stop(MINUTE).await;
}

/// Thirty seconds, and a moment for the read that a scrape in their middle asked for.
async fn with_a_scrape(process: &SimProcess) {
    tokio::time::sleep(15 * SECOND).await;
    process.metric("queue_messages_visible", "");
    tokio::time::sleep(15 * SECOND + SECOND / 10).await;
}

#[tokio::test(start_paused = true)]
async fn changed_attributes_are_known_within_thirty_seconds_to_who_scrapes() {
    let mut process = SimProcess::new(75);
    process.world.queue("orders", 100);
    let endpoint = ScriptedEndpoint::new(|_, _| (SECOND, answer(500)));
    process.listen(settings("orders", 1), &endpoint, &limits(1));
    tokio::time::sleep(SECOND).await;
    let near = |process: &SimProcess| process.count("messages_near_dead_letter_total", "");
    let warned = |process: &SimProcess, warning: &str| {
        process.count("preflight_warnings", &format!("warning=\"{warning}\"")) > 0
    };
    let set = |process: &SimProcess, name: &str, value: &str| {
        let attributes = [(name.to_owned(), value.to_owned())].into();
        process.world.with(|broker, now| broker.set_attributes(now, "orders", &attributes)).unwrap();
    };
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:orders-dlq","maxReceiveCount":3}"#;
    set(&process, "RedrivePolicy", policy);
    // Every receive sets a visibility of its own.
    set(&process, "VisibilityTimeout", "0");
    with_a_scrape(&process).await;
    assert!(warned(&process, "few_receives"));
    process.world.send("orders", "x");
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!((near(&process), process.census("orders").dead), (1, 1));
    with_a_scrape(&process).await;
    let dead = |process: &SimProcess| process.count("queue_messages_visible", r#"role="dead_letter""#);
    assert_eq!((dead(&process), process.count("leases_lost_total", "")), (1, 0));

    set(&process, "MessageRetentionPeriod", "600");
    with_a_scrape(&process).await;
    assert!(warned(&process, "retention_too_short"));

    set(&process, "RedrivePolicy", "");
    with_a_scrape(&process).await;
    assert!(warned(&process, "no_dead_letter_queue") && !warned(&process, "few_receives"));
    assert_eq!(dead(&process), 0, "no number is shown of a queue that is none of ours any more");
    process.world.send("orders", "y");
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(near(&process), 1, "no receive is the last");
    assert!(endpoint.posts().len() > 5);
    process.stop(MINUTE).await;
    process.assert_balanced();
}
