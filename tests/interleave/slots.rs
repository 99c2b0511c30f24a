//! Slots: never more than the limit, all come back, and whoever waits for one gets it.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::spawn;

use crate::limit::{RunAhead, Slots};

fn assert_bounded(slots: &Slots) {
    let counts = slots.counts();
    assert!(counts.reserved + counts.in_use <= counts.limit, "{counts:?}");
}

fn assert_all_free(slots: &Slots) {
    let counts = slots.counts();
    assert_eq!((counts.reserved, counts.in_use, counts.bytes), (0, 0, 0));
}

/// Three receives side by side with two slots: each reserves two, gets one message, and finishes it.
pub(crate) async fn receives_never_have_more_than_the_limit() {
    let slots = Slots::new(2, usize::MAX);
    let receive = |slots: Arc<Slots>| async move {
        let mut reserved = slots.reserve(2, RunAhead::NONE).await;
        assert_bounded(&slots);
        let slot = reserved.take(1);
        drop(reserved);
        assert!(slot.is_some(), "a reservation is for one at least");
        assert_bounded(&slots);
    };
    let receives: Vec<_> = (0..3).map(|_| spawn(receive(Arc::clone(&slots)))).collect();
    for receive in receives {
        receive.await.unwrap();
    }
    assert_all_free(&slots);
}

/// The only slot is in use for as long as two others wait; nothing but a higher limit lets them go on.
pub(crate) async fn a_limit_that_grows_wakes_who_waits() {
    let slots = Slots::new(1, usize::MAX);
    let in_use = slots.reserve(1, RunAhead::NONE).await.take(1);
    let receive = |slots: Arc<Slots>| async move { drop(slots.reserve(1, RunAhead::NONE).await) };
    let receives: Vec<_> = (0..2).map(|_| spawn(receive(Arc::clone(&slots)))).collect();
    let grows = Arc::clone(&slots);
    let grows = spawn(async move { grows.set_limit(2, usize::MAX) });
    for receive in receives {
        receive.await.unwrap();
    }
    grows.await.unwrap();
    drop(in_use);
    assert_all_free(&slots);
}

/// Two receives side by side, one slot, and one more for what runs ahead: a receive waits until both are free.
pub(crate) async fn receives_that_run_ahead_wait_until_there_are_enough() {
    const AHEAD: RunAhead = RunAhead { most: 1, enough: 2 };
    let slots = Slots::new(1, usize::MAX);
    let receive = |slots: Arc<Slots>| async move {
        let mut reserved = slots.reserve(2, AHEAD).await;
        let counts = slots.counts();
        assert!(counts.reserved + counts.in_use <= 2, "{counts:?}");
        drop((reserved.take(1), reserved));
    };
    let receives: Vec<_> = (0..2).map(|_| spawn(receive(Arc::clone(&slots)))).collect();
    for receive in receives {
        receive.await.unwrap();
    }
    assert_all_free(&slots);
}

/// One that waits is dropped at any point of its wait, for one slot or for two, while a slot comes free.
pub(crate) async fn a_wait_that_is_dropped_reserves_nothing() {
    let slots = Slots::new(1, usize::MAX);
    let held = slots.reserve(1, RunAhead::NONE).await;
    let (give_up, given_up) = oneshot::channel::<()>();
    let (one, other) = (Arc::clone(&slots), Arc::clone(&slots));
    let gives_up = spawn(async move {
        tokio::select! {
            biased;
            _ = given_up => {}
            reserved = one.reserve(2, RunAhead { most: 1, enough: 2 }) => drop(reserved),
        }
    });
    let waits = spawn(async move { drop(other.reserve(1, RunAhead::NONE).await) });
    let frees = spawn(async move { drop(held) });
    give_up.send(()).ok();
    for task in [gives_up, waits, frees] {
        task.await.unwrap();
    }
    assert_all_free(&slots);
}
