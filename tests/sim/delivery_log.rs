//! The log lines of deliveries, and how often each appears: on paused time, with a log subscriber of the
//! test's own.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::policy::decide::{Action, Row};
use queuepost::policy::outcome::{Answer, Attempt, StatusSet};
use serde_json::Value;
use tracing::subscriber::DefaultGuard;

use super::batches::batches;
use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The log of this thread from now on, at `info`.
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn with(&self, words: &str) -> Vec<Value> {
        let has = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(words));
        self.lines().into_iter().filter(has).collect()
    }
}

/// Ids in a field that holds one or several.
fn ids(lines: &[Value], field: &str) -> BTreeSet<String> {
    let named = lines.iter().filter_map(|line| line[field].as_str());
    let ids = named.map(|text| text.split_once(" and ").map_or(text, |(ids, _)| ids));
    ids.flat_map(|text| text.split(' ')).map(str::to_owned).collect()
}

fn rejecting() -> Arc<ScriptedEndpoint> {
    ScriptedEndpoint::new(|_, _| {
        let beginning = Some(r#"{"error":"customer 42 is unknown"}"#.to_owned());
        (SECOND / 50, Attempt::Answered(Answer { status: 400, beginning, ..Answer::default() }))
    })
}

#[tokio::test(start_paused = true)]
async fn every_final_receive_is_logged_with_where_the_message_goes_and_what_the_endpoint_answered() {
    let (log, _guard) = Log::start();
    let mut process = SimProcess::new(90);
    process.world.queue("refunds", 3);
    process.listen(settings("refunds", 8), &rejecting(), &limits(8));
    let sent: BTreeSet<String> = (0..50).map(|n| process.world.send("refunds", &n.to_string())).collect();
    tokio::time::sleep(3 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(process.census("refunds").dead, 50);
    let last = log.with("final receive (3 of 3): refunds-dlq next: the endpoint answered 400");
    assert_eq!((last.len(), ids(&last, "message_id")), (50, sent.clone()));
    assert!(
        last.iter()
            .all(|line| line["answer"] == r#"{"error":"customer 42 is unknown"}"# && line["level"] == "WARN")
    );
    let deferred = log.with("deferred for ");
    assert!(!deferred.is_empty() && deferred.iter().all(|line| line["receive_count"] != 3), "{deferred:?}");
    let named: BTreeSet<String> =
        ids(&deferred, "message_id").union(&ids(&log.lines(), "left_out_ids")).cloned().collect();
    assert!(named.is_subset(&sent) && named.len() > 20, "{named:?}");
    let told: u64 = log.lines().iter().filter_map(|line| line["left_out"].as_u64()).sum();
    assert_eq!(
        told + u64::try_from(deferred.len()).unwrap(),
        100,
        "each of the first two receives is counted"
    );
}

#[tokio::test(start_paused = true)]
async fn messages_that_fail_in_step_each_have_a_line() {
    let (log, _guard) = Log::start();
    let mut process = SimProcess::new(91);
    process.world.queue("orders", 100);
    process.listen(settings("orders", 8), &rejecting(), &limits(8));
    let first = process.world.send("orders", "first");
    tokio::time::sleep(SECOND).await;
    let second = process.world.send("orders", "second");
    tokio::time::sleep(4 * MINUTE).await;
    process.stop(MINUTE).await;
    let lines = log.with("deferred for ");
    assert_eq!(ids(&lines, "message_id"), [first, second].into());
    assert!(lines.len() <= 24, "{} lines in four minutes", lines.len());
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_logged_once() {
    let (log, _guard) = Log::start();
    let mut process = SimProcess::new(92);
    process.world.queue("orders", 100);
    let endpoint =
        ScriptedEndpoint::new(|post, _| (SECOND, answer(if post.began < 2 * MINUTE { 500 } else { 200 })));
    let mut own = settings("orders", 4);
    let (status, delay) = (StatusSet::new([(500, 500)]), Some(10 * SECOND));
    own.policy.rows.push(Row { status, action: Action::Defer, delay });
    process.listen(own, &endpoint, &limits(4));
    process.world.send("orders", "x");
    tokio::time::sleep(3 * MINUTE).await;
    for number in 0..20 {
        process.world.send("orders", &number.to_string());
        tokio::time::sleep(SECOND).await;
    }
    process.stop(MINUTE).await;
    let told = log.with("deliveries succeed again");
    assert_eq!(told.len(), 1, "{told:?}");
    let (failed, after) = (told[0]["failed_deliveries"].as_u64(), told[0]["after_seconds"].as_u64());
    assert!(failed.is_some_and(|failed| failed > 5), "{told:?}");
    assert!(after.is_some_and(|after| (100..=150).contains(&after)), "{told:?}");
    assert_eq!(told[0]["level"], "INFO");
}

#[tokio::test(start_paused = true)]
async fn the_line_of_a_batch_that_failed_says_of_how_many_messages_and_each_of_them_is_named() {
    let (log, _guard) = Log::start();
    let mut process = SimProcess::new(93);
    process.world.queue("orders", 100);
    let endpoint = ScriptedEndpoint::new(|_, number| (SECOND, answer(if number == 0 { 200 } else { 400 })));
    for number in 0..8 {
        process.world.send("orders", &number.to_string());
    }
    process.listen(batches(4), &endpoint, &limits(4));
    tokio::time::sleep(15 * SECOND).await;
    let status = process.statuses().remove(0);
    process.stop(MINUTE).await;
    let posts = endpoint.posts();
    let sizes: Vec<u64> = posts[1..].iter().map(|post| post.body.lines().count() as u64).collect();
    let first = &log.with("deferred for ")[0];
    assert!(sizes[0] > 1, "no batch: {sizes:?}");
    assert_eq!(first["batch_messages"].as_u64(), Some(sizes[0]), "{first}");
    let failed = usize::try_from(sizes.iter().sum::<u64>()).unwrap();
    let named: BTreeSet<String> =
        ids(&log.lines(), "message_id").union(&ids(&log.lines(), "left_out_ids")).cloned().collect();
    assert_eq!(named.len(), failed, "{named:?}");
    let kept: BTreeSet<String> = status.recent_failures.iter().map(|each| each.id.to_string()).collect();
    assert_eq!(kept, named);
}
