//! Caps: workers, sessions and rate; receives take no more messages than the caps allow.

use std::num::NonZeroU32;
use std::time::Duration;

use queuepost::limit::{self, EndpointLimits, Rate};
use queuepost::tuning::Tuning;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::ScriptedEndpoint;
use super::simulated_queue::Faults;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn running_posts_never_exceed_the_workers() {
    let mut process = SimProcess::new(20);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 50);
    let (queue, _) = process.listen(settings("orders", 32), &endpoint, &limits(1_000));
    for number in 0..2_000 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(endpoint.most_running(), 32);
    let calls = queue.receives.lock().unwrap().len();
    assert!(calls <= 2_000 / 10 + 150, "{calls} receives for 2,000 messages");
}

#[tokio::test(start_paused = true)]
async fn listeners_of_one_endpoint_share_its_sessions() {
    let mut process = SimProcess::new(21);
    let endpoint = ScriptedEndpoint::always(200, 50);
    let shared = limits(10);
    for name in ["a", "b", "c"] {
        process.world.queue(name, 10);
        process.listen(settings(name, 16), &endpoint, &shared);
        for number in 0..300 {
            process.world.send(name, &format!("{name}-{number}"));
        }
    }
    for name in ["a", "b", "c"] {
        process.until_empty(name, 10 * MINUTE).await;
    }
    process.stop(MINUTE).await;
    assert_eq!(endpoint.most_running(), 10);
    assert_eq!(endpoint.posts().len(), 900);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn messages_are_not_taken_only_to_wait_for_a_session() {
    let mut process = SimProcess::new(22);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 10_000);
    process.listen(settings("orders", 64), &endpoint, &limits(4));
    for number in 0..500 {
        process.world.send("orders", &format!("m-{number}"));
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let in_flight = process.metric("messages_in_progress", "");
        assert!(in_flight <= 5.0, "{in_flight} messages in flight here for 4 sessions");
    }
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn starts_never_exceed_burst_plus_rate_times_time() {
    let mut process = SimProcess::new(23);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 1);
    let rate = Rate { interval: Duration::from_millis(100), burst: NonZeroU32::new(3).unwrap() };
    let paced = EndpointLimits::new(
        "api",
        &limit::Settings {
            sessions: 100,
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
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    let starts: Vec<Duration> = endpoint.posts().iter().map(|post| post.began).collect();
    for (first, from) in starts.iter().enumerate() {
        for (last, to) in starts.iter().enumerate().skip(first) {
            let allowed = 3.0 + (*to - *from).as_secs_f64() * 10.0;
            assert!((last - first + 1) as f64 <= allowed + 1e-3, "{first}..{last}");
        }
    }
    assert!(*starts.last().unwrap() < Duration::from_secs(22), "and is used in full");
}

#[tokio::test(start_paused = true)]
async fn an_idle_listener_polls_with_one_worker_and_no_session() {
    let mut process = SimProcess::new(24);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 1);
    let shared = limits(8);
    let (queue, _) = process.listen(settings("orders", 8), &endpoint, &shared);
    tokio::time::sleep(10 * MINUTE).await;
    let receives = queue.receives.lock().unwrap().clone();
    assert!(receives.iter().all(|(_, max)| *max == 1), "{receives:?}");
    assert!((30..=32).contains(&receives.len()), "{} receives in ten minutes", receives.len());
    assert_eq!(shared.sessions.running(), 0);
    assert!((process.metric("workers_reserved", "") - 1.0).abs() < f64::EPSILON);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn receives_come_in_batches_also_when_sessions_are_the_limit() {
    let mut process = SimProcess::new(25);
    process.world.queue("orders", 10);
    let random = std::sync::Mutex::new(fastrand::Rng::with_seed(1));
    let endpoint = ScriptedEndpoint::new(move |_, _| {
        (Duration::from_millis(random.lock().unwrap().u64(20..80)), super::scripted_endpoint::answer(200))
    });
    let (queue, _) = process.listen(settings("orders", 64), &endpoint, &limits(16));
    for number in 0..2_000 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    let receives = queue.receives.lock().unwrap().len();
    assert!(receives <= 500, "{receives} receives for 2,000 messages");
}

#[tokio::test(start_paused = true)]
async fn extensions_go_in_batches() {
    let mut process = SimProcess::new(26);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 400_000);
    let mut slow = settings("orders", 80);
    slow.timeout = Duration::from_secs(435);
    process.listen(slow, &endpoint, &limits(80));
    for number in 0..400 {
        process.world.send("orders", &format!("m-{number}"));
        tokio::time::sleep(Duration::from_millis(531)).await;
    }
    process.until_empty("orders", 60 * MINUTE).await;
    let extended = process.metric("visibility_extensions_total", r#"result="extended""#);
    let calls = process.metric("sqs_requests_total", "ChangeMessageVisibilityBatch");
    assert!(extended / calls > 5.0, "{extended} extensions in {calls} calls");
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn no_session_stands_idle_for_the_time_of_a_receive() {
    let mut process = SimProcess::new(27);
    process.world.queue("orders", 10);
    let random = std::sync::Mutex::new(fastrand::Rng::with_seed(1));
    let endpoint = ScriptedEndpoint::new(move |_, _| {
        (Duration::from_millis(random.lock().unwrap().u64(100..300)), super::scripted_endpoint::answer(200))
    });
    let (queue, _) = process.listen(settings("orders", 64), &endpoint, &limits(20));
    queue.set_faults(Faults { latency: Duration::from_millis(10), ..Faults::default() });
    for number in 0..3_000 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    // 20 sessions would allow a hundred a second.
    let took = endpoint.posts().last().unwrap().began;
    assert!(took < Duration::from_millis(31_500), "3,000 messages took {took:?}");
    assert_eq!(endpoint.most_running(), 20);
}
