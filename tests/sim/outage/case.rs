//! One case, from an empty world to its figures.
//!
//! A backlog of up to [`SMALL`] messages arrives in the moment the outage begins, after other messages at 20 a
//! second have shown the processes a healthy endpoint; its run goes on until all is done. A larger backlog and a
//! steady stream are there from the start, and the run ends with the scenario.

use std::sync::Arc;
use std::time::Duration;

use queuepost::limit::{self, EndpointLimits};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::house::{House, settings};
use super::super::queue::{Faults, SimQueue, World};
use super::figures::{Figures, Left};
use super::model::Model;
use super::pool;
use super::scenario::Scenario;

/// Workers, and sessions, of each process.
const WORKERS: usize = 64;
/// Longest time an SQS call takes; the mean is half of it.
const SQS_LATENCY: Duration = Duration::from_millis(10);
/// Messages per second of a steady stream.
pub const STEADY: f64 = 20.0;
/// Largest backlog that is there only from the beginning of the outage.
pub const SMALL: u64 = 1_000;
/// How much longer than the scenario a run with a small backlog may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// A POST that hangs ends before that.
const DRAIN: Duration = Duration::from_secs(70);
const QUEUE: &str = "orders";

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    Backlog(u64),
    /// 20 a second on average.
    Steady,
}

/// Who consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Ours,
    /// Ours, with `adaptive: false`.
    NotAdaptive,
    /// A fixed pool of 64 workers.
    Pool,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub scenario: Scenario,
    pub variant: Variant,
    pub processes: usize,
    pub load: Load,
    pub max_receives: u32,
    pub seed: u64,
}

impl Load {
    pub fn is_small(self) -> bool {
        matches!(self, Self::Backlog(count) if count <= SMALL)
    }
}

/// Runs the case on a paused clock of its own.
pub fn run(case: &Case) -> Figures {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(case))
}

async fn simulate(case: &Case) -> Figures {
    let world = World::new(case.seed);
    world.queue(QUEUE, case.max_receives);
    let is_pool = case.variant == Variant::Pool;
    let model = Arc::new(Model::new(case.scenario, case.max_receives, is_pool, case.seed));
    let mut pools = JoinSet::new();
    let mut houses = Vec::new();
    for number in 0..case.processes {
        let seed = case.seed + 1_000 * (number as u64 + 1);
        if is_pool {
            let queue = SimQueue::new(&world, QUEUE, seed);
            slow(&queue);
            pools.spawn(pool::run(queue, Arc::clone(&model), WORKERS, seed));
        } else {
            let mut house = House::in_world(&world, seed);
            let adaptive = case.variant == Variant::Ours;
            let settings_of_limits =
                limit::Settings { sessions: WORKERS, adaptive, rate: None, gate: limit::Tuning::default() };
            let limits = EndpointLimits::new("api", &settings_of_limits, seed);
            let (queue, _) = house.listen(settings(QUEUE, WORKERS), &model, &limits);
            slow(&queue);
            houses.push(house);
        }
    }
    let sent = feed(case, &world, &model).await;
    let measured = model.tally();
    let left = world.with(|broker, now| {
        let mut left = Left::default();
        for message in broker.inspect(now, QUEUE) {
            left.count(message.receive_count.min(case.max_receives));
        }
        for message in broker.inspect(now, &format!("{QUEUE}-dlq")) {
            left.count(case.max_receives);
            left.dead.insert(message.body);
        }
        left
    });
    let figures = Figures::new(case, sent, &measured, &left);
    // All at once: what one releases the others would receive.
    for house in &houses {
        house.drain.begin(DRAIN);
    }
    for house in &mut houses {
        house.stop(DRAIN).await;
        house.assert_balanced();
    }
    pools.shutdown().await;
    figures
}

fn slow(queue: &SimQueue) {
    queue.set_faults(Faults { latency: SQS_LATENCY, ..Faults::default() });
}

/// Sends what the load says and waits until the run is over; how many messages count.
async fn feed(case: &Case, world: &World, model: &Model) -> u64 {
    let mut random = fastrand::Rng::with_seed(case.seed ^ 0x5eed);
    let began = Instant::now();
    let (outage, _) = case.scenario.outage();
    let end = case.scenario.end();
    match case.load {
        Load::Backlog(count) if case.load.is_small() => {
            stream(world, began + outage.saturating_sub(Duration::from_secs(5)), &mut random).await;
            sleep_until(began + outage).await;
            model.start_over();
            for number in 0..count {
                world.send(QUEUE, &number.to_string());
            }
            let mut done = false;
            while !done && began.elapsed() < end + PATIENCE {
                sleep(Duration::from_secs(1)).await;
                done = is_empty(world);
            }
            count
        }
        Load::Backlog(count) => {
            for number in 0..count {
                world.send(QUEUE, &number.to_string());
            }
            while began.elapsed() < end && !is_empty(world) {
                sleep(Duration::from_secs(1)).await;
            }
            count
        }
        Load::Steady => stream(world, began + end, &mut random).await,
    }
}

/// Sends at random, 20 a second on average; how many.
async fn stream(world: &World, until: Instant, random: &mut fastrand::Rng) -> u64 {
    let mut next = Instant::now();
    let mut sent = 0;
    loop {
        next += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / STEADY);
        if next >= until {
            sleep_until(until).await;
            return sent;
        }
        sleep_until(next).await;
        world.send(QUEUE, &sent.to_string());
        sent += 1;
    }
}

fn is_empty(world: &World) -> bool {
    let attributes = world.with(|broker, now| broker.attributes(now, QUEUE)).unwrap();
    let is_zero = |name: &str| attributes.get(name).is_some_and(|value| value == "0");
    is_zero("ApproximateNumberOfMessages") && is_zero("ApproximateNumberOfMessagesNotVisible")
}
