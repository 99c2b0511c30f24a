//! One receive alone: repeated as it was on a FIFO queue, and only where its answer may be lost.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::limit::{Rank, RunAhead};
use crate::message::Message;
use crate::pipeline::admit::Reservation;
use crate::pipeline::intake::prepare::Prepared;
use crate::pipeline::intake::receive::{Received, receive};
use crate::pipeline::kit_for_tests::{Kit, MINUTE, SECOND, Setup, close, failed, message};
use crate::policy::advice::queue::QueueReason;
use crate::ports::{QueueError, QueueErrorKind};

/// A kit of a FIFO or a standard queue whose receives are answered at once.
fn kit(fifo: bool, receives: Vec<Result<Vec<Message>, QueueError>>) -> Kit {
    let mut setup = Setup::default();
    setup.settings.queue_name = if fifo { "orders.fifo" } else { "orders" }.to_owned();
    setup.receives = receives.into_iter().map(|answer| (Duration::ZERO, answer)).collect();
    setup.kit()
}

/// Ten slots, and room for ten.
async fn prepared(kit: &Kit) -> Prepared {
    let slots = kit.slots.reserve(10, RunAhead::NONE).await;
    let reservation = kit.dispatch.admission.reserve(10, None).await;
    Prepared { slots, reservation, wait: SECOND }
}

fn kind(received: &Received) -> Option<QueueErrorKind> {
    received.as_ref()?.as_ref().err().map(|error| error.kind)
}

#[tokio::test(start_paused = true)]
async fn a_fifo_receive_that_failed_on_the_way_is_repeated_exactly_as_it_was() {
    let lost = [QueueReason::TimedOut, QueueReason::Server].map(|reason| Err(failed(reason)));
    let kit = kit(true, lost.into_iter().chain([Ok(vec![message(1)])]).collect());
    let mut prepared = prepared(&kit).await;
    let began = Instant::now();
    let answer = receive(&kit.dispatch, &mut prepared, SECOND).await;
    let Some(Ok((messages, asked))) = answer else { panic!("{answer:?}") };
    let receives = kit.queue.receives();
    assert_eq!((messages.len(), receives.len()), (1, 3));
    assert!(receives[0].attempt.is_some() && receives.iter().all(|receive| *receive == receives[0]));
    assert_eq!((receives[0].max, receives[0].visibility), (10, 90 * SECOND));
    assert_eq!(
        (asked.first, asked.last),
        (began, Instant::now()),
        "twelve hours may have begun with the first"
    );
    assert_eq!(
        (prepared.slots.count(), prepared.reservation.deliveries()),
        (10, 0),
        "room is for others meanwhile"
    );
}

#[tokio::test(start_paused = true)]
async fn two_receives_never_have_the_same_attempt_id() {
    let kit = kit(true, vec![Ok(Vec::new()), Ok(Vec::new())]);
    for _ in 0..2 {
        receive(&kit.dispatch, &mut prepared(&kit).await, SECOND).await;
    }
    let receives = kit.queue.receives();
    assert_ne!(receives[0].attempt, receives[1].attempt);
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_was_refused_is_not_repeated_nor_any_of_a_standard_queue() {
    for (fifo, reason, expected) in [
        (true, QueueReason::AccessDenied, QueueErrorKind::Denied),
        (true, QueueReason::Throttled, QueueErrorKind::Throttled),
        (false, QueueReason::TimedOut, QueueErrorKind::TimedOut),
    ] {
        let kit = kit(fifo, vec![Err(failed(reason)), Ok(Vec::new())]);
        let answer = receive(&kit.dispatch, &mut prepared(&kit).await, SECOND).await;
        assert_eq!((kind(&answer), kit.queue.receives().len()), (Some(expected), 1), "{reason:?}");
        assert_eq!(kit.queue.receives()[0].attempt.is_some(), fifo);
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_is_repeated_for_as_long_as_its_messages_may_be_hidden() {
    let kit = kit(true, (0..1_000).map(|_| Err(failed(QueueReason::TimedOut))).collect());
    let began = Instant::now();
    let answer = receive(&kit.dispatch, &mut prepared(&kit).await, SECOND).await;
    assert_eq!(kind(&answer), Some(QueueErrorKind::TimedOut));
    let (took, receives) = (began.elapsed(), kit.queue.receives().len());
    assert!(took < 90 * SECOND && took > 30 * SECOND && receives > 5, "{receives} in {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_a_settle_fault_and_a_closed_gate_end_the_repeating() {
    for obstacle in ["drain", "settle fault", "gate"] {
        let kit = kit(true, (0..1_000).map(|_| Err(failed(QueueReason::TimedOut))).collect());
        let (ctx, mut prepared) = (&kit.dispatch.ctx, prepared(&kit).await);
        let mut receiving = std::pin::pin!(receive(&kit.dispatch, &mut prepared, SECOND));
        assert!(timeout(SECOND, &mut receiving).await.is_err());
        match obstacle {
            "drain" => ctx.drain.begin(MINUTE),
            "gate" => close(&kit.dispatch.admission.gates.own, MINUTE),
            _ => drop(ctx.health.set_settle_fault(Some("denied".to_owned()))),
        }
        let before = kit.queue.receives().len();
        assert!(kind(&receiving.await).is_some(), "{obstacle}");
        assert_eq!(kit.queue.receives().len(), before, "{obstacle}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_receive_begins_at_a_closed_gate_without_its_probe() {
    let kit = kit(false, vec![Ok(Vec::new())]);
    let mut prepared = prepared(&kit).await;
    close(&kit.dispatch.admission.gates.shared, MINUTE);
    let answer = receive(&kit.dispatch, &mut prepared, SECOND).await;
    assert!(answer.is_none(), "{answer:?}");
    assert!(kit.queue.receives().is_empty());
    prepared.reservation = Reservation::default();
    kit.dispatch.admission.gates.pass(Rank::Poller, &mut prepared.reservation.probes).await;
    let answer = receive(&kit.dispatch, &mut prepared, SECOND).await;
    assert!(matches!(answer, Some(Ok(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_receive_under_way_is_awaited_in_a_drain_until_shortly_before_its_deadline() {
    for (takes, is_answered) in [(20 * SECOND, true), (MINUTE, false)] {
        let receives = vec![(takes, Ok(vec![message(1)]))];
        let kit = Setup { receives, ..Setup::default() }.kit();
        let (mut prepared, began) = (prepared(&kit).await, Instant::now());
        kit.dispatch.ctx.drain.begin(30 * SECOND);
        let answer = receive(&kit.dispatch, &mut prepared, 20 * SECOND).await;
        assert_eq!(matches!(answer, Some(Ok(_))), is_answered, "{answer:?}");
        assert_eq!(answer.is_none(), !is_answered, "{answer:?}");
        assert_eq!(began.elapsed(), if is_answered { takes } else { 27 * SECOND });
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_the_repeating() {
    let kit = kit(true, (0..1_000).map(|_| Err(failed(QueueReason::TimedOut))).collect());
    let mut prepared = prepared(&kit).await;
    let mut receiving = std::pin::pin!(receive(&kit.dispatch, &mut prepared, SECOND));
    assert!(timeout(SECOND, &mut receiving).await.is_err());
    kit.dispatch.handle.change(|controls| controls.paused = true);
    let before = kit.queue.receives().len();
    assert!(kind(&receiving.await).is_some());
    assert_eq!(kit.queue.receives().len(), before);
}
