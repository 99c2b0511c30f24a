//! Resolved metric handles: the counters of the hot path.
//!
//! There is one method per event, so that callers name events and not metrics. Series of status codes and
//! delivery histograms are created on first use, to keep their number low.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};

use crate::limit::{GateState, Reason};
use crate::policy::decide::DeferReason;
use crate::policy::outcome::Outcome;
use crate::policy::preflight::{Finding, Warning};
use crate::ports::{LeftOut, ObjectErrorKind, ObjectOperation, Operation, QueueDepth, QueueErrorKind};
use crate::telemetry::labels::{ExtensionResult, QueueRole, ReleaseReason, Stage};

/// Most status codes of a listener in a label; further codes become `other`.
const CODES_MAX: usize = 20;

/// One listener's handles.
#[derive(Debug)]
pub struct ListenerMetrics {
    pub(super) listener: String,
    pub(super) received_first: IntCounter,
    pub(super) received_again: IntCounter,
    pub(super) in_progress: [IntGauge; 4],
    pub(super) deliveries: [IntCounter; Outcome::ALL.len()],
    pub(super) delivery_seconds: [OnceLock<Histogram>; Outcome::ALL.len()],
    pub(super) delivery_seconds_family: HistogramVec,
    pub(super) responses: Mutex<BTreeMap<u16, IntCounter>>,
    pub(super) responses_family: IntCounterVec,
    /// Deleted after a success, confirmed.
    pub deleted: IntCounter,
    /// Parked after a 429.
    pub parked: IntCounter,
    pub(super) deferred: [IntCounter; DeferReason::ALL.len()],
    pub(super) released: [IntCounter; 4],
    /// Sent to the dead-letter queue by a row of the listener.
    pub dead_lettered: IntCounter,
    /// Left unsettled.
    pub abandoned: IntCounter,
    /// Parked messages that are not yet due.
    pub parked_current: IntGauge,
    pub(super) age_received: Histogram,
    pub(super) age_completed: Histogram,
    pub(super) receive_count: Histogram,
    /// Messages on their final receive before the dead-letter queue.
    pub near_dead_letter: IntCounter,
    /// Messages received again after a success, or during their POST.
    pub duplicates_suppressed: IntCounter,
    /// Messages older than the retention, deleted without a POST.
    pub expired: IntCounter,
    /// Messages that were no work and are deleted without a POST.
    pub no_work: IntCounter,
    pub(super) object_requests: IntCounterVec,
    /// Messages whose visibility ended in flight.
    pub leases_lost: IntCounter,
    pub(super) extensions: [IntCounter; 3],
    /// Configured workers.
    pub workers_limit: IntGauge,
    /// Whether it is paused.
    pub paused: IntGauge,
    /// Workers that hold a message.
    pub workers_in_use: IntGauge,
    /// Workers reserved by receives.
    pub workers_reserved: IntGauge,
    pub(super) sqs_ok: [IntCounter; Operation::OF_LISTENERS.len()],
    pub(super) sqs_requests: IntCounterVec,
    pub(super) sqs_seconds: [Histogram; Operation::OF_LISTENERS.len()],
    /// Receives without a message.
    pub sqs_empty: IntCounter,
    pub(super) queue_visible: IntGaugeVec,
    pub(super) queue_not_visible: IntGaugeVec,
    pub(super) queue_delayed: IntGaugeVec,
    /// Seconds, over the receives of the last minute.
    pub oldest_age: Gauge,
    /// Unix time.
    pub last_receive: Gauge,
    /// Unix time.
    pub last_success: Gauge,
    pub(super) left_out: [IntCounter; LeftOut::ALL.len()],
    /// Headers that were left out.
    pub headers_dropped: IntCounter,
    /// Panics of deliveries, pollers and loops.
    pub panics: IntCounter,
    pub(super) faulted: IntGauge,
    pub(super) preflight_warnings: [IntGauge; Warning::ALL.len()],
    /// The listener's own gate.
    pub gate: GateMetrics,
}

/// What became of the messages a listener received since the start; each receive counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Received.
    pub received: u64,
    /// Deleted after success.
    pub deleted: u64,
    /// Parked after a 429.
    pub parked: u64,
    /// Hidden after another failure.
    pub deferred: u64,
    /// Released without an attempt.
    pub released: u64,
    /// Sent to the dead-letter queue by a row of the listener; messages that SQS moves there do not count.
    pub dead_lettered: u64,
    /// Left to SQS.
    pub abandoned: u64,
}

impl ListenerMetrics {
    /// A message was received.
    pub fn received(&self, receive_count: u32, age: Option<Duration>) {
        if receive_count == 1 { &self.received_first } else { &self.received_again }.inc();
        self.receive_count.observe(f64::from(receive_count));
        if let Some(age) = age {
            self.age_received.observe(age.as_secs_f64());
        }
    }

    /// So many messages entered a stage; a negative number left it.
    pub fn entered(&self, stage: Stage, messages: i64) {
        if let Some(gauge) = self.in_progress.get(position(&Stage::ALL, stage)) {
            gauge.add(messages);
        }
    }

    /// Messages in flight here, by stage.
    pub fn in_progress(&self) -> [(&'static str, i64); Stage::ALL.len()] {
        let mut stages = Stage::ALL.map(|(_, label)| (label, 0));
        for (stage, gauge) in stages.iter_mut().zip(&self.in_progress) {
            stage.1 = gauge.get();
        }
        stages
    }

    /// What became of the messages received so far.
    pub fn totals(&self) -> Totals {
        let sum = |counters: &[IntCounter]| counters.iter().map(IntCounter::get).sum();
        Totals {
            received: self.received_first.get() + self.received_again.get(),
            deleted: self.deleted.get(),
            parked: self.parked.get(),
            deferred: sum(&self.deferred),
            released: sum(&self.released),
            dead_lettered: self.dead_lettered.get(),
            abandoned: self.abandoned.get(),
        }
    }

    /// A delivery ended. Outcomes without a POST have no duration.
    pub fn delivered(&self, outcome: Outcome, took: Option<Duration>) {
        let index = outcome.index();
        if let Some(counter) = self.deliveries.get(index) {
            counter.inc();
        }
        if let (Some(took), Some(cell)) = (took, self.delivery_seconds.get(index)) {
            let resolve =
                || self.delivery_seconds_family.with_label_values(&[&self.listener, outcome.label()]);
            cell.get_or_init(resolve).observe(took.as_secs_f64());
        }
    }

    /// An answer arrived.
    pub fn responded(&self, code: u16) {
        let mut seen = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = seen.get(&code) {
            counter.inc();
        } else if seen.len() < CODES_MAX {
            let counter = self.responses_family.with_label_values(&[&self.listener, &code.to_string()]);
            counter.inc();
            seen.insert(code, counter);
        } else {
            self.responses_family.with_label_values(&[&self.listener, "other"]).inc();
        }
    }

    /// A message is deleted after a success.
    pub fn completed(&self, age: Option<Duration>) {
        if let Some(age) = age {
            self.age_completed.observe(age.as_secs_f64());
        }
    }

    /// So many messages were deferred.
    pub fn deferred(&self, reason: DeferReason, messages: u64) {
        let index = DeferReason::ALL.iter().position(|&each| each == reason).unwrap_or_default();
        if let Some(counter) = self.deferred.get(index) {
            counter.inc_by(messages);
        }
    }

    /// So many messages were released.
    pub fn released(&self, reason: ReleaseReason, messages: u64) {
        if let Some(counter) = self.released.get(position(&ReleaseReason::ALL, reason)) {
            counter.inc_by(messages);
        }
    }

    /// A call about the object of a claim check ended.
    pub fn object_request(&self, operation: ObjectOperation, error: Option<ObjectErrorKind>) {
        let result = error.map_or("ok", ObjectErrorKind::label);
        self.object_requests.with_label_values(&[self.listener.as_str(), operation.name(), result]).inc();
    }

    /// A lease extension ended.
    pub fn extension(&self, result: ExtensionResult) {
        if let Some(counter) = self.extensions.get(position(&ExtensionResult::ALL, result)) {
            counter.inc();
        }
    }

    /// An SQS call ended.
    pub fn sqs_call(&self, operation: Operation, took: Duration, error: Option<QueueErrorKind>) {
        let index = Operation::OF_LISTENERS.iter().position(|&each| each == operation).unwrap_or_default();
        if let Some(histogram) = self.sqs_seconds.get(index) {
            histogram.observe(took.as_secs_f64());
        }
        match error {
            None => self.sqs_ok.get(index).into_iter().for_each(IntCounter::inc),
            Some(kind) => self.sqs_refused(operation, kind),
        }
    }

    /// A call failed whose time nobody took.
    pub fn sqs_refused(&self, operation: Operation, kind: QueueErrorKind) {
        let labels = &[self.listener.as_str(), operation.name(), kind.label()];
        self.sqs_requests.with_label_values(labels).inc();
    }

    /// So many received messages were left out.
    pub fn left_out(&self, why: LeftOut, messages: u64) {
        if let Some(counter) = self.left_out.get(why.index()) {
            counter.inc_by(messages);
        }
    }

    /// The depth of a queue was read.
    pub fn depth(&self, role: QueueRole, depth: &QueueDepth) {
        let labels = &[self.listener.as_str(), role.label()];
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.queue_visible.with_label_values(labels).set(gauge(depth.visible));
        self.queue_not_visible.with_label_values(labels).set(gauge(depth.not_visible));
        self.queue_delayed.with_label_values(labels).set(gauge(depth.delayed));
    }

    /// The queue no longer exists, or may not be read.
    pub fn no_depth(&self, role: QueueRole) {
        let labels = &[self.listener.as_str(), role.label()];
        for gauge in [&self.queue_visible, &self.queue_not_visible, &self.queue_delayed] {
            // The error of a removal only says that the series did not exist.
            gauge.remove_label_values(labels).ok();
        }
    }

    /// Whether the listener is faulted: a person has to act.
    pub fn set_faulted(&self, faulted: bool) {
        self.faulted.set(i64::from(faulted));
    }

    /// The warnings about the queue's present settings.
    pub fn preflight(&self, findings: &[Finding]) {
        for (gauge, each) in self.preflight_warnings.iter().zip(Warning::ALL) {
            gauge.set(i64::from(findings.iter().any(|finding| finding.warning == each)));
        }
    }
}

fn position<T: PartialEq + Copy>(all: &[(T, &'static str)], wanted: T) -> usize {
    all.iter().position(|&(each, _)| each == wanted).unwrap_or_default()
}

/// One endpoint's handles.
#[derive(Debug)]
pub struct EndpointMetrics {
    /// The cap on sessions.
    pub sessions_limit: IntGauge,
    /// Running POSTs.
    pub sessions_in_use: IntGauge,
    /// The limit in force.
    pub adaptive_limit: IntGauge,
    pub(super) adaptive_rate: GaugeVec,
    pub(super) fleet_share: GaugeVec,
    pub(super) endpoint: String,
    /// The endpoint's gate.
    pub gate: GateMetrics,
}

impl EndpointMetrics {
    /// Learned starts per second; without a learned rate there is no series.
    pub fn set_adaptive_rate(&self, per_second: Option<f64>) {
        self.set(&self.adaptive_rate, per_second);
    }

    /// The part of the sessions that this process may use, in a fleet; without one there is no series.
    pub fn set_fleet_share(&self, share: Option<f64>) {
        self.set(&self.fleet_share, share);
    }

    fn set(&self, gauge: &GaugeVec, value: Option<f64>) {
        let labels = &[self.endpoint.as_str()];
        if let Some(value) = value {
            gauge.with_label_values(labels).set(value);
        } else {
            // The error of a removal only says that the series did not exist.
            gauge.remove_label_values(labels).ok();
        }
    }
}

/// One gate's handles.
#[derive(Debug)]
pub struct GateMetrics {
    pub(super) state: [IntGauge; GateState::ALL.len()],
    /// Seconds not open by reason, for the reasons that can close this gate. Locked during an update: two
    /// concurrent scrapes must not add the same time twice.
    pub(super) closed: Mutex<Vec<(Reason, Counter)>>,
}

impl GateMetrics {
    /// Sets the gate's present state, and the total time it was not open. Times are in the order of
    /// [`Reason::ALL`].
    pub fn mirror(&self, state: GateState, closed_for: &[Duration; Reason::ALL.len()]) {
        for (gauge, each) in self.state.iter().zip(GateState::ALL) {
            gauge.set(i64::from(each == state));
        }
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, total) in Reason::ALL.iter().zip(closed_for) {
            if let Some((_, counter)) = closed.iter().find(|(each, _)| each == reason) {
                counter.inc_by((total.as_secs_f64() - counter.get()).max(0.0));
            }
        }
    }
}
