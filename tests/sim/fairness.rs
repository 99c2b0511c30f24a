//! Several listeners at one endpoint: every listener gets sessions, and none reserves what others need.

use std::sync::Arc;
use std::time::Duration;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::ScriptedEndpoint;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Deliveries in a minute of the busy one among `listeners` listeners at 80 sessions.
async fn done_by_the_busy_one(listeners: usize) -> usize {
    let mut process = SimProcess::new(80);
    let endpoint = ScriptedEndpoint::always(200, 100);
    let shared = limits(80);
    for number in 0..listeners {
        let name = if number == 0 { "busy".to_owned() } else { format!("idle-{number}") };
        process.world.queue(&name, 10);
        process.listen(settings(&name, 80), &endpoint, &shared);
    }
    for number in 0..60_000 {
        process.world.send("busy", &format!("m-{number}"));
    }
    tokio::time::sleep(MINUTE).await;
    let done = endpoint.accepted().len();
    process.stop(MINUTE).await;
    done
}

#[tokio::test(start_paused = true)]
async fn eight_idle_listeners_take_nothing_from_a_busy_one() {
    let (alone, beside_eight) = (done_by_the_busy_one(1).await, done_by_the_busy_one(9).await);
    assert!(beside_eight * 100 >= alone * 95, "{beside_eight} beside eight idle ones, {alone} alone");
}

#[tokio::test(start_paused = true)]
async fn a_busy_listener_does_not_starve_a_quiet_one() {
    let mut process = SimProcess::new(81);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    let shared = limits(8);
    for name in ["busy", "quiet"] {
        process.world.queue(name, 10);
        process.listen(settings(name, 64), &endpoint, &shared);
    }
    for number in 0..5_000 {
        process.world.send("busy", &format!("busy-{number}"));
    }
    tokio::time::sleep(10 * SECOND).await;
    for number in 0..10 {
        process.world.send("quiet", &format!("quiet-{number}"));
    }
    tokio::time::sleep(20 * SECOND).await;
    let quiet = endpoint.accepted().iter().filter(|body| body.starts_with("quiet")).count();
    assert_eq!(quiet, 10, "all of a quiet listener's messages while another has thousands");
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn busy_listeners_get_equal_parts() {
    let mut process = SimProcess::new(82);
    let endpoint = ScriptedEndpoint::always(200, 200);
    let shared = limits(20);
    for name in ["a", "b"] {
        process.world.queue(name, 10);
        process.listen(settings(name, 64), &endpoint, &shared);
        for number in 0..20_000 {
            process.world.send(name, &format!("{name}-{number}"));
        }
    }
    tokio::time::sleep(MINUTE).await;
    let accepted = Arc::clone(&endpoint).accepted();
    let of_a = accepted.iter().filter(|body| body.starts_with('a')).count();
    let share = of_a * 100 / accepted.len();
    assert!((40..=60).contains(&share), "{share} % of {} went to one of two", accepted.len());
    process.stop(MINUTE).await;
}
