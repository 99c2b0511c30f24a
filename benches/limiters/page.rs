//! The page.

use std::fmt::Write as _;

use crate::rows::Row;

/// The whole page.
pub fn render(rows: &[Row]) -> String {
    let mut page = String::from("# Limiters\n\n");
    let possible = rows.iter().filter(|row| row.is_possible());
    let failed = possible.clone().filter(|row| !row.holds()).count();
    writeln!(page, "{failed} of {} rows miss a goal.\n", possible.count()).unwrap();
    let mut last = None;
    for row in rows {
        if last != Some(&row.limiter) {
            writeln!(page, "\n## {}\n", row.limiter).unwrap();
            page.push_str("| refuses with | a POST takes | processes | oracle | queuepost | of it | refused: oracle | queuepost | dead-lettered | fairness | |\n");
            page.push_str("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n");
            last = Some(&row.limiter);
        }
        let (ours, oracle) = (row.ours.as_ref().unwrap(), row.oracle.as_ref().unwrap());
        let mark = match (row.is_possible(), row.holds()) {
            (_, true) => "",
            (true, false) => "✘",
            (false, false) => "–",
        };
        writeln!(
            page,
            "| {} | {} ms | {} | {:.2}/s | {:.2}/s | {:.0} % | {:.1} % | {:.1} % | {} | {:.2} | {mark} |",
            row.refusal,
            row.case.latency.as_millis(),
            row.case.processes,
            oracle.per_second,
            ours.per_second,
            100.0 * row.of_oracle(),
            100.0 * oracle.refused,
            100.0 * ours.refused,
            ours.dead,
            ours.fairness,
        )
        .unwrap();
    }
    page
}
