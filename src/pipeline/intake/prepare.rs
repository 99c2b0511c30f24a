//! Before a receive: waits until nothing speaks against it, and reserves what its messages need.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::limit::{Rank, Reserved, Slots};
use crate::pipeline::admit::Reservation;
use crate::pipeline::controls::Controls;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::intake::waits::{NotReceiving, Waits};
use crate::tuning;

/// What a receive is prepared with.
#[derive(Debug)]
pub(super) struct Prepared {
    /// As many messages are asked for. The numbers behind it are in `tuning.rs`.
    pub(super) slots: Reserved,
    /// Room at the endpoint, or the right to probe it; freed while a receive has to be repeated.
    pub(super) reservation: Reservation,
    /// Long-poll time.
    pub(super) wait: Duration,
}

/// What there is to prepare.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Whether the last receive brought something.
    pub(super) busy: bool,
    /// Whether to ask for one message only.
    pub(super) single: bool,
    /// No receive starts before.
    pub(super) not_before: Option<Instant>,
}

/// What a preparation works with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) slots: Arc<Slots>,
    pub(super) controls: watch::Receiver<Controls>,
    pub(super) waits: Arc<Waits>,
}

/// Waits until nothing speaks against a receive: no drain, pause, back-off, settle fault or closed gate, and slots and
/// room are reserved. `None` when the drain begins.
///
/// # Cancel safety
/// Dropping the future frees all it has reserved.
pub(super) async fn prepare(mut means: Means, wanted: Wanted) -> Option<Prepared> {
    let drain = means.dispatch.ctx.drain.clone();
    let waits = Arc::clone(&means.waits);
    tokio::select! {
        biased;
        () = drain.draining() => {
            waits.set(Some(NotReceiving::Draining));
            None
        }
        prepared = unless_paused(&mut means, wanted) => {
            waits.set(None);
            Some(prepared)
        }
    }
}

async fn unless_paused(means: &mut Means, wanted: Wanted) -> Prepared {
    let mut controls = means.controls.clone();
    loop {
        if means.controls.borrow_and_update().paused {
            means.waits.set(Some(NotReceiving::Paused));
        }
        resumed(&mut means.controls).await;
        tokio::select! {
            biased;
            () = paused(&mut controls) => {}
            prepared = wait_for_all(means, wanted) => return prepared,
        }
    }
}

async fn paused(controls: &mut watch::Receiver<Controls>) {
    if controls.wait_for(|controls| controls.paused).await.is_err() {
        // Nobody is left who could pause it.
        std::future::pending::<()>().await;
    }
}

async fn resumed(controls: &mut watch::Receiver<Controls>) {
    if controls.wait_for(|controls| !controls.paused).await.is_err() {
        // Nobody is left who could resume it.
        std::future::pending::<()>().await;
    }
}

async fn wait_for_all(means: &Means, wanted: Wanted) -> Prepared {
    let Means { dispatch, slots, waits, .. } = means;
    let (health, gates) = (&dispatch.ctx.health, &dispatch.admission.gates);
    if let Some(not_before) = wanted.not_before {
        waits.set(Some(NotReceiving::BackOff));
        tokio::time::sleep_until(not_before).await;
    }
    loop {
        if health.has_settle_fault() {
            waits.set(Some(NotReceiving::SettleFault));
            health.settles().await;
        }
        let prepared = if gates.are_open() {
            let prepared = reserve(dispatch, slots, waits, wanted).await;
            // It may have closed meanwhile.
            gates.are_open().then_some(prepared)
        } else {
            let prepared = reserve_probe(dispatch, slots, waits).await;
            (!prepared.reservation.probes.is_empty()).then_some(prepared)
        };
        if let Some(prepared) = prepared.filter(|_| !health.has_settle_fault()) {
            return prepared;
        }
    }
}

/// Slots, and room at the endpoint where the queue is busy.
async fn reserve(dispatch: &Dispatch, slots: &Arc<Slots>, waits: &Waits, wanted: Wanted) -> Prepared {
    let (admission, idle_wait) = (&dispatch.admission, dispatch.ctx.settings.receive_wait);
    let tuning::Intake { batch, linger, linger_for_one_of, busy_wait, .. } =
        dispatch.ctx.settings.tuning.intake;
    let batch = batch.min(dispatch.ctx.queue.limits().batch);
    let per_delivery = dispatch.ctx.settings.exchange.messages_max().max(1);
    let share = admission.membership.fair_part().saturating_mul(per_delivery);
    let most = if wanted.busy && !wanted.single { batch.min(share) } else { 1 };
    let enough = |of: usize| most.min(of.div_ceil(linger_for_one_of));
    waits.set(Some(NotReceiving::NoSlot));
    let mut slots = free(dispatch, slots, enough(slots.limit()), most, linger).await;
    let mut reservation = Reservation::default();
    if wanted.busy {
        waits.set(Some(NotReceiving::NoRoom));
        let deliveries = slots.len().div_ceil(per_delivery);
        let few = enough(admission.limits.sessions.limit());
        reservation = admission.reserve(few, deliveries, linger).await;
        slots.keep(reservation.deliveries().saturating_mul(per_delivery));
    }
    let wait = if wanted.busy { busy_wait.min(idle_wait) } else { idle_wait };
    Prepared { slots, reservation, wait }
}

/// One slot, before the wait at closed gates: without, intake would keep the turn from the messages that have all
/// slots and wait there too. No probes when the gates have opened.
async fn reserve_probe(dispatch: &Dispatch, slots: &Arc<Slots>, waits: &Waits) -> Prepared {
    let (admission, idle_wait) = (&dispatch.admission, dispatch.ctx.settings.receive_wait);
    waits.set(Some(NotReceiving::NoSlot));
    let slots = free(dispatch, slots, 1, 1, Duration::ZERO).await;
    waits.set(Some(NotReceiving::GateClosed));
    let mut reservation = Reservation::default();
    admission.gates.pass(Rank::Poller, &mut reservation.probes).await;
    // A long poll would keep the turn from other listeners.
    let may_wait = reservation.probes.are_idle() && admission.limits.sessions.listeners() == 1;
    let busy_wait = dispatch.ctx.settings.tuning.intake.busy_wait;
    let wait = if may_wait { idle_wait } else { busy_wait.min(idle_wait) };
    Prepared { slots, reservation, wait }
}

/// Free slots. Without one nobody looks for another message than those on their final receive.
async fn free(
    dispatch: &Dispatch,
    slots: &Arc<Slots>,
    enough: usize,
    most: usize,
    linger: Duration,
) -> Reserved {
    let _blocked = (!slots.has_free()).then(|| dispatch.admission.gates.blocked());
    slots.reserve(enough, most, linger).await
}
