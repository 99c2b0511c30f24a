//! The intake task alone: what becomes of what receives bring.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::limit::{Evidence, Reason};
use crate::message::{Message, ReceiptHandle, ReceiveCount};
use crate::pipeline::controls::Handle;
use crate::pipeline::flow::Flow;
use crate::pipeline::group::Groups;
use crate::pipeline::intake::task::Intake;
use crate::pipeline::kit_for_tests::{
    Kit, MINUTE, SECOND, Setup, circumstances, close, failed, message, status,
};
use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::exit::Exit;
use crate::policy::advice::queue::QueueReason;
use crate::telemetry::labels::ReleaseReason;

/// The intake of a kit, who may pause it, and the deliveries that it starts.
fn intake(kit: &Kit) -> (Intake, Handle, TaskTracker) {
    let deliveries = TaskTracker::new();
    let groups = Arc::new(Groups::new(kit.dispatch.ctx.settings().tuning.groups));
    let flow = Flow::new(Arc::clone(&kit.dispatch), groups, deliveries.clone());
    (Intake::new(flow, Arc::clone(&kit.settler)), kit.dispatch.handle.clone(), deliveries)
}

/// Receives bring these, each after a second; a POST takes ten.
fn bringing(receives: Vec<Vec<Message>>) -> Setup {
    let receives = receives.into_iter().map(|messages| (SECOND, Ok(messages))).collect();
    Setup { receives, ..Setup::answering(|_, _| (10 * SECOND, status(200))) }
}

#[tokio::test(start_paused = true)]
async fn a_message_in_flight_already_becomes_a_newer_handle_and_no_second_delivery() {
    let again = Message { receipt: ReceiptHandle::new("h-1-again"), ..message(1) };
    let mut kit = bringing(vec![vec![message(1)], vec![again]]).kit();
    let (mut intake, _handle, _deliveries) = intake(&kit);
    assert!(timeout(MINUTE, intake.run()).await.is_err());
    let left = kit.left().await;
    assert_eq!((left.exit(), left.handle()), (("m-1".to_owned(), Exit::DELETE), "h-1-again".to_owned()));
    left.confirm();
    assert_eq!((kit.all_left().len(), kit.endpoint.posts().len()), (0, 1));
    let metrics = &kit.dispatch.ctx.metrics;
    assert_eq!(
        (metrics.duplicates_suppressed.get(), metrics.deleted.get()),
        (1, 2),
        "both receives are settled"
    );
    assert_eq!(kit.slots.counts().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn more_messages_than_slots_were_reserved_for_are_left_to_sqs() {
    let mut kit = bringing(vec![(1..=3).map(message).collect()]).kit();
    let (mut intake, _handle, _deliveries) = intake(&kit);
    assert!(timeout(MINUTE, intake.run()).await.is_err());
    assert_eq!(kit.queue.receives()[0].max, 1);
    assert_eq!(kit.all_left(), [("m-1".to_owned(), Exit::DELETE)]);
    assert_eq!(kit.dispatch.ctx.metrics.totals().received, 1);
}

#[tokio::test(start_paused = true)]
async fn a_receive_under_way_when_the_drain_begins_is_awaited_and_what_it_brings_is_released() {
    let mut kit = bringing(vec![vec![message(1)]]).kit();
    let (mut intake, _handle, deliveries) = intake(&kit);
    assert!(timeout(SECOND / 2, intake.run()).await.is_err());
    kit.dispatch.ctx.drain.begin(MINUTE);
    intake.run().await;
    deliveries.close();
    deliveries.wait().await;
    let released = Exit::Hide { until: Instant::now(), how: Settled::Released(ReleaseReason::Drain) };
    assert_eq!(kit.all_left(), [("m-1".to_owned(), released)]);
    assert_eq!((kit.queue.receives().len(), kit.slots.counts().reserved), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_receive_frees_its_slots_and_is_followed_by_one_of_one_message() {
    let receives =
        vec![(Duration::ZERO, Ok(vec![message(1)])), (Duration::ZERO, Err(failed(QueueReason::Server)))];
    let mut setup = Setup { receives, ..Setup::default() };
    setup.settings.workers = 10;
    let kit = setup.kit();
    let (mut intake, _handle, _deliveries) = intake(&kit);
    assert!(timeout(MINUTE, intake.run()).await.is_err());
    let asked: Vec<_> = kit.queue.receives().iter().map(|receive| receive.max).collect();
    assert_eq!((asked, kit.slots.counts().reserved), (vec![1, 9, 1], 1), "one of ten slots is in use");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_paused_receives_nothing_until_it_is_resumed() {
    let kit = bringing(Vec::new()).kit();
    let (mut intake, handle, _deliveries) = intake(&kit);
    handle.change(|controls| controls.paused = true);
    assert!(timeout(MINUTE, intake.run()).await.is_err());
    assert!(kit.queue.receives().is_empty());
    handle.change(|controls| controls.paused = false);
    assert!(timeout(MINUTE, intake.run()).await.is_err());
    assert_eq!(kit.queue.receives().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_brought_only_a_last_try_passes_its_turn_on() {
    let last = Message { receive_count: ReceiveCount::new(3), ..message(1) };
    let mut kit = bringing(vec![vec![last], vec![message(2)]]).kit();
    kit.dead_letters_after(3);
    for _ in 0..16 {
        // Not Retry-After: after one the endpoint itself said when to come back.
        kit.dispatch.admission.gates.shared.learn(Evidence::Refused(Reason::Throttled, 0), circumstances());
    }
    assert!(!kit.dispatch.admission.gates.are_open());
    let (mut intake, _handle, _deliveries) = intake(&kit);
    assert!(timeout(10 * MINUTE, intake.run()).await.is_err());
    assert_eq!(kit.endpoint.posts(), ["m-2", "m-1"], "the one that can be spared goes first");
    assert_eq!(kit.all_left().len(), 2);
    assert!(kit.dispatch.admission.gates.are_open());
}

#[tokio::test(start_paused = true)]
async fn while_a_gate_is_closed_one_receive_of_one_message_is_under_way_at_most() {
    let kit = bringing(Vec::new()).kit();
    close(&kit.dispatch.admission.gates.shared, MINUTE);
    let (mut intake, _handle, _deliveries) = intake(&kit);
    assert!(timeout(MINUTE / 2, intake.run()).await.is_err());
    assert!(kit.queue.receives().is_empty(), "its pause is not over");
    assert!(timeout(60 * MINUTE, intake.run()).await.is_err());
    let receives = kit.queue.receives();
    assert_eq!((receives.len(), receives[0].max), (1, 1));
}
