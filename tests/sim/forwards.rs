//! Copies for the dead-letter queue that fail: tried again under the lease, never paid for with a second POST.

use std::sync::Arc;
use std::time::Duration;

use queuepost::policy::decide::{Action, Policy, Row};
use queuepost::policy::outcome::StatusSet;
use queuepost::ports::{Operation, QueueReason};
use tokio::time::Instant;

use super::process::{Census, SimProcess, Stopped, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer};
use super::scripted_queue::{CallBehaviour, ScriptedQueue};
use super::simulated_queue::World;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A listener that sends what is answered 422 to the dead-letter queue; messages whose body is no status get that.
fn listen(process: &mut SimProcess, name: &str) -> (Arc<ScriptedQueue>, Arc<ScriptedEndpoint>) {
    let endpoint = ScriptedEndpoint::new(|post, _| (SECOND / 10, answer(post.body.parse().unwrap_or(422))));
    let queue = ScriptedQueue::new(&process.world, name, 1);
    let mut own = settings(name, 4);
    let row = Row { status: StatusSet::new([(422, 422)]), action: Action::DeadLetter, delay: None };
    own.policy = Policy { rows: vec![row], ..Policy::default() };
    process.listen_on(own, Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(4));
    (queue, endpoint)
}

fn process(
    seed: u64,
    name: &str,
    max_receives: u32,
) -> (SimProcess, Arc<ScriptedQueue>, Arc<ScriptedEndpoint>) {
    let mut process = SimProcess::new(seed);
    process.world.queue(name, max_receives);
    let (queue, endpoint) = listen(&mut process, name);
    (process, queue, endpoint)
}

/// POSTs of the message, copies of it, and those that were counted.
fn came_to(process: &SimProcess, name: &str, endpoint: &ScriptedEndpoint, body: &str) -> (usize, usize, u64) {
    let posts = endpoint.posts().iter().filter(|post| post.body == body).count();
    (posts, process.census(name).dead, process.count("messages_dead_lettered_total", ""))
}

fn broken(world: &World, queue: &ScriptedQueue, reason: QueueReason) {
    assert!(world.look(|broker, _| broker.queue_exists("orders") || broker.queue_exists("orders.fifo")));
    queue.set_for(Operation::Send, CallBehaviour::Refused(reason));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_is_tried_again_under_the_lease_without_a_second_post() {
    for name in ["orders", "orders.fifo"] {
        let (mut process, queue, endpoint) = process(140, name, 3);
        broken(&process.world, &queue, QueueReason::Server);
        process.world.send_to(name, "g", "x");
        tokio::time::sleep(3 * HOUR).await;
        let tries = queue.calls(Operation::Send, process.world.started()).len();
        assert!((200..1_200).contains(&tries), "{name}: {tries} tries in three hours");
        assert_eq!(process.census(name), Census { in_flight: 1, ..Census::default() }, "{name}");
        assert_eq!(process.count("leases_lost_total", ""), 0);
        queue.set(|_| CallBehaviour::Works);
        process.until_empty(name, MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!(came_to(&process, name, &endpoint, "x"), (1, 1, 1), "{name}");
        assert_eq!(process.count("messages_received_total", ""), 1, "{name}");
        assert_eq!(process.count("messages_deferred_total", ""), 0, "{name}");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_copy_failed_for_twelve_hours_comes_again_and_is_copied_not_posted() {
    for name in ["orders", "orders.fifo"] {
        let (mut process, queue, endpoint) = process(141, name, 10);
        broken(&process.world, &queue, QueueReason::Throttled);
        process.world.send_to(name, "g", "x");
        tokio::time::sleep(13 * HOUR).await;
        assert_eq!(process.count("messages_received_total", ""), 2, "{name}: SQS hid it for twelve hours");
        assert_eq!(came_to(&process, name, &endpoint, "x"), (1, 0, 0), "{name}");
        queue.set(|_| CallBehaviour::Works);
        process.until_empty(name, MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!(came_to(&process, name, &endpoint, "x"), (1, 1, 1), "{name}");
        assert_eq!(process.count("messages_abandoned_total", ""), 1, "{name}: the first receive");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_another_process_had_meanwhile_is_copied_once_and_not_posted_again() {
    for seconds in [20, 400] {
        let (mut process, queue, endpoint) = process(142, "orders", 10);
        broken(&process.world, &queue, QueueReason::Server);
        process.world.send("orders", "x");
        tokio::time::sleep(5 * SECOND).await;
        queue.queue.steal("x", seconds);
        tokio::time::sleep(500 * SECOND).await;
        assert_eq!(process.count("duplicates_suppressed_total", ""), 1, "{seconds}: it came again");
        assert_eq!(came_to(&process, "orders", &endpoint, "x"), (1, 0, 0), "{seconds}");
        queue.set(|_| CallBehaviour::Works);
        process.until_empty("orders", MINUTE).await;
        assert!(process.stop(MINUTE).await);
        let (posts, copies, _) = came_to(&process, "orders", &endpoint, "x");
        assert_eq!((posts, copies), (1, 1), "{seconds}");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_copy_was_taken_and_whose_lease_was_lost_is_only_deleted_when_it_comes_again() {
    let (mut process, queue, endpoint) = process(143, "orders", 10);
    queue.set_for(Operation::Delete, CallBehaviour::Refused(QueueReason::Server));
    process.world.send("orders", "x");
    tokio::time::sleep(13 * HOUR).await;
    assert_eq!(process.count("messages_received_total", ""), 2);
    queue.set(|_| CallBehaviour::Works);
    process.until_empty("orders", MINUTE).await;
    assert!(process.stop(MINUTE).await);
    let (posts, copies, _) = came_to(&process, "orders", &endpoint, "x");
    assert_eq!((posts, copies), (1, 1));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_copy_owed_at_the_drains_deadline_leaves_its_message_in_the_queue() {
    let (mut process, queue, endpoint) = process(144, "orders", 10);
    broken(&process.world, &queue, QueueReason::Server);
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    let drains = Instant::now();
    assert_eq!(process.stop_within(30 * SECOND, 4 * SECOND).await, Stopped::Unsettled);
    assert!(!queue.calls(Operation::Send, drains + 15 * SECOND).is_empty(), "tried until the deadline");
    assert_eq!(process.census("orders"), Census { in_flight: 1, ..Census::default() });
    let deletes = queue.calls(Operation::Delete, process.world.started());
    assert!(deletes.is_empty(), "{deletes:?}");
    assert_eq!(endpoint.posts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_gets_through_during_the_drain_ends_it() {
    let (mut process, queue, endpoint) = process(145, "orders", 10);
    broken(&process.world, &queue, QueueReason::Server);
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    let mends = async {
        tokio::time::sleep(20 * SECOND).await;
        queue.set(|_| CallBehaviour::Works);
    };
    let (clean, ()) = tokio::join!(process.stop(2 * MINUTE), mends);
    assert!(clean);
    assert_eq!(process.census("orders"), Census { dead: 1, ..Census::default() });
    assert_eq!(came_to(&process, "orders", &endpoint, "x"), (1, 1, 1));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn while_copies_are_denied_nothing_more_is_received() {
    for reason in [QueueReason::AccessDenied, QueueReason::NoDeadLetterQueue] {
        let (mut process, queue, endpoint) = process(146, "orders", 10);
        broken(&process.world, &queue, reason);
        process.world.send("orders", "x");
        tokio::time::sleep(MINUTE).await;
        assert_eq!(process.count("listener_faulted", ""), 1, "{reason:?}");
        let since = Instant::now();
        process.world.send("orders", "200");
        tokio::time::sleep(10 * MINUTE).await;
        assert!(queue.calls(Operation::Receive, since).is_empty(), "{reason:?}");
        assert_eq!(endpoint.posts().len(), 1, "{reason:?}");
        queue.set(|_| CallBehaviour::Works);
        process.until_empty("orders", MINUTE).await;
        assert_eq!(process.count("listener_faulted", ""), 0, "{reason:?}");
        assert!(process.stop(MINUTE).await);
        assert_eq!(came_to(&process, "orders", &endpoint, "x"), (1, 1, 1), "{reason:?}");
        assert_eq!(endpoint.accepted(), ["200"]);
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_the_dead_letter_queue_never_takes_stops_no_other_and_is_dead_lettered_by_sqs() {
    let (mut process, queue, endpoint) = process(147, "orders", 3);
    broken(&process.world, &queue, QueueReason::TooLong);
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    process.world.send("orders", "200");
    tokio::time::sleep(SECOND).await;
    assert_eq!(endpoint.accepted(), ["200"]);
    process.until_empty("orders", 10 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(came_to(&process, "orders", &endpoint, "x"), (1, 1, 0), "SQS has moved it");
    assert_eq!(queue.calls(Operation::Send, process.world.started()).len(), 3, "one for each receive");
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_answer_was_lost_is_sent_again_rather_than_not_at_all() {
    for how in [CallBehaviour::AnswerLost(QueueReason::Server), CallBehaviour::NoAnswer] {
        let (mut process, queue, endpoint) = process(148, "orders", 10);
        queue.set_for(Operation::Send, how);
        process.world.send("orders", "x");
        tokio::time::sleep(Duration::from_millis(150)).await;
        queue.set(|_| CallBehaviour::Works);
        process.until_empty("orders", MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!(came_to(&process, "orders", &endpoint, "x"), (1, 2, 1), "{how:?}");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_copy_is_sent_loses_neither_the_message_nor_what_is_known_of_it() {
    let (mut process, queue, endpoint) = process(149, "orders", 10);
    queue.set_for(Operation::Send, CallBehaviour::Panics);
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    assert_eq!(process.count("messages_abandoned_total", ""), 1);
    queue.set(|_| CallBehaviour::Works);
    process.until_empty("orders", 5 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(came_to(&process, "orders", &endpoint, "x"), (1, 1, 1));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_between_copy_and_delete_leaves_the_message_to_the_next() {
    let (first, queue, endpoint) = process(150, "orders", 10);
    queue.set_for(Operation::Delete, CallBehaviour::Refused(QueueReason::Server));
    first.world.send("orders", "x");
    tokio::time::sleep(5 * SECOND).await;
    queue.queue.kill();
    assert_eq!(first.census("orders"), Census { in_flight: 1, dead: 1, ..Census::default() });
    let mut second = SimProcess::in_world(&first.world, 151);
    let (_, of_second) = listen(&mut second, "orders");
    second.until_empty("orders", 5 * MINUTE).await;
    assert!(second.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), of_second.posts().len()), (1, 1), "at least once");
    assert_eq!(second.census("orders").dead, 2);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn nobody_in_its_group_starts_before_a_message_is_copied_and_deleted() {
    let (mut process, queue, endpoint) = process(152, "orders.fifo", 10);
    broken(&process.world, &queue, QueueReason::Server);
    for body in ["x", "200"] {
        process.world.send_to("orders.fifo", "g", body);
    }
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!((endpoint.posts().len(), process.census("orders.fifo").dead), (1, 0));
    queue.set(|_| CallBehaviour::Works);
    process.until_empty("orders.fifo", MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), process.census("orders.fifo").dead), (2, 1));
    assert_eq!(endpoint.accepted(), ["200"]);
    process.assert_balanced();
}
