//! The status of the process as JSON, for people, a console or a script.
//!
//! Shape: `{version, revision, phase, fleet, listeners: […], endpoints: […]}`; times in seconds, `null` where a
//! field does not apply. The states of a listener, explained by its `why`:
//!
//! - `pending`: its queue was not read yet.
//! - `healthy`.
//! - `degraded`: nothing was delivered for a minute although there were messages.
//! - `unreachable`: its queue could not be read for a minute.
//! - `faulted`: a person has to act.
//!
//! Fields are added, not renamed. No addresses with credentials, no messages.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::admin::{RunningListener, View};
use crate::fleet::Standing;
use crate::limit::{EndpointLimits, GateSnapshot, GateState, Refusal, Sessions};
use crate::pipeline::{DepthView, Failure, Failures, Preflight, Status};
use crate::ports::QueueDepth;
use crate::telemetry::handles::Totals;
use crate::telemetry::metrics::Metrics;

/// The names and states of all listeners.
pub(super) fn listeners(view: &View) -> Value {
    let one = |running: &Arc<RunningListener>| {
        let status = running.status();
        json!({ "name": status.name, "state": state(&status).0, "paused": status.controls.paused })
    };
    json!({ "listeners": view.running.listeners().iter().map(one).collect::<Vec<_>>() })
}

/// The whole document, with failures one by one or without.
pub(super) fn document(view: &View, with_failures: bool) -> Value {
    let of_one = |running: &Arc<RunningListener>| listener(&running.status(), with_failures);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": Metrics::revision(),
        "phase": if view.drain.is_draining() { "draining" } else { "running" },
        "fleet": fleet(&view.about.fleet.borrow()),
        "listeners": view.running.listeners().iter().map(of_one).collect::<Vec<_>>(),
        "endpoints": view.running.endpoints().iter().map(|running| endpoint(&running.limits)).collect::<Vec<_>>(),
    })
}

/// The state of a listener, and why it is faulted or unreachable.
fn state(status: &Status) -> (&'static str, Option<&String>) {
    match &status.preflight {
        Preflight::Pending => ("pending", None),
        Preflight::Passed if status.trouble.is_some() => ("degraded", None),
        Preflight::Passed => ("healthy", None),
        Preflight::Unreachable(why) => ("unreachable", Some(why)),
        Preflight::Faulted(why) => ("faulted", Some(why)),
    }
}

/// One listener, with its failures one by one or without.
pub(super) fn listener(status: &Status, with_failures: bool) -> Value {
    let (state, fault) = state(status);
    let recent = with_failures.then(|| one_by_one(status));
    let is_open = [&status.gate, &status.endpoint_gate].iter().all(|gate| gate.state == GateState::Open);
    let messages: serde_json::Map<String, Value> =
        status.messages.iter().map(|(stage, count)| ((*stage).to_owned(), json!(count))).collect();
    json!({
        "name": status.name,
        "queue": status.queue,
        "endpoint": status.endpoint,
        "state": state,
        "fault": fault,
        "why": fault.or(status.trouble.as_ref()),
        "paused": status.controls.paused,
        "workers_configured": status.workers_configured,
        "workers": {
            "limit": status.slots.limit,
            "in_use": status.slots.workers_in_use(),
            "reserved": status.slots.workers_reserved(),
        },
        "messages": messages,
        "parked": status.parked,
        "deferred": status.deferred,
        "not_receiving": status.not_receiving,
        "totals": totals(&status.totals),
        "failures": failures(&status.failures),
        "recent_failures": recent,
        "queue_depth": status.depth.as_ref().map(|view| depth(&view.depth, view)),
        "oldest_age_seconds": status.oldest.as_secs(),
        "dead_letter_queue": status.depth.as_ref().and_then(dead_letter_queue),
        "max_receives": status.depth.as_ref().and_then(DepthView::max_receives),
        "gate": gate(&status.gate),
        "endpoint_gate": gate(&status.endpoint_gate),
        "scaling": { "gates_open": u8::from(is_open), "workers_in_use": status.slots.workers_in_use() },
    })
}

fn totals(totals: &Totals) -> Value {
    json!({
        "received": totals.received,
        "deleted": totals.deleted,
        "parked": totals.parked,
        "deferred": totals.deferred,
        "released": totals.released,
        "dead_lettered": totals.dead_lettered,
        "abandoned": totals.abandoned,
    })
}

fn failures(failures: &Failures) -> Value {
    json!({
        "deliveries": failures.deliveries,
        "final_receives": failures.final_receives,
        "in_a_row": failures.in_a_row,
        "lasting_seconds": failures.lasting.map(|lasting| lasting.as_secs()),
        "last_seconds_ago": failures.last.map(|last| last.as_secs()),
        "last": failures.why,
    })
}

/// The last failures of a listener, the newest first.
pub(super) fn recent_failures(status: &Status) -> Value {
    json!({ "listener": status.name, "recent_failures": one_by_one(status) })
}

fn one_by_one(status: &Status) -> Vec<Value> {
    status.recent_failures.iter().map(|each| failure(each, status)).collect()
}

/// Something that happened to a message and was no success.
fn failure(failure: &Failure, status: &Status) -> Value {
    let max_receives = failure.final_of.or_else(|| status.depth.as_ref().and_then(DepthView::max_receives));
    json!({
        "id": failure.id.as_str(),
        "time": humantime::format_rfc3339_millis(failure.at).to_string(),
        "receive": failure.receive,
        "max_receives": max_receives,
        "final": failure.final_of.is_some(),
        "outcome": failure.outcome,
        "status": failure.texts.status,
        "reason": failure.reason,
        "then": failure.then,
        "fix": failure.fix(),
        "times": failure.held.max(1),
        "error": failure.texts.error,
        "answer": failure.texts.answer,
    })
}

/// Message counts, with the time since they were read.
fn depth(depth: &QueueDepth, view: &DepthView) -> Value {
    json!({
        "visible": depth.visible,
        "not_visible": depth.not_visible,
        "delayed": depth.delayed,
        "age_seconds": view.at.elapsed().as_secs(),
    })
}

fn dead_letter_queue(view: &DepthView) -> Option<Value> {
    let redrive = view.redrive.as_ref()?;
    let depth = redrive.dead_letter_depth.as_ref().map(|of_it| depth(of_it, view));
    let why = redrive.dead_letter_unread.as_ref().map(|unread| format!("{}; {}", unread.why, unread.fix));
    Some(json!({ "name": redrive.dead_letter_name, "depth": depth, "why": why }))
}

/// Who else holds the caps; `null` without a fleet.
fn fleet(standing: &Standing) -> Value {
    let of = |members| json!({ "members": members, "listed": standing.is_listed(), "halved": standing.is_halved() });
    standing.members().map_or(Value::Null, of)
}

fn endpoint(limits: &EndpointLimits) -> Value {
    let sessions = &limits.sessions;
    json!({
        "name": &*limits.name,
        "share": thousandths(sessions.part()),
        "sessions": { "limit": sessions.cap(), "in_use": sessions.running() },
        "adaptive": adaptive(sessions),
        "gate": gate(&limits.gate.snapshot()),
    })
}

/// POSTs at once and starts per second, which of them the endpoint limits, and how it said so last.
fn adaptive(sessions: &Sessions) -> Value {
    let learned = sessions.learned();
    let rate = learned.and_then(|learned| learned.per_second);
    json!({
        "enabled": learned.is_some(),
        "limit": sessions.limit(),
        "rate": rate.map(thousandths),
        "limited_by": learned.and_then(|learned| learned.limited_by()),
        "last_refusal": learned.and_then(|learned| learned.last_refusal).map(refusal),
    })
}

/// Rounded, since nobody reads more.
fn thousandths(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn refusal(refusal: Refusal) -> Value {
    let asked = refusal.retry_after;
    json!({
        "reason": refusal.reason.label(),
        "words": refusal.words(),
        "retry_after_seconds": (!asked.is_zero()).then_some(asked.as_secs()),
    })
}

fn gate(gate: &GateSnapshot) -> Value {
    let closed = gate.reason.map(|_| gate.closed_for.as_secs());
    let next = (gate.state == GateState::Closed).then_some(gate.pause_left.as_secs());
    json!({
        "state": gate.state.label(),
        "reason": gate.reason.map(crate::limit::Reason::label),
        "words": gate.reason.map(crate::limit::Reason::words),
        "fix": gate.reason.map(crate::limit::Reason::fix),
        "closed_seconds": closed,
        "next_probe_seconds": next,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::limit::{Feedback, Reason, Settings, Share, SlotCounts, Stated};
    use crate::message::{Message, MessageId, ReceiptHandle};
    use crate::pipeline::{Controls, NotReceiving};
    use crate::policy::final_receive::FinalReceive;
    use crate::ports::Redrive;
    use crate::tuning::Tuning;

    const MINUTE: Duration = Duration::from_secs(60);

    fn status(preflight: Preflight, trouble: Option<&str>) -> Status {
        let open = GateSnapshot {
            state: GateState::Open,
            reason: None,
            closed_for: Duration::ZERO,
            pause_left: Duration::ZERO,
            idle: false,
        };
        let endpoint_gate = GateSnapshot {
            state: GateState::Closed,
            reason: Some(Reason::Unauthorized),
            closed_for: 2 * MINUTE,
            pause_left: MINUTE,
            idle: false,
        };
        let depth = QueueDepth { visible: 7, not_visible: 2, delayed: 1 };
        let redrive = Redrive {
            max_receives: 3,
            dead_letter_name: "orders-dlq".to_owned(),
            dead_letter_fifo: false,
            dead_letter_retention: None,
            dead_letter_depth: Some(depth),
            dead_letter_unread: None,
        };
        Status {
            name: "orders".to_owned(),
            queue: "orders".to_owned(),
            endpoint: "api".to_owned(),
            preflight,
            controls: Controls { paused: true, workers: 4, share: Share::WHOLE },
            workers_configured: 16,
            slots: SlotCounts { limit: 4, reserved: 0, in_use: 2, bytes_max: usize::MAX, bytes: 0 },
            messages: [("waiting", 0), ("held", 0), ("delivering", 2), ("settling", 0)],
            parked: 1,
            deferred: 2,
            not_receiving: Some(NotReceiving::NoSlot),
            depth: Some(DepthView { at: Instant::now() - MINUTE / 4, depth, redrive: Some(redrive) }),
            oldest: MINUTE,
            totals: Totals { received: 9, deferred: 6, parked: 1, ..Totals::default() },
            failures: Failures {
                deliveries: 7,
                in_a_row: 7,
                lasting: Some(2 * MINUTE),
                ..Failures::default()
            },
            recent_failures: Vec::new(),
            trouble: trouble.map(str::to_owned),
            gate: open,
            endpoint_gate,
        }
    }

    #[test]
    fn the_state_says_how_bad_it_is_and_why() {
        let unreachable = Preflight::Unreachable("no DNS".to_owned());
        let faulted = Preflight::Faulted("denied".to_owned());
        for (preflight, trouble, state, why) in [
            (Preflight::Pending, None, "pending", json!(null)),
            (Preflight::Passed, None, "healthy", json!(null)),
            (Preflight::Passed, Some("no delivery"), "degraded", json!("no delivery")),
            (unreachable, Some("no delivery"), "unreachable", json!("no DNS")),
            (faulted, None, "faulted", json!("denied")),
        ] {
            let shown = listener(&status(preflight, trouble), true);
            assert_eq!((&shown["state"], &shown["why"]), (&json!(state), &why));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_adaptive_limit_is_shown_with_its_rate_which_holds_posts_back_and_the_last_refusal() {
        let settings = |adaptive| Settings {
            sessions: 64,
            divided: false,
            adaptive,
            rate: None,
            tuning: Tuning::default(),
        };
        let shown = |limits: &EndpointLimits| endpoint(limits)["adaptive"].clone();
        let fixed = EndpointLimits::new("api", &settings(false), 1);
        let nothing =
            json!({"enabled": false, "limit": 64, "rate": null, "limited_by": null, "last_refusal": null});
        assert_eq!(shown(&fixed), nothing);
        let limits = EndpointLimits::new("api", &settings(true), 1);
        let member = limits.sessions.join(64);
        let before = shown(&limits);
        assert_eq!(
            (&before["enabled"], &before["rate"], &before["limited_by"]),
            (&json!(true), &json!(null), &json!(null))
        );
        let refusal = Refusal { reason: Reason::RetryAfter, retry_after: 3 * MINUTE };
        for feedback in [Feedback::Success(Stated::Nothing); 20]
            .into_iter()
            .chain([Feedback::Congestion(refusal, Stated::Nothing); 4])
        {
            let mut session = member.granted(None).await;
            session.starts();
            tokio::time::advance(Duration::from_millis(100)).await;
            session.end(feedback);
        }
        let after = shown(&limits);
        assert!(after["rate"].as_f64().is_some_and(|rate| rate > 1.0 && rate < 20.0), "{after}");
        assert_eq!(after["limited_by"], json!("rate"));
        let words = "the endpoint asked for a pause (Retry-After)";
        let refusal = json!({"reason": "retry_after", "words": words, "retry_after_seconds": 180});
        assert_eq!(after["last_refusal"], refusal);
    }

    #[test]
    fn a_recent_failure_names_its_message_and_says_why_and_what_became_of_it() {
        let message = Message::new(MessageId::new("m-1"), ReceiptHandle::new("r"), "the body");
        let held = Failure::new(&message, "unsent", "refused", "held: nothing could be sent");
        let failed =
            Failure::new(&message, "failed", "server_error", "final receive (1 of 1): orders-dlq next")
                .on(Some(&FinalReceive { max: 1, dead_letter_queue: None }))
                .saying(Some(500), Some("no such customer"), None);
        let mut status = status(Preflight::Passed, None);
        status.recent_failures = vec![failed, Failure { held: 7, ..held }];
        let shown = listener(&status, true)["recent_failures"].clone();
        let expected = json!({
            "id": "m-1", "time": "1970-01-01T00:00:00.000Z", "receive": 1, "max_receives": 1, "final": true,
            "outcome": "failed", "status": 500, "reason": "server_error",
            "then": "final receive (1 of 1): orders-dlq next", "fix": "look into the endpoint's log for the message id",
            "times": 1, "error": null,
            "answer": "no such customer",
        });
        assert_eq!(shown[0], expected);
        let [max, times, last] = ["max_receives", "times", "final"].map(|key| &shown[1][key]);
        assert_eq!((max, times, last), (&json!(3), &json!(7), &json!(false)));
        assert!(!shown.to_string().contains("the body"));
    }

    #[test]
    fn counts_depths_with_their_age_and_both_gates_are_shown() {
        let shown = listener(&status(Preflight::Passed, None), true);
        let depth = json!({"visible": 7, "not_visible": 2, "delayed": 1, "age_seconds": 15});
        assert_eq!(shown["queue_depth"], depth);
        assert_eq!(shown["dead_letter_queue"], json!({"name": "orders-dlq", "depth": depth, "why": null}));
        assert_eq!((&shown["totals"]["deferred"], &shown["totals"]["parked"]), (&json!(6), &json!(1)));
        assert_eq!(
            (&shown["failures"]["deliveries"], &shown["failures"]["lasting_seconds"]),
            (&json!(7), &json!(120))
        );
        assert_eq!(shown["oldest_age_seconds"], json!(60));
        let fix = shown["endpoint_gate"]["fix"].as_str().unwrap();
        assert!(fix.starts_with("check the endpoint's auth"), "{fix}");
        assert_eq!(
            (&shown["gate"]["state"], &shown["endpoint_gate"]["state"]),
            (&json!("open"), &json!("closed"))
        );
    }
}
