//! The gate: an endpoint that asks for a pause gets one, and messages keep their receives.

use std::num::NonZeroU32;
use std::time::Duration;

use queuepost::limit::{self, EndpointLimits, GateState, Rate};
use queuepost::tuning::Tuning;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, answer_with_retry_after};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn while_the_gate_is_closed_nothing_is_received_but_one_probe() {
    let mut process = SimProcess::new(30);
    process.world.queue("orders", 10);
    let up_at = Duration::from_secs(300);
    let endpoint = ScriptedEndpoint::new(move |post, _| {
        let attempt = if post.began < up_at { answer_with_retry_after(429, 30) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    process.listen(settings("orders", 16), &endpoint, &limits(16));
    for number in 0..200 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(290)).await;
    let posts = endpoint.posts().len();
    // One batch may have been under way; then probes after 1, 2, 4, 8 and 16 s, and one per pause of 30 to 36 s.
    assert!(posts <= 16 + 5 + 9, "{posts} posts in 290 s");
    assert!(process.metric("gate_state", r#"state="closed""#) <= 1.0);
    process.until_empty("orders", 20 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(process.census("orders").dead, 0);
    assert_eq!(endpoint.accepted().len(), 200);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_is_repeated_closes_the_gate_unless_its_scope_is_the_message() {
    for closes in [true, false] {
        let mut process = SimProcess::new(31);
        process.world.queue("orders", 10);
        let endpoint = ScriptedEndpoint::new(|_, number| {
            let attempt = if number < 2 { answer_with_retry_after(429, 30) } else { answer(200) };
            (Duration::from_millis(20), attempt)
        });
        let mut own = settings("orders", 1);
        own.retry_after_closes_gate = closes;
        let limits = limits(16);
        process.listen(own, &endpoint, &limits);
        for number in 0..20 {
            process.world.send("orders", &format!("m-{number}"));
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(endpoint.accepted().len(), 18);
        let closed_for: Duration = limits.gate.closed_for().into_iter().sum();
        assert_eq!(!closed_for.is_zero(), closes, "{closed_for:?}");
        process.stop(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_one_message_keeps_no_other_waiting() {
    let mut process = SimProcess::new(37);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|_, number| {
        let attempt = if number % 5 == 0 { answer_with_retry_after(429, 60) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    let limits = limits(16);
    process.listen(settings("orders", 4), &endpoint, &limits);
    for number in 0..500 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((endpoint.posts().len(), endpoint.accepted().len()), (500, 400));
    assert!(limits.gate.closed_for().into_iter().all(|time| time.is_zero()));
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrive_behind_a_closed_gate_are_held() {
    let mut process = SimProcess::new(32);
    process.world.queue("a", 10);
    process.world.queue("b", 10);
    let shared = limits(16);
    let up_at = Duration::from_secs(15);
    let endpoint = ScriptedEndpoint::new(move |post, _| {
        (Duration::from_millis(20), answer(if post.began < up_at { 503 } else { 200 }))
    });
    process.listen(settings("a", 4), &endpoint, &shared);
    process.listen(settings("b", 4), &endpoint, &shared);
    // Both listeners are in their long polls now.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for number in 0..20 {
        process.world.send("a", &format!("m-{number}"));
    }
    // Probes go about 1, 3, 7 and 15 s after the gate has closed.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let posts = endpoint.posts().len();
    process.world.send("b", "held");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(endpoint.posts().len(), posts);
    let received = process.metric("messages_received_total", r#"listener="b""#);
    assert!((received - 1.0).abs() < f64::EPSILON, "{received}");
    process.until_empty("b", 2 * MINUTE).await;
    let held = endpoint.posts().into_iter().find(|post| post.body == "held").unwrap();
    assert_eq!((held.receive_count, held.status), (1, Some(200)));
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_listener_does_not_keep_the_probe_from_a_busy_one() {
    for names in [["idle", "backlog"], ["backlog", "idle"]] {
        let mut process = SimProcess::new(33);
        let shared = limits(16);
        let endpoint = ScriptedEndpoint::new(|_, number| {
            let attempt = if number < 2 { answer_with_retry_after(429, 60) } else { answer(200) };
            (Duration::from_millis(20), attempt)
        });
        for name in names {
            process.world.queue(name, 10);
            let mut own = settings(name, 1);
            own.policy.throttle_delay = Duration::from_secs(40_000);
            process.listen(own, &endpoint, &shared);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        process.world.send("idle", "is refused");
        tokio::time::sleep(Duration::from_secs(1)).await;
        process.world.send("idle", "closes the gate");
        tokio::time::sleep(Duration::from_secs(30)).await;
        for number in 0..100 {
            process.world.send("backlog", &format!("m-{number}"));
        }
        process.until_empty("backlog", 3 * MINUTE).await;
        process.stop(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn behind_an_empty_queue_a_closed_gate_costs_no_more_than_a_long_poll_and_no_time() {
    let mut process = SimProcess::new(34);
    process.world.queue("orders", 1_000);
    let shared = limits(16);
    let endpoint = ScriptedEndpoint::new(|_, number| {
        let attempt = if number < 2 { answer_with_retry_after(429, 5) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    let mut own = settings("orders", 4);
    own.policy.throttle_delay = Duration::from_secs(43_000);
    let (queue, _) = process.listen(own, &endpoint, &shared);
    process.world.send("orders", "is refused");
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.world.send("orders", "closes the gate");
    tokio::time::sleep(60 * MINUTE).await;
    let receives = queue.receives.lock().unwrap().len();
    assert!(receives <= 190, "{receives} receives in an hour");
    assert!(shared.gate.snapshot().state == GateState::Probing);
    let closed_for: Duration = shared.gate.closed_for().into_iter().sum();
    assert!(closed_for < Duration::from_secs(30), "{closed_for:?}");
    process.world.send("orders", "y");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(endpoint.accepted(), ["y"]);
    assert!(shared.gate.is_open());
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_takes_long_opens_the_gate() {
    let mut process = SimProcess::new(35);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        if post.began < Duration::from_millis(500) {
            (Duration::from_millis(20), answer_with_retry_after(429, 1))
        } else {
            (Duration::from_secs(400), answer(200))
        }
    });
    let mut own = settings("orders", 16);
    own.timeout = Duration::from_secs(435);
    process.listen(own, &endpoint, &limits(16));
    for number in 0..50 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(endpoint.running(), 16);
    assert!(process.metric("messages_released_total", "").abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_pause_costs_the_pace_no_starts() {
    let mut process = SimProcess::new(36);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|_, number| {
        let attempt = if number < 2 { answer_with_retry_after(429, 10) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    let rate = Rate { interval: Duration::from_secs(1), burst: NonZeroU32::MIN };
    let paced = EndpointLimits::new(
        "api",
        &limit::Settings {
            sessions: 50,
            divided: false,
            adaptive: false,
            rate: Some(rate),
            tuning: Tuning::default(),
        },
        1,
    );
    process.listen(settings("orders", 50), &endpoint, &paced);
    for number in 0..200 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(MINUTE).await;
    let third = endpoint.posts()[2].began;
    assert!(third < Duration::from_secs(6), "the probe went at {third:?}");
    let in_flight = process.metric("messages_in_progress", "");
    assert!(in_flight <= 3.0, "{in_flight} messages in flight here at one start a second");
    process.stop(MINUTE).await;
}
