//! What a message costs in SQS calls and how long it waits for its POST, where messages trickle in.
//!
//! Calls to SQS take 3 ms there and 3 ms back, or none; everything else takes no time. A message waits for half a receive at least.
//! So what it waits beyond a whole one is what the listener adds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use queuepost::limit::EndpointLimits;
use queuepost::message::{Message, ReceiptHandle};
use queuepost::pipeline::{Receiving, Settings};
use queuepost::ports::{
    BatchResult, BoxFuture, DeadLetterReason, Operation, Queue, QueueError, QueueFacts, QueueLimits, Receive,
    VisibilityChange,
};
use tokio::time::Instant;

use super::process::{Census, SimProcess, limits, settings};
use super::scripted_endpoint::ScriptedEndpoint;
use super::scripted_queue::{CallBehaviour, ScriptedQueue};
use super::simulated_queue::{FIFO, Faults, SimQueue};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// What a receive takes.
const CALL: Duration = Duration::from_millis(6);
/// Seconds until rates are known.
const WARM_UP: u32 = 3;
/// Messages that are measured.
const MESSAGES: u32 = 2_000;

/// What messages of one rate cost.
#[derive(Debug)]
struct Seen {
    receives: f64,
    deletes: f64,
    /// What messages waited beyond a receive, in milliseconds, the shortest first.
    added: Vec<f64>,
}

impl Seen {
    fn calls(&self) -> f64 {
        self.receives + self.deletes
    }

    /// In milliseconds.
    fn added(&self, share: f64) -> f64 {
        self.added[((self.added.len() - 1) as f64 * share) as usize]
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receives, deletes, .. } = self;
        write!(f, "{receives:.3} receives and {deletes:.3} deletes a message, {:.3} calls; ", self.calls())?;
        let [half, most, all] = [0.5, 0.99, 1.0].map(|share| self.added(share));
        write!(f, "added: half {half:.1} ms, 99 % {most:.1} ms, all {all:.1} ms")
    }
}

/// How messages come.
#[derive(Debug, Clone, Copy)]
enum Arrivals {
    Evenly,
    AtRandom,
}

fn of_budget(name: &str, workers: usize, budget: Duration) -> Settings {
    let settings = settings(name, workers);
    let receiving = Receiving { latency_budget: budget, ..settings.receiving };
    Settings { receiving, ..settings }
}

struct Trickle {
    process: SimProcess,
    queue: Arc<ScriptedQueue>,
    endpoint: Arc<ScriptedEndpoint>,
    sent: Vec<Instant>,
    random: fastrand::Rng,
    /// What a call to SQS takes.
    call: Duration,
}

impl Trickle {
    fn new(name: &str, workers: usize, budget: Duration, limits: &EndpointLimits) -> Self {
        Self::with_calls(name, workers, budget, limits, CALL)
    }

    fn with_calls(
        name: &str,
        workers: usize,
        budget: Duration,
        limits: &EndpointLimits,
        call: Duration,
    ) -> Self {
        let mut process = SimProcess::new(1);
        process.world.queue(name, 5);
        let queue = ScriptedQueue::new(&process.world, name, 1);
        queue.set(move |_| CallBehaviour::Slow(call / 2, call / 2));
        let endpoint = ScriptedEndpoint::always(200, 20);
        let settings = of_budget(name, workers, budget);
        process.listen_on(settings, Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, limits);
        Self { process, queue, endpoint, sent: Vec::new(), random: fastrand::Rng::with_seed(1), call }
    }

    async fn send(&mut self, rate: u32, arrivals: Arrivals, messages: u32) {
        let mut at = Instant::now();
        for _ in 0..messages {
            at += match arrivals {
                Arrivals::Evenly => SECOND / rate,
                Arrivals::AtRandom => (SECOND / rate).mul_f64(-(1.0 - self.random.f64()).ln()),
            };
            tokio::time::sleep_until(at).await;
            let number = self.sent.len();
            self.sent.push(Instant::now());
            let queue = self.queue.queue.name();
            if queue.ends_with(FIFO) {
                self.process.world.send_to(queue, &format!("g-{number}"), &number.to_string());
            } else {
                self.process.world.send(queue, &number.to_string());
            }
        }
    }

    async fn measure(&mut self, rate: u32, arrivals: Arrivals) -> Seen {
        self.send(rate, arrivals, WARM_UP * rate).await;
        let (since, first) = (Instant::now(), self.sent.len());
        self.send(rate, arrivals, MESSAGES).await;
        let count = |operation| self.queue.calls(operation, since).len() as f64 / f64::from(MESSAGES);
        let (receives, deletes) = (count(Operation::Receive), count(Operation::Delete));
        Seen { receives, deletes, added: self.waits(first).await }
    }

    /// What messages from this one on waited beyond a receive, in milliseconds, the shortest first.
    async fn waits(&self, first: usize) -> Vec<f64> {
        tokio::time::sleep(SECOND).await;
        let start = self.process.world.started();
        let mut waits: Vec<_> = (self.endpoint.posts().into_iter())
            .filter_map(|post| {
                let number: usize = post.body.parse().unwrap();
                let waited = start + post.began - self.sent[number];
                (number >= first).then_some(1000.0 * (waited.as_secs_f64() - self.call.as_secs_f64()))
            })
            .collect();
        assert_eq!(waits.len(), self.sent.len() - first, "each was posted once");
        waits.sort_by(f64::total_cmp);
        waits
    }
}

/// Calls a message at most: within 15 % of a receive and a delete for each budget, and of two tenths. One alone costs two.
fn most_calls(rate: u32, budget: Duration) -> f64 {
    1.15 * (2.0 / (f64::from(rate) * budget.as_secs_f64())).clamp(0.2, 2.0)
}

async fn with_budget(rate: u32, arrivals: Arrivals, budget: Duration, call: Duration) {
    let mut trickle = Trickle::with_calls("orders", 64, budget, &limits(64), call);
    let seen = trickle.measure(rate, arrivals).await;
    let most = most_calls(rate, budget);
    let figures = format!("{rate}/s {arrivals:?}, {budget:?}: {seen}");
    assert!(seen.calls() <= most, "{figures}; at most {most:.3}");
    // Few of those that a full receive left wait for up to a quarter more.
    let (longest, more) = (1000.0 * (budget + CALL / 2).as_secs_f64(), 250.0 * budget.as_secs_f64());
    assert!(seen.added(0.99) <= longest && seen.added(1.0) <= longest + more, "{figures}");
    trickle.process.stop(MINUTE).await;
    trickle.process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_message_costs_what_the_budget_says_and_waits_no_longer() {
    for rate in [10, 100, 300, 1000] {
        with_budget(rate, Arrivals::Evenly, 50 * MILLISECOND, CALL).await;
        with_budget(rate, Arrivals::AtRandom, 50 * MILLISECOND, CALL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_budget_costs_what_it_says() {
    for rate in [10, 300, 1000] {
        with_budget(rate, Arrivals::AtRandom, 100 * MILLISECOND, CALL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_take_no_time_cost_what_the_budget_says() {
    for rate in [100, 300, 1000] {
        with_budget(rate, Arrivals::Evenly, 50 * MILLISECOND, Duration::ZERO).await;
        with_budget(rate, Arrivals::AtRandom, 50 * MILLISECOND, Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_of_a_fifo_queue_does_not_wait_for_its_deletes_to_gather() {
    let mut trickle = Trickle::new("orders.fifo", 4, SECOND, &limits(4));
    tokio::time::sleep(SECOND).await;
    for number in 0..5 {
        trickle.process.world.send_to("orders.fifo", "g", &number.to_string());
    }
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(trickle.endpoint.posts().len(), 5);
    trickle.process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_a_message_waits_for_nothing() {
    for rate in [10, 100, 300, 1000] {
        let mut trickle = Trickle::new("orders", 64, Duration::ZERO, &limits(64));
        let seen = trickle.measure(rate, Arrivals::AtRandom).await;
        assert!(seen.added(0.5) <= 2.0 && seen.added(0.99) <= 10.0, "{rate}/s: {seen}");
        trickle.process.stop(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn groups_of_a_fifo_queue_gather_for_receives_and_not_for_deletes() {
    let mut trickle = Trickle::new("orders.fifo", 64, 50 * MILLISECOND, &limits(64));
    let seen = trickle.measure(300, Arrivals::AtRandom).await;
    assert!(seen.receives < 0.15 && seen.added(0.99) <= 53.0, "{seen}");
    trickle.process.stop(MINUTE).await;
    trickle.process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_burst_comes_at_once_and_all_within_the_budget() {
    let mut trickle = Trickle::new("orders", 64, 200 * MILLISECOND, &limits(64));
    tokio::time::sleep(MINUTE).await;
    trickle.send(10_000, Arrivals::Evenly, 60).await;
    let seen = trickle.waits(0).await;
    // After an idle time the queue is read first.
    assert!(seen[0] < 6.0, "{seen:?}");
    assert!(seen[59] <= 206.0 + 6.0 * 6.0, "as many receives as it takes follow at once: {seen:?}");
    let since_idle = trickle.process.world.started() + MINUTE;
    let receives = trickle.queue.calls(Operation::Receive, since_idle).len();
    assert!(receives <= 9, "{receives} receives");
    trickle.process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_no_delete_that_gathers() {
    let mut trickle = Trickle::new("orders", 64, 50 * MILLISECOND, &limits(64));
    trickle.send(100, Arrivals::Evenly, 3).await;
    tokio::time::sleep(150 * MILLISECOND).await;
    assert_eq!(trickle.process.count("messages_in_progress", "stage=\"settling\""), 3);
    let drains = Instant::now();
    assert!(trickle.process.stop(MINUTE).await);
    // The long poll under way was the longest: it is awaited.
    let delete = trickle.queue.calls(Operation::Delete, drains);
    assert_eq!((delete.len(), delete[0].began), (1, drains));
    assert_eq!(trickle.process.census("orders"), Census::default());
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_changed_while_a_listener_runs_holds_for_receives_and_deletes() {
    let mut process = SimProcess::new(1);
    process.world.queue("orders", 5);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let handle = process.listen_and_control(of_budget("orders", 64, Duration::ZERO), &endpoint, &limits(64));
    let mut seen = Vec::new();
    for budget in [0, 50, 0] {
        handle.adjust(of_budget("orders", 64, budget * MILLISECOND));
        let calls = |process: &SimProcess| {
            let of = |operation| process.count("sqs_requests_total", operation);
            (of("ReceiveMessage"), of("DeleteMessageBatch"))
        };
        tokio::time::sleep(SECOND).await;
        let before = calls(&process);
        for _ in 0..200 {
            process.world.send("orders", "x");
            tokio::time::sleep(20 * MILLISECOND).await;
        }
        let after = calls(&process);
        seen.push((after.0 - before.0, after.1 - before.1));
    }
    let [without, with, again] = seen[..] else { unreachable!() };
    assert!(without.0 >= 199 && again.0 >= 199, "{seen:?}");
    assert!(with.0 <= 80 && with.1 <= 21, "{seen:?}");
    assert!(without.1 >= 30 && again.1 >= 30, "{seen:?}");
    process.stop(MINUTE).await;
}

/// A receive finds seven messages at most, as SQS looks at some of its servers only.
struct Few(Arc<SimQueue>);

impl Queue for Few {
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        self.0.receive(Receive { max: receive.max.min(7), ..receive })
    }

    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        self.0.delete(handles)
    }

    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        self.0.change_visibility(changes)
    }

    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        reason: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        self.0.dead_letter(message, reason)
    }

    fn limits(&self) -> QueueLimits {
        self.0.limits()
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        self.0.inspect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_does_not_gather_though_receives_are_not_full() {
    let mut process = SimProcess::new(1);
    process.world.queue("orders", 5);
    for _ in 0..2_000 {
        process.world.send("orders", "x");
    }
    tokio::time::sleep(MINUTE).await;
    let queue = SimQueue::new(&process.world, "orders", 1);
    queue.set_faults(Faults { latency: 2 * CALL, ..Faults::default() });
    let endpoint = ScriptedEndpoint::always(200, 20);
    process.listen_on(
        of_budget("orders", 64, SECOND),
        Arc::new(Few(queue)),
        Arc::clone(&endpoint) as _,
        &limits(64),
    );
    // 7 in 6 ms are 1,166 a second; with a second between two receives they were 7.
    tokio::time::sleep(SECOND).await;
    let posts = endpoint.posts().len();
    assert!(posts > 1_000, "{posts} POSTs");
    process.stop(MINUTE).await;
}
