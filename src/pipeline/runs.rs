//! How the messages of groups are delivered: one after the other, or the next ones of several groups together.
//!
//! The messages of a run are posted in order. The next go once SQS has confirmed the deletes of those before. Where a
//! POST carries several messages, a batch has as many as fit, of each run in order; so messages of a group may share a
//! POST with those before them. Behind the first of a group that is not deleted the rest of its run is released.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::pipeline::admit::{Refused, Reservation};
use crate::pipeline::batch::Load;
use crate::pipeline::deliver::Delivery;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::group::{GroupRun, Groups};
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::settle::exit::Fate;
use crate::telemetry::labels::ReleaseReason;

/// Why a message of a group is released, in words.
pub(super) const BEHIND: &str = "it stands behind a message of its group that was not deleted";

/// Runs of groups whose messages are delivered together.
#[must_use]
pub(super) struct Runs {
    dispatch: Arc<Dispatch>,
    each: Vec<GroupRun>,
    /// Takes a task for each delivery, so that a panic ends one delivery and not the rest.
    deliveries: TaskTracker,
}

/// A message on its way, by the place of its run.
struct Underway {
    run: usize,
    is_last_try: bool,
    fate: oneshot::Receiver<Fate>,
}

/// The first message of a run that was not deleted.
struct Failure {
    visible: Instant,
    is_last_try: bool,
    /// Messages behind it in the same POST.
    behind: usize,
}

impl Runs {
    /// These runs, at least one.
    pub(super) fn new(dispatch: Arc<Dispatch>, runs: Vec<GroupRun>, deliveries: TaskTracker) -> Self {
        Self { dispatch, each: runs, deliveries }
    }

    /// Delivers the messages in order as far as each is deleted, and releases the rest. The heads go with `reservation`.
    pub(super) async fn run(mut self, reservation: Reservation) {
        let mut reservation = Some(reservation);
        loop {
            self.each.retain_mut(|run| !run.is_over());
            if self.each.is_empty() {
                return;
            }
            let (batch, underway, late) = self.batch(reservation.is_some());
            if !batch.is_empty() {
                let reservation = reservation.take().unwrap_or_default();
                self.deliveries.spawn(Delivery::new(&self.dispatch, batch, reservation).run());
            }
            for (at, head) in late {
                let rest = self.each.get_mut(at).map(GroupRun::end).unwrap_or_default();
                self.release([head].into_iter().chain(rest), BEHIND, ReleaseReason::Group).await;
            }
            let Some(failures) = self.failures(underway).await else {
                let rest: Vec<InFlight> = self.each.iter_mut().flat_map(GroupRun::end).collect();
                return self.release(rest, Refused::Draining.words(), ReleaseReason::Drain).await;
            };
            for (at, failure) in failures {
                self.failed(at, failure).await;
            }
        }
    }

    /// The next messages to be posted. Also the heads whose time has passed behind those before them: their POSTs
    /// might outlive what SQS grants one receive.
    fn batch(&mut self, is_first: bool) -> (Vec<InFlight>, Vec<Underway>, Vec<(usize, InFlight)>) {
        let Self { dispatch, each, .. } = self;
        let (mut batch, mut underway, mut late) = (Vec::new(), Vec::new(), Vec::new());
        let is_late = |message: &InFlight| !is_first && message.hideable() < dispatch.ctx.longest_post();
        let mut load = Load::of_none();
        for (run, messages) in each.iter_mut().enumerate() {
            let mut is_head = true;
            loop {
                let takes = |message: &InFlight| {
                    load.takes(dispatch.share(message)) && (is_head || !is_late(message))
                };
                let Some(mut message) = messages.next_if(takes) else { break };
                if is_late(&message) {
                    late.push((run, message));
                    break;
                }
                is_head = false;
                load.add(dispatch.share(&message));
                underway.push(Underway { run, is_last_try: message.is_last_try(), fate: message.fate() });
                batch.push(message);
            }
        }
        (batch, underway, late)
    }

    /// Waits for all that is under way: by the place of its run, the first that was not deleted. `None`: the drain began.
    async fn failures(&self, underway: Vec<Underway>) -> Option<BTreeMap<usize, Failure>> {
        let ctx = &self.dispatch.ctx;
        let mut failures = BTreeMap::<usize, Failure>::new();
        for Underway { run, is_last_try, fate } in underway {
            if let Some(failure) = failures.get_mut(&run) {
                failure.behind += 1;
                continue;
            }
            let visible = match ctx.drain.unless_draining(fate).await? {
                Ok(Fate::Deleted) => {
                    self.each.get(run).into_iter().for_each(GroupRun::gone);
                    continue;
                }
                Ok(Fate::Hidden(until)) => until,
                // SQS hands it out again when its lease is over.
                Err(_dropped) => Instant::now() + ctx.settings.lease(),
            };
            failures.insert(run, Failure { visible, is_last_try, behind: 0 });
        }
        Some(failures)
    }

    /// A message of a run was not deleted: what is left of the run is released.
    async fn failed(&mut self, at: usize, failure: Failure) {
        let Some(run) = self.each.get_mut(at) else { return };
        let rest = run.end();
        let in_vain = failure.behind + rest.len();
        if failure.is_last_try && in_vain == 0 {
            // SQS moves it to the dead-letter queue instead, and nobody has come along with it.
            run.gone();
        } else {
            run.failed(&self.dispatch.ctx.view, failure.visible, in_vain);
        }
        self.release(rest, BEHIND, ReleaseReason::Group).await;
    }

    async fn release(
        &self,
        messages: impl IntoIterator<Item = InFlight>,
        why: &'static str,
        reason: ReleaseReason,
    ) {
        for message in messages {
            message.last_word(&self.dispatch, why);
            message.release(&self.dispatch, Instant::now(), reason).await;
        }
    }
}

/// Releases what must not start now: hidden as long as after a failure, because its receives count.
pub(super) async fn release_later(
    dispatch: Arc<Dispatch>,
    groups: Arc<Groups>,
    group: String,
    blocked: Vec<InFlight>,
) {
    let ctx = &dispatch.ctx;
    let in_vain = blocked.len();
    for message in blocked {
        let until = Instant::now() + ctx.settings.policy.back_off(message.message.receive_count, ctx.unit());
        groups.head_failed(&ctx.view, &group, until, in_vain);
        message.last_word(&dispatch, BEHIND);
        message.release(&dispatch, until, ReleaseReason::Group).await;
    }
}
