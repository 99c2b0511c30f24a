//! Every row of the table against one process: the counters of its listener, and what becomes of its message.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use queuepost::policy::outcome::Outcome;

use super::rows::{self, Row, Trust};
use super::server::Running;
use crate::e2e::process::{PATIENCE, Queuepost};
use crate::e2e::servers::QueueServer;

/// Counters of one listener: name, and the labels other than the listener's.
type Counted = BTreeMap<(String, String), f64>;

/// A configuration with an endpoint and a listener for each row.
pub fn configuration(
    file: &str,
    trust: &Trust,
    rows: &[(Row, Running)],
    queues: &QueueServer,
    listener: &str,
) -> String {
    let ca = trust.ours.file(file);
    let mut endpoints = String::new();
    let mut listeners = String::new();
    for (Row { name, .. }, server) in rows {
        let tls = if server.origin.starts_with("https") {
            format!(", tls: {{ca_file: {ca}}}")
        } else {
            String::new()
        };
        writeln!(endpoints, "  {name}: {{url: '{}', adaptive: false{tls}}}", server.origin).unwrap();
        let queue = queues.queue(name, 100);
        writeln!(listeners, "  - {{queue: '{queue}', name: {name}, endpoint: {name}, path: /work, receive_wait: 1s, {listener}}}").unwrap();
    }
    let text = format!(
        "admin: {{listen: '127.0.0.1:0'}}\nlog: {{format: json}}\nendpoints:\n{endpoints}listeners:\n{listeners}"
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{file}.yaml"));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The counters that show what became of a listener's messages.
pub async fn counted(bridge: &Queuepost) -> BTreeMap<String, Counted> {
    let (_, text) = bridge.admin("/metrics").await;
    let mut all: BTreeMap<String, Counted> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("queuepost_")) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        let label = |wanted: &str| {
            let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(key, value)| (key == wanted).then(|| value.trim_matches('"').to_owned()))
        };
        let Some(listener) = label("listener") else { continue };
        let other = label("outcome").or(label("reason")).or(label("code")).unwrap_or_default();
        *all.entry(listener).or_default().entry((name.to_owned(), other)).or_default() +=
            value.parse::<f64>().unwrap();
    }
    all
}

/// The difference between a row's counters and their expected values; empty when they are equal.
fn wrong(row: &Row, counted: &Counted) -> Option<String> {
    let count =
        |name: &str, label: &str| counted.get(&(name.to_owned(), label.to_owned())).copied().unwrap_or(0.0);
    let mut wrong = Vec::new();
    let mut expect = |right: bool, what: String| {
        if !right {
            wrong.push(what);
        }
    };
    for outcome in Outcome::ALL {
        let deliveries = count("deliveries_total", outcome.label());
        let right = if outcome == row.outcome { deliveries > 0.5 } else { deliveries < 0.5 };
        expect(right, format!("{deliveries} {}", outcome.label()));
    }
    // By the decision table, row by row.
    let (deleted, parked, deferred) = match row.outcome {
        Outcome::Success => (true, false, None),
        Outcome::Throttled => (false, true, None),
        Outcome::Unsent => (false, false, None),
        Outcome::TimedOut | Outcome::Broken => (false, false, Some("unknown_outcome")),
        Outcome::UnlistedSuccess | Outcome::Misdirected => (false, false, Some("configuration")),
        Outcome::Unavailable | Outcome::Overloaded | Outcome::Failed => (false, false, Some("failure")),
        other => panic!("no row for {other:?}"),
    };
    for (name, label, expected) in [
        ("messages_deleted_total", "", deleted),
        ("messages_parked_total", "", parked),
        ("messages_deferred_total", "unknown_outcome", deferred == Some("unknown_outcome")),
        ("messages_deferred_total", "configuration", deferred == Some("configuration")),
        ("messages_deferred_total", "failure", deferred == Some("failure")),
        ("messages_deferred_total", "message", false),
        ("messages_deferred_total", "unreachable", false),
        ("messages_abandoned_total", "", false),
        ("messages_dead_lettered_total", "", false),
        ("panics_total", "", false),
    ] {
        let found = count(name, label);
        expect((found > 0.5) == expected, format!("{name} {label} {found}"));
    }
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

/// Endpoints that are tested at once.
const PLAIN_AT_ONCE: usize = 16;

async fn all_come_out_as_the_table_says(name: &str, rows: Vec<Row>, trust: Trust, timeout: &str) {
    let queues = QueueServer::start().await;
    let rows: Vec<(Row, Running)> = rows
        .into_iter()
        .map(|row| {
            let mut running = row.server.clone().start();
            if row.name.starts_with("tls-") {
                // Also where the server does not speak TLS at all.
                running.origin = running.origin.replace("http://", "https://");
            }
            (row, running)
        })
        .collect();
    let config = configuration(name, &trust, &rows, &queues, &format!("workers: 1, timeout: {timeout}"));
    for (row, _) in &rows {
        queues.send(&row.name, &"x".repeat(row.body));
    }
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    bridge.find_admin().await;
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let counted = counted(&bridge).await;
        let mut wrongs: Vec<String> = Vec::new();
        for (row, _) in &rows {
            let Some(wrong) = wrong(row, &counted[&row.name]) else { continue };
            let output = bridge.output();
            let said = output.lines().find(|line| line.contains(&format!(r#""listener":"{}""#, row.name)));
            wrongs.push(format!("{}, {:?}: {wrong}\n  {}", row.name, row.outcome, said.unwrap_or_default()));
        }
        if wrongs.is_empty() {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{}", wrongs.join("\n"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for (row, _) in &rows {
        let kept = usize::from(row.outcome != Outcome::Success);
        let (visible, in_flight, dead) = queues.census(&row.name);
        assert_eq!((visible + in_flight, dead), (kept, 0), "{}", row.name);
        if row.outcome == Outcome::Unsent {
            assert_eq!(queues.receive_counts(&row.name), [1], "{}: held, not received again", row.name);
        }
    }
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    println!("{name}: {} endpoints", rows.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_misuse_http_come_out_as_the_table_says() {
    // Some rows flood until they are stopped: all at once would take the machine from the others.
    let mut rows = rows::plain();
    let mut part = 0;
    while !rows.is_empty() {
        part += 1;
        let some = rows.split_off(rows.len().saturating_sub(PLAIN_AT_ONCE));
        all_come_out_as_the_table_says(&format!("http-{part}"), some, Trust::new(), "5s").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_misuse_tls_come_out_as_the_table_says() {
    let trust = Trust::new();
    all_come_out_as_the_table_says("tls", rows::tls(&trust), trust, "8s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_misuse_http2_come_out_as_the_table_says() {
    let trust = Trust::new();
    all_come_out_as_the_table_says("http2", rows::http2(&trust), trust, "8s").await;
}
