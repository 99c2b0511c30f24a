//! Messages gather for a POST over many receives; a batch that fails is split; groups keep their order within and across batches.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use queuepost::exchange::{Exchange, Request, Unshapeable, Verdicts};
use queuepost::message::{Message, MessageId};
use queuepost::pipeline::{Receiving, Settings};
use queuepost::policy::decide::{Action, Policy, Row};
use queuepost::policy::outcome::{Answer, Attempt, Outcome, StatusSet, classify_answer};

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{Post, ScriptedEndpoint, answer, refused};
use super::simulated_queue::{Faults, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The bodies of messages, a line each. The answer tells them apart if it may: 299 fails those with `poison`.
#[derive(Debug, Clone, Copy)]
pub struct Lines(pub usize);

impl Exchange for Lines {
    fn messages_max(&self) -> usize {
        self.0
    }

    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable> {
        let bodies: Vec<_> = messages.iter().map(|message| message.body.as_ref()).collect();
        if let Some(position) = bodies.iter().position(|body| body.ends_with(b"unshapeable")) {
            return Err(Unshapeable { position, why: "it is no line".to_owned() });
        }
        if bodies.iter().filter(|body| body.starts_with(b"large")).count() > 2 {
            return Err(Unshapeable { position: 0, why: "they are too much together".to_owned() });
        }
        let most = messages.iter().map(|message| message.receive_count.get()).max().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-queuepost-receive-count", HeaderValue::from(most));
        Ok(Request::new(headers, Bytes::from(bodies.join(&b'\n'))))
    }

    fn verdicts(&self, answer: &Answer, ids: &[MessageId]) -> Verdicts {
        if answer.status != 299 {
            return Verdicts::All(classify_answer(answer, &StatusSet::default()));
        }
        let mut each = vec![Outcome::Success; ids.len()];
        for place in answer.beginning.iter().flat_map(|places| places.split(' ')) {
            each[place.parse::<usize>().unwrap()] = Outcome::Failed;
        }
        Verdicts::Each(each)
    }
}

/// An answer that names the places of messages that failed.
pub fn names_failed(failed: &[usize]) -> Attempt {
    let places: Vec<String> = failed.iter().map(ToString::to_string).collect();
    let beginning = (!places.is_empty()).then(|| places.join(" "));
    Attempt::Answered(Answer { status: 299, beginning, ..Answer::default() })
}

fn batches(queue: &str, workers: usize, size: usize, window: Duration) -> Settings {
    let of_queue = settings(queue, workers);
    let receiving = Receiving { window, ..of_queue.receiving };
    Settings { exchange: Arc::new(Lines(size)), receiving, ..of_queue }
}

fn lines(post: &Post) -> Vec<String> {
    post.body.lines().map(str::to_owned).collect()
}

fn sizes(endpoint: &ScriptedEndpoint) -> Vec<usize> {
    endpoint.posts().iter().map(|post| lines(post).len()).collect()
}

/// Takes a second; 500 for a body with `poison`, else 200.
fn refuses_poison(post: &Post, _: usize) -> (Duration, Attempt) {
    (SECOND, answer(if post.body.contains("poison") { 500 } else { 200 }))
}

#[tokio::test(start_paused = true)]
async fn messages_gather_until_their_window_is_over() {
    let mut process = SimProcess::new(500);
    process.world.queue("orders", 3);
    let endpoint = ScriptedEndpoint::always(200, 1);
    process.listen(batches("orders", 4, 100, 30 * SECOND), &endpoint, &limits(100));
    for number in 0..20 {
        process.world.send("orders", &format!("m-{number}"));
        tokio::time::sleep(3 * SECOND).await;
    }
    process.until_empty("orders", 5 * MINUTE).await;
    process.stop(MINUTE).await;
    let sizes = sizes(&endpoint);
    assert_eq!((sizes.iter().sum::<usize>(), sizes.len()), (20, 2), "{sizes:?}");
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_wait_for_its_window() {
    let mut process = SimProcess::new(501);
    process.world.queue("orders", 3);
    for number in 0..1_000 {
        process.world.send("orders", &format!("m-{number}"));
    }
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    let (queue, _) = process.listen(batches("orders", 2, 250, 5 * MINUTE), &endpoint, &limits(100));
    queue.set_faults(Faults { latency: Duration::from_millis(10), ..Faults::default() });
    process.until_empty("orders", 4 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(sizes(&endpoint), [250; 4]);
    assert_eq!(process.count("messages_received_total", "first=\"true\""), 1_000);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_closed_at_six_mebibytes_and_a_longer_message_goes_alone() {
    let mut process = SimProcess::new(502);
    process.world.queue("orders", 3);
    let long = "x".repeat(1_000_000);
    for _ in 0..14 {
        process.world.send("orders", &long);
    }
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.listen(batches("orders", 4, 100, 20 * SECOND), &endpoint, &limits(100));
    process.until_empty("orders", 5 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(sizes(&endpoint).iter().sum::<usize>(), 14);
    assert_eq!(sizes(&endpoint).iter().max(), Some(&6));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_listener_holds_no_more_bytes_than_its_posts_and_two_batches_may_have() {
    let mut process = SimProcess::new(503);
    process.world.queue("orders", 10);
    let long = "x".repeat(1_000_000);
    for _ in 0..200 {
        process.world.send("orders", &long);
    }
    // The endpoint takes a minute: what is received meanwhile has to be held.
    let endpoint = ScriptedEndpoint::always(200, 60_000);
    process.listen(batches("orders", 2, 10_000, 5 * SECOND), &endpoint, &limits(1));
    for _ in 0..300 {
        tokio::time::sleep(SECOND).await;
        let held = process.census("orders").in_flight;
        assert!(held * long.len() <= 4 * 6 * 1_024 * 1_024, "{held} messages of a megabyte are held");
    }
    process.stop(5 * MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_leases_of_gathering_messages_last_for_the_whole_window() {
    let mut process = SimProcess::new(504);
    process.world.queue("orders", 3);
    for number in 0..25 {
        process.world.send("orders", &format!("m-{number}"));
    }
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    let mut settings = Settings { timeout: 5 * SECOND, ..batches("orders", 2, 100, 5 * MINUTE) };
    settings.receiving.visibility = Some(30 * SECOND);
    process.listen(settings, &endpoint, &limits(100));
    process.until_empty("orders", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(sizes(&endpoint), [25]);
    assert_eq!(process.count("messages_received_total", ""), 25, "none came a second time");
    assert_eq!(process.count("leases_lost_total", ""), 0);
}

#[tokio::test(start_paused = true)]
async fn a_poison_message_takes_none_of_its_neighbours_to_the_dead_letter_queue() {
    for (seed, size, max_receives) in
        [(505, 10, 3), (506, 100, 3), (507, 100, 2), (508, 10, 10), (509, 10, 1)]
    {
        let mut process = SimProcess::new(seed);
        process.world.queue("orders", max_receives);
        for number in 0..99 {
            process.world.send("orders", &format!("m-{number}"));
        }
        process.world.send("orders", "poison");
        let endpoint = ScriptedEndpoint::new(refuses_poison);
        process.listen(batches("orders", 2, size, 5 * SECOND), &endpoint, &limits(100));
        process.until_empty("orders", 600 * MINUTE).await;
        process.stop(MINUTE).await;
        assert_eq!(process.census("orders").dead, 1, "size {size}, max receives {max_receives}");
        assert_eq!(process.count("messages_deleted_total", ""), 99);
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_batch_comes_again_in_halves_and_then_one_by_one_and_new_messages_are_not_put_to_it() {
    let mut process = SimProcess::new(510);
    process.world.queue("orders", 20);
    for number in 0..31 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.world.send("orders", "poison");
    let endpoint = ScriptedEndpoint::new(refuses_poison);
    process.listen(batches("orders", 1, 32, 3 * SECOND), &endpoint, &limits(100));
    tokio::time::sleep(4 * SECOND).await;
    for number in 0..5 {
        process.world.send("orders", &format!("new-{number}"));
    }
    tokio::time::sleep(90 * SECOND).await;
    process.stop(MINUTE).await;
    let posts = endpoint.posts();
    assert_eq!(lines(&posts[0]).len(), 32);
    let with_poison: Vec<usize> =
        posts.iter().filter(|post| post.body.contains("poison")).map(|post| lines(post).len()).collect();
    assert_eq!(with_poison[0], 32);
    assert!(with_poison[1] <= 16, "{with_poison:?}");
    assert!(with_poison[2..].iter().all(|size| *size == 1), "{with_poison:?}");
    let mixed = |post: &&Post| post.body.contains("new-") && post.body.contains("m-");
    assert_eq!(posts.iter().filter(mixed).count(), 0);
    assert_eq!(process.count("messages_deleted_total", ""), 36);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_met_an_overloaded_endpoint_comes_again_together() {
    for (seed, status, together) in [(521, 503, true), (522, 529, true), (523, 502, false), (524, 504, false)]
    {
        let mut process = SimProcess::new(seed);
        process.world.queue("orders", 20);
        for number in 0..20 {
            process.world.send("orders", &format!("m-{number}"));
        }
        let endpoint =
            ScriptedEndpoint::new(move |_, number| (SECOND, answer(if number == 0 { status } else { 200 })));
        process.listen(batches("orders", 1, 20, 3 * SECOND), &endpoint, &limits(100));
        process.until_empty("orders", 10 * MINUTE).await;
        process.stop(MINUTE).await;
        // The trial of a gate that the answer closed may be alone.
        let largest = sizes(&endpoint)[1..].iter().max().copied();
        assert_eq!(largest > Some(10), together, "{status}: {:?}", sizes(&endpoint));
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_for_a_message_at_fault_is_about_a_message_that_was_posted_alone() {
    for (seed, action) in [(511, Action::Delete), (512, Action::DeadLetter)] {
        let mut process = SimProcess::new(seed);
        process.world.queue("orders", 10);
        for number in 0..19 {
            process.world.send("orders", &format!("m-{number}"));
        }
        process.world.send("orders", "poison");
        let endpoint = ScriptedEndpoint::new(|post, _| {
            (SECOND, answer(if post.body.contains("poison") { 422 } else { 200 }))
        });
        let row = Row { status: StatusSet::new([(400, 499)]), action, delay: None };
        let policy = Policy { rows: vec![row], ..Policy::default() };
        let settings = Settings { policy, ..batches("orders", 2, 20, 5 * SECOND) };
        process.listen(settings, &endpoint, &limits(100));
        process.until_empty("orders", 60 * MINUTE).await;
        process.stop(MINUTE).await;
        let accepted: usize = endpoint.accepted().iter().map(|body| body.lines().count()).sum();
        assert_eq!(accepted, 19, "every neighbour was done");
        let alone = endpoint.posts().iter().filter(|post| post.body == "poison").count();
        assert_eq!(alone, 1, "it was done with at its first POST alone");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_of_a_closed_gate_carries_one_message_of_a_batch() {
    let mut process = SimProcess::new(513);
    process.world.queue("orders", 4);
    for number in 0..2_000 {
        process.world.send("orders", &format!("m-{number}"));
    }
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let is_out = post.began < 10 * MINUTE;
        (SECOND, answer(if is_out { 429 } else { 200 }))
    });
    process.listen(batches("orders", 2, 50, SECOND), &endpoint, &limits(100));
    process.until_empty("orders", 120 * MINUTE).await;
    process.stop(MINUTE).await;
    let refused: Vec<usize> = endpoint
        .posts()
        .iter()
        .filter(|post| post.status == Some(429) && post.began > MINUTE)
        .map(|post| lines(post).len())
        .collect();
    assert!(!refused.is_empty() && refused.iter().all(|size| *size == 1), "{refused:?}");
    assert_eq!(process.census("orders").dead, 0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_drain_gives_back_what_has_gathered_as_it_came() {
    let mut process = SimProcess::new(514);
    process.world.queue("orders", 3);
    for number in 0..15 {
        process.world.send("orders", &format!("m-{number}"));
    }
    let endpoint = ScriptedEndpoint::always(200, 1);
    process.listen(batches("orders", 2, 100, 5 * MINUTE), &endpoint, &limits(100));
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(process.census("orders").in_flight, 15);
    assert!(process.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), process.census("orders").visible), (0, 15));
    let released = process.count("messages_released_total", "drain");
    assert!(
        (15..=25).contains(&released),
        "{released}: a receive under way may bring some of them once more"
    );
    process.assert_balanced();
}

/// Sends `GROUP/1` to `GROUP/COUNT` in turn over the groups.
fn send_groups(world: &World, groups: &[&str], count: u32) {
    for number in 1..=count {
        for group in groups {
            world.send_to("orders.fifo", group, &format!("{group}/{number}"));
        }
    }
}

/// The numbers of each group, as they were posted and accepted.
fn by_group(bodies: impl IntoIterator<Item = String>) -> BTreeMap<String, Vec<u32>> {
    let mut groups = BTreeMap::<String, Vec<u32>>::new();
    for line in bodies.into_iter().flat_map(|body| body.lines().map(str::to_owned).collect::<Vec<_>>()) {
        let (group, number) = line.split_once('/').unwrap();
        groups.entry(group.to_owned()).or_default().push(number.parse().unwrap());
    }
    groups
}

#[tokio::test(start_paused = true)]
async fn a_fifo_batch_has_messages_of_several_groups_each_in_order() {
    let mut process = SimProcess::new(515);
    process.world.queue("orders.fifo", 3);
    let groups = ["a", "b", "c", "d", "e"];
    send_groups(&process.world, &groups, 8);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.listen(batches("orders.fifo", 4, 10, Duration::ZERO), &endpoint, &limits(100));
    process.until_empty("orders.fifo", 10 * MINUTE).await;
    process.stop(MINUTE).await;
    for (group, numbers) in by_group(endpoint.accepted()) {
        assert_eq!(numbers, (1..=8).collect::<Vec<_>>(), "{group}");
    }
    let sizes = sizes(&endpoint);
    assert!(sizes.iter().any(|size| *size > 2), "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 10), "{sizes:?}");
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_fifo_batch_stops_at_the_first_failure_of_a_group_and_lets_other_groups_go_on() {
    let mut process = SimProcess::new(516);
    process.world.queue("orders.fifo", 10);
    send_groups(&process.world, &["a", "b", "c", "d", "e"], 8);
    // Once, the answer calls a message failed that has others of its group behind it, and calls those done.
    let failed = Arc::new(OnceLock::new());
    let fails = Arc::clone(&failed);
    let endpoint = ScriptedEndpoint::new(move |post, number| {
        let lines = lines(post);
        let group = |line: &String| line.split('/').next().unwrap().to_owned();
        let place = lines.windows(2).position(|pair| group(&pair[0]) == group(&pair[1]));
        let place = place.filter(|place| fails.set((number, lines[*place].clone())).is_ok());
        (SECOND, names_failed(place.as_slice()))
    });
    process.listen(batches("orders.fifo", 4, 10, Duration::ZERO), &endpoint, &limits(100));
    process.until_empty("orders.fifo", 30 * MINUTE).await;
    process.stop(MINUTE).await;
    let (at, line) = failed.get().expect("a batch with two of a group");
    let (group, number) = line.split_once('/').unwrap();
    let after = endpoint.posts().into_iter().skip(at + 1).map(|post| post.body);
    let again = by_group(after);
    let number: u32 = number.parse().unwrap();
    assert_eq!(again[group], (number..=8).collect::<Vec<_>>(), "what stood behind came again, in order");
    let others = by_group(endpoint.posts().into_iter().map(|post| post.body));
    for (other, numbers) in others.iter().filter(|(other, _)| *other != group) {
        assert_eq!(*numbers, (1..=8).collect::<Vec<_>>(), "{other}");
    }
    assert_eq!(process.count("messages_deleted_total", ""), 40);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_fifo_batch_that_could_not_be_sent_is_held_whole_and_one_that_is_throttled_parked_whole() {
    let mut process = SimProcess::new(519);
    process.world.queue("orders.fifo", 10);
    send_groups(&process.world, &["a", "b", "c"], 8);
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let attempt = match post.began {
            began if began < 2 * MINUTE => refused(),
            began if began < 4 * MINUTE => answer(429),
            _ => answer(200),
        };
        (SECOND, attempt)
    });
    process.listen(batches("orders.fifo", 4, 10, Duration::ZERO), &endpoint, &limits(100));
    process.until_empty("orders.fifo", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(process.count("messages_deferred_total", "failure"), 0, "none failed");
    for (group, numbers) in by_group(endpoint.accepted()) {
        assert_eq!(numbers, (1..=8).collect::<Vec<_>>(), "{group}");
    }
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_group_that_waits_holds_up_no_other_group_of_its_receive() {
    let mut process = SimProcess::new(520);
    process.world.queue("orders.fifo", 3);
    send_groups(&process.world, &["a", "b", "c", "d"], 6);
    // The first POST of group a takes half an hour.
    let endpoint = ScriptedEndpoint::new(|post, _| {
        let slow = post.body.contains("a/1");
        (if slow { 30 * MINUTE } else { SECOND }, answer(200))
    });
    let settings = Settings { timeout: 60 * MINUTE, ..batches("orders.fifo", 8, 2, Duration::ZERO) };
    process.listen(settings, &endpoint, &limits(100));
    tokio::time::sleep(10 * MINUTE).await;
    let done = by_group(endpoint.accepted());
    let others = ["b", "c", "d"].map(|group| done.get(group).map_or(0, Vec::len));
    assert!(others.iter().filter(|count| **count == 6).count() >= 2, "{done:?}");
    process.until_empty("orders.fifo", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_too_much_together_go_in_several_posts() {
    let mut process = SimProcess::new(518);
    process.world.queue("orders", 2);
    for number in 0..20 {
        process.world.send("orders", &format!("large-{number}"));
    }
    process.world.send("orders", "unshapeable");
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.listen(batches("orders", 2, 30, 5 * SECOND), &endpoint, &limits(100));
    process.until_empty("orders", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(sizes(&endpoint).iter().sum::<usize>(), 20, "each once");
    assert_eq!(process.count("messages_deleted_total", ""), 20);
    assert_eq!((process.census("orders").dead, process.count("deliveries_total", "unshapeable")), (1, 2));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn behind_a_message_that_no_request_can_be_made_of_its_group_waits() {
    let mut process = SimProcess::new(517);
    process.world.queue("orders.fifo", 2);
    for body in ["a/1", "a/unshapeable", "a/3", "b/1", "b/2"] {
        process.world.send_to("orders.fifo", &body[..1], body);
    }
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.listen(batches("orders.fifo", 4, 10, Duration::ZERO), &endpoint, &limits(100));
    tokio::time::sleep(20 * SECOND).await;
    let posted: Vec<String> = endpoint.posts().iter().flat_map(lines).collect();
    assert!(!posted.contains(&"a/3".to_owned()), "{posted:?}");
    process.until_empty("orders.fifo", 60 * MINUTE).await;
    process.stop(MINUTE).await;
    let mut posted: Vec<String> = endpoint.posts().iter().flat_map(lines).collect();
    posted.sort();
    assert_eq!(posted, ["a/1", "a/3", "b/1", "b/2"]);
    process.assert_balanced();
}
