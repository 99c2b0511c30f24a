//! The page of the mechanisms: what each is for, and what gets worse without it.
//!
//! Each mechanism has rows of its own (`tests/sim/outage/mechanisms.rs`), run with and without it with two seeds each.
//! A figure is worse if its mean is so by 3 % or more, and if it is worse with every seed.

use std::fmt::Write as _;

use queuepost::tuning::Tuning;

use crate::outage::{
    CALM, Case, FULL_SPEED_MOST, Figures, IN_VAIN_MOST, Load, MECHANISMS, Measured, Mechanism, OF_FIFO,
    Refusal, SCENARIOS, Scenario, Sqs, USEFUL_LEAST, Variant,
};
use crate::page::{backlog, percent, seconds};
use crate::runs::spread;

const HEAD: &str = include_str!("flow_control_head.md");
const SEEDS: [u64; 2] = [1, 2];
/// What counts as worse, as a share.
const WORSE: f64 = 0.03;
/// So many rows have to get worse.
const ROWS_MIN: usize = 2;

/// A figure of a run; the greater, the worse.
struct Figure {
    name: &'static str,
    badness: fn(&Case, &Figures) -> Option<f64>,
    show: fn(f64) -> String,
    /// Less of a difference is none.
    least: f64,
}

const FIGURES: [Figure; 8] = [
    Figure {
        name: "dead-lettered",
        badness: |_, figures| Some(figures.dead as f64),
        show: |dead| format!("{dead:.1}"),
        least: 0.5,
    },
    Figure {
        name: "receives per message",
        badness: |_, figures| Some(figures.receives_per_message),
        show: |receives| format!("{receives:.2}"),
        least: 0.0,
    },
    Figure {
        name: "useful",
        badness: |case, figures| (!case.load.is_small()).then_some(-figures.useful),
        show: |useful| percent(-useful),
        least: 0.0,
    },
    Figure {
        name: "POSTs in vain",
        badness: |_, figures| Some(figures.in_vain),
        show: percent,
        least: 0.001,
    },
    Figure {
        name: "POSTs per message",
        badness: |case, figures| case.load.is_batched().then_some(figures.posts_per_message),
        show: |posts| format!("{posts:.3}"),
        least: 0.0,
    },
    Figure { name: "after the end", badness: after, show: |after| format!("{after:.0} s"), least: 1.0 },
    Figure {
        name: "calls to SQS per message",
        badness: |_, figures| Some(figures.calls_per_message),
        show: |calls| format!("{calls:.2}"),
        least: 0.0,
    },
    Figure {
        name: "posted again",
        badness: |_, figures| Some(figures.again as f64),
        show: |again| format!("{again:.0}"),
        least: 0.5,
    },
];

/// Seconds from the end of an outage to full speed, of a small backlog to the last success.
fn after(case: &Case, figures: &Figures) -> Option<f64> {
    if case.scenario.after == 0 || case.load == Load::Steady {
        return None;
    }
    let after = if case.load.is_small() { figures.all_done } else { figures.full_speed };
    // What was never reached took longer than was looked.
    Some(after.map_or(case.scenario.after as f64, |after| after.as_secs_f64()))
}

/// One row, with and without a mechanism.
struct Compared {
    row: Measured,
    figures: Vec<Change>,
    /// Published goals that hold with it and not without.
    broken: Vec<String>,
}

struct Change {
    name: &'static str,
    with: String,
    without: String,
    is_worse: bool,
}

/// The page, in Markdown; of one mechanism if `only` names it.
pub fn page(only: Option<&str>) -> String {
    let asked = |mechanism: &&Mechanism| only.is_none_or(|name| name == mechanism.name);
    let mechanisms: Vec<&Mechanism> = MECHANISMS.iter().filter(asked).collect();
    let mut cases = Vec::new();
    for mechanism in &mechanisms {
        for row in mechanism.rows {
            for seed in SEEDS {
                for case in both(mechanism, *row, seed) {
                    if !cases.contains(&case) {
                        cases.push(case);
                    }
                }
            }
        }
    }
    let figures = spread(&cases);
    let of = |case: &Case| &figures[cases.iter().position(|other| other == case).unwrap()];
    let mut page = format!("{HEAD}\n| mechanism | what it is for | without it | |\n|---|---|---|---|\n");
    let mut details = String::new();
    for mechanism in mechanisms {
        let compared: Vec<Compared> =
            mechanism.rows.iter().map(|row| compare(mechanism, *row, &of)).collect();
        let Mechanism { name, purpose, .. } = mechanism;
        let (words, verdict) = (in_short(&compared), verdict(mechanism, &compared));
        writeln!(page, "| [{name}](#{name}) | {purpose} | {words} | {verdict} |").unwrap();
        writeln!(details, "\n### {name}\n").unwrap();
        writeln!(details, "| row | figure | with | without | |\n|---|---|---:|---:|---|").unwrap();
        for row in &compared {
            write_row(&mut details, row);
        }
    }
    page + "\n## Figures\n" + &details
}

fn scenario(name: &str) -> Scenario {
    let mut all = SCENARIOS.iter().chain(&OF_FIFO).chain(&CALM);
    *all.find(|scenario| scenario.name == name).unwrap_or_else(|| panic!("no scenario {name}"))
}

fn both(mechanism: &Mechanism, row: Measured, seed: u64) -> [Case; 2] {
    let Measured { processes, load, max_receives, sqs, .. } = row;
    let (scenario, variant, tuning) = (scenario(row.scenario), Variant::Ours, Tuning::default());
    let with = Case { scenario, variant, processes, load, max_receives, seed, tuning, sqs };
    let mut without = with;
    (mechanism.without)(&mut without);
    [with, without]
}

fn compare<'a>(mechanism: &Mechanism, row: Measured, of: &impl Fn(&Case) -> &'a Figures) -> Compared {
    let runs = SEEDS.map(|seed| both(mechanism, row, seed).map(|case| (case, of(&case))));
    let mut figures = Vec::new();
    for figure in &FIGURES {
        let pairs: Vec<[f64; 2]> = runs
            .iter()
            .filter_map(|pair| {
                let [with, without] = pair.map(|(case, figures)| (figure.badness)(&case, figures));
                Some([with?, without?])
            })
            .collect();
        let mean = |which: usize| pairs.iter().map(|pair| pair[which]).sum::<f64>() / pairs.len() as f64;
        if pairs.is_empty() || (mean(0), mean(1)) == (0.0, 0.0) {
            continue;
        }
        let is_worse = mean(1) - mean(0) >= figure.least.max(WORSE * mean(0).abs())
            && pairs.iter().all(|pair| pair[1] > pair[0]);
        let [with, without] = [mean(0), mean(1)].map(figure.show);
        figures.push(Change { name: figure.name, with, without, is_worse });
    }
    let [with, without] = [0, 1].map(|which| {
        let broken = runs.iter().flat_map(|pair| broken(&pair[which].0, pair[which].1));
        broken.collect::<std::collections::BTreeSet<_>>()
    });
    Compared { row, figures, broken: without.difference(&with).cloned().collect() }
}

/// Goals of docs/outages.md that a run breaks.
fn broken(case: &Case, figures: &Figures) -> Vec<String> {
    let Case { scenario, load, .. } = case;
    if case.sqs != Sqs::Works || case.max_receives < 3 {
        return Vec::new();
    }
    let mut broken = Vec::new();
    if figures.dead > 0 && *load != Load::Backlog(1) {
        broken.push("no healthy message dead-lettered".to_owned());
    }
    let large = !load.is_small();
    if large && !load.is_fifo() && figures.useful < USEFUL_LEAST {
        broken.push(format!("useful at least {}", percent(USEFUL_LEAST)));
    }
    let throttled = scenario.refusal == Refusal::Throttled && *load != Load::Steady;
    if large && throttled && figures.in_vain > IN_VAIN_MOST {
        broken.push(format!("at most {} answered 429", percent(IN_VAIN_MOST)));
    }
    let late = figures.full_speed.is_none_or(|after| after > FULL_SPEED_MOST);
    if large && scenario.after > 0 && *load != Load::Steady && late {
        broken.push(format!("full speed within {}", seconds(FULL_SPEED_MOST)));
    }
    broken
}

/// What gets worse, for the first table: of each figure the row where it does so most clearly, the first.
fn in_short(compared: &[Compared]) -> String {
    let mut parts = Vec::new();
    for figure in &FIGURES {
        let worse: Vec<(&Compared, &Change)> = compared
            .iter()
            .flat_map(|row| row.figures.iter().map(move |change| (row, change)))
            .filter(|(_, change)| change.name == figure.name && change.is_worse)
            .collect();
        if let Some((row, change)) = worse.first() {
            let more = match worse.len() {
                1 => String::new(),
                rows => format!(", and {} more", rows - 1),
            };
            let Change { name, with, without, .. } = change;
            parts.push(format!("{name}: {with} → {without} ({}{more})", place(&row.row)));
        }
    }
    let broken: std::collections::BTreeSet<&String> = compared.iter().flat_map(|row| &row.broken).collect();
    parts.extend(broken.into_iter().map(|goal| format!("breaks the goal “{goal}”")));
    if parts.is_empty() { "nothing measured gets worse".to_owned() } else { parts.join("; ") }
}

fn verdict(mechanism: &Mechanism, compared: &[Compared]) -> String {
    let rows = compared.iter().filter(|row| row.figures.iter().any(|change| change.is_worse)).count();
    let breaks = compared.iter().any(|row| !row.broken.is_empty());
    match (mechanism.demanded_by, breaks || rows >= ROWS_MIN) {
        (Some(demanded), _) => format!("stays: {demanded}"),
        (None, true) => "stays".to_owned(),
        (None, false) => "does not earn its place".to_owned(),
    }
}

fn write_row(page: &mut String, compared: &Compared) {
    for (index, change) in compared.figures.iter().enumerate() {
        let row = if index == 0 { place(&compared.row) } else { String::new() };
        let Change { name, with, without, is_worse } = change;
        let worse = if *is_worse { "worse" } else { "" };
        writeln!(page, "| {row} | {name} | {with} | {without} | {worse} |").unwrap();
    }
    for goal in &compared.broken {
        writeln!(page, "|  | goal: {goal} | ✔ | ✘ | broken |").unwrap();
    }
}

fn place(row: &Measured) -> String {
    let Measured { scenario, processes, load, max_receives, sqs } = row;
    let sqs = match sqs {
        Sqs::Works => "",
        Sqs::LosesAnswers => ", SQS loses answers",
        Sqs::HandsOutTwice => ", SQS hands out twice",
    };
    format!("{scenario}, {processes} ×, {}, {max_receives} receives{sqs}", backlog(*load))
}
