//! Messages on their final receive while an endpoint accepts nothing: held under lease until it accepts
//! again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::ports::{Operation, QueueReason};

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, refused};
use super::scripted_queue::{CallBehaviour, ScriptedQueue};
use super::simulated_queue::FIFO;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Twelve messages spend all receives but one on 422, then meet 429 for 50 minutes. From receive `after` on,
/// every tenth ends as `how`. Returns the counts of accepted and of dead-lettered messages.
async fn outage_on_final_receives(
    queue_name: &str,
    max_receives: u32,
    bad_for: Duration,
    after: u32,
    how: CallBehaviour,
) -> (usize, usize) {
    let mut process = SimProcess::new(1);
    process.world.queue(queue_name, max_receives);
    let endpoint = ScriptedEndpoint::new(move |post, _| {
        let status = match post.began {
            began if began < bad_for => 422,
            began if began < 50 * MINUTE => 429,
            _ => 200,
        };
        (SECOND / 50, answer(status))
    });
    let queue = ScriptedQueue::new(&process.world, queue_name, 1);
    let receives = Mutex::new(0_u32);
    queue.set(move |operation| {
        let mut receives = receives.lock().unwrap();
        *receives += u32::from(operation == Operation::Receive);
        let fails = operation == Operation::Receive && *receives > after && receives.is_multiple_of(10);
        if fails { how } else { CallBehaviour::Works }
    });
    let own = settings(queue_name, 16);
    process.listen_on(own, Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(3));
    for number in 0..12 {
        let (group, body) = (format!("g-{number}"), format!("m-{number}"));
        if queue_name.ends_with(FIFO) {
            process.world.send_to(queue_name, &group, &body);
        } else {
            process.world.send(queue_name, &body);
        }
    }
    tokio::time::sleep(4 * HOUR).await;
    let dead = process.census(queue_name).dead;
    process.stop(MINUTE).await;
    process.assert_balanced();
    (endpoint.accepted().len(), dead)
}

/// The three dead-lettered messages are those whose own 429s closed the gate.
#[tokio::test(start_paused = true)]
async fn a_receive_that_fails_makes_no_probe_of_a_message_on_its_final_receive() {
    for how in [CallBehaviour::Works, CallBehaviour::Refused(QueueReason::Throttled), CallBehaviour::NoAnswer]
    {
        let outcome = outage_on_final_receives("orders", 2, 20 * SECOND, 20, how).await;
        assert_eq!(outcome, (9, 3), "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fifo_receive_whose_answer_is_lost_makes_no_probe_of_it_either() {
    for how in [CallBehaviour::Works, CallBehaviour::AnswerLost(QueueReason::Connection)] {
        let outcome = outage_on_final_receives("orders.fifo", 3, 45 * SECOND, 100, how).await;
        assert_eq!(outcome, (9, 3), "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_could_be_sent_of_it_for_hours_and_it_is_still_delivered() {
    let mut process = SimProcess::new(6);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let attempt = match post.began {
            began if began < 20 * SECOND => answer(422),
            began if began < 9 * HOUR => refused(),
            _ => answer(200),
        };
        (SECOND / 10, attempt)
    });
    process.listen(settings("orders", 16), &endpoint, &limits(16));
    process.world.send("orders", "on its final receive");
    process.until_empty("orders", 10 * HOUR).await;
    assert_eq!((endpoint.accepted().len(), process.census("orders").dead), (1, 0));
    process.stop(MINUTE).await;
    process.assert_balanced();
}

/// Sixteen messages on their final receive are refused for half an hour; then the endpoint answers 503 for ten minutes.
#[tokio::test(start_paused = true)]
async fn those_of_which_nothing_could_be_sent_do_not_go_one_after_the_other_into_an_overload() {
    let mut process = SimProcess::new(7);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let attempt = match post.began {
            began if began < 20 * SECOND => answer(422),
            began if began < 30 * MINUTE => refused(),
            began if began < 40 * MINUTE => answer(503),
            _ => answer(200),
        };
        (SECOND / 10, attempt)
    });
    process.listen(settings("orders", 32), &endpoint, &limits(16));
    for number in 0..16 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 4 * HOUR).await;
    let dead = process.census("orders").dead;
    assert!(dead <= 4, "{dead} of 16 went to find out");
    assert_eq!(endpoint.accepted().len() + dead, 16);
    process.stop(MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_only_receive_a_queue_grants_is_held_as_long_while_nothing_can_be_sent() {
    let mut process = SimProcess::new(8);
    process.world.queue("orders", 1);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        (SECOND / 10, if post.began < 9 * HOUR { refused() } else { answer(200) })
    });
    process.listen(settings("orders", 16), &endpoint, &limits(16));
    process.world.send("orders", "its only receive");
    process.until_empty("orders", 10 * HOUR).await;
    assert_eq!((endpoint.accepted().len(), process.census("orders").dead), (1, 0));
    process.stop(MINUTE).await;
}

/// Deletes are denied from before the outage to its middle. Intake waits for deletes then, not at the gate.
#[tokio::test(start_paused = true)]
async fn a_settle_fault_makes_no_probe_of_it_either() {
    let mut process = SimProcess::new(9);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let status = match post.began {
            _ if post.body == "taken" => 200,
            began if began < 20 * SECOND => 422,
            began if began < 50 * MINUTE => 429,
            _ => 200,
        };
        (SECOND / 50, answer(status))
    });
    let queue = ScriptedQueue::new(&process.world, "orders", 9);
    let started = tokio::time::Instant::now();
    queue.set(move |operation| {
        let denied = (40 * SECOND..30 * MINUTE).contains(&started.elapsed());
        let refuses = denied && operation == Operation::Delete;
        if refuses { CallBehaviour::Refused(QueueReason::Forbidden) } else { CallBehaviour::Works }
    });
    process.listen_on(
        settings("orders", 16),
        Arc::clone(&queue) as _,
        Arc::clone(&endpoint) as _,
        &limits(3),
    );
    for number in 0..12 {
        process.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(41 * SECOND).await;
    process.world.send("orders", "taken");
    tokio::time::sleep(4 * HOUR).await;
    assert!(process.census("orders").dead <= 4, "{} dead", process.census("orders").dead);
    process.stop(MINUTE).await;
}
