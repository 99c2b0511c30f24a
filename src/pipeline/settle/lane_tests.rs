//! A lane alone, over a queue that answers by a script.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use tokio::sync::Semaphore;

use super::*;
use crate::exchange::results::{ResultFacts, ResultForm};
use crate::limit::clock::Wall;
use crate::message::{Message, MessageId, ReceiptHandle};
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::lease::{Asked, Lease, LeaseTable};
use crate::pipeline::ledger::Settled;
use crate::pipeline::results::{ResultQueue, Results, When};
use crate::pipeline::settle::exit::Fate;
use crate::pipeline::settle::forward::Forward;
use crate::pipeline::settle::job::Place;
use crate::policy::advice::queue::{Named, QueueReason};
use crate::policy::decide::Disposition;
use crate::policy::outcome::{Body, Outcome};
use crate::ports::{
    BoxFuture, DeadLetterReason, Outbox, Queue, QueueFacts, QueueLimits, Receive, VisibilityChange,
};
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::metrics::Metrics;

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(90);
const LINGER: Duration = Duration::from_millis(100);

/// Answers calls by a list; panics when that is at its end.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<BatchResult>>,
    /// The handles of each call, or the message whose copy was sent.
    calls: Mutex<Vec<Vec<String>>>,
}

impl Script {
    fn call(&self, of: Vec<String>) -> BoxFuture<'_, BatchResult> {
        self.calls.lock().unwrap().push(of);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move { answer.unwrap() })
    }
}

impl Queue for Script {
    fn limits(&self) -> QueueLimits {
        QueueLimits::of_sqs(false)
    }

    fn receive(&self, _: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        unreachable!()
    }

    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        self.call(handles.iter().map(|handle| handle.expose().to_owned()).collect())
    }

    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        let text = |change: &VisibilityChange| format!("{} {} s", change.receipt.expose(), change.seconds);
        self.call(changes.iter().map(text).collect())
    }

    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        _: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        let sent = self.call(vec![message.id.to_string()]);
        Box::pin(async move { sent.await.map(drop) })
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        unreachable!()
    }
}

impl Outbox for Script {
    fn name(&self) -> &'static str {
        "results"
    }

    /// Each call is noted by the words of its results.
    fn send<'a>(&'a self, messages: &'a [Outgoing]) -> BoxFuture<'a, BatchResult> {
        self.call(messages.iter().map(|result| result.body.clone()).collect())
    }
}

/// A result is the message's number and the answer, or why there is none.
#[derive(Debug)]
struct Plain;

impl ResultForm for Plain {
    fn of(&self, facts: &ResultFacts<'_>) -> Outgoing {
        let says =
            facts.why.map_or_else(|| String::from_utf8_lossy(&facts.body.kept).into_owned(), str::to_owned);
        Outgoing::from(&format!("{}: {says}", facts.message.id))
    }
}

/// One lane, the queue behind it, and where its messages come from.
struct Bench {
    lane: Lane,
    queue: Arc<Script>,
    table: Arc<LeaseTable>,
    metrics: Arc<ListenerMetrics>,
}

impl Bench {
    fn new(answers: impl IntoIterator<Item = BatchResult>) -> Self {
        Self::of(|script| Destination::Deletes(script), answers)
    }

    fn of_hides(answers: impl IntoIterator<Item = BatchResult>) -> Self {
        Self::of(|script| Destination::Hides(script), answers)
    }

    fn of_forwards(answers: impl IntoIterator<Item = BatchResult>) -> Self {
        Self::of(|script| Destination::Copies(script), answers)
    }

    fn of_results(answers: impl IntoIterator<Item = BatchResult>) -> Self {
        let queue = |outbox| ResultQueue { outbox, form: Arc::new(Plain), on: When::Final };
        Self::of(|outbox| Destination::Results(queue(outbox)), answers)
    }

    fn of(
        destination: impl Fn(Arc<Script>) -> Destination,
        answers: impl IntoIterator<Item = BatchResult>,
    ) -> Self {
        let metrics = Arc::new(Metrics::new().listener("orders", "api"));
        let events = Arc::new(EventLog::new("orders", "orders", "api", Wall::System));
        let table =
            LeaseTable::new(LEASE, QueueLimits::of_sqs(false), Arc::clone(&metrics), Arc::clone(&events), 1);
        let queue =
            Arc::new(Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() });
        let lane = Lane::new(destination(Arc::clone(&queue)), Duration::ZERO, events);
        Self { lane, queue, table, metrics }
    }

    /// A receive of the message; none if it is in flight already.
    fn receive(&self, number: usize, handle: &str) -> Option<(Message, Lease)> {
        let message = message(number, handle);
        let now = Instant::now();
        let lease = Lease::begin(&self.table, &message, Asked { first: now, last: now })?;
        Some((message, lease))
    }

    fn job(&self, number: usize, exit: Exit) -> Job {
        let (message, lease) = self.receive(number, &format!("h-{number}")).unwrap();
        Job::new(Box::new(message), exit, lease, Successor::default(), place())
    }

    fn delete(&self, number: usize) -> Job {
        self.job(number, Exit::DELETE)
    }

    async fn hide(&self, number: usize, until: Instant) -> Job {
        let job = self.job(number, Exit::Hide { until, how: Settled::Parked });
        job.lease.close(until).await;
        job
    }

    fn forward(&self, number: usize) -> Job {
        let copy = Some(Forward::Copy(DeadLetterReason::default()));
        self.job(number, Exit::Delete { how: Settled::DeadLettered }.after(copy))
    }

    /// Of a success whose answer has so many bytes.
    fn result(&self, number: usize, bytes: usize) -> Job {
        let body = Body { kept: "x".repeat(bytes).into(), is_whole: true };
        let posted = Posted { body, ..Posted::not(Outcome::Success) };
        let script = Arc::clone(&self.queue);
        let queue = ResultQueue { outbox: script, form: Arc::new(Plain), on: When::Final };
        let results = Results { success: Some(queue), failure: None };
        let (leaves, now) = ((Disposition::Delete, false), SystemTime::UNIX_EPOCH);
        let result = Forward::result(&results, &message(number, "h"), &posted, leaves, now);
        self.job(number, Exit::DELETE.after(result))
    }

    /// Sends what is due, now or when its time comes, and takes in the answer: the messages that are done.
    async fn turn(&mut self) -> Vec<String> {
        if let Some(at) = self.lane.next_at() {
            tokio::time::sleep_until(at).await;
        }
        self.lane.send(true);
        let Some((done, _)) = self.lane.answer(1.0).await else { return Vec::new() };
        let name = |job: Job| {
            job.successor.tell(Fate::Deleted);
            job.message.id.to_string()
        };
        done.into_iter().map(name).collect()
    }

    fn calls(&self) -> Vec<Vec<String>> {
        self.queue.calls.lock().unwrap().clone()
    }

    fn abandoned(&self) -> u64 {
        self.metrics.abandoned.get()
    }
}

fn message(number: usize, handle: &str) -> Message {
    Message::new(MessageId::new(format!("m-{number}")), ReceiptHandle::new(handle), "x")
}

fn place() -> Place {
    Place { _one: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(), room: None }
}

fn failed(reason: QueueReason) -> BatchResult {
    let named = Named::default();
    Err(QueueError::new(Operation::Delete, Arc::from("orders"), reason, &named, "by the script".into()))
}

fn entry(kind: EntryErrorKind) -> Result<(), EntryError> {
    Err(EntryError { kind, code: "ByTheScript".to_owned() })
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_that_failed_in_part_only_the_entries_that_may_pass_are_sent_again() {
    use EntryErrorKind::{LeaseLost, Refused, Retryable};
    let first = vec![Ok(()), entry(Retryable), entry(LeaseLost), entry(Refused)];
    let mut bench = Bench::new([Ok(first), Ok(vec![Ok(()), Ok(())])]);
    for number in 0..5 {
        let delete = bench.delete(number);
        bench.lane.push(delete);
    }
    assert_eq!(bench.turn().await, ["m-0"]);
    assert_eq!(bench.abandoned(), 1 + 2, "two that SQS refused; what is done is dropped by the test");
    assert_eq!(bench.turn().await, ["m-1", "m-4"], "the one without a result too");
    assert_eq!(bench.calls()[1], ["h-1", "h-4"]);
    assert!(bench.lane.is_empty());
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_back_off_and_stay_together() {
    let server = || failed(QueueReason::Server);
    let mut bench = Bench::new([server(), server(), server(), Ok(vec![Ok(()), Ok(())])]);
    for number in 0..2 {
        let delete = bench.delete(number);
        bench.lane.push(delete);
    }
    let began = Instant::now();
    for waited in [0, 200, 600] {
        assert_eq!(bench.turn().await, [""; 0]);
        assert_eq!(began.elapsed(), Duration::from_millis(waited));
    }
    assert_eq!(bench.turn().await, ["m-0", "m-1"]);
    assert_eq!(bench.calls(), vec![["h-0", "h-1"]; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_longer_linger_holds_for_new_work_and_brings_no_further_try_forward() {
    let mut bench = Bench::new([failed(QueueReason::Server), Ok(vec![Ok(()), Ok(())])]);
    (bench.lane.most, bench.lane.joins_before) = (2, LINGER);
    bench.lane.set_linger(SECOND);
    let began = Instant::now();
    for number in 0..2 {
        let delete = bench.delete(number);
        bench.lane.push(delete);
    }
    bench.lane.send(false);
    let (done, error) = bench.lane.answer(1.0).await.unwrap();
    assert!(done.is_empty() && error.is_some(), "full, and refused");
    assert_eq!((began.elapsed(), bench.lane.next_at()), (Duration::ZERO, Some(began + 2 * LINGER)));
    bench.lane.send(true);
    assert_eq!(bench.calls().len(), 1, "a hurry does not either");
    assert_eq!(bench.turn().await, ["m-0", "m-1"]);
    assert!((LINGER..=2 * LINGER).contains(&began.elapsed()), "{:?}", began.elapsed());
    let delete = bench.delete(2);
    bench.lane.push(delete);
    assert_eq!(bench.lane.next_at(), Some(Instant::now() + SECOND));
    let mut awaited = bench.delete(3);
    let _fate = awaited.successor.joined();
    bench.lane.push(awaited);
    assert_eq!(bench.lane.next_at(), Some(Instant::now() + LINGER), "somebody waits for it");
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_at_fault_until_a_call_works_or_nothing_is_left_to_try() {
    let mut bench =
        Bench::new([failed(QueueReason::AccessDenied), failed(QueueReason::Server), Ok(vec![Ok(())])]);
    let delete = bench.delete(0);
    bench.lane.push(delete);
    bench.turn().await;
    assert!(bench.lane.fault().is_some());
    bench.turn().await;
    assert!(bench.lane.fault().is_some(), "another failure mends nothing");
    assert_eq!(bench.turn().await, ["m-0"]);
    assert_eq!(bench.lane.fault(), None);

    let mut bench = Bench::new([failed(QueueReason::AccessDenied)]);
    let delete = bench.delete(0);
    bench.lane.push(delete);
    bench.turn().await;
    tokio::time::sleep(Duration::from_secs(12 * 3_600)).await;
    assert_eq!(bench.turn().await, [""; 0], "its time is over");
    assert_eq!(bench.lane.fault(), None);
    assert_eq!(bench.abandoned(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_handle_after_a_lost_answer_ends_a_delete_but_proves_nothing_and_ends_no_hiding() {
    let answers = || [failed(QueueReason::TimedOut), Ok(vec![entry(EntryErrorKind::LeaseLost)])];
    let mut deletes = Bench::new(answers());
    let (successor, fate) = Successor::new();
    let mut delete = deletes.delete(0);
    delete.successor = successor;
    deletes.lane.push(delete);
    deletes.turn().await;
    assert_eq!(deletes.turn().await, ["m-0"]);
    assert!(fate.await.is_err(), "no successor starts on that");

    let mut hides = Bench::of_hides(answers());
    let hide = hides.hide(0, Instant::now() + 30 * SECOND).await;
    hides.lane.push(hide);
    hides.turn().await;
    assert_eq!((hides.turn().await, hides.abandoned()), (Vec::new(), 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_a_handle_replaced_meanwhile_proves_nothing() {
    for answer in [Ok(()), entry(EntryErrorKind::LeaseLost)] {
        let mut bench = Bench::new([Ok(vec![answer]), Ok(vec![Ok(())])]);
        let delete = bench.delete(0);
        bench.lane.push(delete);
        bench.lane.send(true);
        tokio::task::yield_now().await;
        assert_eq!(bench.calls().len(), 1, "the call is made");
        assert!(bench.receive(0, "newer").is_none());
        assert!(bench.lane.answer(1.0).await.unwrap().0.is_empty());
        assert_eq!(bench.turn().await, ["m-0"]);
        assert_eq!(bench.calls(), [["h-0"], ["newer"]]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hiding_without_an_answer_is_not_sent_again_when_its_message_may_be_somebody_elses() {
    let mut bench = Bench::of_hides([failed(QueueReason::TimedOut), Ok(vec![Ok(())])]);
    let hide = bench.hide(0, Instant::now() + 6 * SECOND).await;
    bench.lane.push(hide);
    bench.turn().await;
    assert_eq!(bench.turn().await, ["m-0"]);
    assert_eq!(bench.calls(), [["h-0 6 s"], ["h-0 6 s"]], "a second later at most");

    for seconds in [0, 5] {
        let mut bench = Bench::of_hides([failed(QueueReason::TimedOut)]);
        let hide = bench.hide(0, Instant::now() + seconds * SECOND).await;
        bench.lane.push(hide);
        bench.turn().await;
        assert!(bench.lane.is_empty(), "{seconds} s");
        assert_eq!(bench.abandoned(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_forward_is_tried_again_one_by_one_also_where_a_queue_is_missing() {
    let missing = || failed(QueueReason::NoDeadLetterQueue);
    let mut bench = Bench::of_forwards([missing(), missing(), Ok(vec![Ok(())]), Ok(vec![Ok(())])]);
    for number in 0..2 {
        let forward = bench.forward(number);
        bench.lane.push(forward);
    }
    bench.turn().await;
    bench.turn().await;
    assert!(bench.lane.fault().is_some());
    assert_eq!([bench.turn().await, bench.turn().await], [["m-0"], ["m-1"]]);
    assert_eq!(bench.lane.fault(), None);
    assert_eq!(bench.calls(), [["m-0"], ["m-1"], ["m-0"], ["m-1"]]);
}

#[tokio::test(start_paused = true)]
async fn a_message_the_other_queue_never_takes_is_left_to_sqs_and_no_fault() {
    let mut bench = Bench::of_forwards([failed(QueueReason::TooLong)]);
    let (long, other) = (bench.forward(0), bench.forward(1));
    bench.lane.push(long);
    bench.turn().await;
    assert_eq!(bench.abandoned(), 1);
    bench.lane.push(other);
    assert_eq!(bench.lane.fault(), None);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_the_tries_unless_the_message_came_again() {
    for comes_again in [false, true] {
        let mut bench = Bench::of_forwards([failed(QueueReason::Server)]);
        let forward = bench.forward(0);
        forward.lease.refused();
        bench.lane.push(forward);
        if comes_again {
            assert!(bench.receive(0, "newer").is_none());
        }
        bench.turn().await;
        assert_eq!(bench.lane.is_empty(), !comes_again);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_leaves_its_messages_to_sqs_and_the_lane_goes_on() {
    let mut bench = Bench::new([]);
    let delete = bench.delete(0);
    bench.lane.push(delete);
    assert_eq!((bench.turn().await, bench.abandoned()), (Vec::new(), 1));
    assert!(bench.lane.is_empty());
    bench.queue.answers.lock().unwrap().push_back(Ok(vec![Ok(())]));
    let delete = bench.delete(1);
    bench.lane.push(delete);
    assert_eq!(bench.turn().await, ["m-1"]);
}

/// A lane of batches of three, and messages that are to be tried again so much later.
fn waiting(at: &[(Duration, usize)]) -> (Bench, Instant) {
    let (mut bench, now) = (Bench::new([]), Instant::now());
    (bench.lane.linger, bench.lane.joins_before, bench.lane.most) = (LINGER, LINGER, 3);
    for (after, number) in at {
        let delete = bench.delete(*number);
        bench.lane.push_again(now + *after, delete);
    }
    (bench, now)
}

/// The numbers of the messages in the next batch.
fn batch(bench: &mut Bench, now: Instant, hurry: bool) -> Vec<String> {
    bench.lane.batch(now, hurry).into_iter().map(|job| job.message.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_when_it_is_full_has_waited_long_enough_or_is_in_a_hurry() {
    let (mut bench, now) = waiting(&[]);
    for number in 0..7 {
        let delete = bench.delete(number);
        bench.lane.push(delete);
    }
    assert_eq!(batch(&mut bench, now, false), ["m-0", "m-1", "m-2"]);
    assert_eq!(batch(&mut bench, now, false), ["m-3", "m-4", "m-5"]);
    assert_eq!((batch(&mut bench, now, false), bench.lane.next_at()), (Vec::new(), Some(now + LINGER)));
    assert_eq!(batch(&mut bench, now + LINGER, false), ["m-6"]);
    assert_eq!(
        (batch(&mut bench, now, true), bench.lane.next_at(), bench.lane.is_empty()),
        (vec![], None, true)
    );
    let delete = bench.delete(7);
    bench.lane.push(delete);
    assert_eq!(batch(&mut bench, now, true), ["m-7"]);
}

#[tokio::test(start_paused = true)]
async fn things_for_later_come_in_order_of_time_and_then_of_arrival() {
    let (mut bench, now) = waiting(&[(2 * SECOND, 3), (SECOND, 2), (SECOND, 1)]);
    assert_eq!(bench.lane.next_at(), Some(now + SECOND));
    assert_eq!(batch(&mut bench, now, true), [""; 0], "not even in a hurry before their time");
    assert_eq!(batch(&mut bench, now + SECOND, false), ["m-2", "m-1"]);
    assert_eq!(batch(&mut bench, now + SECOND, true), [""; 0]);
    assert_eq!(batch(&mut bench, now + 2 * SECOND, false), ["m-3"]);
    assert!(bench.lane.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_has_not_waited_long_enough_goes_along_with_what_is_tried_again() {
    let (mut bench, now) = waiting(&[(LINGER / 2, 1)]);
    let new = bench.delete(2);
    bench.lane.push(new);
    assert_eq!(batch(&mut bench, now, false), [""; 0]);
    assert_eq!(batch(&mut bench, now + LINGER / 2, false), ["m-1", "m-2"]);
}

#[tokio::test(start_paused = true)]
async fn results_go_together_by_ten_and_by_256_kib() {
    let all = |count| Ok(vec![Ok(()); count]);
    let mut bench = Bench::of_results([all(2), all(10), all(2)]);
    for number in 0..14 {
        let kib = [100, 100, 250].get(number).copied().unwrap_or_default();
        let result = bench.result(number, kib * 1024);
        bench.lane.push(result);
    }
    let mut done = 0;
    for _ in 0..3 {
        done += bench.turn().await.len();
    }
    let calls = bench.calls();
    assert_eq!((calls.iter().map(Vec::len).collect::<Vec<_>>(), done), (vec![2, 10, 2], 14));
    let longest = calls.iter().map(|call| call.iter().map(String::len).sum::<usize>()).max();
    assert!(longest.unwrap() <= Outgoing::BATCH_BYTES && bench.lane.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_result_longer_than_a_batch_goes_alone() {
    let mut bench = Bench::of_results([Ok(vec![Ok(())]), Ok(vec![Ok(())])]);
    for bytes in [Outgoing::BATCH_BYTES + 1, 1] {
        let result = bench.result(bytes, bytes);
        bench.lane.push(result);
    }
    assert_eq!([bench.turn().await.len(), bench.turn().await.len()], [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_result_refused_for_what_it_contains_is_sent_without_that_and_is_no_fault() {
    let refused = || entry(EntryErrorKind::Refused);
    let mut bench = Bench::of_results([Ok(vec![Ok(()), refused()]), Ok(vec![Ok(())])]);
    for number in 0..2 {
        let result = bench.result(number, 3);
        bench.lane.push(result);
    }
    assert_eq!(bench.turn().await, ["m-0"]);
    assert_eq!(bench.lane.fault(), None);
    assert_eq!(bench.turn().await, ["m-1"]);
    assert_eq!(bench.calls()[1], ["m-1: the result was shortened: SQS refused it whole (ByTheScript)"]);
    assert_eq!(bench.abandoned(), 1 + 1, "what is done is dropped by the test");
}

#[tokio::test(start_paused = true)]
async fn of_results_refused_as_a_whole_only_the_one_at_fault_is_shortened() {
    let (too_long, ok) = (|| failed(QueueReason::TooLong), || Ok(vec![Ok(())]));
    let mut bench = Bench::of_results([too_long(), ok(), too_long(), ok(), ok()]);
    for number in 0..3 {
        let result = bench.result(number, 3);
        bench.lane.push(result);
    }
    assert_eq!(bench.turn().await, [""; 0]);
    let mut done = Vec::new();
    while !bench.lane.is_empty() {
        done.extend(bench.turn().await);
    }
    done.sort();
    assert_eq!(done, ["m-0", "m-1", "m-2"]);
    let calls = bench.calls();
    assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 1, 1, 1]);
    let short = calls.iter().flatten().filter(|words| words.contains("shortened")).count();
    assert_eq!(short, 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_refuses_even_a_short_result_is_at_fault_and_the_result_is_kept() {
    let refused = || Ok(vec![entry(EntryErrorKind::Refused)]);
    let mut bench = Bench::of_results([refused(), refused(), refused(), Ok(vec![Ok(())])]);
    let result = bench.result(0, 3);
    bench.lane.push(result);
    bench.turn().await;
    for _ in 0..2 {
        assert_eq!(bench.turn().await, [""; 0]);
        assert!(bench.lane.fault().unwrap().contains("results"), "it names the queue");
    }
    assert_eq!(bench.turn().await, ["m-0"]);
    assert_eq!(bench.lane.fault(), None);
    assert_eq!(bench.abandoned(), 1, "what is done is dropped by the test");
}

#[tokio::test(start_paused = true)]
async fn a_result_that_may_never_be_asked_for_again_outlives_its_lease() {
    for deletes in [true, false] {
        let mut bench = Bench::of_results([failed(QueueReason::Server)]);
        let mut result = bench.result(0, 3);
        if !deletes {
            let hide = Exit::Hide { until: Instant::now(), how: Settled::Parked };
            result.exit = hide.after(result.exit.forward().cloned());
        }
        result.lease.refused();
        bench.lane.push(result);
        bench.turn().await;
        assert_eq!(bench.lane.is_empty(), deletes);
    }
}
