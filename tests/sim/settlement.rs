//! What becomes of a message by the endpoint's answer, seen from the queue.

use std::time::Duration;

use queuepost::localqueue::MessageState;
use queuepost::policy::decide::{Action, Policy, Row};
use queuepost::policy::outcome::StatusSet;

use super::process::{Census, SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, answer_with_retry_after, refused};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_200_deletes_the_message() {
    let mut process = SimProcess::new(1);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 5);
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    for number in 0..100 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(process.census("orders"), Census::default());
    let mut bodies = endpoint.accepted();
    bodies.sort();
    bodies.dedup();
    assert_eq!((bodies.len(), endpoint.posts().len()), (100, 100));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_429_parks_the_message_for_exactly_five_minutes() {
    let mut process = SimProcess::new(2);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|_, number| {
        (Duration::from_millis(10), answer(if number == 0 { 429 } else { 200 }))
    });
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.world.send("orders", "x");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let hidden_until = process.world.with(|broker, now| broker.inspect(now, "orders"))[0].state;
    let posted = endpoint.posts()[0].ended.unwrap();
    let MessageState::InFlight { until } = hidden_until else { panic!("{hidden_until:?}") };
    let parked = Duration::from_millis(until.0 - super::simulated_queue::EPOCH_MILLIS) - posted;
    assert!(parked.abs_diff(Duration::from_secs(300)) <= Duration::from_millis(50), "{parked:?}");
    assert!((process.metric("messages_parked_current", "") - 1.0).abs() < f64::EPSILON);
    process.until_empty("orders", 6 * MINUTE).await;
    process.stop(MINUTE).await;
    let again = endpoint.posts()[1].began - posted;
    assert!(again.abs_diff(Duration::from_secs(300)) <= Duration::from_secs(1), "{again:?}");
    assert!(process.metric("messages_parked_current", "").abs() < f64::EPSILON);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_always_fails_is_dead_lettered_after_max_receives() {
    for status in [429, 500, 400, 404, 403] {
        let mut process = SimProcess::new(3);
        process.world.queue("orders", 3);
        let endpoint = ScriptedEndpoint::always(status, 10);
        process.listen(settings("orders", 4), &endpoint, &limits(4));
        process.world.send("orders", "x");
        // At a closed gate its final receive is held for an hour.
        process.until_empty("orders", 90 * MINUTE).await;
        process.stop(MINUTE).await;
        assert_eq!(process.census("orders").dead, 1, "status {status}");
        assert_eq!(endpoint.posts().len(), 3, "status {status}");
        assert!((process.metric("messages_near_dead_letter_total", "") - 1.0).abs() < f64::EPSILON);
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_by_the_receive_count() {
    let mut process = SimProcess::new(4);
    process.world.queue("orders", 5);
    let endpoint = ScriptedEndpoint::always(500, 10);
    process.listen(settings("orders", 1), &endpoint, &limits(1));
    process.world.send("orders", "x");
    process.until_empty("orders", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    let posts = endpoint.posts();
    let pauses: Vec<u64> =
        posts.windows(2).map(|pair| (pair[1].began - pair[0].ended.unwrap()).as_secs()).collect();
    for (pause, step) in pauses.iter().zip([10, 20, 40, 80]) {
        assert!((step / 2..=step + 1).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_delivery_keeps_its_message_hidden() {
    let mut process = SimProcess::new(5);
    process.world.queue("orders", 3);
    let endpoint = ScriptedEndpoint::always(200, 3 * 3_600 * 1_000);
    let mut slow = settings("orders", 4);
    slow.timeout = Duration::from_secs(4 * 3_600);
    process.listen(slow, &endpoint, &limits(4));
    for number in 0..25 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", Duration::from_secs(30 * 3_600)).await;
    process.stop(MINUTE).await;
    assert_eq!(endpoint.posts().len(), 25, "nothing was posted twice");
    assert!(process.metric("leases_lost_total", "").abs() < f64::EPSILON);
    assert!(process.metric("visibility_extensions_total", r#"result="extended""#) > 25.0 * 100.0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_lease_extension_never_undoes_a_park() {
    let mut process = SimProcess::new(6);
    process.world.queue("orders", 10);
    // The lease is extended all the time, and the 429s come at every offset to an extension under way.
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let offset = post.body.parse::<u64>().unwrap();
        (Duration::from_millis(5_800 + offset), answer(429))
    });
    let mut short = settings("orders", 200);
    short.timeout = Duration::from_secs(1);
    let (queue, _) = process.listen(short, &endpoint, &limits(200));
    queue.set_faults(super::simulated_queue::Faults {
        latency: Duration::from_millis(600),
        ..super::simulated_queue::Faults::default()
    });
    for offset in 0..100 {
        process.world.send("orders", &(offset * 10).to_string());
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let now = process.world.now();
    for message in process.world.with(|broker, now| broker.inspect(now, "orders")) {
        let MessageState::InFlight { until } = message.state else { panic!("{message:?} came back early") };
        assert!(until.millis_since(now) > 230_000, "{message:?} is hidden for too short");
    }
    assert!((process.metric("messages_parked_total", "") - 100.0).abs() < f64::EPSILON);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_nothing_could_be_sent_of_costs_one_receive_however_long_the_outage() {
    let mut process = SimProcess::new(7);
    process.world.queue("orders", 3);
    let up_at = Duration::from_secs(40 * 60);
    let endpoint = ScriptedEndpoint::new(move |post, _| {
        let attempt = if post.began < up_at { refused() } else { answer(200) };
        (Duration::from_millis(1), attempt)
    });
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    for number in 0..10 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(process.census("orders").dead, 0);
    assert_eq!(endpoint.accepted().len(), 10);
    assert!(endpoint.posts().iter().all(|post| post.receive_count == 1));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn own_rows_can_delete_and_dead_letter() {
    let mut process = SimProcess::new(8);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, _| (Duration::ZERO, answer(post.body.parse().unwrap())));
    let row = |status, action| Row { status: StatusSet::new([(status, status)]), action, delay: None };
    let mut own = settings("orders", 4);
    own.policy =
        Policy { rows: vec![row(404, Action::Delete), row(422, Action::DeadLetter)], ..Policy::default() };
    process.listen(own, &endpoint, &limits(4));
    process.world.send("orders", "404");
    process.world.send("orders", "422");
    process.until_empty("orders", MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(process.census("orders").dead, 1);
    assert!((process.metric("messages_dead_lettered_total", "") - 1.0).abs() < f64::EPSILON);
    assert!((process.metric("messages_deleted_total", "") - 1.0).abs() < f64::EPSILON);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_503_with_retry_after_comes_back_no_sooner_than_asked() {
    let mut process = SimProcess::new(9);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|_, number| {
        let attempt = if number == 0 { answer_with_retry_after(503, 200) } else { answer(200) };
        (Duration::from_millis(10), attempt)
    });
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.world.send("orders", "x");
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    let posts = endpoint.posts();
    let pause = posts[1].began - posts[0].ended.unwrap();
    assert!((200..=203).contains(&pause.as_secs()), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_panics_frees_its_worker_and_leaves_its_message_to_sqs() {
    let mut process = SimProcess::new(10);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        assert!(post.receive_count > 1, "deliberate");
        (Duration::from_millis(10), answer(200))
    });
    process.listen(settings("orders", 1), &endpoint, &limits(1));
    for number in 0..3 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    assert!((process.metric("panics_total", "") - 3.0).abs() < f64::EPSILON);
    assert!((process.metric("messages_abandoned_total", "") - 3.0).abs() < f64::EPSILON);
    assert!((process.metric("messages_deleted_total", "") - 3.0).abs() < f64::EPSILON);
    process.assert_balanced();
}
