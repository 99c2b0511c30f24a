//! An unreachable endpoint closes its gate whatever else holds a session, and so costs no receives.

use std::num::NonZeroU32;
use std::time::Duration;

use queuepost::limit::{self, EndpointLimits, Rate};
use queuepost::tuning::Tuning;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, refused};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn one_start_every(interval: Duration) -> EndpointLimits {
    let rate = Some(Rate { interval, burst: NonZeroU32::MIN });
    EndpointLimits::new(
        "api",
        &limit::Settings { sessions: 16, divided: false, adaptive: false, rate, tuning: Tuning::default() },
        7,
    )
}

fn closed_for(limits: &EndpointLimits) -> Duration {
    limits.gate.closed_for().into_iter().sum()
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_with_a_low_rate_closes_its_gate_and_dead_letters_nothing() {
    for interval in [SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND] {
        let mut process = SimProcess::new(21);
        process.world.queue("orders", 3);
        let endpoint = ScriptedEndpoint::new(|post, _| {
            (SECOND / 100, if post.began < 5 * HOUR { refused() } else { answer(200) })
        });
        let limits = one_start_every(interval);
        process.listen(settings("orders", 16), &endpoint, &limits);
        for number in 0..16 {
            process.world.send("orders", &format!("m-{number}"));
        }
        tokio::time::sleep(4 * HOUR).await;
        assert!(closed_for(&limits) > 4 * HOUR - 5 * MINUTE, "{interval:?}: {:?}", closed_for(&limits));
        process.until_empty("orders", 4 * HOUR).await;
        assert_eq!((endpoint.accepted().len(), process.census("orders").dead), (16, 0), "{interval:?}");
        process.stop(MINUTE).await;
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_that_is_slow_to_refuse_closes_its_gate_too() {
    for interval in [SECOND, 5 * SECOND, 10 * SECOND] {
        let mut process = SimProcess::new(3);
        process.world.queue("orders", 3);
        let endpoint = ScriptedEndpoint::new(|post, _| {
            if post.began < MINUTE / 2 { (10 * SECOND, answer(200)) } else { (5 * SECOND, refused()) }
        });
        let limits = one_start_every(interval);
        process.listen(settings("orders", 16), &endpoint, &limits);
        for number in 0..200 {
            process.world.send("orders", &format!("m-{number}"));
        }
        tokio::time::sleep(6 * HOUR).await;
        assert!(closed_for(&limits) > 6 * HOUR - 10 * MINUTE, "{interval:?}: {:?}", closed_for(&limits));
        assert_eq!(process.census("orders").dead, 0, "{interval:?}");
        process.stop(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_beside_a_post_of_hours_dead_letters_nothing() {
    let mut process = SimProcess::new(22);
    process.world.queue("orders", 3);
    let endpoint = ScriptedEndpoint::new(|post, number| match (number, post.began < 5 * HOUR) {
        (0, _) => (8 * HOUR, answer(200)),
        (_, true) => (SECOND / 100, refused()),
        (_, false) => (SECOND / 100, answer(200)),
    });
    let limits = limits(16);
    let mut own = settings("orders", 16);
    own.timeout = 10 * HOUR;
    process.listen(own, &endpoint, &limits);
    for number in 0..17 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 9 * HOUR).await;
    assert!(closed_for(&limits) > 5 * HOUR - 5 * MINUTE, "{:?}", closed_for(&limits));
    assert_eq!((endpoint.accepted().len(), process.census("orders").dead), (17, 0));
    process.stop(MINUTE).await;
}

/// POSTs of half an hour: a long POST shows that the endpoint is reachable again.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_back_with_long_posts_is_at_full_speed_before_the_first_of_them_ends() {
    let mut process = SimProcess::new(23);
    process.world.queue("orders", 3);
    let endpoint = ScriptedEndpoint::new(|post, _| match post.began {
        began if began < 10 * MINUTE => (SECOND / 100, refused()),
        _ => (30 * MINUTE, answer(200)),
    });
    let mut own = settings("orders", 16);
    own.timeout = HOUR;
    process.listen(own, &endpoint, &limits(16));
    for number in 0..64 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(12 * MINUTE).await;
    assert_eq!(endpoint.running(), 16);
    process.until_empty("orders", 4 * HOUR).await;
    assert_eq!((endpoint.accepted().len(), process.census("orders").dead), (64, 0));
    process.stop(MINUTE).await;
}
