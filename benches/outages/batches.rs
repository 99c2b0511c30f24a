//! The tables of batches: what a message costs in POSTs of several, and who is dead-lettered beside a poison message.

use std::fmt::Write as _;

use crate::outage::Load;
use crate::page::{backlog, consumer, dead, limits, only_first};
use crate::runs::Row;

/// Writes the table of a scenario.
pub fn write(page: &mut String, rows: &[Row]) {
    let (scenario, limits) = (rows[0].scenario, limits());
    writeln!(page, "\n## Batches, {}: {}\n", scenario.name, scenario.title).unwrap();
    let columns = [
        "processes",
        "messages of a POST",
        "consumer",
        &format!("dead-lettered at {limits}"),
        "receives per message",
        "POSTs per message",
        "calls to SQS per message",
    ];
    writeln!(page, "|{}", columns.map(|column| format!(" {column} |")).concat()).unwrap();
    writeln!(page, "|---:|---:|---|---:|---:|---:|---:|").unwrap();
    for row in rows {
        writeln!(page, "|{}", cells(row).map(|cell| format!(" {cell} |")).concat()).unwrap();
    }
}

fn cells(row: &Row) -> [String; 7] {
    let last = row.last();
    let Load::Batches(size) = row.load else { panic!("no row of batches: {row:?}") };
    [
        only_first(row, row.processes.to_string()),
        only_first(row, backlog(Load::Backlog(size as u64))),
        consumer(row.variant).to_owned(),
        dead(row),
        format!("{:.2}", last.receives_per_message),
        format!("{:.3}", last.posts_per_message),
        format!("{:.2}", last.calls_per_message),
    ]
}
