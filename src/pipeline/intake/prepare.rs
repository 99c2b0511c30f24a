//! Before a receive: waits until messages may be taken, and reserves what each of them needs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::limit::{Claim, PaceClaims, Rank, Reservation, Workers};
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::gates::Probes;
use crate::pipeline::intake::plan::BUSY_WAIT;
use crate::ports::BATCH_MAX;

/// How long a busy listener waits for a batch's worth of free workers and of room.
const LINGER: Duration = Duration::from_millis(20);

/// What a receive is prepared with.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) workers: Reservation,
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

/// Waits for back-off, settlement, gates, workers and room; `None` when the drain begins.
///
/// # Cancel safety
/// Dropping the future gives up all it has reserved.
pub(super) async fn prepare(
    dispatch: Arc<Dispatch>,
    workers: Arc<Workers>,
    wanted: Wanted,
) -> Option<Prepared> {
    tokio::select! {
        biased;
        () = dispatch.ctx.drain.draining() => None,
        prepared = wait_for_all(&dispatch, &workers, wanted) => Some(prepared),
    }
}

async fn wait_for_all(dispatch: &Dispatch, workers: &Workers, wanted: Wanted) -> Prepared {
    let (health, gates) = (&dispatch.ctx.health, &dispatch.admission.gates);
    if let Some(not_before) = wanted.not_before {
        tokio::time::sleep_until(not_before).await;
    }
    loop {
        health.settles().await;
        let prepared = if gates.are_open() {
            let prepared = reserve(dispatch, workers, wanted).await;
            // It may have closed meanwhile.
            gates.are_open().then_some(prepared)
        } else {
            let prepared = reserve_probe(dispatch, workers).await;
            (!prepared.room.probes.is_empty()).then_some(prepared)
        };
        if let Some(prepared) = prepared.filter(|_| !health.has_settle_fault()) {
            return prepared;
        }
    }
}

/// Workers, and room at the endpoint where the queue is busy.
async fn reserve(dispatch: &Dispatch, workers: &Workers, wanted: Wanted) -> Prepared {
    let (admission, idle_wait) = (&dispatch.admission, dispatch.ctx.settings.receive_wait);
    let most = if wanted.busy && !wanted.single { BATCH_MAX.min(admission.share.share()) } else { 1 };
    let enough = |of: usize| most.min(of.div_ceil(3));
    let mut workers = free(dispatch, workers, enough(workers.limit()), most, LINGER).await;
    let mut room = Room::default();
    if wanted.busy {
        let few_sessions = enough(admission.limits.sessions.limit()).min(workers.len());
        room.pace = admission.limits.pace.claim(workers.len()).await;
        let most = room.pace.as_ref().map_or(workers.len(), |pace| pace.len().min(workers.len()));
        room.claims = admission.share.claim(few_sessions.min(most), most, LINGER).await;
        workers.keep(room.claims.len());
    }
    let wait = if wanted.busy { BUSY_WAIT.min(idle_wait) } else { idle_wait };
    Prepared { workers, room, wait }
}

/// One worker, before the wait at closed gates: without, intake would keep the turn from the messages that have all
/// workers and wait there too. No probes when the gates have opened.
async fn reserve_probe(dispatch: &Dispatch, workers: &Workers) -> Prepared {
    let (admission, idle_wait) = (&dispatch.admission, dispatch.ctx.settings.receive_wait);
    let workers = free(dispatch, workers, 1, 1, Duration::ZERO).await;
    let mut room = Room::default();
    admission.gates.pass(Rank::Poller, &mut room.probes).await;
    // A long poll would keep the turn from other listeners.
    let may_wait = room.probes.are_idle() && admission.limits.sessions.seats() == 1;
    let wait = if may_wait { idle_wait } else { BUSY_WAIT.min(idle_wait) };
    Prepared { workers, room, wait }
}

/// Free workers. Without one nobody looks for another message than those on their final receive.
async fn free(
    dispatch: &Dispatch,
    workers: &Workers,
    enough: usize,
    most: usize,
    linger: Duration,
) -> Reservation {
    let _blocked = dispatch.admission.gates.blocked();
    workers.reserve(enough, most, linger).await
}
