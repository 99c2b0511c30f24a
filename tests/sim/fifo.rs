//! Order within message groups: with drains, kills, failures, lost leases and several processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use queuepost::exchange::Request;
use queuepost::policy::outcome::Attempt;
use queuepost::ports::{BoxFuture, Endpoint};

use super::process::{Census, SimProcess, limits, settings};
use super::scripted_endpoint::{Post, ScriptedEndpoint, answer, answer_with_retry_after, refused};
use super::simulated_queue::{Deletes, Faults, SimQueue, World};

const ORDERS: &str = "orders.fifo";
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Sends `GROUP/1` to `GROUP/COUNT`.
fn send_group(world: &World, group: &str, count: u32) {
    for number in 1..=count {
        world.send_to(ORDERS, group, &format!("{group}/{number}"));
    }
}

fn parts(body: &str) -> (&str, u64) {
    let (group, number) = body.split_once('/').unwrap();
    (group, number.parse().unwrap())
}

/// POSTs that began while a predecessor was in the queue.
#[derive(Default)]
struct OrderViolations(Mutex<Vec<String>>);

impl OrderViolations {
    #[track_caller]
    fn assert_none(&self) {
        let found = self.0.lock().unwrap();
        assert!(found.is_empty(), "{} violations: {:?}", found.len(), found.first());
    }
}

/// A scripted endpoint that looks, at every POST, whether the message's predecessors are gone from the queue.
fn watched(
    world: &World,
    script: impl Fn(&Post, usize) -> (Duration, Attempt) + Send + Sync + 'static,
) -> (Arc<ScriptedEndpoint>, Arc<OrderViolations>) {
    let violations = Arc::new(OrderViolations::default());
    let (world, found) = (world.clone(), Arc::clone(&violations));
    let endpoint = ScriptedEndpoint::new(move |post, count| {
        let (group, number) = parts(&post.body);
        for other in world.look(|broker, now| broker.inspect(now, ORDERS)) {
            let (other_group, before) = parts(&other.body);
            if other_group == group && before < number {
                found.0.lock().unwrap().push(format!("{} before {}", post.body, other.body));
            }
        }
        script(post, count)
    });
    (endpoint, violations)
}

/// Accepted bodies by group.
fn accepted_by_group(endpoint: &ScriptedEndpoint) -> BTreeMap<String, Vec<u64>> {
    let mut groups: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for body in endpoint.accepted() {
        let (group, number) = parts(&body);
        groups.entry(group.to_owned()).or_default().push(number);
    }
    groups
}

/// Makes the next receive ask for ten messages: sends a message that ends at once.
async fn make_busy(process: &SimProcess) {
    tokio::time::sleep(SECOND).await;
    let body = format!("warm-up/{}", process.world.now().0);
    process.world.send_to(ORDERS, "warm-up", &body);
    tokio::time::sleep(SECOND / 100).await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_starts_only_after_its_predecessors_delete_is_confirmed() {
    for seed in 0..10 {
        let mut process = SimProcess::new(seed);
        process.world.queue(ORDERS, 1_000);
        let (endpoint, violations) = watched(&process.world, |_, _| (Duration::from_millis(20), answer(200)));
        let (queue, _) = process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
        queue.set_faults(Faults {
            latency: Duration::from_millis(500),
            entry_failed: 0.2,
            throttled: 0.1,
            ..Faults::default()
        });
        for group in ["a", "b", "c"] {
            send_group(&process.world, group, 30);
        }
        process.until_empty(ORDERS, 30 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        violations.assert_none();
        for (group, numbers) in accepted_by_group(&endpoint) {
            assert_eq!(numbers, (1..=30).collect::<Vec<_>>(), "seed {seed}, group {group}");
        }
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_does_not_wait_until_its_deletes_have_company() {
    let mut process = SimProcess::new(89);
    process.world.queue(ORDERS, 10);
    let endpoint = ScriptedEndpoint::always(200, 10);
    process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    send_group(&process.world, "a", 9);
    tokio::time::sleep(SECOND / 5).await;
    assert_eq!(endpoint.accepted().len(), 10);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_head_is_parked_and_its_tail_given_back_behind_it() {
    let mut process = SimProcess::new(90);
    process.world.queue(ORDERS, 10);
    let refused_once = Mutex::new(false);
    let (endpoint, violations) = watched(&process.world, move |post, _| {
        let refuse = post.body == "a/2" && !std::mem::replace(&mut refused_once.lock().unwrap(), true);
        (Duration::from_millis(50), answer(if refuse { 429 } else { 200 }))
    });
    process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    send_group(&process.world, "a", 8);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(endpoint.accepted(), ["warm-up/1700000001000", "a/1"]);
    assert_eq!(process.census(ORDERS), Census { visible: 6, in_flight: 1, dead: 0 }, "nothing is kept");
    assert_eq!(process.count("messages_parked_total", ""), 1);
    assert_eq!(process.count("messages_released_total", r#"reason="group""#), 6);
    assert_eq!(process.count("workers_in_use", ""), 0);
    process.until_empty(ORDERS, 6 * MINUTE).await;
    process.stop(MINUTE).await;
    violations.assert_none();
    assert_eq!(accepted_by_group(&endpoint)["a"], (1..=8).collect::<Vec<_>>());
    assert_eq!(process.count("messages_abandoned_total", ""), 0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_tail_does_not_follow_its_head_to_the_dead_letter_queue() {
    // On the last receive a 429 is waited out in this process, twice.
    for (status, tries) in [(429, 3 + 2), (500, 3)] {
        let mut process = SimProcess::new(91);
        process.world.queue(ORDERS, 3);
        let (endpoint, violations) = watched(&process.world, move |post, _| {
            (Duration::from_millis(50), answer(if post.body == "a/1" { status } else { 200 }))
        });
        let mut own = settings(ORDERS, 10);
        own.policy.throttle_delay = 20 * SECOND;
        process.listen(own, &endpoint, &limits(10));
        make_busy(&process).await;
        send_group(&process.world, "a", 9);
        // Makes the listener ask for ten messages.
        for other in 0..1_000 {
            send_group(&process.world, &format!("other-{other}"), 1);
            tokio::time::sleep(SECOND / 10).await;
        }
        process.until_empty(ORDERS, 60 * MINUTE).await;
        process.stop(MINUTE).await;
        let posts = endpoint.posts();
        assert_eq!(posts.iter().filter(|post| post.body == "a/1").count(), tries, "{status}");
        assert_eq!(process.census(ORDERS).dead, 1, "{status}: the head alone");
        assert_eq!(accepted_by_group(&endpoint)["a"], (2..=9).collect::<Vec<_>>());
        let most = posts.iter().filter(|post| post.body != "a/1").map(|post| post.receive_count).max();
        assert!(most <= Some(2), "{status}: a message of the tail was received {most:?} times");
        violations.assert_none();
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_tail_is_received_in_vain_once_however_many_of_it_fail_in_their_turn() {
    let mut process = SimProcess::new(104);
    process.world.queue(ORDERS, 1_000);
    let failed = Mutex::new(BTreeSet::new());
    let (endpoint, violations) = watched(&process.world, move |post, _| {
        let is_bad = ["a/1", "a/4", "a/7"].contains(&&*post.body);
        let fails = is_bad && failed.lock().unwrap().insert(post.body.clone());
        (Duration::from_millis(50), answer(if fails { 500 } else { 200 }))
    });
    process.listen(settings(ORDERS, 100), &endpoint, &limits(100));
    make_busy(&process).await;
    send_group(&process.world, "a", 9);
    // Makes the listener ask for ten messages.
    for other in 0..3_000 {
        send_group(&process.world, &format!("other-{other}"), 1);
        tokio::time::sleep(SECOND / 10).await;
    }
    process.until_empty(ORDERS, 10 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(accepted_by_group(&endpoint)["a"], (1..=9).collect::<Vec<_>>());
    // In vain behind a/1, and once for each POST.
    let most = BTreeMap::from([("a/1", 2), ("a/4", 3), ("a/7", 3)]);
    for post in endpoint.posts().iter().filter(|post| post.body.starts_with("a/")) {
        assert!(post.receive_count <= *most.get(&*post.body).unwrap_or(&2), "{post:?}");
    }
    violations.assert_none();
    process.assert_balanced();
}

/// How many messages the receives that began since then asked for.
fn asked(queue: &SimQueue, from: Duration, to: Duration) -> BTreeSet<usize> {
    let receives = queue.receives.lock().unwrap();
    receives.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, most)| *most).collect()
}

/// A head fails, and another process takes it over, twenty minutes after it was sent. Returns how many
/// messages are asked for until 8, 24 and 28 minutes after that.
async fn asked_after_a_failed_head(attributes: &[(&str, &str)]) -> [BTreeSet<usize>; 3] {
    let mut process = SimProcess::new(105);
    process.world.queue_with("orders-dlq.fifo", &[]);
    process.world.queue_with(ORDERS, attributes);
    let endpoint =
        ScriptedEndpoint::new(|post, _| (SECOND / 20, answer(if post.body == "a/1" { 429 } else { 200 })));
    send_group(&process.world, "a", 1);
    tokio::time::sleep(20 * MINUTE).await;
    let began = process.world.started().elapsed();
    let (queue, _) = process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    tokio::time::sleep(10 * SECOND).await;
    queue.delete_behind("a/1");
    for other in 0..1_700 {
        send_group(&process.world, &format!("other-{other}"), 1);
        tokio::time::sleep(SECOND).await;
    }
    process.stop(MINUTE).await;
    let minutes = [(1, 8), (8, 24), (26, 28)];
    minutes.map(|(from, to)| asked(&queue, began + from * MINUTE, began + to * MINUTE))
}

#[tokio::test(start_paused = true)]
async fn a_group_counts_as_failing_for_as_long_as_the_backlog_before_it_may_last() {
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:orders-dlq.fifo","maxReceiveCount":9}"#;
    let [at_first, meanwhile, then] = asked_after_a_failed_head(&[("RedrivePolicy", policy)]).await;
    assert_eq!((at_first, meanwhile), ([1].into(), [1].into()));
    assert!(then.last() > Some(&1), "{then:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_dead_letter_queue_receives_stay_large_after_a_failed_head() {
    let [at_first, ..] = asked_after_a_failed_head(&[]).await;
    assert!(at_first.last() > Some(&1), "{at_first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_receive_whose_answer_is_lost_is_repeated_as_it_was_and_counts_once() {
    let mut process = SimProcess::new(106);
    process.world.queue(ORDERS, 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, _) = process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    // Its delete must not be lost too.
    tokio::time::sleep(SECOND / 10).await;
    queue.set_faults(Faults { answer_lost: 1.0, ..Faults::default() });
    send_group(&process.world, "a", 3);
    // Its back-off is short so far.
    tokio::time::sleep(SECOND).await;
    queue.set_faults(Faults::default());
    // Leases last 90 s.
    process.until_empty(ORDERS, 10 * SECOND).await;
    process.stop(MINUTE).await;
    assert_eq!(accepted_by_group(&endpoint)["a"], [1, 2, 3]);
    assert!(endpoint.posts().iter().all(|post| post.receive_count == 1), "{:?}", endpoint.posts());
    assert_eq!(process.count("messages_received_total", ""), 4);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_lost_receive_is_not_repeated_in_a_drain_and_its_messages_come_back() {
    let mut process = SimProcess::new(107);
    process.world.queue(ORDERS, 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, _) = process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    // Its delete must not be lost too.
    tokio::time::sleep(SECOND / 10).await;
    queue.set_faults(Faults { answer_lost: 1.0, ..Faults::default() });
    send_group(&process.world, "a", 3);
    tokio::time::sleep(SECOND / 100).await;
    let asked = queue.receives.lock().unwrap().len();
    assert!(process.stop(20 * SECOND).await);
    assert_eq!(queue.receives.lock().unwrap().len(), asked);
    let mut next = SimProcess::in_world(&process.world, 108);
    next.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    next.until_empty(ORDERS, 2 * MINUTE).await;
    next.stop(MINUTE).await;
    assert_eq!(accepted_by_group(&endpoint)["a"], [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_tail_of_which_some_are_given_back_late_keeps_its_order() {
    for seed in 0..10 {
        let mut process = SimProcess::new(seed);
        process.world.queue(ORDERS, 1_000);
        let (endpoint, violations) = watched(&process.world, |post, number| {
            let fails = number % 3 == 1 && !post.body.starts_with('w');
            (SECOND / 10, answer(if fails { 500 } else { 200 }))
        });
        let (queue, _) = process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
        make_busy(&process).await;
        queue.set_faults(Faults { entry_failed: 0.7, ..Faults::default() });
        send_group(&process.world, "a", 10);
        tokio::time::sleep(SECOND / 2).await;
        // Another process would take every visible message.
        let mut other = SimProcess::in_world(&process.world, seed + 100);
        other.listen(settings(ORDERS, 10), &endpoint, &limits(10));
        process.until_empty(ORDERS, 60 * MINUTE).await;
        process.stop(MINUTE).await;
        other.stop(MINUTE).await;
        violations.assert_none();
        let released = process.count("messages_released_total", r#"reason="group""#);
        let abandoned = process.count("messages_abandoned_total", "");
        assert!(released >= 5, "seed {seed}: {released}");
        assert!(
            released + abandoned >= 8,
            "seed {seed}: of some the lease was over first, {released} + {abandoned}"
        );
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_has_waited_for_hours_comes_again_before_it_is_posted() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let mut process = SimProcess::new(109);
    process.world.queue(ORDERS, 10);
    let (endpoint, violations) = watched(&process.world, |post, _| {
        (if post.body.starts_with('a') { 6 * HOUR + 15 * MINUTE } else { SECOND / 100 }, answer(200))
    });
    let mut slow = settings(ORDERS, 10);
    slow.timeout = 7 * HOUR;
    process.listen(slow, &endpoint, &limits(10));
    make_busy(&process).await;
    send_group(&process.world, "a", 2);
    process.until_empty(ORDERS, 13 * HOUR).await;
    process.stop(MINUTE).await;
    let posts: Vec<_> = endpoint.posts().into_iter().map(|post| (post.body, post.receive_count)).collect();
    assert_eq!(posts[1..], [("a/1".to_owned(), 1), ("a/2".to_owned(), 2)]);
    assert_eq!(process.count("leases_lost_total", ""), 0);
    violations.assert_none();
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn with_fewer_than_three_receives_a_tail_never_comes_along() {
    let mut process = SimProcess::new(92);
    process.world.queue(ORDERS, 1);
    let endpoint =
        ScriptedEndpoint::new(|post, _| (SECOND, answer(if post.body == "a/1" { 500 } else { 200 })));
    process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    send_group(&process.world, "a", 9);
    process.until_empty(ORDERS, 60 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(process.census(ORDERS).dead, 1);
    assert_eq!(accepted_by_group(&endpoint)["a"], (2..=9).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_groups_flow_while_one_is_parked() {
    async fn took(seed: u64, parked: bool) -> Duration {
        let mut process = SimProcess::new(seed);
        process.world.queue(ORDERS, 10);
        let endpoint = ScriptedEndpoint::new(move |post, _| {
            (Duration::from_millis(100), answer(if parked && post.body == "g-0/1" { 429 } else { 200 }))
        });
        let (queue, _) = process.listen(settings(ORDERS, 50), &endpoint, &limits(50));
        queue.set_faults(Faults { latency: Duration::from_millis(60), ..Faults::default() });
        for group in 0..1_000 {
            send_group(&process.world, &format!("g-{group}"), 5);
        }
        let began = tokio::time::Instant::now();
        let left = if parked { 5 } else { 0 };
        loop {
            tokio::time::sleep(SECOND / 10).await;
            let Census { visible, in_flight, dead } = process.census(ORDERS);
            if visible + in_flight == left {
                assert_eq!(dead, 0);
                break;
            }
            assert!(began.elapsed() < 10 * MINUTE, "{visible} visible, {in_flight} in flight");
        }
        let took = began.elapsed();
        process.stop(MINUTE).await;
        for (group, numbers) in accepted_by_group(&endpoint) {
            assert_eq!(numbers, (1..=5).collect::<Vec<_>>(), "group {group}");
        }
        process.assert_balanced();
        took
    }
    let (without, with) = (took(93, false).await, took(94, true).await);
    assert!(with < without.mul_f64(1.25), "{with:?} with a parked group, {without:?} without");
}

#[tokio::test(start_paused = true)]
async fn in_a_drain_the_tail_is_given_back_at_once_and_the_head_finishes() {
    let mut process = SimProcess::new(95);
    process.world.queue(ORDERS, 10);
    let (endpoint, violations) = watched(&process.world, |post, _| {
        let millis = if post.body == "a/1" { 20_000 } else { 10 };
        (Duration::from_millis(millis), answer(200))
    });
    process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    send_group(&process.world, "a", 5);
    tokio::time::sleep(SECOND).await;
    let world = process.world.clone();
    let look = async {
        tokio::time::sleep(SECOND).await;
        world.look(|broker, now| broker.inspect(now, ORDERS))
    };
    let (clean, seen) = tokio::join!(process.stop(25 * SECOND), look);
    assert!(clean);
    let visible = seen.iter().filter(|message| message.state == queuepost::localqueue::MessageState::Visible);
    assert_eq!(visible.count(), 4, "while the head runs the tail is free already");
    assert_eq!(endpoint.accepted(), ["warm-up/1700000001000", "a/1"]);
    assert_eq!(process.census(ORDERS), Census { visible: 4, in_flight: 0, dead: 0 });
    assert_eq!(process.count("messages_released_total", r#"reason="drain""#), 4);
    violations.assert_none();
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_heads_delivery_frees_its_tail_and_its_group() {
    let mut process = SimProcess::new(96);
    process.world.queue(ORDERS, 10);
    let panicked = Mutex::new(false);
    let (endpoint, violations) = watched(&process.world, move |post, _| {
        let first = post.body == "a/2" && !std::mem::replace(&mut *panicked.lock().unwrap(), true);
        assert!(!first, "the endpoint's own fault");
        (Duration::from_millis(10), answer(200))
    });
    process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    send_group(&process.world, "a", 5);
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(process.count("panics_total", ""), 1);
    assert_eq!(process.count("messages_released_total", r#"reason="group""#), 3);
    assert_eq!(process.count("workers_in_use", ""), 0);
    process.until_empty(ORDERS, 2 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(accepted_by_group(&endpoint)["a"], (1..=5).collect::<Vec<_>>());
    violations.assert_none();
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn while_nothing_can_be_sent_head_and_tail_are_held_and_no_receive_is_spent() {
    let mut process = SimProcess::new(97);
    process.world.queue(ORDERS, 10);
    let up_at = 20 * MINUTE;
    let (endpoint, violations) = watched(&process.world, move |post, _| {
        if post.body.starts_with('a') && post.began < up_at {
            (Duration::ZERO, refused())
        } else {
            (Duration::from_millis(10), answer(200))
        }
    });
    process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    send_group(&process.world, "a", 6);
    process.until_empty(ORDERS, 25 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(accepted_by_group(&endpoint)["a"], (1..=6).collect::<Vec<_>>());
    assert!(endpoint.posts().iter().all(|post| post.receive_count == 1));
    assert_eq!(process.count("messages_released_total", ""), 0);
    violations.assert_none();
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn at_a_closed_gate_the_tail_goes_back_when_its_head_does() {
    let mut process = SimProcess::new(98);
    process.world.queue(ORDERS, 100);
    let up_at = 10 * MINUTE;
    let (endpoint, violations) = watched(&process.world, move |post, _| {
        let busy = post.began > SECOND + SECOND / 200 && post.began < up_at;
        (10 * SECOND, if busy { answer_with_retry_after(503, 60) } else { answer(200) })
    });
    process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    for group in ["a", "b", "c"] {
        send_group(&process.world, group, 3);
    }
    process.until_empty(ORDERS, 60 * MINUTE).await;
    process.stop(MINUTE).await;
    violations.assert_none();
    for group in ["a", "b", "c"] {
        assert_eq!(accepted_by_group(&endpoint)[group], [1, 2, 3]);
    }
    assert!(process.metric("messages_released_total", r#"reason="group""#) >= 2.0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_comes_of_a_group_that_is_being_delivered_waits_for_the_end_of_that() {
    let mut process = SimProcess::new(99);
    process.world.queue(ORDERS, 10);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        (if post.body == "a/1" { 40 * SECOND } else { SECOND / 100 }, answer(200))
    });
    let (queue, _) = process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    send_group(&process.world, "a", 1);
    tokio::time::sleep(5 * SECOND).await;
    // Another process received it meanwhile and was faster.
    queue.delete_behind("a/1");
    process.world.send_to(ORDERS, "a", "a/2");
    process.until_empty(ORDERS, 10 * MINUTE).await;
    process.stop(MINUTE).await;
    let posts = endpoint.posts();
    let [first, second] = posts.as_slice() else { panic!("{posts:?}") };
    assert!(second.began >= first.ended.unwrap(), "{posts:?}");
    assert_eq!(
        (second.receive_count, process.metric("messages_released_total", "")),
        (1, 0.0),
        "it joined the run"
    );
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_message_behind_a_copy_of_one_in_flight_does_not_start() {
    let mut process = SimProcess::new(100);
    process.world.queue(ORDERS, 10);
    let (endpoint, violations) = watched(&process.world, |post, number| {
        let status = if post.body == "a/1" && number < 2 { 429 } else { 200 };
        (Duration::from_millis(10), answer(status))
    });
    let (queue, _) = process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    // The park of the head fails, and its visibility ends before the running receive does.
    queue.set_faults(Faults { changes_refused: true, ..Faults::default() });
    send_group(&process.world, "a", 1);
    tokio::time::sleep(SECOND / 10).await;
    process.world.send_to(ORDERS, "a", "a/2");
    queue.hide("a/1", Duration::ZERO);
    tokio::time::sleep(SECOND).await;
    assert_eq!(process.count("messages_received_total", ""), 4, "both in one receive");
    queue.set_faults(Faults::default());
    process.until_empty(ORDERS, 30 * MINUTE).await;
    process.stop(MINUTE).await;
    violations.assert_none();
    assert_eq!(accepted_by_group(&endpoint)["a"], [1, 2]);
    assert!(process.metric("duplicates_suppressed_total", "") >= 1.0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_may_have_been_carried_out_lets_no_successor_start() {
    let mut process = SimProcess::new(103);
    process.world.queue(ORDERS, 10);
    let (endpoint, violations) = watched(&process.world, |_, _| (SECOND, answer(200)));
    let (queue, _) = process.listen(settings(ORDERS, 10), &endpoint, &limits(10));
    make_busy(&process).await;
    tokio::time::sleep(2 * SECOND).await;
    queue.set_faults(Faults { deletes: Deletes::CutOff, ..Faults::default() });
    make_busy(&process).await;
    send_group(&process.world, "a", 3);
    tokio::time::sleep(3 * SECOND).await;
    // First a call without an answer, then an expired handle: deleted, or received by another process?
    queue.steal("a/1", 60);
    queue.set_faults(Faults::default());
    process.until_empty(ORDERS, 5 * MINUTE).await;
    process.stop(MINUTE).await;
    violations.assert_none();
    assert_eq!(accepted_by_group(&endpoint)["a"], [1, 2, 3]);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_the_run_and_another_process_goes_on_in_order() {
    let mut process = SimProcess::new(101);
    process.world.queue(ORDERS, 10);
    let (endpoint, violations) = watched(&process.world, |post, number| {
        (if post.body == "a/1" && number == 1 { 200 * SECOND } else { SECOND }, answer(200))
    });
    let mut slow = settings(ORDERS, 10);
    slow.timeout = 5 * MINUTE;
    let (queue, _) = process.listen(slow.clone(), &endpoint, &limits(10));
    make_busy(&process).await;
    send_group(&process.world, "a", 5);
    tokio::time::sleep(2 * SECOND).await;
    // No call of this process succeeds until long after its leases of two minutes ended.
    queue.set_faults(Faults { throttled: 1.0, ..Faults::default() });
    let mut other = SimProcess::in_world(&process.world, 102);
    other.listen(slow, &endpoint, &limits(10));
    tokio::time::sleep(250 * SECOND).await;
    queue.set_faults(Faults::default());
    process.until_empty(ORDERS, 10 * MINUTE).await;
    process.stop(MINUTE).await;
    other.stop(MINUTE).await;
    violations.assert_none();
    let first: BTreeSet<u64> = accepted_by_group(&endpoint)["a"].iter().copied().collect();
    assert_eq!(first, (1..=5).collect());
    assert_eq!(endpoint.posts().iter().filter(|post| post.body != "a/1").count(), 5);
    assert!(process.metric("leases_lost_total", "") >= 1.0);
    process.assert_balanced();
    other.assert_balanced();
}

/// The endpoint of a process that may be killed.
struct KillableEndpoint {
    queue: Arc<SimQueue>,
    endpoint: Arc<ScriptedEndpoint>,
}

impl Endpoint for KillableEndpoint {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            self.queue.alive().await;
            let attempt = self.endpoint.post(request).await;
            self.queue.alive().await;
            attempt
        })
    }
}

#[tokio::test(start_paused = true)]
async fn order_holds_while_one_process_after_the_other_is_killed() {
    for seed in 0..12_u64 {
        let world = World::new(seed);
        world.queue(ORDERS, 1_000);
        if seed % 2 == 1 {
            world.high_throughput(ORDERS);
        }
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let (endpoint, violations) = watched(&world, move |_, _| {
            let mut random = random.lock().unwrap();
            let statuses = [200, 200, 200, 200, 200, 200, 429, 500];
            (Duration::from_millis(random.u64(1..5_000)), answer(statuses[random.usize(..statuses.len())]))
        });
        for group in 0..5 {
            send_group(&world, &format!("g-{group}"), 20);
        }
        let mut own = settings(ORDERS, 4);
        own.policy.throttle_delay = 5 * SECOND;
        own.timeout = 10 * SECOND;
        let start = |number: u64| {
            let mut process = SimProcess::in_world(&world, seed * 100 + number);
            let queue = SimQueue::new(&world, ORDERS, seed * 100 + number);
            let killable = KillableEndpoint { queue: Arc::clone(&queue), endpoint: Arc::clone(&endpoint) };
            process.listen_on(own.clone(), Arc::clone(&queue) as _, Arc::new(killable), &limits(4));
            (process, queue)
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let mut alive: Vec<_> = (0..3).map(&start).collect();
        let mut dead = Vec::new();
        for number in 3..12 {
            tokio::time::sleep(Duration::from_millis(random.u64(1..30_000))).await;
            let killed = std::mem::replace(&mut alive[random.usize(..3)], start(number));
            killed.1.kill();
            dead.push(killed);
        }
        alive[0].0.until_empty(ORDERS, 24 * 60 * MINUTE).await;
        for (process, _) in &mut alive {
            process.stop(MINUTE).await;
            process.assert_balanced();
        }
        violations.assert_none();
        for (group, numbers) in accepted_by_group(&endpoint) {
            let mut first = numbers.clone();
            first.dedup();
            assert_eq!(first, (1..=20).collect::<Vec<_>>(), "seed {seed}, group {group}: {numbers:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_holds_through_failures_lost_leases_and_drains_of_several_processes(
        seed in 0_u64..1_000_000,
        stop_after_ms in 0_u64..120_000,
        workers in 1_usize..20,
        groups in 1_u32..8,
        faulty in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut process = SimProcess::new(seed);
            process.world.queue(ORDERS, 6);
            let random = Mutex::new(fastrand::Rng::with_seed(seed));
            let (endpoint, violations) = watched(&process.world, move |_, _| {
                let mut random = random.lock().unwrap();
                let statuses = [200, 200, 200, 200, 200, 429, 500, 503, 400];
                let status = statuses[random.usize(..statuses.len())];
                (Duration::from_millis(random.u64(1..8_000)), answer(status))
            });
            let mut own = settings(ORDERS, workers);
            own.policy.throttle_delay = 5 * SECOND;
            own.timeout = 10 * SECOND;
            let mut other = SimProcess::in_world(&process.world, seed + 1);
            for process in [&mut process, &mut other] {
                let (queue, _) = process.listen(own.clone(), &endpoint, &limits(workers));
                if faulty {
                    queue.set_faults(Faults {
                        throttled: 0.1,
                        answer_lost: 0.1,
                        entry_failed: 0.1,
                        // Leases last 40 s.
                        latency: Duration::from_secs(12),
                        ..Faults::default()
                    });
                }
            }
            for group in 0..groups {
                send_group(&process.world, &format!("g-{group}"), 40 / groups);
            }
            tokio::time::sleep(Duration::from_millis(stop_after_ms)).await;
            process.stop(25 * SECOND).await;
            process.assert_balanced();
            assert!(process.metric("messages_in_progress", "").abs() < f64::EPSILON);
            // A new process takes its place.
            let mut next = SimProcess::in_world(&process.world, seed + 2);
            next.listen(own, &endpoint, &limits(workers));
            next.until_empty(ORDERS, 24 * 60 * MINUTE).await;
            for process in [&mut next, &mut other] {
                process.stop(MINUTE).await;
                process.assert_balanced();
            }
            violations.assert_none();
            let accepted: BTreeSet<String> = endpoint.accepted().into_iter().collect();
            let sent = groups * (40 / groups);
            let dead = next.census(ORDERS).dead;
            assert!(accepted.len() + dead >= usize::try_from(sent).unwrap(), "{} + {dead}", accepted.len());
        });
    }
}
