//! The status of the process as JSON: what a person, a console or a script wants to know at a glance.
//!
//! Shape: `{version, revision, phase, listeners: […], endpoints: […]}`; times in seconds, `null` where something
//! does not apply. Fields are added, not renamed. No addresses with credentials, no messages.

use serde_json::{Value, json};

use crate::admin::View;
use crate::limit::{EndpointLimits, GateSnapshot, GateState};
use crate::pipeline::{Preflight, Status};
use crate::telemetry::metrics::Metrics;

/// The whole document.
pub(super) fn document(view: &View) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": Metrics::revision(),
        "phase": if view.drain.is_draining() { "draining" } else { "running" },
        "listeners": view.statuses.iter().map(|status| listener(&status())).collect::<Vec<_>>(),
        "endpoints": view.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn listener(status: &Status) -> Value {
    let (state, fault) = match &status.preflight {
        Preflight::Pending => ("pending", None),
        Preflight::Passed => ("healthy", None),
        Preflight::Faulted(why) => ("faulted", Some(why)),
    };
    let messages: serde_json::Map<String, Value> =
        status.messages.iter().map(|(stage, count)| ((*stage).to_owned(), json!(count))).collect();
    json!({
        "name": status.name,
        "queue": status.queue,
        "endpoint": status.endpoint,
        "state": state,
        "fault": fault,
        "workers": {
            "limit": status.workers,
            "in_use": status.workers_in_use,
            "reserved": status.workers_reserved,
        },
        "messages": messages,
        "parked": status.parked,
        "queue_depth": status.depth.map(|depth| json!({
            "visible": depth.visible,
            "not_visible": depth.not_visible,
            "delayed": depth.delayed,
        })),
        "max_receives": status.max_receives,
        "gate": gate(&status.gate),
    })
}

fn endpoint(limits: &EndpointLimits) -> Value {
    let sessions = &limits.sessions;
    json!({
        "name": &*limits.name,
        "sessions": { "limit": sessions.cap(), "in_use": sessions.running() },
        "adaptive": { "enabled": sessions.is_adaptive(), "limit": sessions.limit() },
        "gate": gate(&limits.gate.snapshot()),
    })
}

fn gate(gate: &GateSnapshot) -> Value {
    let closed = gate.reason.map(|_| gate.closed_for.as_secs());
    let next = (gate.state == GateState::Closed).then_some(gate.pause_left.as_secs());
    json!({
        "state": gate.state.label(),
        "reason": gate.reason.map(crate::limit::Reason::label),
        "words": gate.reason.map(crate::limit::Reason::words),
        "closed_seconds": closed,
        "next_probe_seconds": next,
    })
}
