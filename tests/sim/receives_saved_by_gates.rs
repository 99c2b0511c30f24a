//! The receives that gates save while an endpoint, or a listener's way to it, does not work.

use std::sync::Arc;
use std::time::Duration;

use queuepost::limit::{Gate, GateState, Reason};
use queuepost::policy::outcome::Attempt;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, answer_with_retry_after, refused};
use super::simulated_queue::SimQueue;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// One listener with 16 workers, 200 messages and an endpoint that does `outage` for an hour.
fn an_hour_of(
    seed: u64,
    max_receives: u32,
    outage: fn() -> (Duration, Attempt),
) -> (SimProcess, Arc<ScriptedEndpoint>, Arc<Gate>) {
    let mut process = SimProcess::new(seed);
    process.world.queue("orders", max_receives);
    let endpoint =
        ScriptedEndpoint::new(
            move |post, _| if post.began < HOUR { outage() } else { (SECOND / 50, answer(200)) },
        );
    let limits = limits(16);
    process.listen(settings("orders", 16), &endpoint, &limits);
    for number in 0..200 {
        process.world.send("orders", &format!("m-{number}"));
    }
    (process, endpoint, limits.gate)
}

fn closed_for(gate: &Gate, reason: Reason) -> Duration {
    let of_all = Reason::ALL.into_iter().zip(gate.closed_for());
    of_all.filter(|(each, _)| *each == reason).map(|(_, time)| time).sum()
}

async fn nothing_is_dead_lettered(mut process: SimProcess, endpoint: &ScriptedEndpoint) {
    process.until_empty("orders", 2 * HOUR).await;
    process.stop(MINUTE).await;
    assert_eq!(process.census("orders").dead, 0);
    assert_eq!(endpoint.accepted().len(), 200);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_429_without_retry_after_costs_a_receive_per_probe() {
    let (process, endpoint, gate) = an_hour_of(60, 3, || (SECOND / 50, answer(429)));
    tokio::time::sleep(HOUR - SECOND).await;
    let posts = endpoint.posts().len();
    // 8 in a row close it, and 16 ran; then pauses of 1, 2, 4 … 256 and 300 s.
    assert!((16 + 9..16 + 45).contains(&posts), "{posts} posts in an hour");
    assert!(closed_for(&gate, Reason::Throttled) > HOUR - MINUTE);
    nothing_is_dead_lettered(process, &endpoint).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_asks_for_a_second_for_an_hour_is_not_asked_every_second() {
    let (process, endpoint, _) = an_hour_of(61, 3, || (SECOND / 50, answer_with_retry_after(429, 1)));
    tokio::time::sleep(HOUR - SECOND).await;
    let posts = endpoint.posts().len();
    assert!(posts < 16 + 90, "{posts} posts in an hour");
    nothing_is_dead_lettered(process, &endpoint).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_costs_no_receives_at_all() {
    let (process, endpoint, _) = an_hour_of(62, 2, || (SECOND / 100, refused()));
    tokio::time::sleep(HOUR - 10 * MINUTE).await;
    let received = process.metric("messages_received_total", "");
    // The busy poller of 16 workers had received them all when the gate closed.
    assert!(received <= 16.0, "{received} receives");
    assert!(endpoint.posts().iter().all(|post| post.receive_count == 1));
    nothing_is_dead_lettered(process, &endpoint).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_back_is_found_within_seconds_when_looking_costs_nothing() {
    // The longest pause, with its spread, is 19 s where looking costs nothing: whatever the seed.
    for seed in 63..67 {
        let (mut process, endpoint, _) = an_hour_of(seed, 2, || (SECOND / 100, refused()));
        process.until_empty("orders", 2 * HOUR).await;
        let first = endpoint.posts().into_iter().find(|post| post.status == Some(200)).unwrap();
        assert!(first.began < HOUR + 19 * SECOND, "seed {seed}: {:?}", first.began);
        process.stop(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_closes_the_gate_and_a_slow_probe_does_not_open_it() {
    let (process, endpoint, _) = an_hour_of(64, 3, || (MINUTE, Attempt::TimedOut));
    tokio::time::sleep(HOUR - SECOND).await;
    let posts = endpoint.posts().len();
    assert!(posts < 16 + 16 + 60, "{posts} posts in an hour");
    nothing_is_dead_lettered(process, &endpoint).await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_pauses_instead_of_flushing_the_queue() {
    let (process, endpoint, gate) = an_hour_of(65, 3, || (SECOND / 50, answer(401)));
    tokio::time::sleep(HOUR - SECOND).await;
    let posts = endpoint.posts().len();
    assert!(posts < 16 + 90, "{posts} posts in an hour");
    assert!(closed_for(&gate, Reason::Unauthorized) > HOUR - MINUTE);
    nothing_is_dead_lettered(process, &endpoint).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_algorithm_closes_its_own_listener_and_no_other() {
    let mut process = SimProcess::new(66);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let status = if post.body.starts_with("gone") { 404 } else { 200 };
        (SECOND / 50, answer(status))
    });
    let shared = limits(32);
    for name in ["gone", "there"] {
        process.world.queue(name, 5);
        process.listen(settings(name, 16), &endpoint, &shared);
        for number in 0..500 {
            process.world.send(name, &format!("{name}-{number}"));
        }
    }
    process.until_empty("there", MINUTE).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(endpoint.accepted().len(), 500);
    assert_eq!(process.census("gone").dead, 0);
    assert_eq!(shared.gate.snapshot().state, GateState::Open);
    let own = r#"{endpoint="api",listener="gone",reason="misdirected"}"#;
    assert!(process.metric("gate_closed_seconds_total", own) > 3_500.0);
    process.stop(MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn one_poison_message_that_always_answers_404_does_not_close_a_healthy_listener() {
    let mut process = SimProcess::new(67);
    process.world.queue("orders", 1_000);
    let endpoint =
        ScriptedEndpoint::new(|post, _| (SECOND / 50, answer(if post.body == "poison" { 404 } else { 200 })));
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.world.send("orders", "poison");
    for number in 0..60 {
        tokio::time::sleep(10 * SECOND).await;
        if number % 10 == 0 {
            process.world.send("orders", "healthy");
        }
    }
    assert!(endpoint.posts().len() > 20, "{} posts", endpoint.posts().len());
    assert!(process.metric("gate_closed_seconds_total", "").abs() < f64::EPSILON);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_on_its_last_receive_is_kept_and_others_probe() {
    let mut process = SimProcess::new(68);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::new(move |post, _| {
        let status = if post.began < HOUR { 429 } else { 200 };
        (SECOND / 50, answer(status))
    });
    process.listen(settings("orders", 20), &endpoint, &limits(1));
    for number in 0..10 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(HOUR - SECOND).await;
    assert!(process.metric("messages_in_progress", r#"stage="waiting""#) > 2.0);
    assert!(endpoint.posts().iter().all(|post| post.receive_count == 1));
    process.until_empty("orders", 2 * HOUR).await;
    assert_eq!((process.census("orders").dead, endpoint.accepted().len()), (0, 10));
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn long_polls_under_way_when_the_gate_closes_bring_messages_that_are_held_and_then_probe() {
    let mut process = SimProcess::new(69);
    let endpoint = ScriptedEndpoint::new(|_, _| (SECOND / 50, answer_with_retry_after(429, 60)));
    let shared = limits(1);
    let mut queues: Vec<Arc<SimQueue>> = Vec::new();
    for name in ["a", "b", "c"] {
        process.world.queue(name, 10);
        queues.push(process.listen(settings(name, 4), &endpoint, &shared).0);
    }
    tokio::time::sleep(SECOND).await;
    for name in ["a", "b", "c"] {
        process.world.send(name, name);
    }
    // Two of them closed the gate; the other probes after a second.
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(shared.gate.snapshot().reason, Some(Reason::RetryAfter));
    let posts = endpoint.posts();
    assert_eq!(posts.len(), 3, "{posts:?}");
    assert!(posts[2].began - posts[1].began > SECOND * 9 / 10, "{posts:?}");
    let received = process.metric("messages_received_total", "");
    assert!((received - 3.0).abs() < f64::EPSILON, "{received}");
    process.stop(MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_429_on_the_last_receive_is_waited_out_in_this_process_where_others_are_accepted() {
    let mut process = SimProcess::new(68);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let turned_away = post.body == "unlucky" && post.began < 8 * MINUTE;
        (SECOND / 50, answer(if turned_away { 429 } else { 200 }))
    });
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.world.send("orders", "unlucky");
    for number in 0..150 {
        process.world.send("orders", &format!("m-{number}"));
        tokio::time::sleep(4 * SECOND).await;
    }
    process.until_empty("orders", HOUR).await;
    process.stop(MINUTE).await;
    let tries: Vec<_> = endpoint.posts().into_iter().filter(|post| post.body == "unlucky").collect();
    let receives: Vec<u32> = tries.iter().map(|post| post.receive_count).collect();
    assert_eq!(receives, [1, 2, 2], "parked at SQS, then in flight here");
    assert!(tries[2].began - tries[1].began >= 5 * MINUTE, "{tries:?}");
    assert_eq!(process.census("orders").dead, 0);
    assert_eq!(process.count("messages_parked_total", ""), 1);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_drain_parks_what_waited_out_a_429_in_this_process() {
    let mut process = SimProcess::new(69);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        (SECOND / 50, answer(if post.body == "unlucky" { 429 } else { 200 }))
    });
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.world.send("orders", "unlucky");
    for number in 0..80 {
        process.world.send("orders", &format!("m-{number}"));
        tokio::time::sleep(4 * SECOND).await;
    }
    assert_eq!(process.count("messages_in_progress", "stage=\"held\""), 1);
    process.stop(MINUTE).await;
    assert_eq!(process.count("messages_parked_total", ""), 2);
    process.assert_balanced();
}
