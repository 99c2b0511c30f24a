//! Leases: the ways in which one ends before its message is settled, and what each costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use queuepost::localqueue::MessageState;
use queuepost::policy::outcome::{Answer, Attempt};
use queuepost::policy::retry_after::RetryAfter;
use queuepost::ports::{Operation, QueueReason};
use tokio::time::Instant;

use super::process::{Census, SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, answer_with_retry_after, refused};
use super::scripted_queue::{CallBehaviour, ScriptedQueue};
use super::simulated_queue::EPOCH_MILLIS;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// Longest request timeout that the configuration allows.
const TIMEOUT_MAX: Duration = Duration::from_secs(12 * 3_600 - 60);

fn count(process: &SimProcess, name: &str) -> u64 {
    process.count(name, "")
}

/// A listener of `workers` with a request timeout, on a queue with scripted calls.
fn listen(
    process: &mut SimProcess,
    name: &str,
    workers: usize,
    timeout: Duration,
    endpoint: &Arc<ScriptedEndpoint>,
) -> Arc<ScriptedQueue> {
    process.world.queue(name, 100);
    listen_on(process, name, workers, timeout, endpoint)
}

/// The same on a queue that exists.
fn listen_on(
    process: &mut SimProcess,
    name: &str,
    workers: usize,
    timeout: Duration,
    endpoint: &Arc<ScriptedEndpoint>,
) -> Arc<ScriptedQueue> {
    let queue = ScriptedQueue::new(&process.world, name, 90);
    let mut own = settings(name, workers);
    own.timeout = timeout;
    process.listen_on(own, Arc::clone(&queue) as _, Arc::clone(endpoint) as _, &limits(workers));
    queue
}

/// Time since the start of the world until which the queue's only message is hidden.
fn hidden_until(process: &SimProcess, queue: &str) -> Duration {
    let state = process.world.look(|broker, now| broker.inspect(now, queue))[0].state;
    let MessageState::InFlight { until } = state else { panic!("{state:?}") };
    Duration::from_millis(until.0 - EPOCH_MILLIS)
}

/// An endpoint that cannot be reached until then, and accepts everything after.
fn down_until(up_at: Duration) -> Arc<ScriptedEndpoint> {
    ScriptedEndpoint::new(move |post, _| {
        if post.began < up_at { (Duration::ZERO, refused()) } else { (10 * SECOND, answer(200)) }
    })
}

// A lease that ended.

#[tokio::test(start_paused = true)]
async fn on_a_standard_queue_a_message_whose_lease_ran_out_is_deleted_all_the_same() {
    let mut process = SimProcess::new(100);
    let endpoint = ScriptedEndpoint::always(200, 300_000);
    let queue = listen(&mut process, "orders", 1, 310 * SECOND, &endpoint);
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::Refused(QueueReason::Server));
    tokio::time::sleep(200 * SECOND).await;
    assert_eq!(process.census("orders").visible, 1, "anybody may have it");
    assert_eq!((endpoint.running(), count(&process, "leases_lost_total")), (1, 1));
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(process.census("orders"), Census::default());
    assert!(process.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), count(&process, "messages_deleted_total")), (1, 2));
    assert_eq!(count(&process, "duplicates_suppressed_total"), 1, "received again before it was deleted");
    assert_eq!(count(&process, "leases_lost_total"), 1, "counted once");
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn on_a_fifo_queue_an_expired_handle_deletes_nothing_and_the_memory_does_when_it_comes_again() {
    let mut process = SimProcess::new(101);
    let endpoint = ScriptedEndpoint::always(200, 300_000);
    let queue = listen(&mut process, "orders.fifo", 1, 310 * SECOND, &endpoint);
    process.world.send_to("orders.fifo", "g", "1");
    process.world.send_to("orders.fifo", "g", "2");
    tokio::time::sleep(SECOND).await;
    // The message does not come again before it is to be deleted, either.
    queue.set(|operation| match operation {
        Operation::Delete => CallBehaviour::Works,
        _ => CallBehaviour::Refused(QueueReason::Server),
    });
    tokio::time::sleep(200 * SECOND).await;
    assert_eq!(count(&process, "leases_lost_total"), 1);
    tokio::time::sleep(100 * SECOND).await;
    queue.set(|_| CallBehaviour::Works);
    process.until_empty("orders.fifo", 15 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    let bodies: Vec<String> = endpoint.posts().into_iter().map(|post| post.body).collect();
    assert_eq!(bodies, ["1", "2"], "each once, in order");
    assert_eq!(count(&process, "messages_abandoned_total"), 1, "the delete with the expired handle");
    assert_eq!(count(&process, "duplicates_suppressed_total"), 1, "it came again and was deleted");
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_while_extensions_failed_is_ours_again_when_one_gets_through() {
    let mut process = SimProcess::new(102);
    let (endpoint, queue) = waiting_behind_another(&mut process, "orders", 300 * SECOND);
    tokio::time::sleep(SECOND).await;
    let began = Instant::now();
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::Refused(QueueReason::Server));
    tokio::time::sleep(120 * SECOND).await;
    assert_eq!((process.census("orders").visible, count(&process, "leases_lost_total")), (1, 1));
    let failed = queue.calls(Operation::ChangeVisibility, began).len();
    assert!(
        (5..=16).contains(&failed),
        "{failed} tries in the last half minute of the lease and the one after"
    );
    queue.set(|_| CallBehaviour::Works);
    tokio::time::sleep(31 * SECOND).await;
    assert_eq!(process.census("orders").in_flight, 1, "hidden again within a step");
    process.until_empty("orders", 10 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    let posts = endpoint.posts();
    assert_eq!((posts.len(), posts[1].body.as_str(), posts[1].receive_count), (2, "x", 1));
    assert_eq!(count(&process, "leases_lost_total"), 1);
    process.assert_balanced();
}

/// A message `x` that waits for a session, which a message of another queue has for that long.
fn waiting_behind_another(
    process: &mut SimProcess,
    name: &str,
    takes: Duration,
) -> (Arc<ScriptedEndpoint>, Arc<ScriptedQueue>) {
    let endpoint = ScriptedEndpoint::new(move |post, _| {
        (if post.body == "first" { takes } else { SECOND }, answer(200))
    });
    let shared = limits(1);
    process.world.queue("another", 10);
    let mut slow = settings("another", 1);
    slow.timeout = 2 * takes;
    process.listen(slow, &endpoint, &shared);
    process.world.queue(name, 10);
    let queue = ScriptedQueue::new(&process.world, name, 90);
    process.listen_on(settings(name, 1), Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &shared);
    process.world.send("another", "first");
    let world = process.world.clone();
    let name = name.to_owned();
    tokio::task::spawn(async move {
        tokio::time::sleep(SECOND / 2).await;
        world.send_to(&name, "g", "x");
    });
    (endpoint, queue)
}

#[tokio::test(start_paused = true)]
async fn a_slow_sqs_costs_no_lease_however_many_there_are() {
    let mut process = SimProcess::new(103);
    let endpoint = ScriptedEndpoint::always(200, 150_000);
    process.world.queue("orders", 100);
    for number in 0..3_000 {
        process.world.send("orders", &format!("m-{number}"));
    }
    // A lease of 90 s, and as many POSTs as there are messages.
    let queue = listen_on(&mut process, "orders", 3_000, MINUTE, &endpoint);
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(endpoint.running(), 3_000);
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::Slow(2 * SECOND, 2_900 * SECOND / 1_000));
    tokio::time::sleep(120 * SECOND).await;
    assert_eq!(count(&process, "leases_lost_total"), 0);
    queue.set(|_| CallBehaviour::Works);
    process.until_empty("orders", 5 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(endpoint.posts().len(), 3_000);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn no_post_begins_on_a_lease_that_is_over_when_a_long_poll_was_answered_late() {
    let mut process = SimProcess::new(119);
    // The message is handed out at 9 s and arrives at 18 s. The session is free at 99 s, when its visibility
    // has ended.
    let (endpoint, queue) = waiting_behind_another(&mut process, "orders", 101 * SECOND);
    queue.set(|operation| match operation {
        Operation::Receive => CallBehaviour::Slow(Duration::ZERO, 9 * SECOND),
        Operation::ChangeVisibility => CallBehaviour::Refused(QueueReason::Server),
        _ => CallBehaviour::Works,
    });
    tokio::time::sleep(105 * SECOND).await;
    assert_eq!(endpoint.posts().len(), 1, "somebody else may post it now");
    assert_eq!((count(&process, "leases_lost_total"), count(&process, "messages_abandoned_total")), (1, 1));
    queue.set(|_| CallBehaviour::Works);
    process.until_empty("orders", 5 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(endpoint.accepted(), ["first", "x"]);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn no_post_begins_on_a_lease_that_is_over_when_short_receives_are_answered_late() {
    let mut process = SimProcess::new(120);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let takes = match post.body.as_str() {
            "first-0" => Duration::from_millis(40_500),
            "second" => 5 * SECOND,
            _ => MINUTE,
        };
        (takes, answer(200))
    });
    let queue = ScriptedQueue::new(&process.world, "orders", 41);
    queue.set(|operation| match operation {
        Operation::Receive => CallBehaviour::Slow(Duration::ZERO, 8 * SECOND),
        Operation::ChangeVisibility => CallBehaviour::Refused(QueueReason::Throttled),
        _ => CallBehaviour::Works,
    });
    let mut own = settings("orders", 16);
    own.timeout = SECOND;
    process.listen_on(own.clone(), Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(5));
    for number in 0..5 {
        process.world.send("orders", &format!("first-{number}"));
    }
    tokio::time::sleep(15 * SECOND).await;
    process.world.send("orders", "second");
    tokio::time::sleep(14 * SECOND).await;
    // Another process, whose SQS works.
    let mut other = SimProcess::in_world(&process.world, 42);
    let theirs = ScriptedEndpoint::always(200, 10_000);
    other.listen(own, &theirs, &limits(16));
    tokio::time::sleep(2 * MINUTE).await;
    let of_second =
        |endpoint: &ScriptedEndpoint| endpoint.posts().iter().filter(|post| post.body == "second").count();
    assert_eq!(
        (of_second(&endpoint), of_second(&theirs)),
        (0, 1),
        "the lease ended before a session came free"
    );
    other.stop(MINUTE).await;
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_fifo_receive_that_is_repeated_starts_the_lease_anew() {
    let mut process = SimProcess::new(121);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    let queue = listen(&mut process, "orders.fifo", 1, SECOND, &endpoint);
    process.world.send_to("orders.fifo", "g", "x");
    // A lease of 31 s, which the first answer would have begun. The repeat that is answered begins late in
    // that lease.
    queue.set(|operation| match operation {
        Operation::Receive => CallBehaviour::NoAnswer,
        _ => CallBehaviour::Works,
    });
    tokio::time::sleep(21 * SECOND).await;
    queue.set(|_| CallBehaviour::Works);
    process.until_empty("orders.fifo", MINUTE).await;
    assert!(process.stop(MINUTE).await);
    let posts = endpoint.posts();
    assert_eq!((posts.len(), posts[0].receive_count), (1, 1));
    assert_eq!((count(&process, "leases_lost_total"), count(&process, "messages_abandoned_total")), (0, 0));
    process.assert_balanced();
}

// A process or a machine that stood still.

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_process_that_stood_still_longer_than_a_lease_is_counted_and_posted_once() {
    for name in ["orders", "orders.fifo"] {
        // The session is free long after the suspension, and during it.
        for takes in [600, 100] {
            let mut process = SimProcess::new(104);
            let (endpoint, _) = waiting_behind_another(&mut process, name, Duration::from_secs(takes));
            tokio::time::sleep(10 * SECOND).await;
            // Nothing runs meanwhile, and the runtime's clock goes on: SIGSTOP, or no CPU for the process.
            tokio::time::advance(200 * SECOND).await;
            tokio::time::sleep(SECOND).await;
            let labels = format!("listener=\"{name}\"");
            assert_eq!(process.count("leases_lost_total", &labels), 1, "{name} {takes}");
            process.until_empty(name, 20 * MINUTE).await;
            assert!(process.stop(MINUTE).await);
            assert_eq!(endpoint.accepted(), ["first", "x"], "{name} {takes}");
            process.assert_balanced();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_stood_still_learns_of_its_lost_lease_from_the_next_extension() {
    let mut process = SimProcess::new(105);
    let endpoint = down_until(Duration::from_secs(250));
    let queue = listen(&mut process, "orders", 1, MINUTE, &endpoint);
    process.world.send("orders", "x");
    tokio::time::sleep(10 * SECOND).await;
    // Our clock was suspended with the process, SQS's was not. Another process has the message now.
    queue.queue.steal("x", 3_600);
    let stolen = Instant::now();
    assert_eq!(count(&process, "leases_lost_total"), 0, "we cannot know");
    tokio::time::sleep(55 * SECOND).await;
    let calls = queue.calls(Operation::ChangeVisibility, stolen).len();
    assert_eq!((count(&process, "leases_lost_total"), calls), (1, 1), "the first extension tells");
    tokio::time::sleep(10 * MINUTE).await;
    assert!(endpoint.accepted().is_empty(), "it is somebody else's to post");
    assert!(endpoint.posts().iter().all(|post| post.began < 130 * SECOND));
    assert_eq!(count(&process, "messages_abandoned_total"), 1);
    assert!(process.stop(MINUTE).await);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_post_that_runs_when_its_lease_is_lost_goes_on_and_its_message_is_remembered() {
    let mut process = SimProcess::new(106);
    let endpoint = ScriptedEndpoint::always(200, 100_000);
    let queue = listen(&mut process, "orders", 1, 110 * SECOND, &endpoint);
    process.world.send("orders", "x");
    tokio::time::sleep(10 * SECOND).await;
    queue.queue.steal("x", 200);
    tokio::time::sleep(100 * SECOND).await;
    let abandoned = count(&process, "messages_abandoned_total");
    assert_eq!((endpoint.accepted().len(), count(&process, "leases_lost_total")), (1, 1));
    // A standard queue confirms a delete with an older handle and may do nothing.
    assert_eq!((abandoned, count(&process, "messages_deleted_total")), (0, 1));
    process.until_empty("orders", 5 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(endpoint.posts().len(), 1, "when it came again it was deleted");
    assert_eq!(count(&process, "duplicates_suppressed_total"), 1);
    process.assert_balanced();
}

// Wall clocks.

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_days_off_moves_no_lease_and_no_park() {
    for ahead in [true, false] {
        let mut process = SimProcess::new(107);
        process.epoch = if ahead { process.epoch + 72 * HOUR } else { process.epoch - 72 * HOUR };
        let endpoint = ScriptedEndpoint::new(|_, number| {
            (200 * SECOND, if number == 0 { answer_with_retry_after(429, 600) } else { answer(200) })
        });
        listen(&mut process, "orders", 1, 210 * SECOND, &endpoint);
        process.world.send("orders", "x");
        tokio::time::sleep(210 * SECOND).await;
        let posted = endpoint.posts()[0].ended.unwrap();
        let parked = hidden_until(&process, "orders") - posted;
        assert!(parked.abs_diff(600 * SECOND) <= SECOND, "{parked:?}");
        process.until_empty("orders", 20 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!((endpoint.posts().len(), count(&process, "leases_lost_total")), (2, 0));
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_date_is_read_by_our_clock_and_never_goes_beyond_twelve_hours() {
    for (behind, expected) in [
        (Duration::ZERO, 20 * MINUTE),
        // A date in the past, by a clock that is ahead: the table's own delay applies.
        (HOUR, 5 * MINUTE),
        (72 * HOUR, 12 * HOUR),
    ] {
        let mut process = SimProcess::new(108);
        let date = process.epoch + 20 * MINUTE;
        process.epoch = if behind > HOUR { process.epoch - behind } else { process.epoch + behind };
        let endpoint = ScriptedEndpoint::new(move |_, number| {
            let retry_after = Some(RetryAfter::At(date));
            let throttled = Attempt::Answered(Answer { status: 429, retry_after, ..Answer::default() });
            (SECOND, if number == 0 { throttled } else { answer(200) })
        });
        listen(&mut process, "orders", 1, MINUTE, &endpoint);
        process.world.send("orders", "x");
        tokio::time::sleep(10 * SECOND).await;
        let hidden = hidden_until(&process, "orders");
        assert!(hidden.abs_diff(expected) <= 10 * SECOND, "{behind:?} off: hidden until {hidden:?}");
        tokio::time::sleep(hidden - 12 * SECOND).await;
        process.until_empty("orders", MINUTE).await;
        process.stop(MINUTE).await;
        assert_eq!((endpoint.posts().len(), count(&process, "messages_abandoned_total")), (2, 0));
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_a_year_is_no_value_be_it_a_date_or_seconds() {
    for value in ["Thu, 01 Jan 2099 00:00:00 GMT", "99999999999"] {
        let mut process = SimProcess::new(118);
        let endpoint = ScriptedEndpoint::new(move |_, number| {
            let retry_after = RetryAfter::parse(value);
            let throttled = Attempt::Answered(Answer { status: 429, retry_after, ..Answer::default() });
            (SECOND, if number == 0 { throttled } else { answer(200) })
        });
        listen(&mut process, "orders", 1, MINUTE, &endpoint);
        process.world.send("orders", "x");
        process.until_empty("orders", 6 * MINUTE).await;
        process.stop(MINUTE).await;
        assert_eq!(endpoint.posts().len(), 2, "{value}");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_far_ahead_does_not_keep_a_fifo_listener_at_single_receives() {
    let mut process = SimProcess::new(122);
    process.epoch += 72 * HOUR;
    process.world.queue("orders.fifo", 10);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        (SECOND / 10, answer(if post.body.starts_with("bad") { 422 } else { 200 }))
    });
    let (queue, _) = process.listen(settings("orders.fifo", 16), &endpoint, &limits(16));
    process.world.send_to("orders.fifo", "bad", "bad");
    process.world.send_to("orders.fifo", "bad", "tail");
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(endpoint.posts().len(), 1, "it has failed");
    // Whoever received messages of the group since, this message does not come again.
    queue.delete_behind("bad");
    process.world.with(|broker, now| broker.purge(now, "orders.fifo")).ok();
    tokio::time::sleep(10 * MINUTE).await;
    let so_far = queue.receives.lock().unwrap().len();
    for number in 0..100 {
        process.world.send_to("orders.fifo", &format!("g-{number}"), &format!("m-{number}"));
    }
    process.until_empty("orders.fifo", 5 * MINUTE).await;
    process.stop(MINUTE).await;
    let most = queue.receives.lock().unwrap()[so_far..].iter().map(|(_, max)| *max).max();
    assert!(most > Some(1), "{most:?}");
    process.assert_balanced();
}

// SQS's twelve hours.

#[tokio::test(start_paused = true)]
async fn a_post_of_almost_twelve_hours_keeps_its_message_and_deletes_it() {
    for name in ["orders", "orders.fifo"] {
        let mut process = SimProcess::new(109);
        let takes = TIMEOUT_MAX - SECOND;
        let endpoint = ScriptedEndpoint::new(move |_, _| (takes, answer(200)));
        listen(&mut process, name, 2, TIMEOUT_MAX, &endpoint);
        process.world.send_to(name, "g", "x");
        tokio::time::sleep(takes - SECOND).await;
        assert_eq!(process.census(name).in_flight, 1);
        process.until_empty(name, MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!((endpoint.posts().len(), count(&process, "leases_lost_total")), (1, 0), "{name}");
        assert_eq!(count(&process, "messages_deleted_total"), 1);
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_times_out_near_the_twelve_hours_is_deferred_within_them() {
    for attempt in
        [Attempt::TimedOut, answer_with_retry_after(429, 7_200), answer_with_retry_after(503, 7_200)]
    {
        let mut process = SimProcess::new(110);
        let first = attempt.clone();
        let endpoint = ScriptedEndpoint::new(move |_, number| {
            if number == 0 { (TIMEOUT_MAX, first.clone()) } else { (SECOND, answer(200)) }
        });
        listen(&mut process, "orders", 1, TIMEOUT_MAX, &endpoint);
        process.world.send("orders", "x");
        tokio::time::sleep(TIMEOUT_MAX + 2 * SECOND).await;
        let hidden = hidden_until(&process, "orders");
        assert!(hidden > TIMEOUT_MAX && hidden <= 12 * HOUR, "{attempt:?}: {hidden:?}");
        process.until_empty("orders", 13 * HOUR).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!((endpoint.posts().len(), count(&process, "leases_lost_total")), (2, 0), "{attempt:?}");
        assert_eq!(count(&process, "messages_abandoned_total"), 0, "SQS took the hiding");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_twelve_hours_hides_for_what_sqs_admits() {
    let mut process = SimProcess::new(111);
    let endpoint = ScriptedEndpoint::new(|_, number| {
        (MINUTE, if number == 0 { answer_with_retry_after(429, 20 * 3_600) } else { answer(200) })
    });
    listen(&mut process, "orders", 1, 2 * MINUTE, &endpoint);
    process.world.send("orders", "x");
    tokio::time::sleep(62 * SECOND).await;
    let hidden = hidden_until(&process, "orders");
    assert!(hidden > 12 * HOUR - 10 * SECOND && hidden <= 12 * HOUR, "{hidden:?}");
    assert_eq!(
        (count(&process, "messages_parked_total"), count(&process, "messages_parked_current")),
        (1, 1)
    );
    tokio::time::sleep(hidden - 65 * SECOND).await;
    process.until_empty("orders", 2 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(endpoint.posts().len(), 2);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_message_still_worked_on_at_the_twelve_hours_is_counted_lost_once_and_its_work_counts() {
    let mut process = SimProcess::new(112);
    // No configuration allows this timeout; a message that waited for hours before its POST has the same
    // effect.
    let endpoint = ScriptedEndpoint::new(|_, _| (13 * HOUR, answer(200)));
    let queue = listen(&mut process, "orders", 1, TIMEOUT_MAX, &endpoint);
    process.world.send("orders", "x");
    tokio::time::sleep(12 * HOUR - 30 * SECOND).await;
    assert_eq!((process.census("orders").in_flight, count(&process, "leases_lost_total")), (1, 0));
    let near = Instant::now();
    tokio::time::sleep(31 * SECOND).await;
    assert_eq!((process.census("orders").visible, count(&process, "leases_lost_total")), (1, 1));
    assert_eq!(queue.calls(Operation::ChangeVisibility, near).len(), 0, "SQS extends no further");
    tokio::time::sleep(HOUR - 2 * SECOND).await;
    process.until_empty("orders", MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), count(&process, "leases_lost_total")), (1, 1));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_delete_refused_for_longer_than_twelve_hours_posts_nothing_twice() {
    for name in ["orders", "orders.fifo"] {
        let mut process = SimProcess::new(113);
        let endpoint = ScriptedEndpoint::always(200, 1_000);
        let queue = listen(&mut process, name, 1, MINUTE, &endpoint);
        queue.set_for(Operation::Delete, CallBehaviour::Refused(QueueReason::Throttled));
        process.world.send_to(name, "g", "x");
        tokio::time::sleep(30 * HOUR).await;
        assert!(count(&process, "duplicates_suppressed_total") >= 2, "{name}: it came again twice");
        queue.set(|_| CallBehaviour::Works);
        process.until_empty(name, MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!((endpoint.posts().len(), process.census(name).dead), (1, 0), "{name}");
        process.assert_balanced();
    }
}

// Lease extensions that coincide with a settlement.

#[tokio::test(start_paused = true)]
async fn a_park_waits_for_the_extension_under_way_wherever_that_is() {
    // The extension begins 55 s after the receive and takes 4 s. The 429 comes during it, early and late, and
    // after it.
    for (there, back) in [(4, 0), (2, 2), (0, 4)] {
        for comes_at in [56, 58, 60] {
            let mut process = SimProcess::new(114);
            let endpoint = ScriptedEndpoint::new(move |_, _| (Duration::from_secs(comes_at), answer(429)));
            let queue = listen(&mut process, "orders", 1, MINUTE, &endpoint);
            process.world.send("orders", "x");
            let slow = CallBehaviour::Slow(Duration::from_secs(there), Duration::from_secs(back));
            let first = AtomicBool::new(true);
            queue.set(move |operation| {
                let extends =
                    operation == Operation::ChangeVisibility && first.swap(false, Ordering::Relaxed);
                if extends { slow } else { CallBehaviour::Works }
            });
            tokio::time::sleep(80 * SECOND).await;
            let posted = endpoint.posts()[0].ended.unwrap();
            let parked = hidden_until(&process, "orders") - posted;
            assert!(parked.abs_diff(300 * SECOND) <= SECOND, "{there} {back} {comes_at}: {parked:?}");
            process.stop(MINUTE).await;
            assert_eq!(count(&process, "messages_parked_total"), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_park_after_an_extension_without_an_answer_is_sent_once_more() {
    let mut process = SimProcess::new(115);
    // The extension that began at 55 s times out at 60 s. It takes effect at 62 s, after the park.
    let endpoint = ScriptedEndpoint::new(|_, _| (57 * SECOND, answer(429)));
    let queue = listen(&mut process, "orders", 1, MINUTE, &endpoint);
    process.world.send("orders", "x");
    tokio::time::sleep(54 * SECOND).await;
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::Echo(7 * SECOND));
    tokio::time::sleep(2 * SECOND).await;
    queue.set(|_| CallBehaviour::Works);
    tokio::time::sleep(7 * SECOND).await;
    let posted = endpoint.posts()[0].ended.unwrap();
    let overwritten = hidden_until(&process, "orders") - posted;
    assert!(overwritten < 100 * SECOND, "the late extension came: {overwritten:?}");
    tokio::time::sleep(10 * SECOND).await;
    let parked = hidden_until(&process, "orders") - posted;
    assert!(parked.abs_diff(300 * SECOND) <= SECOND, "{parked:?}");
    assert_eq!(count(&process, "messages_parked_total"), 1);
    process.stop(MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_meets_the_delete_is_no_lost_lease() {
    for name in ["orders", "orders.fifo"] {
        for delete in [
            CallBehaviour::Slow(Duration::ZERO, 4 * SECOND),
            CallBehaviour::AnswerLost(QueueReason::Connection),
        ] {
            let mut process = SimProcess::new(116);
            // The extension that begins at 55 s reaches SQS after the delete, and is answered that there is
            // no message.
            let endpoint = ScriptedEndpoint::new(|_, _| (56 * SECOND, answer(200)));
            let queue = listen(&mut process, name, 1, MINUTE, &endpoint);
            process.world.send_to(name, "g", "x");
            let slow = CallBehaviour::Slow(2 * SECOND, SECOND / 10);
            queue.set(move |operation| match operation {
                Operation::ChangeVisibility => slow,
                Operation::Delete => delete,
                _ => CallBehaviour::Works,
            });
            tokio::time::sleep(58 * SECOND).await;
            assert_eq!(process.census(name), Census::default());
            let lost = process.count("visibility_extensions_total", r#"result="lost""#);
            tokio::time::sleep(SECOND).await;
            queue.set(|_| CallBehaviour::Works);
            tokio::time::sleep(MINUTE).await;
            assert!(process.stop(MINUTE).await);
            let lost = lost.max(process.count("visibility_extensions_total", r#"result="lost""#));
            assert_eq!(lost, u64::from(!matches!(delete, CallBehaviour::Works)), "{name}: they met");
            assert_eq!(
                (count(&process, "leases_lost_total"), count(&process, "messages_abandoned_total")),
                (0, 0)
            );
            assert_eq!(count(&process, "messages_deleted_total"), 1, "{name} {delete:?}");
            process.assert_balanced();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_comes_while_an_extension_is_under_way_keeps_the_lease() {
    for (there, back) in [(4, 0), (0, 4)] {
        let mut process = SimProcess::new(117);
        let endpoint = ScriptedEndpoint::new(|_, _| (200 * SECOND, answer(200)));
        let queue = listen(&mut process, "orders", 4, 210 * SECOND, &endpoint);
        process.world.send("orders", "x");
        // A lease of 120 s: the extension begins at 75 s.
        tokio::time::sleep(74 * SECOND).await;
        queue.set_for(Operation::ChangeVisibility, CallBehaviour::Slow(there * SECOND, back * SECOND));
        tokio::time::sleep(2 * SECOND).await;
        queue.queue.hide("x", Duration::ZERO);
        tokio::time::sleep(5 * SECOND).await;
        queue.set(|_| CallBehaviour::Works);
        assert_eq!(count(&process, "duplicates_suppressed_total"), 1, "{there}: the copy came meanwhile");
        process.until_empty("orders", 3 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!((endpoint.posts().len(), count(&process, "leases_lost_total")), (1, 0), "{there}");
        assert_eq!(count(&process, "messages_deleted_total"), 2, "both receives");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_park_is_tried_until_just_before_its_lease_ends() {
    for seed in 0..20 {
        let mut process = SimProcess::new(1_000 + seed);
        let endpoint =
            ScriptedEndpoint::new(|_, number| (SECOND, answer(if number == 0 { 429 } else { 200 })));
        let queue = listen(&mut process, "orders", 1, MINUTE, &endpoint);
        process.world.send("orders", "x");
        tokio::time::sleep(SECOND / 2).await;
        // The lease of 90 s is counted as 85.
        queue.set_for(Operation::ChangeVisibility, CallBehaviour::Refused(QueueReason::Throttled));
        tokio::time::sleep(80 * SECOND).await;
        queue.set(|_| CallBehaviour::Works);
        process.until_empty("orders", 10 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        let posts = endpoint.posts();
        assert_eq!((posts.len(), posts[1].receive_count), (2, 2), "seed {seed}");
        assert_eq!(
            (count(&process, "messages_parked_total"), count(&process, "messages_abandoned_total")),
            (1, 0)
        );
        process.assert_balanced();
    }
}

/// A 429 whose park lasts 4 s, shorter than a call may take.
async fn parked_shortly(
    process: &mut SimProcess,
    takes: Duration,
) -> (Arc<ScriptedEndpoint>, Arc<ScriptedQueue>) {
    process.world.queue("orders", 10);
    let endpoint =
        ScriptedEndpoint::new(
            move |_, number| {
                if number == 0 { (takes, answer(429)) } else { (MINUTE, answer(200)) }
            },
        );
    let queue = ScriptedQueue::new(&process.world, "orders", 123);
    let mut own = settings("orders", 1);
    own.policy.throttle_delay = 4 * SECOND;
    process.listen_on(own, Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(1));
    process.world.send("orders", "x");
    tokio::time::sleep(takes.min(54 * SECOND) - SECOND).await;
    (endpoint, queue)
}

#[tokio::test(start_paused = true)]
async fn a_park_without_an_answer_is_not_sent_again_once_it_is_over() {
    let mut process = SimProcess::new(123);
    let (endpoint, queue) = parked_shortly(&mut process, 10 * SECOND).await;
    let began = Instant::now();
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::NoAnswer);
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(queue.calls(Operation::ChangeVisibility, began).len(), 1, "somebody else may have it");
    process.until_empty("orders", 5 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(endpoint.posts().len(), 2);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_park_is_not_sent_once_more_after_it_is_over() {
    let mut process = SimProcess::new(124);
    // The extension that began at 55 s times out at 60 s. The park waits for that, and ends at 61 s.
    let (endpoint, queue) = parked_shortly(&mut process, 57 * SECOND).await;
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::Echo(7 * SECOND));
    tokio::time::sleep(3 * SECOND).await;
    queue.set(|_| CallBehaviour::Works);
    let began = Instant::now();
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(queue.calls(Operation::ChangeVisibility, began).len(), 1, "the park alone");
    process.until_empty("orders", 5 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(endpoint.posts().len(), 2);
    process.assert_balanced();
}
