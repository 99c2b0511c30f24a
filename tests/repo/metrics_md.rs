//! `docs/metrics.md`: every metric as the program exposes it, from an exposition in which every series
//! exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use queuepost::policy::outcome::Outcome;
use queuepost::ports::{ObjectErrorKind, ObjectOperation, Operation, QueueDepth, QueueErrorKind};
use queuepost::telemetry::labels::{AdminWrite, QueueRole};
use queuepost::telemetry::metrics::Metrics;

use super::generated;

const LISTENER: &str = "LISTENER";
const ENDPOINT: &str = "ENDPOINT";

/// Headings, and the metrics of each in the order of the page.
const SECTIONS: &[(&str, &[&str])] = &[
    (
        "What came in, and what became of it",
        &[
            "messages_received_total",
            "deliveries_total",
            "delivery_duration_seconds",
            "http_responses_total",
            "messages_deleted_total",
            "messages_expired_total",
            "messages_parked_total",
            "messages_deferred_total",
            "messages_released_total",
            "messages_dead_lettered_total",
            "messages_no_work_total",
            "messages_abandoned_total",
            "last_success_timestamp_seconds",
        ],
    ),
    (
        "How late, and how near to the dead-letter queue",
        &[
            "message_age_seconds",
            "queue_oldest_message_age_seconds",
            "message_receive_count",
            "messages_near_dead_letter_total",
            "messages_parked_current",
        ],
    ),
    (
        "Workers, sessions and gates",
        &[
            "workers_limit",
            "workers_in_use",
            "workers_reserved",
            "messages_in_progress",
            "sessions_limit",
            "sessions_in_use",
            "adaptive_limit",
            "adaptive_rate",
            "fleet_members",
            "fleet_share",
            "gate_state",
            "gate_closed_seconds_total",
        ],
    ),
    (
        "SQS",
        &[
            "sqs_requests_total",
            "sqs_request_duration_seconds",
            "sqs_empty_receives_total",
            "last_receive_timestamp_seconds",
            "object_requests_total",
            "messages_left_out_total",
            "queue_messages_visible",
            "queue_messages_not_visible",
            "queue_messages_delayed",
            "visibility_extensions_total",
            "leases_lost_total",
            "duplicates_suppressed_total",
        ],
    ),
    (
        "The listener and the process",
        &[
            "listener_faulted",
            "listener_paused",
            "admin_writes_total",
            "preflight_warnings",
            "headers_dropped_total",
            "panics_total",
            "config_last_reload_successful",
            "config_last_reload_success_timestamp_seconds",
            "draining",
            "log_lines_dropped_total",
            "build_info",
        ],
    ),
];

#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
    buckets: Vec<String>,
    /// Lines of the exposition: the number of series that Prometheus stores.
    series: usize,
}

/// An exposition, by the metric's name without its prefix.
fn families(exposition: &[u8]) -> BTreeMap<String, Family> {
    let text = std::str::from_utf8(exposition).unwrap();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP queuepost_") {
            let (name, help) = rest.split_once(' ').unwrap();
            name.clone_into(&mut current);
            help.clone_into(&mut families.entry(current.clone()).or_default().help);
            continue;
        }
        let family = families.get_mut(&current).unwrap();
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            rest.split_once(' ').unwrap().1.clone_into(&mut family.kind);
            continue;
        }
        family.series += 1;
        let Some((_, labels)) = line.split_once('{') else { continue };
        for label in labels.split_once('}').unwrap().0.split("\",") {
            let (name, value) = label.split_once("=\"").unwrap();
            let value = value.trim_end_matches('"').to_owned();
            if name != "le" {
                family.labels.entry(name.to_owned()).or_default().insert(value);
            } else if value != "+Inf" && !family.buckets.contains(&value) {
                family.buckets.push(value);
            }
        }
    }
    families
}

fn of_new_process() -> (Metrics, usize) {
    let metrics = Metrics::new();
    let series = count(&families(&metrics.render()));
    (metrics, series)
}

fn count(families: &BTreeMap<String, Family>) -> usize {
    families.values().map(|family| family.series).sum()
}

/// Series of an idle listener, of a working listener, of one to which every event happened, and of an
/// endpoint.
struct Series {
    process: usize,
    started: usize,
    working: usize,
    most: usize,
    endpoint: usize,
}

fn exercised() -> (BTreeMap<String, Family>, Series) {
    let (metrics, process) = of_new_process();
    let endpoint = {
        metrics.endpoint(ENDPOINT);
        count(&families(&metrics.render())) - process
    };
    let so_far = |metrics: &Metrics| count(&families(&metrics.render())) - process - endpoint;
    let listener = metrics.listener(LISTENER, ENDPOINT);
    listener.depth(QueueRole::Source, &QueueDepth::default());
    listener.depth(QueueRole::DeadLetter, &QueueDepth::default());
    let started = so_far(&metrics);

    let took = Some(Duration::from_secs(1));
    listener.delivered(Outcome::Success, took);
    listener.delivered(Outcome::Throttled, took);
    for code in [200, 429] {
        listener.responded(code);
    }
    let working = so_far(&metrics);

    for outcome in Outcome::ALL {
        listener.delivered(outcome, took);
    }
    for code in 500..600 {
        listener.responded(code);
    }
    for operation in Operation::OF_LISTENERS {
        for kind in QueueErrorKind::ALL {
            listener.sqs_call(operation, Duration::ZERO, Some(kind));
        }
    }
    for operation in ObjectOperation::ALL {
        listener.object_request(operation, None);
        for kind in ObjectErrorKind::ALL {
            listener.object_request(operation, Some(kind));
        }
    }
    let most = so_far(&metrics);
    metrics.endpoint(ENDPOINT).set_adaptive_rate(Some(1.0));
    metrics.endpoint(ENDPOINT).set_fleet_share(Some(1.0));
    metrics.set_fleet_members(Some(1));
    for action in [
        "pause",
        "resume",
        "workers",
        "drain",
        "test",
        "reload",
        "send",
        "peek",
        "redrive",
        "cancel_redrive",
        "log_level",
        "create",
        "replace",
        "delete",
        "check",
    ] {
        for result in [AdminWrite::Done, AdminWrite::Denied, AdminWrite::Limited, AdminWrite::Refused] {
            metrics.admin_write(action, result);
        }
    }
    (families(&metrics.render()), Series { process, started, working, most, endpoint })
}

/// Values of a label, or where they come from.
fn values(name: &str, seen: &BTreeSet<String>) -> String {
    match name {
        "listener" if seen.contains("") => "`listener` (empty for an endpoint's own)".to_owned(),
        "listener" | "endpoint" | "version" | "revision" => format!("`{name}`"),
        "code" => "`code`: the status codes seen, `other`".to_owned(),
        _ => {
            let values: Vec<_> = seen.iter().map(|value| format!("`{value}`")).collect();
            format!("`{name}`: {}", values.join(" "))
        }
    }
}

fn page(families: &BTreeMap<String, Family>, series: &Series) -> String {
    let Series { process, started, working, most, endpoint } = series;
    let mut text = format!(
        "\
# Metrics

`GET /metrics` on the admin port answers in Prometheus' text format (0.0.4). Names, types and labels are pinned: dashboards, \
alerts and KEDA triggers rely on them. `listener` and `endpoint` are names out of your configuration; every other label has a \
closed set of values. No label holds a message id, an address of a message or a text of an error.

**Series.** Each process has {process}, each endpoint {endpoint} and each listener {started} from its start, {working} once it has \
had successes and 429s, and {most} at most, if every outcome, 20 status codes and every error of every SQS call have been seen. \
Histograms of `delivery_duration_seconds` appear with the first delivery of their outcome, `http_responses_total` with the first \
answer of a code, `adaptive_rate` is there only while a rate is learned, `fleet_members` and `fleet_share` only with `fleet`, results other than `ok` of `sqs_requests_total` with the first such error, `object_requests_total` with the first such call, `admin_writes_total` with the first such request; all else starts at 0. So ten \
listeners on one endpoint, in three pods, are about {fleet} series.

[Dashboards](../dashboards/README.md), [alert and recording rules](../deploy/prometheus/queuepost.rules.yaml) and their \
[runbooks](runbooks/README.md) are made of these.

<!-- Generated from src/telemetry by `QUEUEPOST_BLESS=1 cargo test --test it repo`; a test compares. -->
",
        fleet = 3 * (process + endpoint + 10 * working),
    );
    for (heading, names) in SECTIONS {
        write!(text, "\n## {heading}\n\n| metric | type | labels | what it says, and what to do with it | series |\n|---|---|---|---|---:|\n").unwrap();
        for name in *names {
            let Family { help, kind, labels, series, .. } =
                families.get(*name).unwrap_or_else(|| panic!("no metric {name}"));
            let labels: Vec<_> = labels.iter().map(|(name, seen)| values(name, seen)).collect();
            let labels = if labels.is_empty() { "–".to_owned() } else { labels.join("; ") };
            writeln!(text, "| `queuepost_{name}` | {kind} | {labels} | {help} | {series} |").unwrap();
        }
    }
    text.push_str(
        "\nThe last column is the most series of one listener, endpoint or process; of `gate_*`, one endpoint and one listener \
         together. A histogram is stored as `_bucket` (with the label `le`), `_sum` and `_count`.\n\n## Buckets\n\n| histogram | seconds, or receives |\n|---|---|\n",
    );
    for (name, family) in families.iter().filter(|(_, family)| !family.buckets.is_empty()) {
        writeln!(text, "| `queuepost_{name}` | {} |", family.buckets.join(", ")).unwrap();
    }
    text
}

#[test]
fn docs_metrics_md_says_what_the_program_exposes() {
    let (families, series) = exercised();
    let listed: BTreeSet<_> = SECTIONS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let exposed: BTreeSet<_> = families.keys().map(String::as_str).collect();
    assert_eq!(listed, exposed, "the sections list other metrics than the program exposes");
    generated::matches("docs/metrics.md", &page(&families, &series));
}

#[test]
fn help_texts_are_sentences_that_a_table_can_hold() {
    for (name, family) in exercised().0 {
        let help = &family.help;
        assert!(help.ends_with('.') && !help.contains('|') && help.len() > 40, "{name}: {help:?}");
    }
}
