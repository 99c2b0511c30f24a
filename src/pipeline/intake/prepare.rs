//! Before a receive: waits until nothing speaks against it, and reserves what its messages need.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::limit::{Claim, PaceClaims, Rank, Reserved, Slots};
use crate::pipeline::controls::Controls;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::gates::Probes;
use crate::pipeline::intake::waits::{NotReceiving, Waits};
use crate::tuning;

/// What a receive is prepared with.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) slots: Reserved,
    pub(super) room: Room,
    /// Long-poll time.
    pub(super) wait: Duration,
}

/// Room at the endpoint, or the right to probe it; given up while a receive has to be repeated.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) claims: Vec<Claim>,
    pub(super) pace: Option<PaceClaims>,
    pub(super) probes: Probes,
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
            // It will be back: no reason for a message on its final receive to probe.
            let _away = gates.away();
            health.settles().await;
        }
        let prepared = if gates.are_open() {
            let prepared = reserve(dispatch, slots, waits, wanted).await;
            // It may have closed meanwhile.
            gates.are_open().then_some(prepared)
        } else {
            let prepared = reserve_probe(dispatch, slots, waits, wanted.busy).await;
            (!prepared.room.probes.is_empty()).then_some(prepared)
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
    let most = if wanted.busy && !wanted.single { batch.min(admission.share.share()) } else { 1 };
    let enough = |of: usize| most.min(of.div_ceil(linger_for_one_of));
    waits.set(Some(NotReceiving::NoSlot));
    let mut slots = slots.reserve(enough(slots.limit()), most, linger).await;
    let mut room = Room::default();
    if wanted.busy {
        waits.set(Some(NotReceiving::NoRoom));
        let few_sessions = enough(admission.limits.sessions.limit()).min(slots.len());
        room.pace = admission.limits.pace.claim(slots.len()).await;
        let most = room.pace.as_ref().map_or(slots.len(), |pace| pace.len().min(slots.len()));
        room.claims = admission.share.claim(few_sessions.min(most), most, linger).await;
        slots.keep(room.claims.len());
    }
    let wait = if wanted.busy { busy_wait.min(idle_wait) } else { idle_wait };
    Prepared { slots, room, wait }
}

/// One slot, before the wait at closed gates: without, intake would keep the turn from the messages that have all
/// slots and wait there too. No probes when the gates have opened.
async fn reserve_probe(dispatch: &Dispatch, slots: &Arc<Slots>, waits: &Waits, busy: bool) -> Prepared {
    let (admission, idle_wait) = (&dispatch.admission, dispatch.ctx.settings.receive_wait);
    // Whose last probe was refused lets others look, whose way may be healthy.
    let first = busy && !admission.gates.has_refused_a_probe();
    let rank = if first { Rank::BusyPoller } else { Rank::IdlePoller };
    waits.set(Some(NotReceiving::NoSlot));
    let slots = slots.reserve(1, 1, Duration::ZERO).await;
    waits.set(Some(NotReceiving::GateClosed));
    let mut room = Room::default();
    admission.gates.pass(rank, &mut room.probes).await;
    // A long poll would keep the turn from other listeners.
    let may_wait = room.probes.are_idle() && admission.limits.sessions.seats() == 1;
    let busy_wait = dispatch.ctx.settings.tuning.intake.busy_wait;
    let wait = if may_wait { idle_wait } else { busy_wait.min(idle_wait) };
    Prepared { slots, room, wait }
}
