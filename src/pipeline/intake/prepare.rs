//! Before a receive: waits until nothing speaks against it, and reserves what its messages need.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::limit::{Probe, Rank, Reserved};
use crate::pipeline::admit::Reservation;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::intake::not_receiving::NotReceiving;
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

/// Waits until nothing speaks against a receive: no drain, pause, back-off, settle fault or closed gate, and slots and
/// room are reserved. `None` when the drain begins.
///
/// # Cancel safety
/// Dropping the future frees all it has reserved.
pub(super) async fn prepare(dispatch: Arc<Dispatch>, wanted: Wanted) -> Option<Prepared> {
    let prepared = dispatch.ctx.drain.unless_draining(unless_paused(&dispatch, wanted)).await;
    dispatch.not_receiving.send_replace(prepared.is_none().then_some(NotReceiving::Draining));
    prepared
}

async fn unless_paused(dispatch: &Dispatch, wanted: Wanted) -> Prepared {
    let handle = &dispatch.handle;
    loop {
        if handle.controls().paused {
            dispatch.not_receiving.send_replace(Some(NotReceiving::Paused));
            handle.until_paused(false).await;
        }
        tokio::select! {
            biased;
            () = handle.until_paused(true) => {}
            prepared = wait_for_all(dispatch, wanted) => return prepared,
        }
    }
}

async fn wait_for_all(dispatch: &Dispatch, wanted: Wanted) -> Prepared {
    let (health, gates) = (&dispatch.ctx.health, &dispatch.admission.gates);
    let waits = &dispatch.not_receiving;
    if let Some(not_before) = wanted.not_before {
        waits.send_replace(Some(NotReceiving::BackOff));
        tokio::time::sleep_until(not_before).await;
    }
    loop {
        if health.has_settle_fault() {
            waits.send_replace(Some(NotReceiving::SettleFault));
            health.settles().await;
        }
        let prepared = if gates.are_open() {
            let prepared = reserve(dispatch, wanted).await;
            // It may have closed meanwhile.
            gates.are_open().then_some(prepared)
        } else {
            let prepared = reserve_probe(dispatch).await;
            (!prepared.reservation.probes.is_empty()).then_some(prepared)
        };
        if let Some(prepared) = prepared.filter(|_| !health.has_settle_fault()) {
            return prepared;
        }
    }
}

/// Slots, and room at the endpoint where the queue is busy.
async fn reserve(dispatch: &Dispatch, wanted: Wanted) -> Prepared {
    let (admission, waits) = (&dispatch.admission, &dispatch.not_receiving);
    let idle_wait = dispatch.ctx.settings.receive_wait;
    let tuning::Intake { batch, linger, linger_for_one_of, busy_wait, .. } =
        dispatch.ctx.settings.tuning.intake;
    let batch = batch.min(dispatch.ctx.queue.limits().batch);
    let per_delivery = dispatch.ctx.settings.per_delivery();
    let share = admission.membership.fair_part().saturating_mul(per_delivery);
    let most = if wanted.busy && !wanted.single { batch.min(share) } else { 1 };
    let enough = |of: usize| most.min(of.div_ceil(linger_for_one_of));
    waits.send_replace(Some(NotReceiving::NoSlot));
    let mut slots = free(dispatch, enough(dispatch.slots.counts().limit), most, linger).await;
    let mut reservation = Reservation::default();
    if wanted.busy {
        waits.send_replace(Some(NotReceiving::NoRoom));
        let deliveries = slots.count().div_ceil(per_delivery);
        let few = enough(admission.limits.sessions.limit());
        reservation = admission.reserve(few, deliveries, linger).await;
        slots.keep(reservation.deliveries().saturating_mul(per_delivery));
    }
    let wait = if wanted.busy { busy_wait.min(idle_wait) } else { idle_wait };
    Prepared { slots, reservation, wait }
}

/// One slot, before the wait at closed gates: without, intake would keep the turn from the messages that have all
/// slots and wait there too. No probes when the gates have opened.
async fn reserve_probe(dispatch: &Dispatch) -> Prepared {
    let (admission, waits) = (&dispatch.admission, &dispatch.not_receiving);
    let idle_wait = dispatch.ctx.settings.receive_wait;
    waits.send_replace(Some(NotReceiving::NoSlot));
    let slots = free(dispatch, 1, 1, Duration::ZERO).await;
    waits.send_replace(Some(NotReceiving::GateClosed));
    let mut reservation = Reservation::default();
    admission.gates.pass(Rank::Poller, &mut reservation.probes).await;
    // A long poll would keep the turn from other listeners.
    let idle = reservation.probes.iter().all(Probe::is_idle);
    let may_wait = idle && admission.limits.sessions.listeners() == 1;
    let busy_wait = dispatch.ctx.settings.tuning.intake.busy_wait;
    let wait = if may_wait { idle_wait } else { busy_wait.min(idle_wait) };
    Prepared { slots, reservation, wait }
}

/// Free slots. Without one nobody looks for another message than those on their final receive.
async fn free(dispatch: &Dispatch, enough: usize, most: usize, linger: Duration) -> Reserved {
    let _blocked = (dispatch.slots.counts().free() == 0).then(|| dispatch.admission.gates.blocked());
    dispatch.slots.reserve(enough, most, linger).await
}
