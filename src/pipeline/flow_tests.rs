//! Flow alone: which deliveries the messages of a receive become, and in which order.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::exchange::Verdicts;
use crate::pipeline::kit_for_tests::{Kit, SECOND, Setup, Together, status};
use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::exit::Exit;
use crate::policy::decide::DeferReason;
use crate::policy::outcome::Outcome;
use crate::telemetry::labels::ReleaseReason;

/// The flow of a kit, and how often it asked for a reservation.
struct Bench {
    kit: Kit,
    flow: Flow,
    asked: usize,
}

impl Bench {
    fn new(setup: Setup) -> Self {
        let kit = setup.kit();
        let groups = Arc::new(Groups::new(kit.dispatch.ctx.settings().tuning.groups));
        let (dispatch, deliveries) = (Arc::clone(&kit.dispatch), TaskTracker::new());
        Self { kit, flow: Flow::new(dispatch, groups, deliveries), asked: 0 }
    }

    fn start(&mut self, messages: Vec<InFlight>) {
        self.flow.start(messages, || {
            self.asked += 1;
            Reservation::default()
        });
    }

    /// Starts messages by the names of their groups; `None` is a copy of one in flight.
    fn start_groups(&mut self, messages: Vec<(&str, Option<InFlight>)>) {
        let messages = messages.into_iter().map(|(group, message)| (group.to_owned(), message)).collect();
        self.flow.start_groups(messages, || {
            self.asked += 1;
            Reservation::default()
        });
    }

    /// Waits for every delivery that was started.
    async fn ended(&self) {
        self.flow.deliveries.close();
        self.flow.deliveries.wait().await;
    }

    /// The next that leaves, after `posts` were made; it is settled then.
    async fn settles_after(&mut self, posts: &[&str]) -> (String, Exit) {
        let left = self.kit.left().await;
        assert_eq!(self.kit.endpoint.posts(), posts);
        let exit = left.exit();
        left.confirm();
        exit
    }
}

/// A POST takes a second and is answered 200, or 500 if it carries a message of these.
fn failing(messages: &'static [&str]) -> Setup {
    Setup::answering(move |_, body| (SECOND, status(if messages.contains(&body) { 500 } else { 200 })))
}

fn deleted(number: usize) -> (String, Exit) {
    (format!("m-{number}"), Exit::DELETE)
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_a_receive_go_in_posts_of_as_many_as_one_carries() {
    let mut setup = Setup::default();
    setup.settings.exchange = Arc::new(Together { most: 2, verdicts: Verdicts::All(Outcome::Success) });
    let mut bench = Bench::new(setup);
    let messages = bench.kit.messages(5).await;
    bench.start(messages);
    assert_eq!((bench.asked, bench.flow.deliveries.len()), (3, 3), "a reservation for each delivery");
    bench.ended().await;
    let mut posts = bench.kit.endpoint.posts();
    posts.sort();
    assert_eq!(posts, ["m-1 m-2", "m-3 m-4", "m-5"]);
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_a_group_go_one_after_the_other_each_after_the_confirmed_delete_before() {
    let mut bench = Bench::new(failing(&[]));
    let messages = bench.kit.messages(4).await;
    let groups = ["a", "a", "b", "a"];
    bench.start_groups(groups.into_iter().zip(messages.into_iter().map(Some)).collect());
    assert_eq!(bench.asked, 2, "only the heads need room at once");
    let heads = ["m-1", "m-3"];
    assert_eq!(bench.settles_after(&heads).await, deleted(1));
    assert_eq!(bench.settles_after(&heads).await, deleted(3));
    assert_eq!(bench.settles_after(&["m-1", "m-3", "m-2"]).await, deleted(2));
    assert_eq!(bench.settles_after(&["m-1", "m-3", "m-2", "m-4"]).await, deleted(4));
    bench.ended().await;
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_a_group_share_one_slot_until_the_last_has_left() {
    let mut bench = Bench::new(failing(&[]));
    let messages = bench.kit.messages(4).await;
    assert_eq!(bench.kit.slots.counts().in_use, 4);
    let groups = ["a", "a", "b", "a"];
    bench.start_groups(groups.into_iter().zip(messages.into_iter().map(Some)).collect());
    assert_eq!(bench.kit.slots.counts().in_use, 2, "one for each group");
    let mut in_use = Vec::new();
    for _ in 0..4 {
        let left = bench.kit.left().await;
        in_use.push(bench.kit.slots.counts().in_use);
        left.confirm();
    }
    assert_eq!(in_use, [1, 1, 1, 0], "both heads leave at once, then m-2 and m-4");
    bench.ended().await;
    assert_eq!(bench.kit.slots.counts().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn behind_a_head_that_fails_the_rest_of_its_group_is_released_unposted() {
    let mut bench = Bench::new(failing(&["m-1"]));
    let messages = bench.kit.messages(3).await;
    bench.start_groups(["a"; 3].into_iter().zip(messages.into_iter().map(Some)).collect());
    bench.ended().await;
    let left = bench.kit.all_left();
    assert!(matches!(left[0].1, Exit::Hide { how: Settled::Deferred(DeferReason::Failure), .. }), "{left:?}");
    let released = |number| {
        let exit = Exit::Hide { until: Instant::now(), how: Settled::Released(ReleaseReason::Group) };
        (format!("m-{number}"), exit)
    };
    assert_eq!(left[1..], [released(2), released(3)]);
    assert_eq!(bench.kit.endpoint.posts(), ["m-1"]);
    assert!(bench.flow.groups.in_trouble());
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_copy_of_a_message_in_flight_is_released_for_a_while() {
    let mut bench = Bench::new(failing(&[]));
    let message = bench.kit.messages(1).await.pop();
    let began = Instant::now();
    bench.start_groups(vec![("a", None), ("a", message)]);
    bench.ended().await;
    let left = bench.kit.all_left();
    let [(_, Exit::Hide { until, how: Settled::Released(ReleaseReason::Group) })] = left.as_slice() else {
        panic!("{left:?}")
    };
    // The delay of a first failure: 10 s, its upper half at random.
    assert!((began + 5 * SECOND..=began + 10 * SECOND).contains(until), "{:?}", *until - began);
    assert_eq!((bench.kit.endpoint.posts().len(), bench.asked), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_comes_of_a_group_that_is_being_delivered_waits_at_the_end_of_its_run() {
    let mut bench = Bench::new(failing(&[]));
    let mut messages = bench.kit.messages(2).await.into_iter();
    bench.start_groups(vec![("a", messages.next())]);
    assert!(tokio::time::timeout(Duration::from_millis(500), bench.kit.left()).await.is_err());
    bench.start_groups(vec![("a", messages.next())]);
    assert_eq!(bench.settles_after(&["m-1"]).await, deleted(1));
    assert_eq!(bench.settles_after(&["m-1", "m-2"]).await, deleted(2));
    assert_eq!(bench.asked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_releases_what_waits_in_a_group_and_lets_its_head_finish() {
    let mut bench = Bench::new(failing(&[]));
    let messages = bench.kit.messages(2).await;
    bench.start_groups(["a"; 2].into_iter().zip(messages.into_iter().map(Some)).collect());
    assert!(tokio::time::timeout(SECOND / 2, bench.kit.left()).await.is_err());
    bench.kit.dispatch.ctx.drain.begin(60 * SECOND);
    let began = Instant::now();
    let left = bench.kit.left().await.exit();
    assert_eq!(left.1, Exit::Hide { until: began, how: Settled::Released(ReleaseReason::Drain) });
    assert_eq!(bench.settles_after(&["m-1"]).await, deleted(1));
    bench.ended().await;
}
