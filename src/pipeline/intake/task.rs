//! The intake task of a listener: it alone starts receives, and starts what they bring on its way.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::limit::Slot;
use crate::message::{Message, ReceiveCount};
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::flow::Flow;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::intake::gather::Brought;
use crate::pipeline::intake::plan::Plan;
use crate::pipeline::intake::prepare::{Prepared, Wanted, prepare};
use crate::pipeline::intake::receive::{Received, receive};
use crate::pipeline::lease::{Asked, Lease};
use crate::pipeline::settle::Settler;
use crate::pipeline::settle::exit::Successor;
use crate::ports::BoxFuture;
use crate::telemetry::trace::Journey;

/// Intake of one listener.
pub(in crate::pipeline) struct Intake {
    flow: Flow,
    /// Where the messages will leave to.
    settler: Arc<Settler>,
    plan: Plan,
    receives: JoinSet<(Received, Prepared)>,
}

impl Intake {
    /// Nothing is received yet.
    pub(in crate::pipeline) fn new(flow: Flow, settler: Arc<Settler>) -> Self {
        let plan = Plan::new(flow.dispatch.slots.counts().limit, flow.dispatch.ctx.settings().tuning.intake);
        Self { flow, settler, plan, receives: JoinSet::new() }
    }

    /// Receives until the drain begins, then awaits what is under way. After a panic it runs again with what it has.
    pub(in crate::pipeline) async fn run(&mut self) {
        let mut preparing: Option<BoxFuture<'static, Option<Prepared>>> = None;
        loop {
            if preparing.is_none() && self.receives.len() < self.side_by_side() {
                let Plan { busy, not_before, .. } = self.plan;
                let takes = self.plan.takes();
                let wanted = Wanted { busy, single: self.wants_single(), not_before, takes };
                preparing = Some(Box::pin(prepare(Arc::clone(&self.flow.dispatch), wanted)));
            }
            tokio::select! {
                biased;
                Some(ended) = self.receives.join_next() => self.ended(ended),
                prepared = async { preparing.as_mut()?.await }, if preparing.is_some() => {
                    preparing = None;
                    let Some(mut prepared) = prepared else { break };
                    let wait = self.plan.wait(prepared.wait);
                    let dispatch = Arc::clone(&self.flow.dispatch);
                    self.receives.spawn(async move {
                        let received = receive(&dispatch, &mut prepared, wait).await;
                        (received, prepared)
                    });
                }
            }
        }
        while let Some(ended) = self.receives.join_next().await {
            self.ended(ended);
        }
    }

    /// Receives that may be under way. While a gate is not open they go one at a time.
    fn side_by_side(&mut self) -> usize {
        self.plan.workers = self.flow.dispatch.slots.counts().limit;
        let gates = &self.flow.dispatch.admission.gates;
        if gates.are_open() { self.plan.side_by_side(self.wants_single()) } else { 1 }
    }

    fn wants_single(&self) -> bool {
        self.flow.groups.want_single_receives(&self.flow.dispatch.ctx)
    }

    fn ended(&mut self, ended: Result<(Received, Prepared), JoinError>) {
        let (dispatch, now) = (Arc::clone(&self.flow.dispatch), Instant::now());
        let ctx = &dispatch.ctx;
        let Ok((received, prepared)) = ended else {
            ctx.metrics.panics.inc();
            tracing::error!(listener = %ctx.settings().name, "a receive panicked");
            dispatch.admission.membership.set_busy(false);
            return self.plan.panicked(now);
        };
        match received {
            Some(Ok((messages, asked))) => {
                ctx.received();
                dispatch.admission.membership.set_busy(!messages.is_empty());
                let (count, max, no_wait) = (messages.len(), prepared.slots.count(), prepared.wait.is_zero());
                self.plan.took(count, max, now - asked.last, prepared.wait);
                let was_idle = !self.plan.busy;
                self.plan.answered(count, max, self.wants_single(), no_wait, now);
                let is_backlog = self.is_backlog(&messages, now - asked.last);
                let brought = Brought { count, is_full: count >= max && !was_idle, is_backlog };
                self.plan.gather(brought, self.latency_budget(), now);
                self.register(messages, asked, prepared);
            }
            Some(Err(error)) => {
                ctx.receive_failed(&error);
                dispatch.admission.membership.set_busy(false);
                self.plan.failed(now, ctx.unit());
            }
            None => {}
        }
    }

    /// How long messages may gather; one by one they do not.
    fn latency_budget(&self) -> Duration {
        let are_open = self.flow.dispatch.admission.gates.are_open();
        let receiving = self.flow.dispatch.ctx.settings().receiving.clone();
        // A receive that does not wait asks a part of the queue. It never tells that the queue is empty.
        let may_gather = are_open && !self.wants_single() && !receiving.wait.is_zero();
        if may_gather { receiving.latency_budget } else { Duration::ZERO }
    }

    /// Whether a message had waited for long when a receive began that took so long: by SQS's clock and ours, so some
    /// difference of the two is allowed for. Of one received before, its age says nothing; where all were there is nothing to
    /// go by, and what a process holds up is a backlog too.
    fn is_backlog(&self, messages: &[Message], took: Duration) -> bool {
        let ctx = &self.flow.dispatch.ctx;
        let settings = ctx.settings();
        let waits = took + settings.receiving.latency_budget + settings.tuning.intake.backlog_after;
        let is_first = |message: &&Message| message.receive_count == ReceiveCount::FIRST;
        if !messages.iter().any(|message| is_first(&message)) {
            return true;
        }
        let sent = messages.iter().filter(is_first).filter_map(|message| message.sent_at).min();
        sent.is_some_and(|sent| ctx.wall.now().duration_since(sent).is_ok_and(|age| age > waits))
    }

    /// Takes what a receive brought in flight, and hands it to flow.
    fn register(&mut self, messages: Vec<Message>, asked: Asked, prepared: Prepared) {
        let ctx = Arc::clone(&self.flow.dispatch.ctx);
        let Prepared { mut slots, mut reservation, .. } = prepared;
        let surplus = messages.len().saturating_sub(slots.count());
        if surplus > 0 {
            // No SQS does that; without a slot they could not be taken.
            ctx.events.surplus(surplus);
        }
        let mut grouped = Vec::new();
        for message in messages {
            let Some(slot) = slots.take(message.bytes()) else { break };
            let group = message.group_id.clone().unwrap_or_default();
            grouped.push((group, self.in_flight(message, asked, slot)));
        }
        if grouped.iter().all(|(_, message)| message.as_ref().is_none_or(InFlight::is_last_try)) {
            // Refused once more such a message would be dead-lettered: it waits, and the turn passes on.
            for probe in std::mem::take(&mut reservation.probes) {
                probe.found_nothing(!grouped.is_empty());
            }
        }
        let part = || reservation.take();
        if ctx.settings().is_fifo() {
            self.flow.start_groups(grouped, part);
        } else {
            let messages = grouped.into_iter().filter_map(|(_, message)| message).collect();
            self.flow.start(messages, part);
        }
    }

    /// The message, in flight; `None` when it is already, and has the newer handle now.
    fn in_flight(&self, message: Message, asked: Asked, slot: Arc<Slot>) -> Option<InFlight> {
        let Dispatch { ctx, leases, .. } = &*self.flow.dispatch;
        ctx.observe(&message);
        let Some(lease) = Lease::begin(leases, &message, asked) else {
            ctx.metrics.duplicates_suppressed.inc();
            return None;
        };
        // Once, since it may be as much work as the request itself.
        let of_request =
            if ctx.settings().per_delivery() > 1 { ctx.settings().exchange.size_of(&message) } else { 0 };
        Some(InFlight {
            share_of_request: of_request.max(message.bytes()),
            final_receive: ctx.view.final_receive(&message),
            trace: Journey::begin(&ctx.settings().queue_name, &message),
            message: Box::new(message),
            redeemed: None,
            lease,
            slot,
            successor: Successor::default(),
            settler: Arc::clone(&self.settler),
        })
    }
}
