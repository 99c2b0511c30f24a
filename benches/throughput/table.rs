//! The figures as a table, for a terminal or in Markdown.

use std::fmt;

use serde::Serialize;

use crate::measure::Figures;
use crate::options::{Options, Program, Setting};

/// Columns of the table.
const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] =
    ["", "CPU µs/message", "messages/s", "SQS calls/message", "POSTs/message", "peak MiB", "exactly once"];

/// All rows, and the circumstances of their measurement.
#[derive(Serialize)]
pub(crate) struct Table {
    #[serde(skip)]
    markdown: bool,
    pub(crate) circumstances: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One program in one setting.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) setting: Setting,
    pub(crate) program: Program,
    /// Messages of a POST.
    pub(crate) batch: u32,
    /// Listeners, each with a queue of its own.
    pub(crate) listeners: u32,
    pub(crate) runs: Vec<Figures>,
}

impl Table {
    pub(crate) fn new(options: &Options, machine: String) -> Self {
        let Options { messages, workers, body, runs, pin, groups, tls, bare_threads, queuepost, .. } =
            options;
        let pinned = if *pin { "; pinned: program under test on processor 0, the rest on 1" } else { "" };
        let fifo = groups.map(|groups| format!(", FIFO with {groups} groups")).unwrap_or_default();
        let tls = tls.map(|inside| format!(", https with {}", inside.name())).unwrap_or_default();
        let what = format!("{messages} messages of {body} bytes{fifo}{tls}, {workers} workers{pinned}");
        let build = format!("queuepost: {}", queuepost.display());
        let bare = format!("bare loop: aws-sdk-sqs and reqwest, threads: {}", bare_threads.name());
        let how = format!("median of {runs} (least–most)");
        let circumstances = vec![machine, what, build, bare, how];
        Self { markdown: options.markdown, circumstances, rows: Vec::new() }
    }

    /// Rows of the same setting.
    fn settings(&self) -> impl Iterator<Item = &[Row]> {
        self.rows.chunk_by(|one, next| one.setting == next.setting)
    }
}

impl Row {
    /// What is measured.
    pub(crate) fn name(&self) -> String {
        let some = |count: u32, what: &str| match count {
            1 => String::new(),
            count => format!(", {count} {what}"),
        };
        self.program.name().to_owned() + &some(self.listeners, "listeners") + &some(self.batch, "a POST")
    }

    fn cells(&self) -> [String; COLUMNS] {
        let of = |what: fn(&Figures) -> f64| -> Vec<f64> { self.runs.iter().map(what).collect() };
        [
            self.name(),
            spread(of(|run| run.cpu_micros), 1),
            spread(of(|run| run.messages_per_second), 0),
            spread(of(|run| run.calls), 3),
            spread(of(|run| run.posts), 3),
            spread(of(|run| run.peak_mib), 1),
            self.exactness(),
        ]
    }

    /// Whether every message of every run arrived once and unchanged.
    fn exactness(&self) -> String {
        let sum = |what: fn(&Figures) -> u64| self.runs.iter().map(what).sum::<u64>();
        let (sent, messages) = (sum(|run| run.sent), sum(|run| run.arrivals.messages));
        let (distinct, wrong) = (sum(|run| run.arrivals.distinct), sum(|run| run.arrivals.wrong));
        let (lost, again) = (sent.saturating_sub(distinct), messages.saturating_sub(distinct + wrong));
        match (lost, again, wrong) {
            (0, 0, 0) => format!("yes, {sent} of {sent}"),
            _ => format!("NO: of {sent} {lost} lost, {again} repeated, {wrong} altered"),
        }
    }
}

/// Ratio of the CPU time per message of queuepost to that of the bare loop, run by run.
fn ratio(rows: &[Row]) -> Option<String> {
    let is_of = |row: &Row, program| row.program == program && row.batch == 1 && row.listeners == 1;
    let runs = |program| rows.iter().find(|row| is_of(row, program)).map(|row| row.runs.iter());
    let pairs = runs(Program::Queuepost)?.zip(runs(Program::Bare)?);
    let ratios = pairs.map(|(ours, bare)| ours.cpu_micros / bare.cpu_micros).collect();
    Some(format!("queuepost ÷ bare loop, CPU per message: {}", spread(ratios, 2)))
}

/// The median, with minimum and maximum in parentheses.
pub(crate) fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return String::new() };
    let middle = |index: usize| values.get(index).copied().unwrap_or_default();
    let median = f64::midpoint(middle((values.len() - 1) / 2), middle(values.len() / 2));
    if values.len() == 1 {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.circumstances {
            writeln!(f, "{line}{}", if self.markdown { "  " } else { "" })?;
        }
        for rows in self.settings() {
            let Some(first) = rows.first() else { continue };
            let lines: Vec<[String; COLUMNS]> = rows.iter().map(Row::cells).collect();
            if self.markdown {
                writeln!(f, "\n### {}\n", first.setting.name())?;
                writeln!(f, "|{}", HEADINGS.map(|heading| format!(" {heading} |")).concat())?;
                writeln!(f, "|---|{}", "---:|".repeat(HEADINGS.len() - 1))?;
                for line in lines {
                    writeln!(f, "|{}", line.map(|cell| format!(" {cell} |")).concat())?;
                }
            } else {
                writeln!(f, "\n{}", first.setting.name())?;
                let headings = HEADINGS.map(str::to_owned);
                let widths = widths(lines.iter().chain([&headings]));
                for line in [&headings].into_iter().chain(&lines) {
                    writeln!(f, "{}", aligned(line, widths))?;
                }
            }
            if let Some(ratio) = ratio(rows) {
                writeln!(f, "\n{ratio}")?;
            }
        }
        Ok(())
    }
}

fn widths<'a>(lines: impl Iterator<Item = &'a [String; COLUMNS]>) -> [usize; COLUMNS] {
    lines.fold([0; COLUMNS], |mut widths, line| {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
        widths
    })
}

/// Names to the left, figures to the right.
fn aligned(line: &[String; COLUMNS], widths: [usize; COLUMNS]) -> String {
    let [name, figures @ ..] = line;
    let [name_width, figure_widths @ ..] = widths;
    let figures = figures.iter().zip(figure_widths).map(|(figure, width)| format!("  {figure:>width$}"));
    format!("  {name:<name_width$}") + &figures.collect::<String>()
}
