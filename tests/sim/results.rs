//! Results: sent before their message leaves, whatever the result queue does, and never paid for with a second POST.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use queuepost::exchange::{Exchange, Request, Unshapeable, Verdicts};
use queuepost::message::{Message, MessageId};
use queuepost::pipeline::{ResultQueue, Results, Settings, When};
use queuepost::policy::decide::{Action, Policy, Row};
use queuepost::policy::outcome::{Answer, Attempt, Body, Outcome, StatusSet};
use queuepost::ports::{EntryErrorKind, Operation, QueueReason};
use tokio::time::Instant;

use super::process::{Census, SimProcess, Stopped, limits, settings};
use super::scripted_endpoint::ScriptedEndpoint;
use super::scripted_queue::{CallBehaviour, ScriptedQueue};
use super::simulated_outbox::{Sends, SimOutbox, results_to};
use super::simulated_queue::{FIFO, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A listener between a queue and two result queues, and what stands around it.
struct Setup {
    process: SimProcess,
    queue: Arc<ScriptedQueue>,
    endpoint: Arc<ScriptedEndpoint>,
    done: Arc<SimOutbox>,
    failed: Arc<SimOutbox>,
}

/// Bodies are the status they are answered with; the answer says "ok".
fn endpoint() -> Arc<ScriptedEndpoint> {
    ScriptedEndpoint::new(|post, _| {
        let status = post.body.split('-').next().and_then(|status| status.parse().ok()).unwrap_or(200);
        let body = Body { kept: Bytes::from_static(b"ok"), is_whole: true };
        (SECOND / 10, Attempt::Answered(Answer { status, body, ..Answer::default() }))
    })
}

/// What is answered 422 is dead-lettered, and 409 deleted.
fn rows(settings: Settings) -> Settings {
    let row = |status, action| Row { status: StatusSet::new([(status, status)]), action, delay: None };
    let rows = vec![row(422, Action::DeadLetter), row(409, Action::Delete)];
    Settings { policy: Policy { rows, ..Policy::default() }, ..settings }
}

impl Setup {
    fn new(seed: u64, name: &str, max_receives: u32) -> Self {
        Self::with(seed, name, max_receives, |queue| queue)
    }

    fn with(seed: u64, name: &str, max_receives: u32, failures: impl Fn(ResultQueue) -> ResultQueue) -> Self {
        let process = SimProcess::new(seed);
        process.world.queue(name, max_receives);
        for results in ["done", "failed"] {
            process.world.queue_with(results, &[]);
        }
        Self::join(process, name, failures)
    }

    /// A listener in a world whose queues exist.
    fn join(mut process: SimProcess, name: &str, failures: impl Fn(ResultQueue) -> ResultQueue) -> Self {
        let done = SimOutbox::new(&process.world, "done");
        let failed = SimOutbox::new(&process.world, "failed");
        process.results =
            Results { success: Some(results_to(&done)), failure: Some(failures(results_to(&failed))) };
        let (queue, endpoint) = (ScriptedQueue::new(&process.world, name, 1), endpoint());
        process.listen_on(
            rows(settings(name, 4)),
            Arc::clone(&queue) as _,
            Arc::clone(&endpoint) as _,
            &limits(4),
        );
        Self { process, queue, endpoint, done, failed }
    }

    fn send(&self, name: &str, body: &str) {
        if name.ends_with(FIFO) {
            self.process.world.send_to(name, body, body);
        } else {
            self.process.world.send(name, body);
        }
    }

    fn deletes(&self) -> usize {
        self.queue.calls(Operation::Delete, self.world().started()).len()
    }

    fn world(&self) -> &World {
        &self.process.world
    }

    /// Ends it in order; the messages it is to have posted, each once.
    async fn ends(&mut self, posted: usize) {
        assert!(self.process.stop(MINUTE).await);
        assert_eq!(self.endpoint.posts().len(), posted, "each message is posted once");
        self.process.assert_balanced();
    }
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn a_success_has_a_result_with_the_answer_and_they_go_in_batches() {
    let mut setup = Setup::new(400, "orders", 3);
    for number in 0..25 {
        setup.send("orders", &format!("200-{number:02}"));
    }
    setup.process.until_empty("orders", MINUTE).await;
    let expected: Vec<String> = (0..25).map(|number| format!("done 200-{number:02} 200 successok")).collect();
    assert_eq!(sorted(setup.done.accepted()), expected);
    let calls = setup.done.calls(setup.world().started());
    assert!(calls.len() < 15, "{calls:?}");
    assert_eq!(setup.failed.accepted(), [""; 0]);
    setup.ends(25).await;
    assert_eq!(setup.process.count("messages_deleted_total", ""), 25);
}

/// Every way in which a result queue fails that may pass.
const TROUBLES: [Sends; 12] = [
    Sends::Refused(QueueReason::Server),
    Sends::Refused(QueueReason::Throttled),
    Sends::Refused(QueueReason::AccessDenied),
    Sends::Refused(QueueReason::QueueMissing),
    Sends::Refused(QueueReason::ConnectionRefused),
    Sends::Refused(QueueReason::KmsKeyDisabled),
    Sends::AnswerLost(QueueReason::Server),
    Sends::NoAnswer { carried_out: true },
    Sends::NoAnswer { carried_out: false },
    Sends::EntriesFail(EntryErrorKind::Retryable),
    Sends::EntriesFail(EntryErrorKind::LeaseLost),
    Sends::EntriesFail(EntryErrorKind::Refused),
];

#[tokio::test(start_paused = true)]
async fn while_a_result_is_not_accepted_its_message_is_neither_deleted_nor_posted_again() {
    for (number, trouble) in (0..).zip(TROUBLES) {
        for name in ["orders", "orders.fifo"] {
            let mut setup = Setup::new(410 + number, name, 3);
            setup.done.set(trouble);
            for body in ["200-a", "200-b"] {
                setup.send(name, body);
            }
            tokio::time::sleep(3 * HOUR).await;
            assert_eq!(setup.deletes(), 0, "{trouble:?}");
            assert_eq!(setup.process.census(name).dead, 0, "{trouble:?}");
            assert_eq!(setup.process.count("leases_lost_total", ""), 0, "{trouble:?}");
            let tries = setup.done.calls(setup.world().started()).len();
            assert!((200..5_000).contains(&tries), "{trouble:?}: {tries} tries in three hours");
            setup.done.set(Sends::Work);
            setup.process.until_empty(name, MINUTE).await;
            let accepted = setup.done.accepted();
            let told =
                |word: &str| accepted.iter().any(|line| line.starts_with("done") && line.contains(word));
            // A short result has no body of its message.
            let short = accepted.iter().filter(|line| line.contains("shortened")).count();
            assert!(short == 2 || ["200-a", "200-b"].into_iter().all(told), "{trouble:?}: {accepted:?}");
            setup.ends(2).await;
            assert_eq!(setup.process.count("messages_received_total", ""), 2, "{trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_of_results_only_those_that_failed_are_sent_again() {
    let mut setup = Setup::new(430, "orders", 3);
    setup.done.once(Sends::OnlyFirst);
    for number in 0..4 {
        setup.send("orders", &format!("200-{number}"));
    }
    setup.process.until_empty("orders", MINUTE).await;
    assert_eq!(setup.done.calls(setup.world().started()), [4, 3]);
    assert_eq!(setup.done.accepted().len(), 4);
    setup.ends(4).await;
}

#[tokio::test(start_paused = true)]
async fn while_a_result_queue_denies_or_is_missing_nothing_more_is_received_and_it_recovers_by_itself() {
    for reason in [QueueReason::AccessDenied, QueueReason::QueueMissing] {
        let mut setup = Setup::new(431, "orders", 10);
        setup.done.set(Sends::Refused(reason));
        setup.send("orders", "200-a");
        tokio::time::sleep(MINUTE).await;
        assert_eq!(setup.process.count("listener_faulted", ""), 1, "{reason:?}");
        let told = format!("{:?}", setup.process.statuses());
        assert!(told.contains("SendMessage on done"), "{reason:?}: the queue is named: {told}");
        let since = Instant::now();
        setup.send("orders", "200-b");
        tokio::time::sleep(10 * MINUTE).await;
        assert!(setup.queue.calls(Operation::Receive, since).is_empty(), "{reason:?}");
        setup.done.set(Sends::Work);
        setup.process.until_empty("orders", 2 * MINUTE).await;
        assert_eq!(setup.process.count("listener_faulted", ""), 0, "{reason:?}");
        setup.ends(2).await;
        assert_eq!(setup.done.accepted().len(), 2, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn results_that_wait_hold_up_deliveries_and_none_is_lost() {
    let mut setup = Setup::new(432, "orders", 3);
    setup.done.set(Sends::Refused(QueueReason::Server));
    for number in 0..600 {
        setup.send("orders", &format!("200-{number}"));
    }
    tokio::time::sleep(5 * MINUTE).await;
    let posts = setup.endpoint.posts().len();
    assert!((512..=520).contains(&posts), "results that wait hold up deliveries: {posts} POSTs");
    setup.done.set(Sends::Work);
    setup.process.until_empty("orders", MINUTE).await;
    setup.ends(600).await;
    assert_eq!(setup.done.accepted().len(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_result_was_owed_for_twelve_hours_comes_again_and_is_not_posted() {
    for name in ["orders", "orders.fifo"] {
        let mut setup = Setup::new(433, name, 10);
        setup.done.set(Sends::Refused(QueueReason::Throttled));
        setup.send(name, "200-a");
        tokio::time::sleep(13 * HOUR).await;
        assert_eq!(
            setup.process.count("messages_received_total", ""),
            2,
            "{name}: SQS hid it for twelve hours"
        );
        assert_eq!((setup.deletes(), setup.done.accepted().len()), (0, 0), "{name}");
        setup.done.set(Sends::Work);
        setup.process.until_empty(name, MINUTE).await;
        assert_eq!(setup.done.accepted(), ["done 200-a 200 successok"], "{name}");
        setup.ends(1).await;
        assert_eq!(setup.process.count("messages_abandoned_total", ""), 1, "{name}: the first receive");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_result_was_accepted_and_whose_delete_fails_has_no_second_result() {
    let mut setup = Setup::new(434, "orders", 10);
    setup.queue.set_for(Operation::Delete, CallBehaviour::Refused(QueueReason::Server));
    setup.send("orders", "200-a");
    tokio::time::sleep(13 * HOUR).await;
    assert_eq!(setup.process.count("messages_received_total", ""), 2);
    setup.queue.set(|_| CallBehaviour::Works);
    setup.process.until_empty("orders", MINUTE).await;
    assert_eq!(setup.done.accepted().len(), 1);
    setup.ends(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_another_process_had_meanwhile_has_its_result_and_is_not_posted_again() {
    for seconds in [20, 400] {
        let mut setup = Setup::new(435, "orders", 10);
        setup.done.set(Sends::Refused(QueueReason::Server));
        setup.send("orders", "200-a");
        tokio::time::sleep(5 * SECOND).await;
        setup.queue.queue.steal("200-a", seconds);
        tokio::time::sleep(500 * SECOND).await;
        assert_eq!(setup.process.count("duplicates_suppressed_total", ""), 1, "{seconds}: it came again");
        assert_eq!((setup.deletes(), setup.done.accepted().len()), (0, 0), "{seconds}");
        setup.done.set(Sends::Work);
        setup.process.until_empty("orders", MINUTE).await;
        assert_eq!(setup.done.accepted().len(), 1, "{seconds}");
        setup.ends(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_owed_at_the_drains_deadline_leaves_its_message_in_the_queue() {
    let mut setup = Setup::new(436, "orders", 10);
    setup.done.set(Sends::Refused(QueueReason::Server));
    setup.send("orders", "200-a");
    tokio::time::sleep(SECOND).await;
    let drains = Instant::now();
    assert_eq!(setup.process.stop_within(30 * SECOND, 4 * SECOND).await, Stopped::Unsettled);
    assert!(!setup.done.calls(drains + 15 * SECOND).is_empty(), "tried until the deadline");
    assert_eq!(setup.process.census("orders"), Census { in_flight: 1, ..Census::default() });
    assert_eq!((setup.deletes(), setup.endpoint.posts().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_gets_through_during_the_drain_ends_it() {
    let mut setup = Setup::new(437, "orders", 10);
    setup.done.set(Sends::Refused(QueueReason::Server));
    setup.send("orders", "200-a");
    tokio::time::sleep(SECOND).await;
    let done = Arc::clone(&setup.done);
    let mends = async {
        tokio::time::sleep(20 * SECOND).await;
        done.set(Sends::Work);
    };
    let (clean, ()) = tokio::join!(setup.process.stop(2 * MINUTE), mends);
    assert!(clean);
    assert_eq!((setup.process.census("orders"), setup.done.accepted().len()), (Census::default(), 1));
    setup.process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn in_a_drain_results_do_not_wait_for_others() {
    let mut setup = Setup::new(438, "orders", 10);
    setup.send("orders", "200-a");
    tokio::time::sleep(SECOND / 20).await;
    assert_eq!(setup.endpoint.running(), 1);
    let drains = Instant::now();
    assert!(setup.process.stop(MINUTE).await);
    assert_eq!((setup.done.calls(drains).len(), setup.done.calls(drains + SECOND / 10).len()), (1, 0));
    assert_eq!((setup.process.census("orders"), setup.done.accepted().len()), (Census::default(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_results_are_sent_loses_neither_messages_nor_what_is_known_of_them() {
    let mut setup = Setup::new(439, "orders", 10);
    setup.done.once(Sends::Panics);
    for body in ["200-a", "200-b"] {
        setup.send("orders", body);
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(setup.process.count("messages_abandoned_total", ""), 2);
    setup.process.until_empty("orders", 5 * MINUTE).await;
    assert_eq!(setup.done.accepted().len(), 2);
    setup.ends(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_while_a_result_is_owed_leaves_the_message_to_the_next() {
    let first = Setup::new(440, "orders", 10);
    first.done.set(Sends::Refused(QueueReason::Server));
    first.send("orders", "200-a");
    tokio::time::sleep(5 * SECOND).await;
    first.queue.queue.kill();
    assert_eq!(first.process.census("orders"), Census { in_flight: 1, ..Census::default() });
    let mut second = Setup::join(SimProcess::in_world(first.world(), 441), "orders", |queue| queue);
    second.process.until_empty("orders", 5 * MINUTE).await;
    second.ends(1).await;
    assert_eq!(first.endpoint.posts().len(), 1, "at least once");
    assert_eq!(second.done.accepted().len(), 1);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn nobody_in_its_group_starts_before_a_result_is_accepted() {
    let mut setup = Setup::with(442, "orders.fifo", 2, |queue| ResultQueue { on: When::EveryTry, ..queue });
    for outbox in [&setup.done, &setup.failed] {
        outbox.set(Sends::Refused(QueueReason::Server));
    }
    for body in ["200-a", "200-b"] {
        setup.process.world.send_to("orders.fifo", "g", body);
    }
    for body in ["500-c", "200-d"] {
        setup.process.world.send_to("orders.fifo", "h", body);
    }
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(setup.endpoint.posts().len(), 2, "the head of each group");
    for outbox in [&setup.done, &setup.failed] {
        outbox.set(Sends::Work);
    }
    setup.process.until_empty("orders.fifo", 30 * MINUTE).await;
    assert!(setup.process.stop(MINUTE).await);
    let accepted = setup.done.accepted();
    let of = |body: &str| accepted.iter().position(|line| line.contains(body)).unwrap();
    assert!(of("200-a") < of("200-b"), "in the order of their group");
    setup.process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_failure_has_a_result_when_nobody_is_asked_again() {
    let mut setup = Setup::new(443, "orders", 3);
    for body in ["422-row", "409-row", "500-thrice"] {
        setup.send("orders", body);
    }
    setup.process.until_empty("orders", 10 * MINUTE).await;
    let expected =
        ["failed 409-row 409 failedok", "failed 422-row 422 rejectedok", "failed 500-thrice 500 failedok"];
    assert_eq!(sorted(setup.failed.accepted()), expected, "one each");
    assert_eq!(setup.process.census("orders").dead, 2);
    setup.ends(1 + 1 + 3).await;
    assert_eq!(setup.done.accepted(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_429_has_a_result_on_its_final_receive_alone() {
    for on in [When::Final, When::EveryTry] {
        let mut setup = Setup::with(444, "orders", 2, |queue| ResultQueue { on, ..queue });
        setup.send("orders", "429-a");
        tokio::time::sleep(2 * MINUTE).await;
        assert_eq!(setup.failed.accepted(), [""; 0], "{on:?}");
        setup.process.until_empty("orders", 3 * HOUR).await;
        assert_eq!(setup.failed.accepted().len(), 1, "{on:?}");
        assert!(setup.process.stop(MINUTE).await);
        setup.process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn where_every_try_is_asked_for_each_failed_post_has_a_result_before_the_message_is_hidden() {
    let mut setup = Setup::with(445, "orders", 3, |queue| ResultQueue { on: When::EveryTry, ..queue });
    setup.failed.set(Sends::Refused(QueueReason::Server));
    setup.send("orders", "500-a");
    tokio::time::sleep(HOUR).await;
    assert_eq!(setup.endpoint.posts().len(), 1, "it is kept until its result is accepted");
    assert_eq!(setup.process.count("messages_deferred_total", ""), 0);
    setup.failed.set(Sends::Work);
    setup.process.until_empty("orders", 10 * MINUTE).await;
    assert_eq!(setup.failed.accepted(), ["failed 500-a 500 failedok"; 3]);
    setup.ends(3).await;
    assert_eq!(setup.process.census("orders").dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_released_on_its_final_receive_has_a_result_and_no_other_released_one_has() {
    for (max_receives, results) in [(1, 1), (2, 0)] {
        let mut setup = Setup::new(446, "orders", max_receives);
        setup.send("orders", "200-a");
        for number in 0..20 {
            setup.send("orders", &format!("200-{number}"));
        }
        // Some are in flight and wait for a session.
        tokio::time::sleep(SECOND / 20).await;
        let received = setup.process.count("messages_received_total", "");
        let posted = setup.endpoint.posts().len();
        assert!(setup.process.stop(MINUTE).await);
        let released = setup.process.count("messages_released_total", "");
        assert_eq!(released, received - posted as u64, "what was received and not posted");
        let failed = setup.failed.accepted();
        assert_eq!(failed.len() as u64, results * released, "{max_receives}");
        assert!(failed.iter().all(|line| line.contains("unsent")), "{failed:?}");
        setup.process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_refused_for_its_length_is_sent_without_contents_and_the_message_deleted() {
    let mut setup = Setup::new(447, "orders", 3);
    setup.done.set(Sends::Longest(200));
    setup.send("orders", &format!("200-{}", "x".repeat(300)));
    setup.send("orders", "200-b");
    setup.process.until_empty("orders", MINUTE).await;
    let accepted = sorted(setup.done.accepted());
    assert_eq!(accepted.len(), 2);
    assert!(accepted[0].contains("shortened") && !accepted[0].contains("xxx"), "{accepted:?}");
    assert_eq!(setup.process.count("listener_faulted", ""), 0);
    setup.ends(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_refuses_even_short_results_is_a_fault_until_it_is_mended() {
    let mut setup = Setup::new(448, "orders", 3);
    setup.done.set(Sends::EntriesFail(EntryErrorKind::Refused));
    setup.send("orders", "200-a");
    tokio::time::sleep(HOUR).await;
    assert_eq!(setup.process.count("listener_faulted", ""), 1);
    assert_eq!((setup.deletes(), setup.done.accepted().len()), (0, 0));
    setup.done.set(Sends::Work);
    setup.process.until_empty("orders", MINUTE).await;
    assert_eq!(setup.process.count("listener_faulted", ""), 0);
    assert_eq!(setup.done.accepted().len(), 1);
    setup.ends(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_result_goes_before_the_copy_for_the_dead_letter_queue_and_each_waits_for_its_own_queue() {
    let mut setup = Setup::new(449, "orders", 10);
    setup.failed.set(Sends::Refused(QueueReason::Server));
    setup.send("orders", "422-a");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(setup.process.census("orders"), Census { in_flight: 1, ..Census::default() });
    setup.queue.set_for(Operation::Send, CallBehaviour::Refused(QueueReason::Server));
    setup.failed.set(Sends::Work);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(setup.failed.accepted().len(), 1);
    assert_eq!((setup.process.census("orders").dead, setup.deletes()), (0, 0));
    setup.queue.set(|_| CallBehaviour::Works);
    setup.process.until_empty("orders", MINUTE).await;
    assert_eq!((setup.process.census("orders").dead, setup.failed.accepted().len()), (1, 1));
    setup.ends(1).await;
    assert_eq!(setup.process.count("messages_dead_lettered_total", ""), 1);
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_final_failure_is_sent_though_sqs_took_the_message_away() {
    let mut setup = Setup::new(450, "orders", 1);
    setup.failed.set(Sends::Refused(QueueReason::Server));
    setup.send("orders", "500-a");
    tokio::time::sleep(5 * SECOND).await;
    // Its visibility ends behind our back: SQS dead-letters it.
    setup.queue.queue.hide("500-a", Duration::ZERO);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(setup.process.census("orders").dead, 1);
    setup.failed.set(Sends::Work);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(setup.failed.accepted(), ["failed 500-a 500 failedok"]);
    setup.ends(1).await;
}

/// Many messages in one POST; the answer calls every second of them rejected.
#[derive(Debug)]
struct Together(usize);

impl Exchange for Together {
    fn messages_max(&self) -> usize {
        self.0
    }

    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable> {
        let bodies: Vec<&[u8]> = messages.iter().map(|message| message.body.as_ref()).collect();
        let headers = [("x-queuepost-receive-count", "1")];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Ok(Request::new(headers.into_iter().collect(), bodies.join(&b' ').into()))
    }

    fn verdicts(&self, _: &Answer, ids: &[MessageId]) -> Verdicts {
        let verdict = |at| if at % 2 == 1 { Outcome::Rejected } else { Outcome::Success };
        Verdicts::Each((0..ids.len()).map(verdict).collect())
    }
}

/// A process that posts so many messages at a time, with results of every try.
fn batches(seed: u64, size: usize, bodies: impl Iterator<Item = String>) -> Setup {
    let mut process = SimProcess::new(seed);
    process.world.queue("orders", 10);
    for results in ["done", "failed"] {
        process.world.queue_with(results, &[]);
    }
    for body in bodies {
        process.world.send("orders", &body);
    }
    let (done, failed) = (SimOutbox::new(&process.world, "done"), SimOutbox::new(&process.world, "failed"));
    let failures = ResultQueue { on: When::EveryTry, ..results_to(&failed) };
    process.results = Results { success: Some(results_to(&done)), failure: Some(failures) };
    let (queue, endpoint) = (ScriptedQueue::new(&process.world, "orders", 1), endpoint());
    let own = Settings { exchange: Arc::new(Together(size)), ..settings("orders", 16) };
    process.listen_on(own, Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(16));
    Setup { process, queue, endpoint, done, failed }
}

#[tokio::test(start_paused = true)]
async fn each_message_of_a_batch_has_one_result_by_its_own_verdict() {
    let mut setup = batches(451, 10, ["a", "b", "c", "d"].map(str::to_owned).into_iter());
    setup.process.until_empty("orders", 10 * MINUTE).await;
    assert!(setup.process.stop(MINUTE).await);
    assert!(setup.endpoint.posts().iter().any(|post| post.body.contains(' ')), "there was a batch");
    let bodies = |told: Vec<String>| {
        sorted(told.iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect())
    };
    assert_eq!(bodies(setup.done.accepted()), ["a", "b", "c", "d"]);
    assert!(!setup.failed.accepted().is_empty());
    setup.process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_has_done_is_deleted_though_the_queue_of_failures_takes_nothing() {
    let mut setup = batches(452, 10, (0..2_000).map(|number| format!("m-{number}")));
    setup.failed.set(Sends::Refused(QueueReason::Server));
    tokio::time::sleep(5 * MINUTE).await;
    let done: usize =
        setup.endpoint.posts().iter().map(|post| post.body.split(' ').count().div_ceil(2)).sum();
    assert!(done > 500, "{done}: enough that the failures fill their places");
    assert_eq!(setup.process.count("messages_deleted_total", ""), done as u64);
    setup.failed.set(Sends::Work);
    setup.process.until_empty("orders", 60 * MINUTE).await;
    assert!(setup.process.stop(MINUTE).await);
    setup.process.assert_balanced();
}
