//! Throughput of a backlog: no session waits for a receive, and a message costs hardly more than two tenths of a call.
//!
//! Calls to SQS take 5 to 10 ms and POSTs their time; everything else takes none. So what is missing is what intake
//! leaves undone.

use std::time::Duration;

use queuepost::limit::{self, EndpointLimits};
use queuepost::tuning::Tuning;
use tokio::time::sleep;

use super::process::{SimProcess, settings};
use super::scripted_endpoint::ScriptedEndpoint;
use super::simulated_queue::{FIFO, Faults, World};

/// Until the limit that adapts has let all workers post, and what is measured is known.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long is measured.
const MEASURED: Duration = Duration::from_secs(3);
/// What a message costs beside its POST, by the goal: that of a whole machine with its network.
const BESIDE: Duration = Duration::from_millis(1);

/// What a listener did while there was a backlog.
#[derive(Debug)]
struct Seen {
    /// POSTs per second, as a part of the goal: workers ÷ (time of a POST + 1 ms).
    of_goal: f64,
    /// Calls to SQS for each message.
    calls: f64,
    /// Most messages in flight here that were not being posted.
    waiting: f64,
}

/// Runs a listener of so many workers over a backlog; its POSTs take so long.
fn backlog(queue: &str, workers: usize, takes: Duration, tuning: &Tuning) -> Seen {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(measure(queue, workers, takes, tuning))
}

async fn measure(name: &str, workers: usize, takes: Duration, tuning: &Tuning) -> Seen {
    let world = World::new(1);
    world.queue(name, 10);
    let most = workers as f64 / takes.as_secs_f64();
    let messages = most * (WARM_UP + MEASURED).as_secs_f64() + 20.0 * workers as f64;
    for number in 0..messages as usize {
        if name.ends_with(FIFO) {
            world.send_to(name, &format!("g-{number}"), &format!("m-{number}"));
        } else {
            world.send(name, &format!("m-{number}"));
        }
    }
    let mut process = SimProcess::in_world(&world, 1);
    let endpoint = ScriptedEndpoint::always(200, u64::try_from(takes.as_millis()).unwrap());
    let (sessions, tuning) = (workers, *tuning);
    let of_limits = limit::Settings { sessions, divided: false, adaptive: true, rate: None, tuning };
    let limits = EndpointLimits::new("api", &of_limits, 1);
    let mut settings = settings(name, workers);
    settings.tuning = tuning;
    let (queue, _) = process.listen(settings, &endpoint, &limits);
    let latency = (Duration::from_millis(5), Duration::from_millis(10));
    queue.set_faults(Faults { latency_least: latency.0, latency: latency.1, ..Faults::default() });
    sleep(WARM_UP).await;
    let (posts, calls) = (endpoint.posts().len(), queue.calls());
    let mut waiting = 0.0_f64;
    for _ in 0..50 {
        sleep(MEASURED / 50).await;
        waiting = waiting.max(process.metric("messages_in_progress", "stage=\"waiting\""));
    }
    let (posts, calls) = (endpoint.posts().len() - posts, queue.calls() - calls);
    process.stop(Duration::from_secs(60)).await;
    process.assert_balanced();
    let per_second = posts as f64 / MEASURED.as_secs_f64();
    let goal = workers as f64 / (takes + BESIDE).as_secs_f64();
    Seen { of_goal: per_second / goal, calls: calls as f64 / posts as f64, waiting }
}

const POST: Duration = Duration::from_millis(20);

#[test]
fn no_worker_waits_for_a_receive_and_receives_and_deletes_are_full() {
    for workers in [10, 16, 64, 256] {
        let seen = backlog("orders", workers, POST, &Tuning::default());
        assert!(seen.of_goal >= 0.95, "{workers} workers: {seen:?}");
        assert!(seen.calls <= 0.205, "{workers} workers: {seen:?}");
        assert!(seen.waiting <= workers as f64 + 10.0, "{workers} workers: {seen:?}");
    }
}

#[test]
fn few_workers_do_not_wait_either() {
    for workers in [1, 4] {
        let seen = backlog("orders", workers, POST, &Tuning::default());
        assert!(seen.of_goal >= 0.95, "{workers} workers: {seen:?}");
    }
}

#[test]
fn many_groups_of_a_fifo_queue_are_posted_side_by_side_without_a_wait_for_a_receive() {
    for workers in [4, 16, 64] {
        let seen = backlog("orders.fifo", workers, POST, &Tuning::default());
        assert!(seen.of_goal >= 0.95, "{workers} workers: {seen:?}");
    }
}

#[test]
fn without_run_ahead_workers_stand_idle_for_the_time_of_a_receive() {
    let mut tuning = Tuning::default();
    tuning.ahead.posts = Duration::ZERO;
    let seen = backlog("orders", 16, POST, &tuning);
    assert!(seen.of_goal < 0.85, "{seen:?}");
}
