//! How the messages of groups are delivered: one after the other, or the next ones of several groups together.
//!
//! The messages of a run are posted in order. The next go once SQS has confirmed the deletes of those before. Where a
//! POST carries several messages, a batch has as many of a run as fit, in order; so messages of a group may share a POST with
//! those before them. The runs of one receive begin together, and each goes on alone: none waits for another. Behind the
//! first of a group that is not deleted the rest of its run is released.

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

/// Starts the runs of one receive: each batch has messages of as many as fit. `reservation` is asked once for each batch.
/// `deliveries` takes a task for each delivery, so that a panic ends one delivery and not the rest.
pub(super) fn start(
    dispatch: &Arc<Dispatch>,
    mut runs: Vec<GroupRun>,
    deliveries: &TaskTracker,
    mut reservation: impl FnMut() -> Reservation,
) {
    while !runs.is_empty() {
        let (mut load, mut batch, mut later) = (Load::of_none(), Vec::new(), Vec::new());
        for run in runs {
            let mut run = Run { dispatch: Arc::clone(dispatch), group: run, deliveries: deliveries.clone() };
            let underway = run.next(&mut load, &mut batch);
            if underway.is_empty() {
                later.push(run.group);
            } else {
                deliveries.spawn(run.goes_on(underway));
            }
        }
        if batch.is_empty() {
            return;
        }
        deliveries.spawn(Delivery::new(dispatch, batch, reservation()).run());
        runs = later;
    }
}

/// The run of a group, whose messages are delivered.
struct Run {
    dispatch: Arc<Dispatch>,
    group: GroupRun,
    deliveries: TaskTracker,
}

/// A message on its way.
struct Underway {
    is_last_try: bool,
    fate: oneshot::Receiver<Fate>,
}

/// The first message of a run that was not deleted.
struct Failure {
    visible: Instant,
    is_last_try: bool,
}

impl Run {
    /// Delivers the rest of the messages in order as far as each is deleted, and releases what is left then.
    async fn goes_on(mut self, mut underway: Vec<Underway>) {
        loop {
            let all = underway.len();
            let mut deleted = 0;
            for message in underway {
                match self.failure(message).await {
                    Ok(None) => deleted += 1,
                    Ok(Some(failure)) => return self.failed(failure, all - deleted - 1).await,
                    Err(refused) => {
                        let rest = self.group.end();
                        return self.release(rest, refused.words(), ReleaseReason::Drain).await;
                    }
                }
            }
            if self.group.is_over() {
                return;
            }
            let (mut load, mut batch) = (Load::of_none(), Vec::new());
            underway = self.next(&mut load, &mut batch);
            let longest_post = self.dispatch.ctx.longest_post();
            if batch.iter().any(|message| message.hideable() < longest_post) {
                // Its time has passed behind those before it: its POST might outlive what SQS grants one receive.
                let rest = batch.into_iter().chain(self.group.end());
                return self.release(rest, BEHIND, ReleaseReason::Group).await;
            }
            let delivery = Delivery::new(&self.dispatch, batch, Reservation::default());
            self.deliveries.spawn(delivery.run());
        }
    }

    /// Adds the next messages to a batch, as many as fit.
    fn next(&mut self, load: &mut Load, batch: &mut Vec<InFlight>) -> Vec<Underway> {
        let mut underway = Vec::new();
        while let Some(mut message) = self.group.next_if(|message| load.takes(self.dispatch.share(message))) {
            load.add(self.dispatch.share(&message));
            underway.push(Underway { is_last_try: message.is_last_try(), fate: message.fate() });
            batch.push(message);
        }
        underway
    }

    /// Waits for what becomes of a message: that it was not deleted, if so. `Err`: the drain began.
    async fn failure(&self, message: Underway) -> Result<Option<Failure>, Refused> {
        let Underway { is_last_try, fate } = message;
        let ctx = &self.dispatch.ctx;
        let visible = match ctx.drain.unless_draining(fate).await.ok_or(Refused::Draining)? {
            Ok(Fate::Deleted) => {
                self.group.gone();
                return Ok(None);
            }
            Ok(Fate::Hidden(until)) => until,
            // SQS hands it out again when its lease is over.
            Err(_dropped) => Instant::now() + ctx.settings().lease(),
        };
        Ok(Some(Failure { visible, is_last_try }))
    }

    /// A message was not deleted, and so many behind it in its POST: what is left of the run is released.
    async fn failed(mut self, failure: Failure, behind: usize) {
        let rest = self.group.end();
        let in_vain = behind + rest.len();
        if failure.is_last_try && in_vain == 0 {
            // SQS moves it to the dead-letter queue instead, and nobody has come along with it.
            self.group.gone();
        } else {
            self.group.failed(&self.dispatch.ctx.view, failure.visible, in_vain);
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
        let until =
            Instant::now() + ctx.settings().policy.back_off(message.message.receive_count, ctx.unit());
        groups.head_failed(&ctx.view, &group, until, in_vain);
        message.last_word(&dispatch, BEHIND);
        message.release(&dispatch, until, ReleaseReason::Group).await;
    }
}
