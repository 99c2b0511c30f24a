//! Messages on their final receive while an endpoint takes nothing: kept under lease until it takes others again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::ports::{Operation, QueueReason};

use super::endpoint::{Scripted, answer, refused};
use super::house::{House, limits, settings};
use super::queue::FIFO;
use super::troubled::{How, Troubled};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Twelve messages spend all receives but one on 422, then meet 429 for 50 minutes. From receive `after` on, every tenth
/// ends as `how`. Messages accepted, and messages dead-lettered.
async fn outage_on_final_receives(
    queue_name: &str,
    max_receives: u32,
    bad_for: Duration,
    after: u32,
    how: How,
) -> (usize, usize) {
    let mut house = House::new(1);
    house.world.queue(queue_name, max_receives);
    let endpoint = Scripted::new(move |post, _| {
        let status = match post.began {
            began if began < bad_for => 422,
            began if began < 50 * MINUTE => 429,
            _ => 200,
        };
        (SECOND / 50, answer(status))
    });
    let queue = Troubled::new(&house.world, queue_name, 1);
    let receives = Mutex::new(0_u32);
    queue.set(move |operation| {
        let mut receives = receives.lock().unwrap();
        *receives += u32::from(operation == Operation::Receive);
        let fails = operation == Operation::Receive && *receives > after && receives.is_multiple_of(10);
        if fails { how } else { How::Works }
    });
    let own = settings(queue_name, 16);
    house.listen_on(own, Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(3));
    for number in 0..12 {
        let (group, body) = (format!("g-{number}"), format!("m-{number}"));
        if queue_name.ends_with(FIFO) {
            house.world.send_to(queue_name, &group, &body);
        } else {
            house.world.send(queue_name, &body);
        }
    }
    tokio::time::sleep(4 * HOUR).await;
    let dead = house.census(queue_name).dead;
    house.stop(MINUTE).await;
    house.assert_balanced();
    (endpoint.accepted().len(), dead)
}

/// The three dead ones are those whose own 429s closed the gate.
#[tokio::test(start_paused = true)]
async fn a_receive_that_fails_makes_no_probe_of_a_message_on_its_final_receive() {
    for how in [How::Works, How::Refused(QueueReason::Throttled), How::NoAnswer] {
        let outcome = outage_on_final_receives("orders", 2, 20 * SECOND, 20, how).await;
        assert_eq!(outcome, (9, 3), "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fifo_receive_whose_answer_is_lost_makes_no_probe_of_it_either() {
    for how in [How::Works, How::AnswerLost(QueueReason::Connection)] {
        let outcome = outage_on_final_receives("orders.fifo", 3, 45 * SECOND, 100, how).await;
        assert_eq!(outcome, (9, 3), "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_could_be_sent_of_it_for_hours_and_it_is_still_delivered() {
    let mut house = House::new(6);
    house.world.queue("orders", 2);
    let endpoint = Scripted::new(|post, _| {
        let attempt = match post.began {
            began if began < 20 * SECOND => answer(422),
            began if began < 9 * HOUR => refused(),
            _ => answer(200),
        };
        (SECOND / 10, attempt)
    });
    house.listen(settings("orders", 16), &endpoint, &limits(16));
    house.world.send("orders", "on its final receive");
    house.until_empty("orders", 10 * HOUR).await;
    assert_eq!((endpoint.accepted().len(), house.census("orders").dead), (1, 0));
    house.stop(MINUTE).await;
    house.assert_balanced();
}

/// Sixteen messages on their final receive are refused for half an hour; then the endpoint answers 503 for ten minutes.
#[tokio::test(start_paused = true)]
async fn those_of_which_nothing_could_be_sent_do_not_go_one_after_the_other_into_an_overload() {
    let mut house = House::new(7);
    house.world.queue("orders", 2);
    let endpoint = Scripted::new(|post, _| {
        let attempt = match post.began {
            began if began < 20 * SECOND => answer(422),
            began if began < 30 * MINUTE => refused(),
            began if began < 40 * MINUTE => answer(503),
            _ => answer(200),
        };
        (SECOND / 10, attempt)
    });
    house.listen(settings("orders", 32), &endpoint, &limits(16));
    for number in 0..16 {
        house.world.send("orders", &format!("m-{number}"));
    }
    house.until_empty("orders", 4 * HOUR).await;
    let dead = house.census("orders").dead;
    assert!(dead <= 4, "{dead} of 16 went to find out");
    assert_eq!(endpoint.accepted().len() + dead, 16);
    house.stop(MINUTE).await;
    house.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_only_receive_a_queue_grants_is_held_as_long_while_nothing_can_be_sent() {
    let mut house = House::new(8);
    house.world.queue("orders", 1);
    let endpoint =
        Scripted::new(|post, _| (SECOND / 10, if post.began < 9 * HOUR { refused() } else { answer(200) }));
    house.listen(settings("orders", 16), &endpoint, &limits(16));
    house.world.send("orders", "its only receive");
    house.until_empty("orders", 10 * HOUR).await;
    assert_eq!((endpoint.accepted().len(), house.census("orders").dead), (1, 0));
    house.stop(MINUTE).await;
}

/// Deletes are denied from before the outage to its middle: intake waits for that and not at the gate.
#[tokio::test(start_paused = true)]
async fn a_settle_fault_makes_no_probe_of_it_either() {
    let mut house = House::new(9);
    house.world.queue("orders", 2);
    let endpoint = Scripted::new(|post, _| {
        let status = match post.began {
            _ if post.body == "taken" => 200,
            began if began < 20 * SECOND => 422,
            began if began < 50 * MINUTE => 429,
            _ => 200,
        };
        (SECOND / 50, answer(status))
    });
    let queue = Troubled::new(&house.world, "orders", 9);
    let started = tokio::time::Instant::now();
    queue.set(move |operation| {
        let denied = (40 * SECOND..30 * MINUTE).contains(&started.elapsed());
        let refuses = denied && operation == Operation::Delete;
        if refuses { How::Refused(QueueReason::Forbidden) } else { How::Works }
    });
    house.listen_on(settings("orders", 16), Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(3));
    for number in 0..12 {
        house.world.send("orders", &format!("m-{number}"));
    }
    tokio::time::sleep(41 * SECOND).await;
    house.world.send("orders", "taken");
    tokio::time::sleep(4 * HOUR).await;
    assert!(house.census("orders").dead <= 4, "{} dead", house.census("orders").dead);
    house.stop(MINUTE).await;
}
