//! The gate: an endpoint that asks for a pause gets one, and the queue keeps its receives.

use std::num::NonZeroU32;
use std::time::Duration;

use queuepost::limit::{self, EndpointLimits, GateState, Rate};

use super::endpoint::{Scripted, answer, answer_with_retry_after};
use super::house::{House, limits, settings};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn while_the_gate_is_closed_nothing_is_received_but_one_probe() {
    let mut house = House::new(30);
    house.world.queue("orders", 10);
    let up_at = Duration::from_secs(300);
    let endpoint = Scripted::new(move |post, _| {
        let attempt = if post.began < up_at { answer_with_retry_after(429, 30) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    house.listen(settings("orders", 16), &endpoint, &limits(16));
    for number in 0..200 {
        house.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(290)).await;
    let posts = endpoint.posts().len();
    // One batch may have been under way; then one probe per pause of 30 to 36 s.
    assert!(posts <= 16 + 11, "{posts} posts in 290 s");
    assert!(house.metric("gate_state", r#"state="closed""#) <= 1.0);
    house.until_empty("orders", 20 * MINUTE).await;
    house.stop(MINUTE).await;
    assert_eq!(house.census("orders").dead, 0);
    assert_eq!(endpoint.accepted().len(), 200);
    house.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_scope_of_message_leaves_the_gate_open() {
    let mut house = House::new(31);
    house.world.queue("orders", 10);
    let endpoint = Scripted::new(|_, number| {
        let attempt = if number < 5 { answer_with_retry_after(429, 30) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    let mut own = settings("orders", 1);
    own.retry_after_closes_gate = false;
    house.listen(own, &endpoint, &limits(16));
    for number in 0..20 {
        house.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(endpoint.accepted().len(), 15);
    house.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrive_behind_a_closed_gate_are_held_and_go_first() {
    let mut house = House::new(32);
    house.world.queue("a", 10);
    house.world.queue("b", 10);
    let shared = limits(16);
    let endpoint = Scripted::new(|_, number| {
        let attempt = if number == 0 { answer_with_retry_after(503, 20) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    house.listen(settings("a", 4), &endpoint, &shared);
    house.listen(settings("b", 4), &endpoint, &shared);
    // Both listeners are in their long polls by now.
    tokio::time::sleep(Duration::from_secs(5)).await;
    house.world.send("a", "closes the gate");
    tokio::time::sleep(Duration::from_secs(1)).await;
    house.world.send("b", "held");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(endpoint.posts().len(), 1);
    assert!((house.metric("messages_in_progress", r#"stage="waiting""#) - 1.0).abs() < f64::EPSILON);
    house.until_empty("b", 2 * MINUTE).await;
    let held = endpoint.posts()[1].clone();
    assert_eq!((held.body.as_str(), held.receive_count), ("held", 1));
    assert!(held.began >= Duration::from_secs(25));
    house.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_listener_does_not_keep_the_probe_from_a_busy_one() {
    for names in [["idle", "backlog"], ["backlog", "idle"]] {
        let mut house = House::new(33);
        let shared = limits(16);
        let endpoint = Scripted::new(|_, number| {
            let attempt = if number == 0 { answer_with_retry_after(429, 60) } else { answer(200) };
            (Duration::from_millis(20), attempt)
        });
        for name in names {
            house.world.queue(name, 10);
            let mut own = settings(name, 1);
            own.policy.throttle_delay = Duration::from_secs(40_000);
            house.listen(own, &endpoint, &shared);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        house.world.send("idle", "closes the gate");
        tokio::time::sleep(Duration::from_secs(30)).await;
        for number in 0..100 {
            house.world.send("backlog", &format!("m-{number}"));
        }
        house.until_empty("backlog", 3 * MINUTE).await;
        house.stop(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn behind_an_empty_queue_a_closed_gate_costs_no_more_than_a_long_poll_and_no_time() {
    let mut house = House::new(34);
    house.world.queue("orders", 1_000);
    let shared = limits(16);
    let endpoint = Scripted::new(|_, number| {
        let attempt = if number == 0 { answer_with_retry_after(429, 5) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    let mut own = settings("orders", 4);
    own.policy.throttle_delay = Duration::from_secs(43_000);
    let (queue, _) = house.listen(own, &endpoint, &shared);
    house.world.send("orders", "x");
    tokio::time::sleep(60 * MINUTE).await;
    let receives = queue.receives.lock().unwrap().len();
    assert!(receives <= 190, "{receives} receives in an hour");
    assert!(shared.gate.snapshot().state == GateState::Probing);
    let closed_for: Duration = shared.gate.closed_for().into_iter().sum();
    assert!(closed_for < Duration::from_secs(30), "{closed_for:?}");
    house.world.send("orders", "y");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(endpoint.accepted(), ["y"]);
    assert!(shared.gate.is_open());
    house.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_takes_long_opens_the_gate() {
    let mut house = House::new(35);
    house.world.queue("orders", 10);
    let endpoint = Scripted::new(|_, number| {
        if number == 0 {
            (Duration::from_millis(20), answer_with_retry_after(429, 1))
        } else {
            (Duration::from_secs(400), answer(200))
        }
    });
    let mut own = settings("orders", 16);
    own.timeout = Duration::from_secs(435);
    house.listen(own, &endpoint, &limits(16));
    for number in 0..50 {
        house.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(endpoint.running(), 16);
    assert!(house.metric("messages_released_total", "").abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_pause_costs_the_pace_no_starts() {
    let mut house = House::new(36);
    house.world.queue("orders", 10);
    let endpoint = Scripted::new(|_, number| {
        let attempt = if number == 0 { answer_with_retry_after(429, 10) } else { answer(200) };
        (Duration::from_millis(20), attempt)
    });
    let rate = Rate { interval: Duration::from_secs(1), burst: NonZeroU32::MIN };
    let paced = EndpointLimits::new(
        "api",
        &limit::Settings { sessions: 50, adaptive: false, rate: Some(rate), gate: limit::Tuning::default() },
        1,
    );
    house.listen(settings("orders", 50), &endpoint, &paced);
    for number in 0..200 {
        house.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(MINUTE).await;
    let second = endpoint.posts()[1].began;
    assert!(second < Duration::from_secs(16), "the probe went at {second:?}");
    let in_house = house.metric("messages_in_progress", "");
    assert!(in_house <= 3.0, "{in_house} messages in flight here at one start a second");
    house.stop(MINUTE).await;
}
