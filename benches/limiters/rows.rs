//! The rows, and running them on all processors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::limiters::{Case, Change, Figures, Knows, Limiter, OF_ORACLE_LEAST, REFUSED_MOST, Refusal, run};

const MINUTE: Duration = Duration::from_secs(60);
const TEN_SECONDS: Duration = Duration::from_secs(10);
const PROCESSES: [usize; 3] = [1, 4, 10];

/// A case, as it comes and as the oracle does it.
#[derive(Debug)]
pub struct Row {
    pub limiter: String,
    pub refusal: &'static str,
    pub case: Case,
    pub ours: Option<Figures>,
    pub oracle: Option<Figures>,
}

impl Row {
    /// Throughput, as a share of the oracle's.
    pub fn of_oracle(&self) -> f64 {
        let (ours, oracle) = (self.ours.as_ref().unwrap(), self.oracle.as_ref().unwrap());
        ours.per_second / oracle.per_second.max(f64::MIN_POSITIVE)
    }

    /// Refused beyond the oracle's, as a share of POSTs.
    pub fn refused_more(&self) -> f64 {
        self.ours.as_ref().unwrap().refused - self.oracle.as_ref().unwrap().refused
    }

    /// Several processes at a bucket without burst refuse each other whatever they do.
    pub fn is_possible(&self) -> bool {
        let no_burst = matches!(self.case.limiter, Limiter::Bucket { burst, .. } if burst < 1.5);
        let crowded = matches!(self.case.limiter, Limiter::Both { .. });
        let too_many =
            self.case.limiter.at_once().is_some_and(|at_once| at_once < self.case.processes as f64);
        self.case.processes == 1 || !(no_burst || crowded || too_many)
    }

    /// Whether the throughput reaches its goal.
    pub fn is_fast(&self) -> bool {
        self.of_oracle() >= OF_ORACLE_LEAST
    }

    /// Whether refusals are as few as they are to be.
    pub fn is_polite(&self) -> bool {
        self.refused_more() <= REFUSED_MOST
    }

    /// Whether all goals hold.
    pub fn holds(&self) -> bool {
        self.is_fast() && self.is_polite() && self.ours.as_ref().unwrap().dead == 0
    }

    fn words(&self) -> String {
        let Case { latency, processes, change, faults, .. } = self.case;
        format!(
            "{} | {} | {} ms | {processes} processes | {change:?} | faults {faults}",
            self.limiter,
            self.refusal,
            latency.as_millis()
        )
    }
}

/// Every row whose words contain all of these.
pub fn all(only: &[String]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, limiter, latencies) in limiters() {
        for (index, millis) in latencies.iter().enumerate() {
            // Where only the time of a POST differs, one refusal will do.
            let refusals = refusals();
            for (refusal_name, refusal) in refusals.iter().take(if index == 0 { refusals.len() } else { 1 }) {
                for processes in PROCESSES {
                    let latency = Duration::from_millis(*millis);
                    let mut case = Case::new(limiter, *refusal, latency, processes);
                    case.lasts = lasts(limiter, latency);
                    rows.push(row(&name, refusal_name, &case));
                }
            }
        }
    }
    rows.retain(|row| only.iter().all(|word| row.words().contains(word.as_str())));
    let cases: Vec<Case> = rows.iter().flat_map(|row| [row.case, oracle(&row.case)]).collect();
    let mut figures = spread(&cases).into_iter();
    for row in &mut rows {
        (row.ours, row.oracle) = (figures.next(), figures.next());
    }
    rows
}

fn row(limiter: &str, refusal: &'static str, case: &Case) -> Row {
    Row { limiter: limiter.to_owned(), refusal, case: *case, ours: None, oracle: None }
}

fn oracle(case: &Case) -> Case {
    Case { knows: Knows::Everybody, change: Change::Never, ..*case }
}

/// Five minutes; long enough for twenty windows, and for a few hundred POSTs in a row.
fn lasts(limiter: Limiter, latency: Duration) -> Duration {
    let windows = match limiter {
        Limiter::Fixed { window, .. } | Limiter::Sliding { window, .. } => window * 20,
        _ => Duration::ZERO,
    };
    windows.max(latency * 200).max(Duration::from_secs(300))
}

fn refusals() -> [(&'static str, Refusal); 6] {
    [
        ("429", Refusal::Bare),
        ("429, Retry-After: 1", Refusal::RetryAfter(1)),
        ("429, Retry-After: 3", Refusal::RetryAfter(3)),
        ("429, Retry-After: 60", Refusal::RetryAfter(60)),
        ("429, exact Retry-After", Refusal::Exact),
        ("503", Refusal::Unavailable),
    ]
}

/// With the times that their POSTs take, in milliseconds.
fn limiters() -> Vec<(String, Limiter, Vec<u64>)> {
    let mut limiters = Vec::new();
    for per_second in [5.0, 50.0, 500.0] {
        for burst in [1.0, per_second] {
            let name = format!("{per_second} a second, burst {burst}");
            let slow = if per_second > 50.0 { 100 } else { 1_000 };
            limiters.push((name, Limiter::Bucket { per_second, burst }, vec![20, 5, slow, 5_000]));
        }
    }
    for (count, window, name) in [(100.0, TEN_SECONDS, "10 s"), (1_000.0, MINUTE, "minute")] {
        let fixed = Limiter::Fixed { count, window };
        limiters.push((format!("{count} in each {name}"), fixed, vec![20, 1_000]));
        let sliding = Limiter::Sliding { count, window };
        limiters.push((format!("{count} in any {name}"), sliding, vec![20, 1_000]));
    }
    for (at_once, latencies) in
        [(1.0, vec![200, 5, 5_000]), (20.0, vec![200, 20, 5_000]), (200.0, vec![1_000])]
    {
        limiters.push((format!("{at_once} at once"), Limiter::AtOnce(at_once), latencies));
    }
    for at_once in [5.0, 20.0] {
        let both = Limiter::Both { per_second: 50.0, at_once };
        limiters.push((format!("50 a second and {at_once} at once"), both, vec![50, 1_000]));
    }
    limiters
}

/// Runs the cases on all processors; figures in the same order.
pub fn spread(cases: &[Case]) -> Vec<Figures> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((index, case)) = take(cases, &next) {
            let figures = run(case);
            let mut done = done.lock().unwrap();
            done.push((index, figures));
            eprint!("\r{} of {} runs", done.len(), cases.len());
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(work);
        }
    });
    eprintln!();
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, figures)| figures).collect()
}

/// The next case that no thread runs.
fn take<'a>(cases: &'a [Case], next: &AtomicUsize) -> Option<(usize, &'a Case)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).map(|case| (index, case))
}
