//! The plan of one life: everything that happens in it, drawn from the seed.

use std::num::NonZeroU32;
use std::time::Duration;

use queuepost::limit::Rate;

use super::super::simulated_queue::{Deletes, Faults};

/// The plan of a life.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub fifo: bool,
    /// Whether the queue is a FIFO queue.
    pub high_throughput: bool,
    pub groups: usize,
    pub messages: usize,
    pub max_receives: u32,
    /// Workers per listener, sessions per process.
    pub workers: usize,
    pub sessions: usize,
    pub adaptive: bool,
    /// Starts per second and burst, per process.
    pub rate: Option<(u32, u32)>,
    pub timeout: Duration,
    pub throttle_delay: Duration,
    /// Longest time of a successful POST.
    pub slowest: Duration,
    /// The answers of a healthy endpoint, in percent.
    pub answers: Vec<(u32, Answer)>,
    /// Endpoint outages: from, to, kind.
    pub outages: Vec<(Duration, Duration, Answer)>,
    /// Failures of SQS: from, to, severity.
    pub faults: Vec<(Duration, Duration, Faults)>,
    /// Slow SQS: from, to, longest time to SQS and back. A call is carried out even after its timeout.
    pub spikes: Vec<(Duration, Duration, Duration)>,
    pub processes: Vec<Process>,
    /// Failures of the result queues: from, to, severity. `None`: there are no results.
    pub results: Option<Vec<(Duration, Duration, ResultFaults)>>,
    /// Most messages of a POST, and how long they gather; `None`: one message in a POST.
    pub batch: Option<(usize, Duration)>,
    /// Messages that SQS hands out a second time while they are in flight, in percent.
    pub doubled: u32,
    /// From this time on nothing fails any more.
    pub calm_at: Duration,
}

/// The probability of each fault of a result queue, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResultFaults {
    /// A call is refused for a reason that passes.
    pub refused: u32,
    /// It is denied, or the queue is missing.
    pub denied: u32,
    /// It is carried out, and its answer is lost.
    pub answer_lost: u32,
    /// It times out, carried out or not.
    pub timed_out: u32,
    /// An entry fails alone.
    pub entry_failed: u32,
    /// An entry is refused for what it contains.
    pub entry_refused: u32,
}

/// How an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// With Retry-After, in seconds.
    Pause(u16, u64),
    Unsent,
    Broken,
    Hangs,
}

/// One process, and its end.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    pub starts: Duration,
    pub ends: Option<(Duration, End)>,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A drain with this deadline.
    Drain(Duration),
    /// A kill.
    Death,
}

/// The answers of an endpoint during an outage.
const FAILED_ANSWERS: [Answer; 8] = [
    Answer::Status(429),
    Answer::Pause(429, 10),
    Answer::Status(503),
    Answer::Status(500),
    Answer::Status(401),
    Answer::Status(404),
    Answer::Unsent,
    Answer::Hangs,
];

/// SQS is slow at times in one life of this many.
const SPIKES_EVERY: u64 = 3;
/// One life of so many has result queues.
const RESULTS_EVERY: u64 = 2;
/// One life of so many has batches.
const BATCHES_EVERY: u64 = 5;
/// One life of so many has a row that dead-letters.
const DEAD_LETTERS_EVERY: u64 = 4;

impl Plan {
    pub fn from_seed(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let r = &mut random;
        let seconds = |r: &mut fastrand::Rng, range: std::ops::Range<u64>| {
            Duration::from_millis(r.u64(range.start * 1_000..range.end * 1_000))
        };
        let calm_at = Duration::from_secs(r.u64(60..600));
        let within = calm_at.as_secs();
        let slowest = Duration::from_millis([20, 200, 2_000, 20_000][r.usize(..4)]);
        let mut answers = Vec::new();
        for answer in [
            Answer::Status(429),
            Answer::Pause(429, 3),
            Answer::Pause(503, 20),
            Answer::Status(500),
            Answer::Status(503),
            Answer::Status(404),
            Answer::Status(401),
            Answer::Status(422),
            Answer::Status(204),
            Answer::Unsent,
            Answer::Broken,
            Answer::Hangs,
        ] {
            if r.u8(..3) == 0 {
                answers.push((r.u32(1..12), answer));
            }
        }
        let mut outages = Vec::new();
        for _ in 0..r.usize(..3) {
            let from = seconds(r, 0..within);
            outages.push((from, from + seconds(r, 1..200), FAILED_ANSWERS[r.usize(..FAILED_ANSWERS.len())]));
        }
        let mut faults = Vec::new();
        for _ in 0..r.usize(..3) {
            let from = seconds(r, 0..within);
            let outage = r.u8(..4) == 0;
            faults.push((
                from,
                from + seconds(r, 1..120),
                Faults {
                    throttled: if outage { 1.0 } else { r.f64() * 0.2 },
                    answer_lost: r.f64() * 0.1,
                    entry_failed: r.f64() * 0.3,
                    deletes: if r.u8(..10) == 0 { Deletes::Denied } else { Deletes::Work },
                    changes_refused: r.u8(..10) == 0,
                    sends_denied: false,
                    duplicate: 0.0,
                    blind: r.f64() * 0.2,
                    late: r.f64() * 0.1,
                    latency: Duration::from_millis(r.u64(..500)),
                    latency_least: Duration::ZERO,
                },
            ));
        }
        let end = |r: &mut fastrand::Rng| match r.u8(..3) {
            0 => End::Death,
            _ => End::Drain(Duration::from_secs(r.u64(4..40))),
        };
        let mut processes = Vec::new();
        for _ in 0..r.usize(1..4) {
            let starts = seconds(r, 0..30);
            let mut ends = (r.u8(..2) == 0).then(|| (starts + seconds(r, 0..within), end(r)));
            processes.push(Process { starts, ends });
            // A process may be restarted, twice.
            for _ in 0..2 {
                let Some((ended, _)) = ends.filter(|_| r.bool()) else { break };
                let starts = ended + seconds(r, 0..20);
                ends = r.bool().then(|| (starts + seconds(r, 0..within), end(r)));
                processes.push(Process { starts, ends });
            }
        }
        // One process must exist at the end.
        processes.push(Process { starts: calm_at, ends: None });
        let fifo = r.bool();
        if seed.is_multiple_of(DEAD_LETTERS_EVERY) {
            send_faults(seed, &mut answers, &mut faults);
        }
        Self {
            spikes: spikes(seed, within),
            results: results(seed, within),
            batch: batch(seed, fifo),
            seed,
            fifo,
            high_throughput: r.bool(),
            groups: r.usize(1..12),
            messages: r.usize(1..80),
            max_receives: [3, 5, 10, 1_000][r.usize(..4)],
            workers: r.usize(1..24),
            sessions: r.usize(1..24),
            adaptive: r.bool(),
            rate: (r.u8(..3) == 0).then(|| (r.u32(1..50), r.u32(1..10))),
            timeout: Duration::from_secs([5, 30, 60, 150][r.usize(..4)]),
            throttle_delay: Duration::from_secs([5, 30, 300][r.usize(..3)]),
            slowest,
            answers,
            outages,
            faults,
            processes,
            doubled: [0, 0, 5, 20][r.usize(..4)],
            calm_at,
        }
    }

    /// Whether what is answered 422 is sent to the dead-letter queue by the process, and deleted.
    pub fn dead_letters(&self) -> bool {
        self.seed.is_multiple_of(DEAD_LETTERS_EVERY)
    }

    /// Whether SQS has no failures.
    pub fn is_kind(&self) -> bool {
        self.sqs_is_well() && self.doubled == 0
    }

    /// Whether SQS carries out and answers every call in time.
    pub fn sqs_is_well(&self) -> bool {
        let of_results = self.results.as_ref().is_none_or(Vec::is_empty);
        self.faults.is_empty() && self.spikes.is_empty() && of_results
    }

    pub fn rate(&self) -> Option<Rate> {
        let (per_second, burst) = self.rate?;
        Some(Rate { interval: Duration::from_secs(1) / per_second, burst: NonZeroU32::new(burst)? })
    }
}

/// The times of a slow SQS, in every third life. They have a random source of their own, so that the other
/// lives stay the same.
fn spikes(seed: u64, within: u64) -> Vec<(Duration, Duration, Duration)> {
    let mut r = fastrand::Rng::with_seed(seed ^ 0x5eed);
    if !seed.is_multiple_of(SPIKES_EVERY) {
        return Vec::new();
    }
    (0..r.usize(1..4))
        .map(|_| {
            let from = Duration::from_millis(r.u64(..within * 1_000));
            let lasts = Duration::from_millis(r.u64(5_000..150_000));
            (from, from + lasts, Duration::from_secs([3, 8, 20][r.usize(..3)]))
        })
        .collect()
}

/// Result queues and their bad times, in every second life. They have a random source of their own as well.
fn results(seed: u64, within: u64) -> Option<Vec<(Duration, Duration, ResultFaults)>> {
    let mut r = fastrand::Rng::with_seed(seed ^ 0x7e5);
    (seed / 2).is_multiple_of(RESULTS_EVERY).then(|| {
        let mut times = Vec::new();
        for _ in 0..r.usize(..4) {
            let from = Duration::from_millis(r.u64(..within * 1_000));
            let outage = r.u8(..3) == 0;
            let mut percent = |most: u32| r.u32(..=most);
            let faults = ResultFaults {
                refused: if outage { 100 } else { percent(30) },
                denied: percent(20),
                answer_lost: percent(20),
                timed_out: percent(10),
                entry_failed: percent(30),
                entry_refused: percent(10),
            };
            times.push((from, from + Duration::from_millis(r.u64(1_000..120_000)), faults));
        }
        times
    })
}

/// Batches, in every fifth life.
fn batch(seed: u64, fifo: bool) -> Option<(usize, Duration)> {
    let mut r = fastrand::Rng::with_seed(seed ^ 0xba7c4);
    let (size, window) = ([2, 3, 10, 50][r.usize(..4)], [0, 1, 10, 60][r.usize(..4)]);
    let drawn = if fifo { (size.min(10), Duration::ZERO) } else { (size, Duration::from_secs(window)) };
    (seed % BATCHES_EVERY == 1).then_some(drawn)
}

/// Answers that dead-letter, and times in which that is denied. They too have a random source of their own.
fn send_faults(seed: u64, answers: &mut Vec<(u32, Answer)>, faults: &mut [(Duration, Duration, Faults)]) {
    let mut r = fastrand::Rng::with_seed(seed ^ 0xdead);
    answers.retain(|(_, answer)| *answer != Answer::Status(422));
    answers.insert(0, (r.u32(5..40), Answer::Status(422)));
    for (.., faults) in faults {
        faults.sends_denied = r.u8(..3) == 0;
    }
}
