//! Floods: an endpoint that sends without end costs a process little memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::outcomes::{configuration, counted};
use super::rows::{self, Row, Trust};
use super::server::{Running, Server, Then};
use crate::e2e::process::{PATIENCE, Queuepost, until};
use crate::e2e::servers::QueueServer;

/// Messages for each flood: one is posted after the other.
const MESSAGES: usize = 8;
const MIB: u64 = 1024 * 1024;
/// The row with a test of its own.
const INTERIM: &str = "h2-interim-answers-without-end";

/// The rows that send more than a process should keep.
fn floods(trust: &Trust) -> Vec<Row> {
    let all = rows::plain().into_iter().chain(rows::http2(trust));
    let is_flood = |row: &Row| {
        row.name.ends_with("without-end") || row.name == "bomb" || row.name.starts_with("h2-body")
    };
    all.filter(is_flood).collect()
}

/// A figure of `/proc/PID/status`, in bytes.
fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Lets endpoints send this much in total, and measures the growth of a process meanwhile.
async fn cost_little(name: &str, trust: Trust, rows: Vec<Row>, said: u64, growth_max: u64) {
    let queues = QueueServer::start().await;
    let start = |row: Row| {
        let running = row.server.clone().start();
        (row, running)
    };
    let rows: Vec<(Row, Running)> = rows.into_iter().map(start).collect();
    let config = configuration(name, &trust, &rows, &queues, "workers: 1, timeout: 10s");
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
        assert!(peak - before < growth_max, "{before} bytes became {peak}");
        if late.is_empty() && written >= said {
            println!("{name}: {} endpoints, {written} bytes said, {before} bytes became {peak}", rows.len());
            break;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{written} bytes; not ended: {late:?}\n{}",
            bridge.output()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The floods end here: one that uses a whole processor may outlast the drain.
    drop(rows);
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}

/// Of each answer 64 KiB are kept, the parser has up to 400 KiB, HTTP/2 its windows. So 64 MiB suffice for
/// all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_and_bombs_cost_a_bounded_amount_of_memory() {
    let trust = Trust::new();
    let rows: Vec<Row> = floods(&trust).into_iter().filter(|row| row.name != INTERIM).collect();
    assert!(rows.len() >= 14);
    cost_little("floods", trust, rows, 128 * MIB, 64 * MIB).await;
}

/// HTTP/2 queues interim answers until the task that waits for the final one runs and drops them. That
/// happens once per several hundred thousand. If all were kept, they would take half a gigabyte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_answers_of_http2_do_not_pile_up_without_bound() {
    let trust = Trust::new();
    let rows: Vec<Row> = floods(&trust).into_iter().filter(|row| row.name == INTERIM).collect();
    cost_little("interim", trust, rows, 16 * MIB, 256 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_flood_stop_no_neighbour() {
    const NEIGHBOUR: &str = "neighbour";
    let (trust, queues) = (Trust::new(), QueueServer::start().await);
    let answer = rows::says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Closes);
    let neighbour = Row {
        name: NEIGHBOUR.to_owned(),
        server: Server::Plain(answer),
        outcome: queuepost::policy::outcome::Outcome::Success,
        body: 1,
    };
    let all = rows::plain().into_iter().filter(|row| row.name.ends_with("without-end")).take(3);
    let rows: Vec<(Row, Running)> = all
        .chain([neighbour])
        .map(|row| {
            let running = row.server.clone().start();
            (row, running)
        })
        .collect();
    let config = configuration("neighbour", &trust, &rows, &queues, "workers: 1, timeout: 10s");
    for (row, _) in &rows {
        for _ in 0..MESSAGES {
            queues.send(&row.name, "x");
        }
    }
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    bridge.find_admin().await;
    let floods = || rows.iter().filter(|(row, _)| row.name != NEIGHBOUR);
    let flooded = || floods().all(|(_, server)| server.written.load(Ordering::Relaxed) > 0).then_some(());
    assert!(until(flooded).await.is_some(), "{}", bridge.output());
    queues.until_empty(NEIGHBOUR).await;
    for (row, _) in floods() {
        let (visible, in_flight, dead) = queues.census(&row.name);
        assert_eq!((visible + in_flight, dead), (MESSAGES, 0), "{}: none of them was a success", row.name);
    }
    drop(rows);
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}
