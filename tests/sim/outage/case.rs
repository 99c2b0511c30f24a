//! One case, from an empty world to its figures.
//!
//! A backlog of up to [`SMALL`] messages, or one for batches, arrives in the moment the outage begins, after other messages at 20 a
//! second have shown the processes a healthy endpoint; its run goes on until all is done. A larger backlog and a
//! steady stream are there from the start, and the run ends with the scenario.

use std::sync::Arc;
use std::time::Duration;

use queuepost::limit::{self, EndpointLimits, Share};
use queuepost::pipeline::{Receiving, Settings};
use queuepost::tuning::Tuning;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::process::{SimProcess, settings};
use super::super::simulated_queue::{Faults, SimQueue, World, dead_letter_name};
use super::figures::{Figures, Remaining};
use super::lines::Lines;
use super::model::{Counters, EndpointModel, POISON};
use super::pool;
use super::scenario::{SESSIONS, Scenario};

/// Longest time an SQS call takes; the mean is half of it.
const SQS_LATENCY: Duration = Duration::from_millis(10);
/// Messages per second of a steady stream.
pub const STEADY: f64 = 20.0;
/// Messages for batches.
const BATCHED: u64 = 20_000;
/// Largest backlog that is there only from the beginning of the outage.
pub const SMALL: u64 = 1_000;
/// How much longer than the scenario a run with a small backlog may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// A POST that hangs ends before that.
const DRAIN: Duration = Duration::from_secs(70);
/// So many messages of a group arrive in a row.
const IN_A_ROW: u32 = 5;
/// A message waits out two 429s at most, for 300 s each.
const WAITS_OUT_MAX: Duration = Duration::from_secs(660);
/// One group in so many begins with a message that always fails, where a scenario has such.
const GROUPS_PER_POISON: u32 = 1_000;
/// And one message of those for batches.
const MESSAGES_PER_POISON: u64 = 1_000;

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    Backlog(u64),
    /// Of a FIFO queue.
    Groups {
        groups: u32,
        each: u32,
    },
    /// [`BATCHED`] messages, so many in a POST at most.
    Batches(usize),
    /// 20 a second on average.
    Steady,
}

/// Who consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Ours,
    /// Ours, with as many sessions for all processes together as the endpoint takes.
    Fleet,
    /// Ours, with `adaptive: false`.
    NotAdaptive,
    /// Ours, with every receive of a FIFO queue for one message.
    Single,
    /// Ours, with batches that stay together: none is split, and none of their messages goes alone.
    Whole,
    /// A fixed pool of 64 workers.
    Pool,
}

/// What is wrong with SQS meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sqs {
    Works,
    /// One in fifty calls has its effect and no answer.
    LosesAnswers,
    /// One message in fifty stays visible when it is received.
    HandsOutTwice,
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    pub scenario: Scenario,
    pub variant: Variant,
    pub processes: usize,
    pub load: Load,
    pub max_receives: u32,
    pub seed: u64,
    pub tuning: Tuning,
    pub sqs: Sqs,
}

impl Load {
    /// Whether it arrives in the moment the outage begins, and the run goes on until all is done.
    pub fn is_small(self) -> bool {
        self.is_batched() || self != Self::Steady && self.count() <= SMALL
    }

    pub fn is_batched(self) -> bool {
        matches!(self, Self::Batches(_))
    }

    pub fn is_fifo(self) -> bool {
        matches!(self, Self::Groups { .. })
    }

    /// Messages there are from the start.
    pub fn count(self) -> u64 {
        match self {
            Self::Backlog(count) => count,
            Self::Groups { groups, each } => u64::from(groups) * u64::from(each),
            Self::Batches(_) => BATCHED,
            Self::Steady => 0,
        }
    }

    /// How long messages gather for a batch.
    fn window(self) -> Duration {
        Duration::from_secs(match self {
            Self::Batches(0 | 1) | Self::Backlog(_) | Self::Groups { .. } | Self::Steady => 0,
            Self::Batches(2..=99) => 1,
            Self::Batches(100..=999) => 2,
            Self::Batches(1_000..) => 5,
        })
    }

    /// The settings of a listener for it.
    fn settings(self, workers: usize, tuning: &Tuning) -> Settings {
        let settings = Settings { tuning: *tuning, ..settings(self.queue(), workers) };
        match self {
            Self::Batches(size) if size > 1 => {
                let receiving = Receiving { window: self.window(), ..settings.receiving };
                Settings { exchange: Arc::new(Lines(size)), receiving, ..settings }
            }
            Self::Batches(_) | Self::Backlog(_) | Self::Groups { .. } | Self::Steady => settings,
        }
    }

    fn queue(self) -> &'static str {
        if self.is_fifo() { "orders.fifo" } else { "orders" }
    }

    /// Sends a backlog; how many of its messages count.
    fn send_all(self, world: &World, poison: bool) -> u64 {
        let Self::Groups { groups, each } = self else {
            let is_poisonous =
                |number: u64| poison && number % MESSAGES_PER_POISON == MESSAGES_PER_POISON / 2;
            for number in 0..self.count() {
                let what = if is_poisonous(number) { POISON } else { "" };
                world.send(self.queue(), &format!("{what}{number}"));
            }
            return (0..self.count()).filter(|number| !is_poisonous(*number)).count() as u64;
        };
        let is_poisonous =
            |group: u32, number: u32| poison && number == 0 && group.is_multiple_of(GROUPS_PER_POISON);
        let mut poisonous = 0;
        for first in (0..each).step_by(IN_A_ROW as usize) {
            for group in 0..groups {
                for number in first..(first + IN_A_ROW).min(each) {
                    let what = if is_poisonous(group, number) { POISON } else { "m" };
                    poisonous += u64::from(what == POISON);
                    world.send_to(self.queue(), &format!("g-{group}"), &format!("{what}-{group}-{number}"));
                }
            }
        }
        self.count() - poisonous
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
    let name = case.load.queue();
    world.queue(name, case.max_receives);
    let is_pool = case.variant == Variant::Pool;
    let model = Arc::new(EndpointModel::new(case.scenario, case.max_receives, is_pool, case.seed));
    let mut pools = JoinSet::new();
    let (mut running, mut queues) = (Vec::new(), Vec::new());
    let (workers, tuning) = (case.scenario.workers, case.tuning());
    for number in 0..case.processes {
        let seed = case.seed + 1_000 * (number as u64 + 1);
        if is_pool {
            let queue = SimQueue::new(&world, name, seed);
            queue.set_faults(case.sqs.faults());
            queues.push(Arc::clone(&queue));
            pools.spawn(pool::run(queue, Arc::clone(&model), workers, seed));
        } else {
            let mut process = SimProcess::in_world(&world, seed);
            let adaptive = case.variant != Variant::NotAdaptive;
            let divided = case.variant == Variant::Fleet;
            let sessions = if divided { SESSIONS } else { workers };
            let settings_of_limits = limit::Settings { sessions, divided, adaptive, rate: None, tuning };
            let limits = EndpointLimits::new("api", &settings_of_limits, seed);
            if divided {
                limits.sessions.set_share(Share::new(number as u32, case.processes as u32));
            }
            let settings = case.load.settings(workers, &tuning);
            let (queue, _) = process.listen(settings, &model, &limits);
            queue.set_faults(case.sqs.faults());
            queues.push(queue);
            running.push(process);
        }
    }
    let sent = feed(case, &world, &model).await;
    let mut measured = model.counters();
    let left = world.with(|broker, now| {
        let mut left = Remaining::default();
        left.calls = queues.iter().map(|queue| queue.calls()).sum();
        for message in broker.inspect(now, name) {
            left.count(message.receive_count.min(case.max_receives));
        }
        for message in broker.inspect(now, &dead_letter_name(name)) {
            left.count(case.max_receives);
            left.dead.insert(message.body);
        }
        left
    });
    follow_waiting(&running, &model, &mut measured).await;
    let figures = Figures::new(case, sent, &measured, &left);
    // All at once: what one releases the others would receive.
    for process in &running {
        process.drain.begin(DRAIN);
    }
    for process in &mut running {
        process.stop(DRAIN).await;
        process.assert_balanced();
    }
    pools.shutdown().await;
    figures
}

/// Follows messages to their end that wait out a 429 in a process when the run is over: they are not bound for the
/// dead-letter queue yet.
async fn follow_waiting(running: &[SimProcess], model: &EndpointModel, measured: &mut Counters) {
    let end = Instant::now() + WAITS_OUT_MAX;
    let waits = |process: &SimProcess| process.count("messages_in_progress", "stage=\"held\"") > 0;
    while !measured.doomed.is_empty() && running.iter().any(waits) && Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let doomed = model.counters().doomed;
        measured.doomed.retain(|body| doomed.contains(body));
    }
}

impl Sqs {
    fn faults(self) -> Faults {
        let works = Faults { latency: SQS_LATENCY, ..Faults::default() };
        match self {
            Self::Works => works,
            Self::LosesAnswers => Faults { answer_lost: 0.02, ..works },
            Self::HandsOutTwice => Faults { duplicate: 0.02, ..works },
        }
    }
}

impl Case {
    fn tuning(&self) -> Tuning {
        let mut tuning = self.tuning;
        match self.variant {
            Variant::Single => tuning.groups.receives_min = u32::MAX,
            Variant::Whole => {
                tuning.memory.suspects_max = 0;
                tuning.last_receive.alone = false;
                tuning.gate.probe_carries = usize::MAX;
            }
            Variant::Ours | Variant::Fleet | Variant::NotAdaptive | Variant::Pool => {}
        }
        tuning
    }
}

/// Sends what the load says and waits until the run is over; how many messages count.
async fn feed(case: &Case, world: &World, model: &EndpointModel) -> u64 {
    let mut random = fastrand::Rng::with_seed(case.seed ^ 0x5eed);
    let began = Instant::now();
    let (outage, _) = case.scenario.outage();
    let end = case.scenario.end();
    let until_before = began + outage.saturating_sub(Duration::from_secs(5) + case.load.window());
    match case.load {
        Load::Backlog(_) | Load::Groups { .. } | Load::Batches(_) if case.load.is_small() => {
            stream(case.load, world, until_before, &mut random).await;
            sleep_until(began + outage).await;
            model.start_over();
            let count = case.load.send_all(world, case.scenario.poison);
            let mut done = false;
            while !done && began.elapsed() < end + PATIENCE {
                sleep(Duration::from_secs(1)).await;
                done = is_empty(world, case.load.queue());
            }
            count
        }
        Load::Backlog(_) | Load::Groups { .. } | Load::Batches(_) => {
            let count = case.load.send_all(world, case.scenario.poison);
            while began.elapsed() < end && !is_empty(world, case.load.queue()) {
                sleep(Duration::from_secs(1)).await;
            }
            count
        }
        Load::Steady => stream(case.load, world, began + end, &mut random).await,
    }
}

/// Sends at random, 20 a second on average; how many.
async fn stream(load: Load, world: &World, until: Instant, random: &mut fastrand::Rng) -> u64 {
    let mut next = Instant::now();
    let mut sent = 0;
    loop {
        next += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / STEADY);
        if next >= until {
            sleep_until(until).await;
            return sent;
        }
        sleep_until(next).await;
        let body = sent.to_string();
        if load.is_fifo() {
            world.send_to(load.queue(), &body, &body);
        } else {
            world.send(load.queue(), &body);
        }
        sent += 1;
    }
}

fn is_empty(world: &World, queue: &str) -> bool {
    let attributes = world.with(|broker, now| broker.attributes(now, queue)).unwrap();
    let is_zero = |name: &str| attributes.get(name).is_some_and(|value| value == "0");
    is_zero("ApproximateNumberOfMessages") && is_zero("ApproximateNumberOfMessagesNotVisible")
}
