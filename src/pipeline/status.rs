//! What a listener shows of itself: gauges for whoever scrapes, a status for whoever asks.

use std::time::Duration;

use crate::limit::{GateSnapshot, SlotCounts};
use crate::observe::failing::Failures;
use crate::observe::health::Preflight;
use crate::observe::recent::Failure;
use crate::pipeline::controls::Controls;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::intake::NotReceiving;
use crate::pipeline::queue_view::DepthView;
use crate::telemetry::handles::Totals;

/// A gate closed for so long is worth a word about the listener.
const CLOSED_LONG: Duration = Duration::from_secs(60);

/// A listener at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Name of its queue.
    pub queue: String,
    /// Name of its endpoint.
    pub endpoint: String,
    /// Whether its queue can be read.
    pub preflight: Preflight,
    /// What an operator told it.
    pub controls: Controls,
    /// POSTs at once by its configuration.
    pub workers_configured: usize,
    /// Room for messages.
    pub slots: SlotCounts,
    /// Messages in flight here, by stage.
    pub messages: [(&'static str, i64); 4],
    /// Messages this process parked whose time has not come (an estimate).
    pub parked: i64,
    /// Messages this process deferred whose time has not come (an estimate).
    pub deferred: i64,
    /// Why it receives nothing just now.
    pub not_receiving: Option<NotReceiving>,
    /// What was in the queue and its dead-letter queue when they were last looked at.
    pub depth: Option<DepthView>,
    /// Age of the oldest message received in the last minute; zero without any.
    pub oldest: Duration,
    /// What became of the messages received so far.
    pub totals: Totals,
    /// What went wrong with deliveries.
    pub failures: Failures,
    /// The last of what went wrong with messages, the newest first.
    pub recent_failures: Vec<Failure>,
    /// What has kept messages from being delivered for a minute, in words.
    pub trouble: Option<String>,
    /// Its own gate.
    pub gate: GateSnapshot,
    /// Its endpoint's gate, which its other listeners share.
    pub endpoint_gate: GateSnapshot,
}

/// What a listener does now.
pub(super) fn status(dispatch: &Dispatch) -> Status {
    let (ctx, gates) = (&dispatch.ctx, &dispatch.admission.gates);
    let (gate, endpoint_gate) = (gates.own.snapshot(), gates.shared.snapshot());
    let failures = ctx.health.failing.now();
    let trouble = closed_long("endpoint's", &endpoint_gate)
        .or_else(|| closed_long("listener's own", &gate))
        .or_else(|| failures.trouble());
    Status {
        name: ctx.settings().name.clone(),
        queue: ctx.settings().queue_name.clone(),
        endpoint: dispatch.admission.limits.name.to_string(),
        preflight: ctx.health.preflight(),
        controls: dispatch.handle.controls(),
        workers_configured: ctx.settings().workers,
        slots: dispatch.slots.counts(),
        messages: ctx.metrics.in_progress(),
        parked: dispatch.memory.parked.count(),
        deferred: dispatch.memory.deferred.count(),
        not_receiving: *dispatch.not_receiving.borrow(),
        depth: ctx.view.depths(),
        oldest: ctx.view.oldest_age(ctx.wall.now()),
        totals: ctx.metrics.totals(),
        failures,
        recent_failures: ctx.events.recent_failures(),
        trouble,
        gate,
        endpoint_gate,
    }
}

/// Sets the gauges that mirror the state of a listener.
pub(super) fn set_gauges(dispatch: &Dispatch) {
    let (ctx, own, slots) = (&dispatch.ctx, &dispatch.admission.gates.own, dispatch.slots.counts());
    let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    ctx.metrics.paused.set(i64::from(dispatch.handle.controls().paused));
    let stands_by = dispatch.handle.controls().stands_by();
    ctx.metrics.workers_limit.set(if stands_by { 0 } else { gauge(slots.limit) });
    ctx.metrics.workers_in_use.set(gauge(slots.workers_in_use()));
    ctx.metrics.workers_reserved.set(gauge(slots.workers_reserved()));
    ctx.metrics.gate.mirror(own.snapshot().state, &own.closed_for());
    ctx.metrics.parked_current.set(dispatch.memory.parked.count());
    ctx.metrics.oldest_age.set(ctx.view.oldest_age(ctx.wall.now()).as_secs_f64());
}

/// What a gate that has been closed for long says.
fn closed_long(whose: &str, gate: &GateSnapshot) -> Option<String> {
    let reason = gate.reason.filter(|_| gate.closed_for >= CLOSED_LONG && !gate.idle)?;
    Some(format!(
        "the {whose} gate has not been open for {} s: {}",
        gate.closed_for.as_secs(),
        reason.words()
    ))
}
