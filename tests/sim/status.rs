//! A listener's status while something is wrong: what, since when, and why.

use std::sync::Arc;
use std::time::Duration;

use queuepost::limit::GateState;
use queuepost::pipeline::{Preflight, Status};
use queuepost::policy::decide::{Action, Row};
use queuepost::policy::outcome::{Answer, Attempt, StatusSet};
use queuepost::ports::{Operation, QueueReason};

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, refused};
use super::scripted_queue::{CallBehaviour, ScriptedQueue};

const MINUTE: Duration = Duration::from_secs(60);

fn status(process: &SimProcess, name: &str) -> Status {
    process.statuses().into_iter().find(|status| status.name == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_listener_whose_deliveries_all_fail_for_a_minute_says_so_and_counts_them() {
    let mut process = SimProcess::new(80);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::always(400, 20);
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    for number in 0..8 {
        process.world.send("orders", &number.to_string());
    }
    tokio::time::sleep(MINUTE / 2).await;
    assert_eq!(status(&process, "orders").trouble, None, "it is too early to tell");
    tokio::time::sleep(MINUTE).await;
    let seen = status(&process, "orders");
    let why = seen.trouble.unwrap();
    assert!(why.contains("no delivery has succeeded for ") && why.contains("answered 400"), "{why}");
    assert_eq!((seen.totals.received, seen.totals.deferred), (16, 16));
    assert_eq!((seen.failures.deliveries, seen.failures.final_receives), (16, 8));
    tokio::time::sleep(Duration::from_millis(30_500)).await;
    // Who asks has the queue read for the next one.
    status(&process, "orders");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let depths = status(&process, "orders").depth.unwrap();
    assert!(depths.at.elapsed() <= Duration::from_secs(30), "{depths:?}");
    let dead_letter = depths.redrive.unwrap();
    assert_eq!(
        (&*dead_letter.dead_letter_name, dead_letter.dead_letter_depth.unwrap().visible),
        ("orders-dlq", 8)
    );
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_of_the_endpoint_shows_at_each_of_its_listeners() {
    let mut process = SimProcess::new(81);
    let limits = limits(4);
    let endpoint = ScriptedEndpoint::always(401, 20);
    for name in ["orders", "refunds"] {
        process.world.queue(name, 100);
        process.listen(settings(name, 4), &endpoint, &limits);
    }
    for number in 0..20 {
        process.world.send("orders", &number.to_string());
    }
    tokio::time::sleep(2 * MINUTE).await;
    for name in ["orders", "refunds"] {
        let seen = status(&process, name);
        assert_ne!(seen.endpoint_gate.state, GateState::Open, "{name}");
        assert_eq!(seen.gate.state, GateState::Open, "{name}");
        let why = seen.trouble.unwrap();
        assert!(why.starts_with("the endpoint's gate has not been open for "), "{name}: {why}");
    }
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_unreachable_after_a_minute_without_sqs_and_well_with_its_first_answer() {
    for reason in [QueueReason::Connection, QueueReason::Dns, QueueReason::Server, QueueReason::Throttled] {
        let mut process = SimProcess::new(82);
        process.world.queue("orders", 10);
        let queue = ScriptedQueue::new(&process.world, "orders", 82);
        let endpoint = ScriptedEndpoint::always(200, 20);
        let health = process.listen_on(
            settings("orders", 4),
            Arc::clone(&queue) as _,
            Arc::clone(&endpoint) as _,
            &limits(4),
        );
        tokio::time::sleep(MINUTE).await;
        assert_eq!(health.preflight(), Preflight::Passed);
        queue.set(move |_| CallBehaviour::Refused(reason));
        // A long poll of 20 s was running.
        tokio::time::sleep(MINUTE + Duration::from_secs(25)).await;
        let Preflight::Unreachable(why) = health.preflight() else { panic!("{:?}", health.preflight()) };
        assert!(why.starts_with("its queue could not be read for "), "{why}");
        assert_eq!(health.stuck(), None);
        queue.set(|_| CallBehaviour::Works);
        tokio::time::sleep(MINUTE).await;
        assert_eq!(health.preflight(), Preflight::Passed);
        process.stop(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_settlements_alone_fail_is_reachable() {
    let mut process = SimProcess::new(83);
    process.world.queue("orders", 10);
    let queue = ScriptedQueue::new(&process.world, "orders", 83);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let health = process.listen_on(
        settings("orders", 4),
        Arc::clone(&queue) as _,
        Arc::clone(&endpoint) as _,
        &limits(4),
    );
    queue.set_for(Operation::Delete, CallBehaviour::Refused(QueueReason::Server));
    process.world.send("orders", "x");
    tokio::time::sleep(3 * MINUTE).await;
    assert_eq!(health.preflight(), Preflight::Passed);
    queue.set(|_| CallBehaviour::Works);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_with_nothing_behind_it_is_no_problem_for_ever() {
    let mut process = SimProcess::new(88);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::always(503, 20);
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    for number in 0..4 {
        process.world.send("orders", &number.to_string());
    }
    tokio::time::sleep(2 * MINUTE).await;
    assert!(status(&process, "orders").trouble.is_some());
    process.until_empty("orders", 600 * MINUTE).await;
    tokio::time::sleep(60 * MINUTE).await;
    let seen = status(&process, "orders");
    assert_ne!(seen.endpoint_gate.state, GateState::Open);
    assert_eq!(seen.trouble, None, "all messages have gone to the dead-letter queue");
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn each_failed_attempt_is_a_recent_failure_and_a_success_is_none() {
    let mut process = SimProcess::new(84);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let attempt = match post.body.as_str() {
            "good" => answer(200),
            "gone" => answer(410),
            _ => {
                let beginning = Some("customer 42 is unknown".to_owned());
                Attempt::Answered(Answer { status: 500, beginning, ..Answer::default() })
            }
        };
        (MINUTE / 600, attempt)
    });
    let mut own = settings("orders", 4);
    let row = Row { status: StatusSet::new([(410, 410)]), action: Action::Delete, delay: None };
    own.policy.rows.push(row);
    process.listen(own, &endpoint, &limits(4));
    for _ in 0..200 {
        process.world.send("orders", "good");
    }
    let gone = process.world.send("orders", "gone");
    tokio::time::sleep(MINUTE).await;
    let bad = process.world.send("orders", "bad");
    tokio::time::sleep(MINUTE / 12).await;
    assert_eq!(status(&process, "orders").deferred, 1, "it waits for its next receive");
    tokio::time::sleep(2 * MINUTE).await;
    let seen = status(&process, "orders");
    assert_eq!((seen.deferred, seen.totals.deferred), (0, 2));
    let told: Vec<_> = seen.recent_failures.iter().map(|each| (each.id.as_str(), each.receive)).collect();
    assert_eq!(told, [(&*bad, 2), (&*bad, 1), (&*gone, 1)]);
    let [last, first, deleted] = seen.recent_failures.as_slice() else { panic!("{told:?}") };
    assert_eq!((last.final_of, &*last.then), (Some(2), "final receive (2 of 2): orders-dlq next"));
    assert_eq!((first.final_of, first.outcome, &*first.reason), (None, "failed", "server_error"));
    assert!(first.then.starts_with("deferred for ") && first.at < last.at, "{first:?}");
    let texts = (last.texts.status, last.texts.answer.as_deref());
    assert_eq!(texts, (Some(500), Some("customer 42 is unknown")));
    assert_eq!((deleted.texts.status, &*deleted.then), (Some(410), "deleted, as on_response says"));
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_which_nothing_is_sent_is_one_recent_failure_beside_those_before() {
    let mut process = SimProcess::new(85);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        (MINUTE / 600, if post.body == "bad" { answer(400) } else { refused() })
    });
    process.listen(settings("orders", 8), &endpoint, &limits(8));
    let bad = process.world.send("orders", "bad");
    tokio::time::sleep(MINUTE / 60).await;
    for number in 0..8 {
        process.world.send("orders", &number.to_string());
    }
    tokio::time::sleep(30 * MINUTE).await;
    let seen = status(&process, "orders").recent_failures;
    let held: Vec<u64> = seen.iter().map(|each| each.held).filter(|held| *held > 0).collect();
    assert!(held.len() == 1 && held[0] > 20, "{seen:?}");
    assert!(seen.iter().any(|each| each.id.as_str() == bad), "{seen:?}");
    process.stop(MINUTE).await;
}
