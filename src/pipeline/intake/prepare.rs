//! Before a receive: waits until nothing speaks against it, and reserves what its messages need.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::limit::{FullReceive, Probe, Rank, Reserved, RunAhead, Slots};
use crate::pipeline::admit::Reservation;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::intake::not_receiving::NotReceiving;
use crate::tuning;

/// What a receive is prepared with.
#[derive(Debug)]
pub(super) struct Prepared {
    /// As many messages are asked for. The numbers behind it are in `tuning/mod.rs`.
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
    /// No receive starts before, and why.
    pub(super) not_before: Option<(Instant, NotReceiving)>,
    /// How long a receive takes, while there is a backlog.
    pub(super) takes: Option<Duration>,
}

/// Waits until nothing speaks against a receive: no drain, pause, stand-by, back-off, gathering, settle fault or closed gate, and slots and
/// room are reserved. `None` when the drain begins.
///
/// # Cancel safety
/// Dropping the future frees all it has reserved.
pub(super) async fn prepare(dispatch: Arc<Dispatch>, wanted: Wanted) -> Option<Prepared> {
    let Dispatch { ctx, handle, not_receiving, .. } = &*dispatch;
    let while_receiving = async {
        loop {
            if !handle.controls().receives() {
                let is_paused = handle.controls().paused;
                let why = if is_paused { NotReceiving::Paused } else { NotReceiving::StandingBy };
                not_receiving.send_replace(Some(why));
                handle.until_receiving(true).await;
            }
            tokio::select! {
                biased;
                () = handle.until_receiving(false) => {}
                prepared = wait_for_all(&dispatch, wanted) => return prepared,
            }
        }
    };
    let prepared = ctx.drain.unless_draining(while_receiving).await;
    not_receiving.send_replace(prepared.is_none().then_some(NotReceiving::Draining));
    prepared
}

async fn wait_for_all(dispatch: &Dispatch, wanted: Wanted) -> Prepared {
    let health = &dispatch.ctx.health;
    if let Some((not_before, why)) = wanted.not_before {
        dispatch.not_receiving.send_replace(Some(why));
        tokio::time::sleep_until(not_before).await;
    }
    loop {
        if health.has_settle_fault() {
            dispatch.not_receiving.send_replace(Some(NotReceiving::SettleFault));
            health.settles().await;
        }
        let prepared = reserve(dispatch, wanted).await;
        if let Some(prepared) = prepared.filter(|_| !health.has_settle_fault()) {
            return prepared;
        }
    }
}

/// Slots, and room at the endpoint where the queue is busy; one slot and probes where a gate is not open. `None` when
/// a gate has closed meanwhile, or all have opened.
async fn reserve(dispatch: &Dispatch, wanted: Wanted) -> Option<Prepared> {
    let Dispatch { ctx, slots, admission, not_receiving, .. } = dispatch;
    let tuning::Intake { batch, busy_wait, batch_linger, .. } = ctx.settings().tuning.intake;
    let per_delivery = ctx.settings().per_delivery();
    let is_open = admission.gates.are_open();
    let share = admission.membership.fair_part().saturating_mul(per_delivery);
    let is_single = wanted.single || !wanted.busy || !is_open;
    let most = if is_single { 1 } else { batch.min(ctx.queue.limits().batch).min(share) };
    let takes = wanted.takes.filter(|_| wanted.busy && is_open && may_run_ahead(dispatch));
    let receive = |brings| takes.map(|takes| FullReceive { takes, brings });
    // A batch frees room for a receive at once, and the next one gathers meanwhile.
    let alone = receive(most).filter(|_| per_delivery == 1);
    let ahead = admission.membership.run_ahead(slots.counts().limit, alone);
    // Slots come before the wait at closed gates: else intake would keep the turn from the messages that have all slots.
    not_receiving.send_replace(Some(NotReceiving::NoSlot));
    // Without a free one nobody looks for another message than those on their final receive.
    let blocked = (slots.counts().free(0) == 0).then(|| admission.gates.blocked());
    let linger = if per_delivery > 1 && !is_single { batch_linger } else { Duration::ZERO };
    let mut slots = reserve_slots(slots, most, ahead, linger).await;
    drop(blocked);
    let mut reservation = Reservation::default();
    let mut may_wait = !wanted.busy;
    if !is_open {
        not_receiving.send_replace(Some(NotReceiving::GateClosed));
        admission.gates.pass(Rank::Poller, &mut reservation.probes).await;
        // A long poll would keep the turn from other listeners.
        may_wait =
            reservation.probes.iter().all(Probe::is_idle) && admission.limits.sessions.listeners() == 1;
    } else if wanted.busy {
        not_receiving.send_replace(Some(NotReceiving::NoRoom));
        let deliveries = slots.count().div_ceil(per_delivery);
        reservation = admission.reserve(deliveries, receive(most.div_ceil(per_delivery))).await;
        slots.keep(reservation.deliveries().saturating_mul(per_delivery));
        if !ctx.settings().receiving.window.is_zero() {
            // There is room now. What gathers keeps none.
            reservation.free_room();
        }
    }
    let idle_wait = ctx.settings().receiving.wait;
    let wait = if may_wait { idle_wait } else { busy_wait.min(idle_wait) };
    let is_usable = if is_open { admission.gates.are_open() } else { !reservation.probes.is_empty() };
    is_usable.then_some(Prepared { slots, reservation, wait })
}

/// Whether messages may wait here for a session. Released untried each has lost a receive: of a few that is too much. One of a
/// claim check would hold its object meanwhile.
fn may_run_ahead(dispatch: &Dispatch) -> bool {
    let ctx = &dispatch.ctx;
    let least = ctx.settings().tuning.ahead.receives_min;
    dispatch.claim_checks.is_none() && ctx.view.max_receives().is_none_or(|max| max >= least)
}

/// Reserves slots, for up to `linger` as many as are wanted. Else a batch would fill with the few that came free first, and
/// leave as few to the next.
async fn reserve_slots(slots: &Arc<Slots>, most: usize, ahead: RunAhead, linger: Duration) -> Reserved {
    if !linger.is_zero() {
        let all = slots.reserve(most, RunAhead { enough: most, ..ahead });
        if let Ok(reserved) = tokio::time::timeout(linger, all).await {
            return reserved;
        }
    }
    slots.reserve(most, ahead).await
}
