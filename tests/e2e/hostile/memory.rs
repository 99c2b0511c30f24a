//! Floods: what an endpoint says without end costs a process little memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::outcomes::{configuration, counted};
use super::rows::{self, Row, Trust};
use super::server::Running;
use crate::e2e::process::{PATIENCE, Queuepost};
use crate::e2e::servers::QueueServer;

/// Messages for each flood: one is posted after the other.
const MESSAGES: usize = 8;
/// What a process may grow by: generous beside what it keeps of so many answers (64 KiB of each, the parser's 400 KiB,
/// the windows of HTTP/2 and the interim answers that have come since a task last ran), and half of what is said to it.
const GROWTH_MAX: u64 = 64 * 1024 * 1024;
/// What is said at the least.
const FLOOD: u64 = 2 * GROWTH_MAX;

/// The rows that say more than a process should keep.
fn floods(trust: &Trust) -> Vec<Row> {
    let all = rows::plain().into_iter().chain(rows::http2(trust));
    all.filter(|row| {
        row.name.ends_with("without-end") || row.name == "bomb" || row.name.starts_with("h2-body")
    })
    .collect()
}

/// A figure of `/proc/PID/status`, in bytes.
fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_and_bombs_cost_a_bounded_amount_of_memory() {
    let queues = QueueServer::start().await;
    let trust = Trust::new();
    let rows: Vec<(Row, Running)> = floods(&trust)
        .into_iter()
        .map(|row| {
            let running = row.server.clone().start();
            (row, running)
        })
        .collect();
    assert!(rows.len() >= 14);
    let config = configuration("floods", &trust, &rows, &queues, "workers: 1, timeout: 10s");
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    bridge.find_admin().await;
    bridge.until_line("listening").await;
    let before = status(bridge.pid(), "VmRSS");
    for (row, _) in &rows {
        for _ in 0..MESSAGES {
            queues.send(&row.name, "x");
        }
    }
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let counted = counted(&bridge).await;
        let ended = |row: &Row| {
            let deliveries = counted[&row.name].iter().filter(|((name, _), _)| name == "deliveries_total");
            deliveries.map(|(_, count)| count).sum::<f64>() > 0.5
        };
        let written: u64 = rows.iter().map(|(_, server)| server.written.load(Ordering::Relaxed)).sum();
        let late: Vec<&str> = rows.iter().filter(|(row, _)| !ended(row)).map(|(row, _)| &*row.name).collect();
        let peak = status(bridge.pid(), "VmHWM");
        assert!(peak - before < GROWTH_MAX, "{before} bytes became {peak}");
        if late.is_empty() && written >= FLOOD {
            println!("floods: {} endpoints, {written} bytes said, {before} bytes became {peak}", rows.len());
            break;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{written} bytes; not ended: {late:?}\n{}",
            bridge.output()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}
