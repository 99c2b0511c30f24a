//! The list of runs, and running them on all processors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use queuepost::tuning::Tuning;

use crate::options::Options;
use crate::outage::{Case, Figures, Load, SCENARIOS, Scenario, Variant, run};

/// Max receives of the queues; the other figures of a row belong to the last value.
pub const MAX_RECEIVES: [u32; 3] = [3, 5, 10];
/// A backlog that lasts to the end of every scenario.
const LARGE: u64 = 100_000;

const VARIANTS: [Variant; 3] = [Variant::Ours, Variant::NotAdaptive, Variant::Pool];
const PROCESSES: [usize; 3] = [1, 4, 10];

/// One line of a table.
#[derive(Debug)]
pub struct Row {
    pub scenario: Scenario,
    pub processes: usize,
    pub load: Load,
    pub variant: Variant,
    /// By [`MAX_RECEIVES`].
    pub figures: Vec<Figures>,
}

impl Row {
    /// The figures with the most receives.
    pub fn last(&self) -> &Figures {
        &self.figures[self.figures.len() - 1]
    }
}

/// Every row that the options select.
pub fn all(options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    for scenario in SCENARIOS {
        let asked = options.only.is_empty() || options.only.iter().any(|name| name == scenario.name);
        if !asked {
            continue;
        }
        for processes in PROCESSES {
            let asked = options.processes.is_empty() || options.processes.contains(&processes);
            if !asked {
                continue;
            }
            for load in loads(scenario) {
                for variant in VARIANTS {
                    if options.ours && variant != Variant::Ours {
                        continue;
                    }
                    rows.push(Row { scenario, processes, load, variant, figures: Vec::new() });
                }
            }
        }
    }
    let cases: Vec<Case> = rows.iter().flat_map(|row| cases(row, options.seed)).collect();
    for (index, figures) in spread(&cases).into_iter().enumerate() {
        rows[index / MAX_RECEIVES.len()].figures.push(figures);
    }
    rows
}

fn loads(scenario: Scenario) -> Vec<Load> {
    // An endpoint that still accepts messages delivers a small backlog at once.
    let small = [Load::Backlog(1), Load::Backlog(100)];
    let small = small.into_iter().filter(|_| !scenario.is_partial());
    small.chain([Load::Backlog(LARGE), Load::Steady]).collect()
}

fn cases(row: &Row, seed: u64) -> impl Iterator<Item = Case> {
    let Row { scenario, processes, load, variant, .. } = *row;
    let case = move |max_receives| Case {
        scenario,
        variant,
        processes,
        load,
        max_receives,
        seed,
        tuning: Tuning::default(),
    };
    MAX_RECEIVES.into_iter().map(case)
}

/// Runs the cases on all processors; figures in the same order.
fn spread(cases: &[Case]) -> Vec<Figures> {
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
