//! One case, from an empty world to its figures.

use std::sync::Arc;
use std::time::Duration;

use queuepost::limit::{self, EndpointLimits};
use queuepost::tuning::Tuning;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::process::{SimProcess, settings};
use super::super::simulated_queue::{Faults, World, dead_letter_name};
use super::limiter::{Headers, Limiter, Refusal};
use super::model::{From, LimitedEndpoint, Second};

/// Workers of each process.
const WORKERS: usize = 64;
/// Longest time an SQS call takes; the mean is half of it.
const SQS_LATENCY: Duration = Duration::from_millis(10);
const QUEUE: &str = "orders";
/// Healthy messages survive at so few.
const MAX_RECEIVES: u32 = 3;
/// Messages at most; more than any run takes.
const BACKLOG_MAX: f64 = 400_000.0;
/// A changed limit is to be followed within that.
const FOLLOWS_WITHIN: u64 = 30;
/// So many seconds in a row at full throughput mean that it is followed.
const IN_A_ROW: usize = 5;

/// Who knows the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knows {
    /// queuepost as it comes finds it out.
    Nobody,
    /// The oracle: each process has its exact part, written by hand.
    Everybody,
    /// `adaptive: false`, and nothing written.
    AndDoesNotCare,
}

/// What becomes of the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    Never,
    /// It is multiplied by this in the middle of the run.
    Once(f64),
    /// By turns, each minute.
    EachMinute(f64),
    /// The endpoint takes nothing from one whole second to another.
    Outage {
        from: u64,
        to: u64,
    },
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    pub limiter: Limiter,
    pub refusal: Refusal,
    pub headers: Headers,
    /// Mean time that a POST takes.
    pub latency: Duration,
    pub processes: usize,
    pub change: Change,
    /// Of the POSTs that are taken, the share that fails with 503.
    pub faults: f64,
    pub knows: Knows,
    /// What is measured, after [`Case::warm_up`].
    pub lasts: Duration,
    pub seed: u64,
    pub tuning: Tuning,
}

/// What a run has shown, after the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Successes per second.
    pub per_second: f64,
    /// Refused, as a share of POSTs.
    pub refused: f64,
    /// Healthy messages dead-lettered.
    pub dead: usize,
    /// Jain's index over what the processes have done in the second half: 1 is equal.
    pub fairness: f64,
    /// Successes of each second, from the start.
    pub seconds: Vec<u32>,
}

impl Case {
    pub fn new(limiter: Limiter, refusal: Refusal, latency: Duration, processes: usize) -> Self {
        Self {
            limiter,
            refusal,
            headers: Headers::Absent,
            latency,
            processes,
            change: Change::Never,
            faults: 0.0,
            knows: Knows::Nobody,
            lasts: Duration::from_secs(300),
            seed: 2,
            tuning: Tuning::default(),
        }
    }

    /// What is not measured: 10 s, or 30 s with ten processes.
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs(if self.processes < 10 { 10 } else { 30 })
    }

    pub fn end(&self) -> Duration {
        self.warm_up() + self.lasts
    }

    /// What the limit is at a time, relative to the first.
    fn factor(&self, at: Duration) -> f64 {
        match self.change {
            Change::Never => 1.0,
            Change::Once(by) => {
                if at < self.warm_up() + self.lasts / 2 {
                    1.0
                } else {
                    by
                }
            }
            Change::EachMinute(by) => {
                if (at.as_secs() / 60).is_multiple_of(2) {
                    1.0
                } else {
                    by
                }
            }
            Change::Outage { from, to } => {
                if (from..to).contains(&at.as_secs()) {
                    0.0
                } else {
                    1.0
                }
            }
        }
    }

    /// What the endpoint takes at a time.
    pub fn limiter_at(&self, at: Duration) -> Limiter {
        let factor = self.factor(at);
        if factor > 0.0 { self.limiter.scaled(factor) } else { Limiter::AtOnce(0.0) }
    }

    /// Mean of what the limit is while it is measured, relative to the first.
    pub fn mean_factor(&self) -> f64 {
        let (from, to) = (self.warm_up().as_secs(), self.end().as_secs());
        (from..to).map(|second| self.factor(Duration::from_secs(second))).sum::<f64>() / (to - from) as f64
    }

    fn limits(&self, seed: u64, factor: f64) -> EndpointLimits {
        let known = self.limiter.scaled(factor).part(self.processes, WORKERS, self.latency);
        let (sessions, rate) = if self.knows == Knows::Everybody { known } else { (WORKERS, None) };
        let adaptive = self.knows == Knows::Nobody;
        EndpointLimits::new(
            "api",
            &limit::Settings { sessions, divided: false, adaptive, rate, tuning: self.tuning },
            seed,
        )
    }

    /// More messages than can be done.
    fn backlog(&self) -> u64 {
        let at_once = self.limiter.at_once().map(|at_once| at_once / self.latency.as_secs_f64());
        let most = self.limiter.per_second().into_iter().chain(at_once).reduce(f64::min).unwrap_or(1_000.0);
        let scale = match self.change {
            Change::Never | Change::Outage { .. } => 1.0,
            Change::Once(by) | Change::EachMinute(by) => by.max(1.0),
        };
        // Beside what is done: what waits refused for five minutes, and bursts at the start.
        (most * scale * self.end().as_secs_f64() * 1.3 + 5_000.0).min(BACKLOG_MAX) as u64
    }
}

impl Figures {
    /// Seconds from a time until [`IN_A_ROW`] seconds pass at that throughput; `None` if they never do.
    pub fn follows(&self, from: Duration, per_second: f64) -> Option<u64> {
        let from = from.as_secs() as usize;
        let fast = |window: &[u32]| f64::from(window.iter().sum::<u32>()) >= per_second * IN_A_ROW as f64;
        self.seconds.get(from..)?.windows(IN_A_ROW).position(fast).map(|after| after as u64)
    }

    /// Whether it follows in time.
    pub fn follows_in_time(&self, from: Duration, per_second: f64) -> bool {
        self.follows(from, per_second).is_some_and(|after| after <= FOLLOWS_WITHIN)
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
    world.queue(QUEUE, MAX_RECEIVES);
    for number in 0..case.backlog() {
        world.send(QUEUE, &number.to_string());
    }
    let endpoint = LimitedEndpoint::new(case);
    let mut random = fastrand::Rng::with_seed(case.seed);
    let began = Instant::now();
    let mut running = Vec::new();
    for process in 0..case.processes {
        let seed = case.seed + 1_000 * (process as u64 + 1);
        let mut one = SimProcess::in_world(&world, seed);
        let limits = case.limits(seed, 1.0);
        let from = Arc::new(From { endpoint: Arc::clone(&endpoint), process });
        let settings = queuepost::pipeline::Settings { tuning: case.tuning, ..settings(QUEUE, WORKERS) };
        let (queue, _) = one.listen(settings, &from, &limits);
        queue.set_faults(Faults { latency: SQS_LATENCY, ..Faults::default() });
        running.push(one);
        // Processes of a rollout do not start in the same millisecond.
        sleep(Duration::from_millis(random.u64(0..500))).await;
    }
    let mut factor = case.factor(Duration::ZERO);
    while began.elapsed() < case.end() {
        let now = case.factor(began.elapsed());
        if (now - factor).abs() > f64::EPSILON {
            endpoint.set_limiter(case.limiter_at(began.elapsed()));
            factor = now;
        }
        sleep_until(began + Duration::from_secs(began.elapsed().as_secs() + 1)).await;
    }
    let seconds = endpoint.seconds();
    let dead = world.with(|broker, now| broker.inspect(now, &dead_letter_name(QUEUE)).len());
    for process in &running {
        process.drain.begin(Duration::from_secs(120));
    }
    for process in &mut running {
        process.stop(Duration::from_secs(120)).await;
        process.assert_balanced();
    }
    figures(case, &seconds, dead)
}

fn figures(case: &Case, seconds: &[Second], dead: usize) -> Figures {
    let (from, to) = (case.warm_up().as_secs() as usize, case.end().as_secs() as usize);
    let measured = &seconds[from.min(seconds.len())..to.min(seconds.len())];
    let sum = |seconds: &[Second], count: fn(&Second) -> u32| {
        seconds.iter().map(|second| f64::from(count(second))).sum::<f64>()
    };
    let done = |second: &Second| second.successes.iter().sum::<u32>();
    let second_half = &measured[measured.len() / 2..];
    let parts = (0..case.processes).map(|process| {
        second_half.iter().map(|second| f64::from(*second.successes.get(process).unwrap_or(&0))).sum::<f64>()
    });
    let (all, squares) = parts.fold((0.0, 0.0), |(all, squares), part| (all + part, squares + part * part));
    Figures {
        per_second: sum(measured, done) / case.lasts.as_secs_f64(),
        refused: sum(measured, |second| second.refused) / sum(measured, |second| second.posts).max(1.0),
        dead,
        fairness: all * all / (case.processes as f64 * squares).max(f64::MIN_POSITIVE),
        seconds: seconds.iter().map(done).collect(),
    }
}
