//! Batches alone: which messages gather for one POST, and until when.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::exchange::Verdicts;
use crate::pipeline::flow::Flow;
use crate::pipeline::group::Groups;
use crate::pipeline::kit_for_tests::{Kit, MINUTE, SECOND, Setup, Together, close};
use crate::policy::final_receive::FinalReceive;
use crate::policy::outcome::Outcome;

/// Batches of up to four messages that gather for a minute.
struct Bench {
    kit: Kit,
    flow: Flow,
}

impl Bench {
    fn new(window: Duration) -> Self {
        let mut setup = Setup::default();
        setup.settings.exchange = Arc::new(Together { most: 4, verdicts: Verdicts::All(Outcome::Success) });
        setup.settings.receiving.window = window;
        let kit = setup.kit();
        let groups = Arc::new(Groups::new(kit.dispatch.ctx.settings().tuning.groups));
        let flow = Flow::new(Arc::clone(&kit.dispatch), groups, TaskTracker::new());
        Self { kit, flow }
    }

    fn start(&mut self, messages: Vec<InFlight>) {
        self.flow.start(messages, Reservation::default);
    }

    /// What was posted after so long.
    async fn posts_after(&self, wait: Duration) -> Vec<String> {
        tokio::time::sleep(wait).await;
        let mut posts = self.kit.endpoint.posts();
        posts.sort();
        posts
    }
}

#[tokio::test(start_paused = true)]
async fn what_receives_bring_gathers_until_the_window_is_over_and_full_batches_go_at_once() {
    let mut bench = Bench::new(MINUTE);
    let mut messages = bench.kit.messages(7).await;
    let later = messages.split_off(2);
    bench.start(messages);
    assert!(bench.posts_after(59 * SECOND).await.is_empty());
    bench.start(later);
    assert_eq!(bench.posts_after(SECOND / 2).await, ["m-1 m-2 m-3 m-4"]);
    assert_eq!(bench.posts_after(MINUTE).await, ["m-1 m-2 m-3 m-4", "m-5 m-6 m-7"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_window_is_over_takes_no_more_and_the_message_opens_the_next() {
    let mut bench = Bench::new(MINUTE);
    let mut messages = bench.kit.messages(2).await;
    let second = messages.split_off(1);
    bench.start(messages);
    assert_eq!(bench.posts_after(MINUTE + SECOND).await, ["m-1"]);
    bench.start(second);
    assert_eq!(bench.posts_after(MINUTE + SECOND).await, ["m-1", "m-2"]);
}

#[tokio::test(start_paused = true)]
async fn suspects_gather_apart_in_halves_and_a_message_on_its_final_receive_goes_alone() {
    let mut bench = Bench::new(MINUTE);
    let mut messages = bench.kit.messages(6).await;
    for suspect in &messages[..4] {
        bench.kit.dispatch.memory.suspect(suspect.id(), 4);
    }
    messages[5].final_receive = Some(FinalReceive { max: 3, dead_letter_queue: None });
    bench.start(messages);
    assert_eq!(bench.posts_after(SECOND).await, ["m-1 m-2", "m-3 m-4", "m-6"]);
    assert_eq!(bench.posts_after(MINUTE).await, ["m-1 m-2", "m-3 m-4", "m-5", "m-6"]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_closes_ends_the_gathering() {
    let mut bench = Bench::new(60 * MINUTE);
    let messages = bench.kit.messages(2).await;
    bench.start(messages);
    assert!(bench.posts_after(MINUTE).await.is_empty());
    close(&bench.kit.dispatch.admission.gates.shared, SECOND);
    let posts = bench.posts_after(MINUTE).await;
    assert_eq!(posts, ["m-1", "m-2"], "the trial alone, then the other");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_gathering_and_posts_nothing() {
    let mut bench = Bench::new(60 * MINUTE);
    let messages = bench.kit.messages(2).await;
    bench.start(messages);
    assert!(timeout(MINUTE, bench.kit.left()).await.is_err());
    bench.kit.dispatch.ctx.drain.begin(MINUTE);
    bench.flow.deliveries.close();
    bench.flow.deliveries.wait().await;
    assert_eq!((bench.kit.all_left().len(), bench.kit.endpoint.posts().len()), (2, 0));
}
