//! The list of runs, and running them on all processors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::options::Options;
use queuepost::tuning::Tuning;

use crate::outage::{
    Case, Figures, Load, MECHANISMS, OF_BATCHES, OF_FIFO, SCENARIOS, Scenario, Sqs, Variant, run,
};

/// Max receives of the queues; the other figures of a row belong to the last value.
pub const MAX_RECEIVES: [u32; 3] = [3, 5, 10];
/// A backlog that lasts to the end of every scenario.
const LARGE: u64 = 100_000;

const VARIANTS: [Variant; 4] = [Variant::Ours, Variant::Fleet, Variant::NotAdaptive, Variant::Pool];
const VARIANTS_OF_FIFO: [Variant; 2] = [Variant::Ours, Variant::Single];
const VARIANTS_OF_BATCHES: [Variant; 2] = [Variant::Ours, Variant::Whole];
const PROCESSES: [usize; 3] = [1, 4, 10];
/// Of FIFO queues, and of batches.
const FEW_PROCESSES: [usize; 2] = [1, 4];
/// Messages of a POST.
const SIZES: [usize; 4] = [1, 10, 100, 1_000];

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
        add(options, scenario, &PROCESSES, &loads(scenario), &VARIANTS, &mut rows);
    }
    for scenario in OF_FIFO {
        add(options, scenario, &FEW_PROCESSES, &groups(scenario), &VARIANTS_OF_FIFO, &mut rows);
    }
    for scenario in OF_BATCHES {
        add(options, scenario, &FEW_PROCESSES, &SIZES.map(Load::Batches), &VARIANTS_OF_BATCHES, &mut rows);
    }
    let cases: Vec<Case> = rows.iter().flat_map(|row| cases(row, options)).collect();
    for (index, figures) in spread(&cases).into_iter().enumerate() {
        rows[index / MAX_RECEIVES.len()].figures.push(figures);
    }
    rows
}

/// Adds the rows of a scenario.
fn add(
    options: &Options,
    scenario: Scenario,
    processes: &[usize],
    loads: &[Load],
    variants: &[Variant],
    rows: &mut Vec<Row>,
) {
    let is_asked = options.only.is_empty() || options.only.iter().any(|name| name == scenario.name);
    let is_fifo = loads.iter().any(|load| load.is_fifo());
    let is_batched = loads.iter().any(|load| load.is_batched());
    if !is_asked || (options.fifo && !is_fifo) || (options.batches && !is_batched) {
        return;
    }
    let only_ours = options.ours || options.without.is_some();
    let of = |number: &&usize| options.processes.is_empty() || options.processes.contains(number);
    for processes in processes.iter().filter(of) {
        for load in loads {
            // Single messages cannot be kept together, and one process has all of the fleet's sessions.
            let differs = |variant: Variant| match variant {
                Variant::Ours => true,
                Variant::Fleet => *processes > 1,
                _ => *load != Load::Batches(1),
            };
            let is_wanted = |variant: Variant| match (only_ours, options.fleet) {
                (_, true) => variant == Variant::Fleet,
                (only_ours, false) => !only_ours || variant == Variant::Ours,
            };
            let is_asked = |variant: Variant| differs(variant) && is_wanted(variant);
            for variant in variants.iter().filter(|variant| is_asked(**variant)) {
                let (processes, load, variant) = (*processes, *load, *variant);
                rows.push(Row { scenario, processes, load, variant, figures: Vec::new() });
            }
        }
    }
}

fn loads(scenario: Scenario) -> Vec<Load> {
    // An endpoint that still accepts messages delivers a small backlog at once.
    let small = [Load::Backlog(1), Load::Backlog(100)];
    let small = small.into_iter().filter(|_| !scenario.is_partial());
    small.chain([Load::Backlog(LARGE), Load::Steady]).collect()
}

/// Loads of a FIFO queue: many groups of a few messages, a few long groups, and a few of a few.
fn groups(scenario: Scenario) -> Vec<Load> {
    let small = Load::Groups { groups: 20, each: 5 };
    let large = [Load::Groups { groups: 20_000, each: 5 }, Load::Groups { groups: 40, each: 2_500 }];
    std::iter::once(small).filter(|_| !scenario.is_partial() || scenario.poison).chain(large).collect()
}

fn cases(row: &Row, options: &Options) -> impl Iterator<Item = Case> {
    let Row { scenario, processes, load, variant, .. } = *row;
    let seed = options.seed;
    let without = MECHANISMS.iter().find(|mechanism| Some(mechanism.name) == options.without.as_deref());
    let case = move |max_receives| {
        let (tuning, sqs) = (Tuning::default(), Sqs::Works);
        let mut case = Case { scenario, variant, processes, load, max_receives, seed, tuning, sqs };
        if let Some(mechanism) = without {
            (mechanism.without)(&mut case);
        }
        case
    };
    MAX_RECEIVES.into_iter().map(case)
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
