//! What leaves a delivery without a POST: messages that have left before, that are too old or no work, or that are no longer ours.
//!
//! On a FIFO queue a message that leaves undone takes those behind it in its group along: they are released, and come
//! again after it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::exchange::NoWork;
use crate::pipeline::admit::Reservation;
use crate::pipeline::deliver::Delivery;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::runs::BEHIND;
use crate::pipeline::settle::exit::Exit;
use crate::telemetry::labels::ReleaseReason;

/// What becomes of a message before a POST.
pub(super) enum Sifted<T> {
    /// It is to be posted.
    Stays,
    /// Its work is done, or there is none.
    Done(T),
    /// It leaves, and its work is not done.
    Undone(T),
}

impl Delivery {
    /// Parts with the messages that have left before: their work is done, or they came too early.
    pub(super) async fn settle_remembered(&mut self) {
        let memory = Arc::clone(&self.dispatch.memory);
        let (remembered, behind) = self.sift(|message| match memory.seen(message.id()) {
            Some(exit) if exit.deletes() => Sifted::Done(exit),
            Some(exit) if !message.is_last_try() => Sifted::Undone(exit),
            Some(_) | None => Sifted::Stays,
        });
        self.free_unused_reservation();
        for (mut message, exit) in remembered {
            if *exit.last() == Exit::DELETE {
                self.leftovers.extend(self.dispatch.leaves_behind(&mut message));
            }
            self.dispatch.ctx.metrics.duplicates_suppressed.inc();
            message.exit(exit).await;
        }
        self.release_behind(behind).await;
    }

    /// Leaves messages to SQS whose leases were lost while they waited.
    pub(super) async fn leave_lost(&mut self) {
        let lost =
            |message: &InFlight| if message.lease.is_ours() { Sifted::Stays } else { Sifted::Undone(()) };
        let (lost, behind) = self.sift(lost);
        for (message, ()) in lost {
            message.leave_to_sqs(&self.dispatch);
        }
        self.release_behind(behind).await;
    }

    /// Deletes the messages that are older than the listener's retention, without a POST.
    pub(super) async fn expire(&mut self) {
        let Some(retention) = self.dispatch.ctx.settings().policy.retention else { return };
        let now = self.dispatch.ctx.wall.now();
        let age = |message: &InFlight| {
            let first = message.message.first_received_at?;
            now.duration_since(first).ok().filter(|age| *age >= retention)
        };
        let (expired, _) = self.sift(|message| age(message).map_or(Sifted::Stays, Sifted::Done));
        for (message, age) in expired {
            self.dispatch.ctx.metrics.expired.inc();
            self.dispatch.ctx.events.expired(&message.message, age);
            message.exit(Exit::DELETE).await;
        }
        self.free_unused_reservation();
    }

    /// Parts with the messages that are no work: they are deleted. Sessions and gates never learn of them.
    pub(super) async fn settle_no_work(&mut self) {
        let exchange = Arc::clone(&self.dispatch.ctx.settings().exchange);
        let kind = |message: &InFlight| exchange.no_work(&message.message);
        let (no_work, _) = self.sift(|message| kind(message).map_or(Sifted::Stays, Sifted::Done));
        self.free_unused_reservation();
        for (message, kind) in no_work {
            let ctx = &self.dispatch.ctx;
            ctx.metrics.no_work.inc();
            match kind {
                NoWork::TestEvent => ctx.events.test_event(&message.message),
                NoWork::Subscription { topic } => ctx.events.subscription(&message.message, topic.as_deref()),
            }
            message.exit(Exit::DELETE).await;
        }
    }

    /// Room and probe are of no use when all messages have left.
    pub(super) fn free_unused_reservation(&mut self) {
        if self.messages.is_empty() {
            self.reservation = Reservation::default();
        }
    }

    /// Releases messages behind one of their group that leaves undone, once that has left.
    pub(super) async fn release_behind(&self, behind: Vec<InFlight>) {
        for message in behind {
            message.last_word(&self.dispatch, BEHIND);
            message.release(&self.dispatch, Instant::now(), ReleaseReason::Group).await;
        }
    }

    /// Takes out the messages that leave, and those that stand behind one that leaves undone (FIFO).
    pub(super) fn sift<T>(
        &mut self,
        mut sifted: impl FnMut(&InFlight) -> Sifted<T>,
    ) -> (Vec<(InFlight, T)>, Vec<InFlight>) {
        let is_fifo = self.dispatch.ctx.settings().is_fifo();
        let (mut leave, mut behind, mut blocked) = (Vec::new(), Vec::new(), BTreeSet::new());
        // Beside each that is taken out; `None` stands behind another.
        let mut with = Vec::new();
        let mut goes = |message: &mut InFlight| {
            if message.message.group_id.as_ref().is_some_and(|group| blocked.contains(group)) {
                with.push(None);
                return true;
            }
            match sifted(message) {
                Sifted::Stays => return false,
                Sifted::Done(done) => with.push(Some(done)),
                Sifted::Undone(undone) => {
                    blocked.extend(message.message.group_id.clone().filter(|_| is_fifo));
                    with.push(Some(undone));
                }
            }
            true
        };
        let taken: Vec<InFlight> = self.messages.extract_if(.., &mut goes).collect();
        for (message, with) in taken.into_iter().zip(with) {
            match with {
                Some(with) => leave.push((message, with)),
                None => behind.push(message),
            }
        }
        (leave, behind)
    }
}
