//! One POST carries several messages: lease, ledger and settlement stay per message.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use queuepost::exchange::{Exchange, Request, Unshapeable, Verdicts};
use queuepost::message::{Message, MessageId};
use queuepost::pipeline::Settings;
use queuepost::policy::decide::{Action, Policy, Row};
use queuepost::policy::outcome::{Answer, Attempt, Body, Outcome, StatusSet, classify_answer};

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer, answer_with_retry_after, refused};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The bodies of up to four messages, a line each. A 200 names the lines that failed.
#[derive(Debug)]
struct Lines;

impl Exchange for Lines {
    fn messages_max(&self) -> usize {
        4
    }

    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable> {
        let bodies: Vec<&str> =
            messages.iter().map(|message| std::str::from_utf8(&message.body).unwrap()).collect();
        if let Some(position) = bodies.iter().position(|body| *body == "unshapeable") {
            return Err(Unshapeable { position, why: "it is no line".to_owned() });
        }
        let most = messages.iter().map(|message| message.receive_count.get()).max().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-queuepost-receive-count", HeaderValue::from(most));
        Ok(Request::new(headers, Bytes::from(bodies.join("\n"))))
    }

    fn verdicts(&self, answer: &Answer, ids: &[MessageId]) -> Verdicts {
        let outcome = classify_answer(answer, &StatusSet::default());
        if outcome != Outcome::Success {
            return Verdicts::All(outcome);
        }
        let failed: Vec<usize> = String::from_utf8_lossy(&answer.body.kept)
            .split_whitespace()
            .map(|line| line.parse().unwrap())
            .collect();
        let verdict = |line| if failed.contains(&line) { Outcome::Failed } else { Outcome::Success };
        Verdicts::Each((0..ids.len()).map(verdict).collect())
    }
}

pub fn batches(workers: usize) -> Settings {
    Settings { exchange: Arc::new(Lines), ..settings("orders", workers) }
}

/// A 200 that names the lines of the request that contain `word`.
fn fails_lines_with(word: &str, body: &str) -> Attempt {
    let failed: Vec<String> = body
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains(word))
        .map(|(at, _)| at.to_string())
        .collect();
    let body = Body { kept: Bytes::from(failed.join(" ")), is_whole: true };
    Attempt::Answered(Answer { status: 200, body, ..Answer::default() })
}

#[tokio::test(start_paused = true)]
async fn each_record_of_a_batch_is_settled_by_its_own_verdict() {
    let mut process = SimProcess::new(90);
    process.world.queue("orders", 3);
    let endpoint = ScriptedEndpoint::new(|post, _| (SECOND, fails_lines_with("poison", &post.body)));
    for number in 0..39 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.world.send("orders", "poison");
    process.listen(batches(2), &endpoint, &limits(100));
    process.until_empty("orders", 60 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(process.census("orders").dead, 1, "the poison, and none of its neighbours");
    let lines: Vec<String> = endpoint
        .posts()
        .iter()
        .flat_map(|post| post.body.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(lines.iter().filter(|line| *line != "poison").count(), 39, "each neighbour is posted once");
    assert_eq!(lines.iter().filter(|line| *line == "poison").count(), 3);
    assert!(endpoint.most_running() <= 2, "workers cap POSTs, not messages");
    assert!(endpoint.posts().iter().any(|post| post.body.lines().count() == 4));
    assert_eq!(process.count("messages_deleted_total", ""), 39);
    assert_eq!(process.count("messages_deferred_total", "failure"), 3);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_row_that_deletes_after_a_success_does_not_delete_what_the_answer_calls_failed() {
    let mut process = SimProcess::new(95);
    process.world.queue("orders", 3);
    let endpoint = ScriptedEndpoint::new(|post, _| (SECOND, fails_lines_with("poison", &post.body)));
    for body in ["a", "b", "poison", "c"] {
        process.world.send("orders", body);
    }
    let row = Row { status: StatusSet::new([(200, 299)]), action: Action::Delete, delay: None };
    let policy = Policy { rows: vec![row], ..Policy::default() };
    process.listen(Settings { policy, ..batches(2) }, &endpoint, &limits(100));
    process.until_empty("orders", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(process.count("messages_deleted_total", ""), 3);
    assert_eq!(process.census("orders").dead, 1, "it went the way of a failure");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_as_a_whole_is_decided_as_a_whole() {
    let mut process = SimProcess::new(91);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, number| {
        let attempt = if number == 0 { answer(500) } else { fails_lines_with("none", &post.body) };
        (SECOND, attempt)
    });
    for number in 0..4 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.listen(batches(4), &endpoint, &limits(100));
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    let first = endpoint.posts()[0].body.lines().count();
    assert_eq!(process.count("messages_deferred_total", "failure"), first as u64);
    assert_eq!(process.count("messages_deleted_total", ""), 4);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_no_request_can_be_made_of_leaves_and_the_others_are_posted_without_it() {
    let mut process = SimProcess::new(92);
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::new(|post, _| (SECOND, fails_lines_with("none", &post.body)));
    for body in ["a", "unshapeable", "b", "c", "d", "e"] {
        process.world.send("orders", body);
    }
    process.listen(batches(4), &endpoint, &limits(100));
    process.until_empty("orders", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    let mut lines: Vec<String> = endpoint
        .posts()
        .iter()
        .flat_map(|post| post.body.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b", "c", "d", "e"]);
    assert_eq!(process.census("orders").dead, 1);
    assert_eq!(process.count("deliveries_total", "unshapeable"), 2, "each receive of it");
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_throttled_batch_is_parked_whole_and_one_that_could_not_be_sent_is_held_whole() {
    let mut process = SimProcess::new(93);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, number| {
        let attempt = match number {
            1 => answer_with_retry_after(429, 20),
            2 => refused(),
            _ => fails_lines_with("none", &post.body),
        };
        (SECOND, attempt)
    });
    process.world.send("orders", "first");
    process.listen(batches(1), &endpoint, &limits(100));
    process.until_empty("orders", 10 * MINUTE).await;
    for number in 0..8 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    let posts = endpoint.posts();
    let size = |number: usize| posts[number].body.lines().count() as u64;
    assert_eq!(process.count("messages_parked_total", ""), size(1));
    let (trial, others) = posts[2].body.split_once('\n').unwrap();
    assert_eq!([posts[3].body.as_str(), posts[4].body.as_str()], [trial, others], "held, a trial first");
    assert_eq!(process.count("messages_deleted_total", ""), 9);
    assert_eq!(process.count("messages_abandoned_total", ""), 0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_drain_in_the_middle_of_a_batch_settles_each_of_its_messages() {
    let mut process = SimProcess::new(94);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|post, _| (10 * SECOND, fails_lines_with("m-1", &post.body)));
    for number in 0..20 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.listen(batches(2), &endpoint, &limits(100));
    tokio::time::sleep(5 * SECOND).await;
    assert!(process.stop(MINUTE).await);
    process.assert_balanced();
    assert_eq!(process.count("messages_in_progress", "") + process.count("messages_abandoned_total", ""), 0);
    let census = process.census("orders");
    let deleted = process.count("messages_deleted_total", "") as usize;
    assert_eq!(census.visible + census.in_flight + deleted, 20);
}
