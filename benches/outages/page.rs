//! The page: what is simulated, the goals, a table per scenario, and the remaining costs.

use std::fmt::Write as _;
use std::time::Duration;

use crate::outage::{Load, Refusal, Variant};
use crate::runs::{MAX_RECEIVES, Row};
use crate::{batches, goals};

const HEAD: &str = include_str!("head.md");
const TAIL: &str = include_str!("tail.md");

/// The whole page, in Markdown.
pub fn render(rows: &[Row]) -> String {
    let mut page = format!("{HEAD}\n## Goals\n\n| goal | | worst row |\n|---|---|---|\n");
    for goal in goals::all(rows) {
        let mark = if goal.holds { "✔" } else { "✘" };
        writeln!(page, "| {} | {mark} | {} |", goal.text, goal.worst).unwrap();
    }
    let kind = |row: &Row| (row.scenario.name, row.load.is_fifo(), row.load.is_batched());
    for table in rows.chunk_by(|one, next| kind(one) == kind(next)) {
        if table[0].load.is_batched() {
            batches::write(&mut page, table);
            continue;
        }
        let (scenario, is_fifo) = (table[0].scenario, table[0].load.is_fifo());
        let in_vain = match scenario.refusal {
            Refusal::Throttled => "answered 429".to_owned(),
            Refusal::Other(met) => format!("in vain ({met})"),
        };
        let limits = limits();
        let of = if is_fifo { "FIFO, " } else { "" };
        let calls = if is_fifo { " calls to SQS per message |" } else { "" };
        writeln!(page, "\n## {of}{}: {}\n", scenario.name, scenario.title).unwrap();
        writeln!(
            page,
            "| processes | to do | consumer | dead-lettered at {limits} | receives per message | useful | POSTs {in_vain} | after the end |{calls}"
        )
        .unwrap();
        let line = if is_fifo { "---:|" } else { "" };
        writeln!(page, "|---:|---:|---|---:|---:|---:|---:|---|{line}").unwrap();
        for row in table {
            let calls = format!(" {:.2} |", row.last().calls_per_message);
            let calls = if is_fifo { &calls } else { "" };
            writeln!(page, "|{}{calls}", cells(row).map(|cell| format!(" {cell} |")).concat()).unwrap();
        }
    }
    page + "\n" + TAIL
}

/// The max receives of the queues.
pub fn limits() -> String {
    MAX_RECEIVES.map(|receives| receives.to_string()).join(" / ")
}

/// The healthy messages that were dead-lettered, by max receives.
pub fn dead(row: &Row) -> String {
    row.figures.iter().map(|figures| figures.dead.to_string()).collect::<Vec<_>>().join(" / ")
}

/// What belongs to all consumers of a load, for the first of them.
pub fn only_first(row: &Row, cell: String) -> String {
    if row.variant == Variant::Ours { cell } else { String::new() }
}

pub fn consumer(variant: Variant) -> &'static str {
    match variant {
        Variant::Ours => "queuepost",
        Variant::Fleet => "with `fleet`",
        Variant::NotAdaptive => "`adaptive: false`",
        Variant::Single => "always one",
        Variant::Whole => "always whole",
        Variant::Pool => "fixed pool",
    }
}

fn cells(row: &Row) -> [String; 8] {
    let last = row.last();
    [
        only_first(row, row.processes.to_string()),
        only_first(row, backlog(row.load)),
        consumer(row.variant).to_owned(),
        dead(row),
        format!("{:.2}", last.receives_per_message),
        if row.load.is_small() { "–".to_owned() } else { percent(last.useful) },
        percent(last.in_vain),
        after(row),
    ]
}

/// How soon deliveries resume.
fn after(row: &Row) -> String {
    let last = row.last();
    if row.scenario.after == 0 {
        return "–".to_owned();
    }
    if row.load.is_small() {
        return match (last.first_success, last.all_done, last.done) {
            (_, _, 0) => "none done".to_owned(),
            (Some(first), Some(done), _) => format!("first {}, last {}", seconds(first), seconds(done)),
            (first, _, _) => format!("first {}", first.map_or("never".to_owned(), seconds)),
        };
    }
    match last.full_speed {
        Some(after) => format!("full speed {}", seconds(after)),
        None => "–".to_owned(),
    }
}

pub fn backlog(load: Load) -> String {
    match load {
        Load::Backlog(count) if count >= 1_000 => format!("{},{:03}", count / 1_000, count % 1_000),
        Load::Backlog(count) => count.to_string(),
        Load::Groups { groups, each } => {
            format!("{} × {}", backlog(Load::Backlog(groups.into())), backlog(Load::Backlog(each.into())))
        }
        Load::Batches(size) => format!("batches of {}", backlog(Load::Backlog(size as u64))),
        Load::Steady => "20/s".to_owned(),
    }
}

pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

pub fn seconds(time: Duration) -> String {
    format!("{:.0} s", time.as_secs_f64())
}
