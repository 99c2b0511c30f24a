//! How queuepost behaves while SQS fails, and how soon it recovers: each row of `docs/sqs-trouble.md`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use queuepost::pipeline::{Health, Preflight};
use queuepost::policy::advice::queue::QueueErrorKind;
use queuepost::ports::{Operation, QueueReason};
use tokio::time::Instant;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{Post, ScriptedEndpoint, answer, refused};
use super::scripted_queue::{CallBehaviour, ScriptedQueue};
use super::simulated_queue::FIFO;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// How long the failure lasts: much longer than a lease, whose length is 90 s here.
const FAILURE_LASTS: Duration = Duration::from_secs(600);
/// Longest step of the back-off, and the longest time until the poller checks whether settling works again.
const STEP: Duration = Duration::from_millis(30_500);
/// Most calls of each kind during the failure: ten in the first half minute, then one per 15 s on average.
const CALLS_MAX: usize = 100;

const ALL: &[Operation] =
    &[Operation::Receive, Operation::Delete, Operation::ChangeVisibility, Operation::Attributes];

/// One kind of failure.
struct Row {
    name: &'static str,
    /// The calls that fail.
    on: &'static [Operation],
    how: CallBehaviour,
    /// `result` of these calls in `queuepost_sqs_requests_total`.
    result: QueueErrorKind,
    /// Whether the listener is faulted.
    faulted: bool,
    /// POSTs that begin during the failure, besides the four running ones.
    begin: RangeInclusive<usize>,
    /// How a 429 during the failure is settled: parked, or left to SQS.
    parked: bool,
}

const RECEIVE: &[Operation] = &[Operation::Receive];
const SETTLE: &[Operation] = &[Operation::Delete, Operation::ChangeVisibility];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "throttling", on: ALL, how: CallBehaviour::Refused(QueueReason::Throttled),
          result: QueueErrorKind::Throttled, faulted: false, begin: 0..=0, parked: false },
    Row { name: "KMS throttling", on: RECEIVE, how: CallBehaviour::Refused(QueueReason::KmsThrottled),
          result: QueueErrorKind::Throttled, faulted: false, begin: 0..=0, parked: true },
    Row { name: "too many in flight", on: RECEIVE, how: CallBehaviour::Refused(QueueReason::OverLimit),
          result: QueueErrorKind::OverLimit, faulted: false, begin: 0..=0, parked: true },
    Row { name: "5xx", on: ALL, how: CallBehaviour::Refused(QueueReason::Server),
          result: QueueErrorKind::Server, faulted: false, begin: 0..=0, parked: false },
    Row { name: "5xx to settlements", on: SETTLE, how: CallBehaviour::Refused(QueueReason::Server),
          result: QueueErrorKind::Server, faulted: false, begin: 20..=20, parked: false },
    Row { name: "reset before it is read", on: ALL, how: CallBehaviour::Refused(QueueReason::Connection),
          result: QueueErrorKind::Network, faulted: false, begin: 0..=0, parked: false },
    Row { name: "reset before the answer", on: ALL, how: CallBehaviour::AnswerLost(QueueReason::Connection),
          result: QueueErrorKind::Network, faulted: false, begin: 0..=0, parked: false },
    Row { name: "no answer in time", on: ALL, how: CallBehaviour::NoAnswer,
          result: QueueErrorKind::TimedOut, faulted: false, begin: 0..=0, parked: false },
    Row { name: "no DNS", on: ALL, how: CallBehaviour::Refused(QueueReason::Dns),
          result: QueueErrorKind::Network, faulted: false, begin: 0..=0, parked: false },
    Row { name: "expired credentials", on: ALL, how: CallBehaviour::Refused(QueueReason::ExpiredToken),
          result: QueueErrorKind::Credentials, faulted: true, begin: 0..=0, parked: false },
    Row { name: "a clock that is off", on: ALL, how: CallBehaviour::Refused(QueueReason::ClockSkew),
          result: QueueErrorKind::Credentials, faulted: true, begin: 0..=0, parked: false },
    Row { name: "denied KMS key", on: RECEIVE, how: CallBehaviour::Refused(QueueReason::KmsDenied),
          result: QueueErrorKind::Denied, faulted: true, begin: 0..=0, parked: true },
    Row { name: "denied deletes", on: &[Operation::Delete], how: CallBehaviour::Refused(QueueReason::AccessDenied),
          result: QueueErrorKind::Denied, faulted: true, begin: 0..=4, parked: true },
    Row { name: "denied changes of visibility", on: &[Operation::ChangeVisibility],
          how: CallBehaviour::Refused(QueueReason::AccessDenied),
          result: QueueErrorKind::Denied, faulted: true, begin: 20..=20, parked: false },
    Row { name: "denied attributes", on: &[Operation::Attributes], how: CallBehaviour::Refused(QueueReason::AccessDenied),
          result: QueueErrorKind::Denied, faulted: false, begin: 20..=20, parked: true },
];

struct Setup {
    process: SimProcess,
    endpoint: Arc<ScriptedEndpoint>,
    queue: Arc<ScriptedQueue>,
    health: Arc<Health>,
}

impl Setup {
    /// A listener of four workers on a queue; a message with the body `429` is answered 429 once.
    fn new(seed: u64, name: &str, takes: Duration) -> Self {
        let mut process = SimProcess::new(seed);
        process.world.queue(name, 10);
        let endpoint = ScriptedEndpoint::new(move |post, _| {
            let status = if post.body == "429" && post.began < Duration::from_secs(40) { 429 } else { 200 };
            (takes, answer(status))
        });
        let queue = ScriptedQueue::new(&process.world, name, seed);
        let health = process.listen_on(
            settings(name, 4),
            Arc::clone(&queue) as _,
            Arc::clone(&endpoint) as _,
            &limits(4),
        );
        Self { process, endpoint, queue, health }
    }

    fn faulted(&self) -> bool {
        self.process.count("listener_faulted", "") > 0
    }

    fn count(&self, name: &str) -> u64 {
        self.process.count(name, "")
    }

    /// Runs the failure; returns whether the listener was faulted during it.
    async fn live_through(&self, row: &Row) -> bool {
        let (on, how) = (row.on, row.how);
        self.queue.set(move |operation| if on.contains(&operation) { how } else { CallBehaviour::Works });
        let end = Instant::now() + FAILURE_LASTS;
        let mut faulted = false;
        while Instant::now() < end {
            tokio::time::sleep(5 * SECOND).await;
            faulted |= self.faulted();
            assert_eq!(self.health.stuck(), None, "{}", row.name);
        }
        self.queue.set(|_| CallBehaviour::Works);
        faulted
    }

    /// Every failed call is counted under its kind, and the calls were not many.
    fn assert_calls(&self, row: &Row, operations: &[Operation], since: Instant) {
        for operation in operations {
            let result = row.result.label();
            let labels = format!(r#"operation="{}",result="{result}""#, operation.name());
            let counted = self.process.count("sqs_requests_total", &labels);
            assert!(counted > 0, "{}: no {labels}", row.name);
        }
        for (operation, most) in [
            (Operation::Receive, CALLS_MAX),
            (Operation::Delete, 4 * CALLS_MAX),
            (Operation::ChangeVisibility, 4 * CALLS_MAX),
            (Operation::Attributes, CALLS_MAX),
        ] {
            let failed = self.queue.calls(operation, since).iter().filter(|call| !call.worked).count();
            assert!(failed <= most, "{}: {failed} failed calls of {operation}", row.name);
        }
    }

    /// The first working call of the kind after the failure began soon enough.
    fn assert_recovered(&self, row: &Row, operation: Operation, over: Instant) {
        // A call without an answer that began just before the end runs into its timeout.
        let under_way =
            if matches!(row.how, CallBehaviour::NoAnswer) { Duration::from_secs(30) } else { Duration::ZERO };
        let first = self.queue.calls(operation, over).into_iter().find(|call| call.worked);
        let after = first.unwrap_or_else(|| panic!("{}: no {operation} works", row.name)).began - over;
        assert!(after <= STEP + under_way, "{}: {operation} works {after:?} after the end", row.name);
    }

    /// Each message was accepted once, none was dead-lettered, and the ledger balances.
    async fn assert_all_is_well(mut self, name: &str, queue: &str, bodies: usize) {
        self.process.until_empty(queue, 30 * MINUTE).await;
        assert!(self.process.stop(MINUTE).await, "{name}");
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for body in self.endpoint.accepted() {
            *times.entry(body).or_default() += 1;
        }
        assert_eq!(times.len(), bodies, "{name}: everything is delivered");
        assert!(times.values().all(|count| *count == 1), "{name}: once each, not {times:?}");
        assert_eq!(self.process.census(queue).dead, 0, "{name}");
        assert!(!self.faulted() && self.health.preflight() == Preflight::Passed, "{name}");
        self.process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn every_failure_loses_nothing_is_counted_and_is_over_within_a_step_of_its_end() {
    let scenes = ROWS.iter().flat_map(|row| [(row, "orders"), (row, "orders.fifo")]);
    for (seed, (row, queue)) in (700..).zip(scenes) {
        let name = format!("{} on {queue}", row.name);
        let setup = Setup::new(seed, queue, 40 * SECOND);
        for body in ["429", "1", "2", "3"] {
            setup.process.world.send_to(queue, body, body);
        }
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(setup.endpoint.running(), 4, "{name}");
        for number in 10..30 {
            setup.process.world.send_to(queue, &number.to_string(), &format!("m-{number}"));
        }
        let began = Instant::now();
        let faulted = setup.live_through(row).await;
        let over = Instant::now();
        assert_eq!(faulted, row.faulted, "{name}: faulted");
        let posts = setup.endpoint.posts();
        assert!(posts[..4].iter().all(|post| post.ended.is_some()), "{name}: what ran goes on");
        let started = posts[4..].iter().filter(|post| post.body != "429").count();
        assert!(row.begin.contains(&started), "{name}: {started} POSTs began");
        let settled = (setup.count("messages_parked_total"), setup.count("messages_abandoned_total"));
        if row.parked {
            assert_eq!(settled, (1, 0), "{name}: the 429");
        } else {
            // The message comes again when its lease is over, is not posted, and is to be hidden for the
            // rest.
            assert!(settled.0 == 0 && settled.1 >= 1, "{name}: the 429: {settled:?}");
        }
        let throttled: Vec<Post> = posts.iter().filter(|post| post.body == "429").cloned().collect();
        let early = |pair: &[Post]| pair[1].began < pair[0].ended.unwrap() + 5 * MINUTE - 3 * SECOND;
        assert!(!throttled.windows(2).any(early), "{name}: the 429 is posted again too early");
        // A message that is finished or gone needs no change of visibility.
        let called = |operation: &&Operation| **operation != Operation::ChangeVisibility || !row.parked;
        let called: Vec<Operation> = row.on.iter().filter(called).copied().collect();
        setup.assert_calls(row, &called, began);
        tokio::time::sleep(2 * MINUTE).await;
        setup.assert_recovered(row, Operation::Receive, over);
        if row.on.contains(&Operation::Delete) {
            setup.assert_recovered(row, Operation::Delete, over);
        }
        setup.assert_all_is_well(&name, queue, 24).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_the_start_is_waited_for() {
    let rows = ROWS.iter().filter(|row| row.on.contains(&Operation::Attributes));
    for row in rows {
        let setup = Setup::new(71, "orders", SECOND);
        let began = Instant::now();
        setup.process.world.send("orders", "x");
        let faulted = setup.live_through(row).await;
        let over = Instant::now();
        // Here the listener knows nothing of the queue yet, so a denied attribute call is a fault.
        assert_eq!(faulted, row.faulted || row.result == QueueErrorKind::Denied, "{}", row.name);
        assert_eq!(setup.queue.calls(Operation::Receive, began).len(), 0, "{}: receives", row.name);
        setup.assert_calls(row, &[Operation::Attributes], began);
        tokio::time::sleep(2 * MINUTE).await;
        setup.assert_recovered(row, Operation::Receive, over);
        setup.assert_all_is_well(row.name, "orders", 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_deleted_and_made_anew_is_found_within_a_step_and_its_old_handles_are_given_up() {
    for queue in ["orders", "orders.fifo"] {
        let setup = Setup::new(72, queue, 40 * SECOND);
        for body in ["429", "1", "2", "3"] {
            setup.process.world.send_to(queue, body, body);
        }
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(setup.endpoint.running(), 4);
        setup.process.world.with(|broker, _| broker.delete_queue(queue)).unwrap();
        tokio::time::sleep(5 * MINUTE).await;
        assert_eq!(setup.endpoint.posts().iter().filter(|post| post.ended.is_some()).count(), 4, "{queue}");
        assert_eq!(setup.count("messages_abandoned_total"), 4, "{queue}: nothing there to settle");
        assert!(setup.faulted());
        assert!(
            setup.process.count("sqs_requests_total", r#"operation="DeleteMessageBatch",result="missing""#)
                > 0
        );
        let over = Instant::now();
        let fifo = queue.ends_with(FIFO).then(|| ("FifoQueue".to_owned(), "true".to_owned()));
        let attributes = fifo.into_iter().collect();
        setup.process.world.with(|broker, now| broker.create_queue(now, queue, &attributes)).unwrap();
        setup.process.world.send_to(queue, "4", "4");
        tokio::time::sleep(MINUTE).await;
        let first = setup.queue.calls(Operation::Receive, over)[0];
        assert!(first.worked && first.began - over <= STEP, "{queue}");
        setup.assert_all_is_well(queue, queue, 4).await;
    }
}

#[tokio::test(start_paused = true)]
async fn handles_of_a_queue_made_anew_at_once_are_lost_and_counted() {
    let setup = Setup::new(73, "orders", 40 * SECOND);
    for body in ["429", "1", "2", "3"] {
        setup.process.world.send("orders", body);
    }
    tokio::time::sleep(10 * SECOND).await;
    setup.process.world.with(|broker, now| {
        broker.delete_queue("orders").unwrap();
        broker.create_queue(now, "orders", &[].into()).unwrap();
    });
    tokio::time::sleep(MINUTE).await;
    assert_eq!((setup.count("leases_lost_total"), setup.count("messages_abandoned_total")), (4, 4));
    assert!(!setup.faulted());
    setup.process.world.send("orders", "4");
    setup.assert_all_is_well("made anew", "orders", 4).await;
}

#[tokio::test(start_paused = true)]
async fn purged_messages_that_run_are_finished_and_held_ones_are_not_posted() {
    let mut process = SimProcess::new(74);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, _| match post.body.as_str() {
        "held" => (Duration::ZERO, refused()),
        "429" => (59 * SECOND, answer(429)),
        _ => (59 * SECOND, answer(200)),
    });
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    for body in ["429", "1", "held"] {
        process.world.send("orders", body);
        tokio::time::sleep(SECOND).await;
    }
    let held = |process: &SimProcess| process.count("messages_in_progress", r#"stage="held""#);
    assert_eq!((endpoint.running(), held(&process)), (2, 1));
    process.world.with(|broker, now| broker.purge(now, "orders")).unwrap();
    tokio::time::sleep(2 * MINUTE).await;
    let last =
        endpoint.posts().iter().filter(|post| post.body == "held").map(|post| post.began).max().unwrap();
    assert!(last < 65 * SECOND, "posted {last:?} after it was found gone, when its lease was to be extended");
    let count = |name: &str| process.count(name, "");
    assert_eq!(count("messages_deleted_total"), 1, "SQS confirms the delete of what is gone");
    assert_eq!(count("messages_abandoned_total"), 2, "what is gone can be neither hidden nor kept");
    assert_eq!(count("leases_lost_total"), 3);
    assert_eq!(count("listener_faulted"), 0);
    process.world.send("orders", "4");
    process.until_empty("orders", 2 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn hidings_that_work_do_not_hide_that_deletes_are_denied() {
    let mut process = SimProcess::new(76);
    process.world.queue("orders", 1_000);
    // A numeric body is the duration of its POST, which is then refused.
    let endpoint = ScriptedEndpoint::new(|post, _| match post.body.parse() {
        Ok(seconds) => (Duration::from_secs(seconds), answer(422)),
        Err(_) => (SECOND, answer(200)),
    });
    let queue = ScriptedQueue::new(&process.world, "orders", 76);
    let mut own = settings("orders", 16);
    own.timeout = 15 * MINUTE;
    let health = process.listen_on(own, Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(16));
    queue.set_for(Operation::Delete, CallBehaviour::Refused(QueueReason::AccessDenied));
    for number in 1..=12 {
        process.world.send("orders", &(number * 50).to_string());
    }
    for number in 0..200 {
        process.world.send("orders", &format!("good-{number}"));
    }
    tokio::time::sleep(5 * SECOND).await;
    let before = process.count("messages_received_total", "");
    for _ in 0..600 {
        tokio::time::sleep(SECOND).await;
        assert!(matches!(health.preflight(), Preflight::Faulted(_)));
        assert_eq!(process.count("listener_faulted", ""), 1);
    }
    assert_eq!(process.count("messages_received_total", ""), before, "nothing more is received");
    queue.set(|_| CallBehaviour::Works);
    tokio::time::sleep(STEP).await;
    assert_eq!(process.count("listener_faulted", ""), 0);
    process.stop(MINUTE).await;
    process.assert_balanced();
}
