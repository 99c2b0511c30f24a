//! Limits that change, and random faults: tables beside the rows of every limiter.

use std::time::Duration;

use crate::limiters::{Case, Change, Figures, Knows, Limiter, OF_ORACLE_LEAST, REFUSED_MOST, Refusal};
use crate::rows::spread;

const PROCESSES: [usize; 3] = [1, 4, 10];
/// Goal: throughput with random faults, as a share of the oracle's.
pub const WITH_FAULTS_LEAST: f64 = 0.85;
/// Share of the answers that are 503 at random.
const FAULTS: f64 = 0.1;

/// One case whose limit changes, or whose endpoint fails at random.
#[derive(Debug)]
pub struct Other {
    pub limiter: &'static str,
    pub what: &'static str,
    pub case: Case,
    pub ours: Figures,
    pub oracle: Figures,
}

impl Other {
    /// Throughput, as a share of what the endpoint takes.
    pub fn used(&self) -> f64 {
        self.ours.per_second / (self.oracle.per_second * self.case.mean_factor())
    }

    /// When the limit changed, and the throughput that uses the new one; `None` if it changes each minute.
    fn change(&self) -> Option<(Duration, f64)> {
        let Change::Once(by) = self.case.change else { return None };
        let changed = self.case.warm_up() + self.case.lasts / 2;
        Some((changed, OF_ORACLE_LEAST * by * self.oracle.per_second))
    }

    /// Seconds from the change until the new limit is used; `None` if it never is, or changes each minute.
    pub fn follows(&self) -> Option<u64> {
        let (changed, per_second) = self.change()?;
        self.ours.follows(changed, per_second)
    }

    /// Whether a changed limit is used in time, one that changes each minute on average, and neither is overrun.
    pub fn holds(&self) -> bool {
        let is_used = match self.change() {
            Some((changed, per_second)) => self.ours.follows_in_time(changed, per_second),
            None => self.used() >= OF_ORACLE_LEAST,
        };
        is_used && self.ours.refused <= REFUSED_MOST
    }
}

/// Limits that halve, double, or do so by turns.
pub fn changes() -> Vec<Other> {
    let changes = [
        ("halves", Change::Once(0.5)),
        ("doubles", Change::Once(2.0)),
        ("halves and doubles each minute", Change::EachMinute(0.5)),
    ];
    let cases = changes.into_iter().flat_map(|(what, change)| each(what, &Case { change, ..any() }));
    run_all(cases.collect())
}

/// One answer of ten is 503.
pub fn faults() -> Vec<Other> {
    run_all(each("10 % answered 503 at random", &Case { faults: FAULTS, ..any() }))
}

fn any() -> Case {
    Case::new(Limiter::AtOnce(1.0), Refusal::Bare, Duration::from_millis(200), 1)
}

/// The case at each limiter and with each number of processes.
fn each(what: &'static str, case: &Case) -> Vec<(&'static str, &'static str, Case)> {
    let limiters = [
        ("5 a second, burst 5", Limiter::Bucket { per_second: 5.0, burst: 5.0 }),
        ("50 a second, burst 50", Limiter::Bucket { per_second: 50.0, burst: 50.0 }),
        ("20 at once", Limiter::AtOnce(20.0)),
    ];
    let with = |(name, limiter): (&'static str, Limiter)| {
        PROCESSES.map(|processes| (name, what, Case { limiter, processes, ..*case }))
    };
    limiters.into_iter().flat_map(with).collect()
}

fn run_all(cases: Vec<(&'static str, &'static str, Case)>) -> Vec<Other> {
    let oracle = |case: &Case| Case { knows: Knows::Everybody, change: Change::Never, ..*case };
    let runs: Vec<Case> = cases.iter().flat_map(|(_, _, case)| [*case, oracle(case)]).collect();
    let mut figures = spread(&runs).into_iter();
    let mut next = || figures.next().unwrap();
    cases
        .into_iter()
        .map(|(limiter, what, case)| Other { limiter, what, case, ours: next(), oracle: next() })
        .collect()
}
