//! The intake task of a listener: it alone starts receives, and starts what they bring on its way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::limit::{Slot, Slots};
use crate::message::Message;
use crate::pipeline::controls::Controls;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::flow::Flow;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::intake::plan::{Plan, Yield};
use crate::pipeline::intake::prepare::{Means, Prepared, Wanted, prepare};
use crate::pipeline::intake::receive::{Received, receive};
use crate::pipeline::intake::waits::Waits;
use crate::pipeline::lease::{Asked, Lease, LeaseTable};
use crate::pipeline::settle::exit::Successor;
use crate::pipeline::settle::settler::Settler;
use crate::telemetry::trace::Journey;

/// What intake works with, and what messages are given on their way.
pub(in crate::pipeline) struct Parts {
    pub(in crate::pipeline) dispatch: Arc<Dispatch>,
    pub(in crate::pipeline) slots: Arc<Slots>,
    pub(in crate::pipeline) controls: watch::Receiver<Controls>,
    pub(in crate::pipeline) waits: Arc<Waits>,
    pub(in crate::pipeline) leases: Arc<LeaseTable>,
    pub(in crate::pipeline) flow: Flow,
    pub(in crate::pipeline) settler: Settler,
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
        let plan = Plan::new(parts.slots.limit(), parts.dispatch.ctx.settings.tuning.intake);
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
    fn side_by_side(&mut self) -> usize {
        self.plan.set_workers(self.parts.slots.limit());
        let gates = &self.parts.dispatch.admission.gates;
        if gates.are_open() { self.plan.side_by_side(self.wants_single()) } else { 1 }
    }

    fn wants_single(&self) -> bool {
        self.parts.flow.groups.want_single_receives(&self.parts.dispatch.ctx)
    }

    fn prepare(&self) -> Preparing {
        let wanted = Wanted {
            busy: self.plan.is_busy(),
            single: self.wants_single(),
            not_before: self.plan.not_before(),
        };
        let Parts { dispatch, slots, controls, waits, .. } = &self.parts;
        let means = Means {
            dispatch: Arc::clone(dispatch),
            slots: Arc::clone(slots),
            controls: controls.clone(),
            waits: Arc::clone(waits),
        };
        Box::pin(prepare(means, wanted))
    }

    fn start(&mut self, mut prepared: Prepared) {
        let (max, no_wait) = (prepared.slots.len(), prepared.wait.is_zero());
        let wait = self.plan.wait(prepared.wait);
        let (dispatch, controls) = (Arc::clone(&self.parts.dispatch), self.parts.controls.clone());
        self.receives.spawn(async move {
            let received = receive(&dispatch, &controls, &mut prepared, wait).await;
            Ended { received, prepared, max, no_wait }
        });
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        let (dispatch, now) = (Arc::clone(&self.parts.dispatch), Instant::now());
        let ctx = &dispatch.ctx;
        let Ok(Ended { received, prepared, max, no_wait }) = ended else {
            ctx.metrics.panics.inc();
            tracing::error!(listener = %ctx.settings.name, "a receive panicked");
            dispatch.admission.membership.set_busy(false);
            return self.plan.panicked(now);
        };
        match received {
            Received::Answered(messages, asked) => {
                ctx.received();
                dispatch.admission.membership.set_busy(!messages.is_empty());
                let came = Yield::of(messages.len(), max);
                self.plan.answered(came, self.wants_single(), no_wait, now);
                self.register(messages, asked, prepared, max);
            }
            Received::Failed(error) => {
                ctx.receive_failed(&error);
                dispatch.admission.membership.set_busy(false);
                self.plan.failed(now, ctx.unit());
            }
            Received::CutOff | Received::Withheld => {}
        }
    }

    /// Takes what a receive brought in flight, and hands it to flow.
    fn register(&self, messages: Vec<Message>, asked: Asked, prepared: Prepared, max: usize) {
        let ctx = &self.parts.dispatch.ctx;
        let Prepared { mut slots, mut reservation, .. } = prepared;
        if messages.len() > max {
            // No SQS does that; without a slot they could not be taken.
            ctx.events.surplus(messages.len() - max);
        }
        let mut grouped = Vec::new();
        for message in messages {
            let Some(slot) = slots.take() else { break };
            let group = message.group_id.clone().unwrap_or_default();
            grouped.push((group, self.in_flight(message, asked, slot)));
        }
        if grouped.iter().all(|(_, message)| message.as_ref().is_none_or(InFlight::is_last_try)) {
            // Refused once more such a message would be dead-lettered: it waits, and the turn passes on.
            std::mem::take(&mut reservation.probes).found_nothing(!grouped.is_empty());
        }
        let part = || reservation.take();
        if ctx.settings.fifo {
            self.parts.flow.start_groups(grouped, part);
        } else {
            let messages = grouped.into_iter().filter_map(|(_, message)| message).collect();
            self.parts.flow.start(messages, part);
        }
    }

    /// The message, in flight; `None` when it is already, and has the newer handle now.
    fn in_flight(&self, message: Message, asked: Asked, slot: Slot) -> Option<InFlight> {
        let ctx = &self.parts.dispatch.ctx;
        ctx.observe(&message);
        let Some(lease) = Lease::begin(&self.parts.leases, &message, asked) else {
            ctx.metrics.duplicates_suppressed.inc();
            return None;
        };
        Some(InFlight {
            final_receive: ctx.view.final_receive(&message),
            trace: Journey::begin(&ctx.settings.queue_name, &message),
            message,
            lease,
            slot,
            successor: Successor::default(),
            settler: self.parts.settler.clone(),
        })
    }
}

/// The end of what is being prepared; never, while nothing is.
async fn prepared(preparing: &mut Option<Preparing>) -> Option<Prepared> {
    match preparing {
        Some(preparing) => preparing.await,
        None => std::future::pending().await,
    }
}
