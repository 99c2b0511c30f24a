//! The gate: an endpoint that asks for a pause gets one, and the queue keeps its receives.

use std::time::Duration;

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
    house.listen(own, &endpoint, &limits(1));
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
