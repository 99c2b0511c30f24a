//! The intake task of a listener: it alone starts receives, and starts what they bring on its way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::limit::{PaceClaims, WorkerPermit, Workers};
use crate::message::Message;
use crate::pipeline::admit::Ticket;
use crate::pipeline::completion::Successor;
use crate::pipeline::deliver::Delivery;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::group::{Groups, release_later, split};
use crate::pipeline::intake::plan::{Plan, Yield};
use crate::pipeline::intake::prepare::{Prepared, Wanted, prepare};
use crate::pipeline::intake::receive::{Received, receive};
use crate::pipeline::lease::{Asked, Lease, LeaseTable};
use crate::pipeline::ledger::LedgerEntry;
use crate::pipeline::settle::settler::Settler;
use crate::telemetry::trace::Journey;

/// What messages are given on their way.
pub(in crate::pipeline) struct Parts {
    pub(in crate::pipeline) dispatch: Arc<Dispatch>,
    pub(in crate::pipeline) workers: Arc<Workers>,
    pub(in crate::pipeline) leases: Arc<LeaseTable>,
    pub(in crate::pipeline) groups: Arc<Groups>,
    pub(in crate::pipeline) settler: Settler,
    /// Takes a task for each delivery.
    pub(in crate::pipeline) deliveries: TaskTracker,
}

/// Intake of one listener.
pub(in crate::pipeline) struct Intake {
    parts: Parts,
    plan: Plan,
    receives: JoinSet<Ended>,
}

/// A receive that has ended, and what it was prepared with.
struct Ended {
    received: Received,
    prepared: Prepared,
    /// Messages asked for.
    max: usize,
    /// Whether it was no long poll, by its plan.
    no_wait: bool,
}

type Preparing = Pin<Box<dyn Future<Output = Option<Prepared>> + Send>>;

impl Intake {
    /// Nothing is received yet.
    pub(in crate::pipeline) fn new(parts: Parts) -> Self {
        let plan = Plan::new(parts.workers.limit());
        Self { parts, plan, receives: JoinSet::new() }
    }

    /// Receives until the drain begins, then awaits what is under way. After a panic it runs again with what it has.
    pub(in crate::pipeline) async fn run(&mut self) {
        let mut preparing: Option<Preparing> = None;
        let mut drains = false;
        loop {
            if !drains && preparing.is_none() && self.receives.len() < self.side_by_side() {
                preparing = Some(self.prepare());
            }
            if drains && self.receives.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some(ended) = self.receives.join_next() => self.ended(ended),
                prepared = prepared(&mut preparing), if !drains => {
                    preparing = None;
                    match prepared {
                        Some(prepared) => self.start(prepared),
                        None => drains = true,
                    }
                }
            }
        }
    }

    /// Receives that may be under way. While a gate is not open they go one at a time.
    fn side_by_side(&self) -> usize {
        let gates = &self.parts.dispatch.admission.gates;
        if gates.are_open() { self.plan.side_by_side(self.wants_single()) } else { 1 }
    }

    fn wants_single(&self) -> bool {
        self.parts.groups.want_single_receives(&self.parts.dispatch.ctx)
    }

    fn prepare(&self) -> Preparing {
        let wanted = Wanted {
            busy: self.plan.is_busy(),
            single: self.wants_single(),
            not_before: self.plan.not_before(),
        };
        let (dispatch, workers) = (Arc::clone(&self.parts.dispatch), Arc::clone(&self.parts.workers));
        Box::pin(prepare(dispatch, workers, wanted))
    }

    fn start(&mut self, mut prepared: Prepared) {
        let (max, no_wait) = (prepared.workers.len(), prepared.wait.is_zero());
        let wait = self.plan.wait(prepared.wait);
        let dispatch = Arc::clone(&self.parts.dispatch);
        self.receives.spawn(async move {
            let received = receive(&dispatch, &mut prepared, wait).await;
            Ended { received, prepared, max, no_wait }
        });
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        let (dispatch, now) = (Arc::clone(&self.parts.dispatch), Instant::now());
        let ctx = &dispatch.ctx;
        let Ok(Ended { received, prepared, max, no_wait }) = ended else {
            ctx.metrics.panics.inc();
            tracing::error!(listener = %ctx.settings.name, "a receive panicked");
            dispatch.admission.share.set_busy(false);
            return self.plan.panicked(now);
        };
        match received {
            Received::Answered(messages, asked) => {
                ctx.received();
                dispatch.admission.share.set_busy(!messages.is_empty());
                let came = Yield::of(messages.len(), max);
                self.plan.answered(came, self.wants_single(), no_wait, now);
                self.register(messages, asked, prepared, max);
            }
            Received::Failed(error) => {
                ctx.receive_failed(&error);
                dispatch.admission.share.set_busy(false);
                self.plan.failed(now, ctx.unit());
            }
            Received::CutOff | Received::Withheld => {}
        }
    }

    /// Starts a delivery for each message.
    fn register(&self, messages: Vec<Message>, asked: Asked, prepared: Prepared, max: usize) {
        let ctx = &self.parts.dispatch.ctx;
        let Prepared { mut workers, mut room, .. } = prepared;
        if messages.iter().all(|message| ctx.view.is_final_receive(message)) {
            // Refused once more such a message would be dead-lettered: it waits, and the turn passes on.
            std::mem::take(&mut room.probes).found_nothing(!messages.is_empty());
        }
        if messages.len() > max {
            // No SQS does that; without a worker they could not be taken.
            ctx.events.surplus(messages.len() - max);
        }
        let mut ticket = || {
            let pace = room.pace.as_mut().and_then(PaceClaims::take);
            Ticket::new(room.claims.pop(), pace, std::mem::take(&mut room.probes))
        };
        let mut grouped = Vec::new();
        for message in messages {
            let Some(permit) = workers.take() else { break };
            let group = ctx.settings.fifo.then(|| message.group_id.clone().unwrap_or_default());
            let delivery = self.delivery(message, asked, permit);
            if let Some(group) = group {
                grouped.push((group, delivery));
            } else if let Some(mut delivery) = delivery {
                delivery.ticket = ticket();
                self.parts.deliveries.spawn(delivery.run(Arc::clone(&self.parts.dispatch)));
            }
        }
        self.start_groups(grouped, ticket);
    }

    /// The delivery of a message; `None` when it is in flight already, whose handle is now the newer one.
    fn delivery(&self, message: Message, asked: Asked, permit: WorkerPermit) -> Option<Delivery> {
        let ctx = &self.parts.dispatch.ctx;
        ctx.observe(&message);
        let entry = LedgerEntry::new(&ctx.metrics);
        let Some((lease, ledger)) = Lease::begin(&self.parts.leases, &message, asked, entry) else {
            ctx.metrics.duplicates_suppressed.inc();
            return None;
        };
        let journey = Journey::begin(&ctx.settings.queue_name, &message);
        Some(Delivery {
            message,
            lease,
            permit: Arc::new(permit),
            ledger,
            ticket: Ticket::default(),
            settler: self.parts.settler.clone(),
            successor: Successor::default(),
            journey,
        })
    }

    /// Starts a run for each group, with one worker. Only its head gets a ticket: what waits for others must keep no
    /// room, and no probe that those may need.
    fn start_groups(&self, messages: Vec<(String, Option<Delivery>)>, mut ticket: impl FnMut() -> Ticket) {
        let Parts { dispatch, groups, deliveries, .. } = &self.parts;
        for mut arrived in split(messages) {
            if let Some(worker) = arrived.run.front().map(|head| Arc::clone(&head.permit)) {
                arrived.run.iter_mut().for_each(|delivery| delivery.permit = Arc::clone(&worker));
            }
            let share =
                |waiting: &Delivery, joined: &mut Delivery| joined.permit = Arc::clone(&waiting.permit);
            if let Some(run) = groups.join(&arrived.group, arrived.run, share) {
                run.with_head(|head| head.ticket = ticket());
                deliveries.spawn(run.run(Arc::clone(dispatch), deliveries.clone()));
            }
            if !arrived.blocked.is_empty() {
                let (dispatch, groups) = (Arc::clone(dispatch), Arc::clone(groups));
                deliveries.spawn(release_later(dispatch, groups, arrived.group, arrived.blocked));
            }
        }
    }
}

/// The end of what is being prepared; never, while nothing is.
async fn prepared(preparing: &mut Option<Preparing>) -> Option<Prepared> {
    match preparing {
        Some(preparing) => preparing.await,
        None => std::future::pending().await,
    }
}
