//! The metrics: one registry of our own, families registered once, handles resolved per listener.
//!
//! The hot path touches resolved counters only. At each scrape the owner of a state sets its gauges (permits
//! in use, the gate).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use prometheus::proto::{LabelPair, Metric, MetricFamily};
use prometheus::{Encoder, TextEncoder};

use crate::limit::{GateState, Reason};
use crate::policy::decide::DeferReason;
use crate::policy::outcome::Outcome;
use crate::policy::preflight::Warning;
use crate::ports::{LeftOut, Operation};
use crate::telemetry::families::{self, Families};
use crate::telemetry::handles::{EndpointMetrics, GateMetrics, ListenerMetrics};
use crate::telemetry::labels::{AdminWrite, ExtensionResult, ReleaseReason, Stage};
use crate::telemetry::output;

/// Content type of the exposition.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The registry and every family.
#[derive(Debug)]
pub struct Metrics {
    families: Families,
    /// Lines of output dropped, as far as they were added to the counter.
    lines_dropped: AtomicU64,
    shown: RwLock<Shown>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All families with zero counts.
    pub fn new() -> Self {
        Self { families: Families::new(), lines_dropped: AtomicU64::new(0), shown: RwLock::default() }
    }

    /// The commit of this build, or `unknown`.
    pub fn revision() -> &'static str {
        families::revision()
    }

    /// The text exposition (format 0.0.4).
    pub fn render(&self) -> Vec<u8> {
        let dropped = output::dropped();
        let counted = self.lines_dropped.fetch_max(dropped, Ordering::Relaxed);
        self.families.log_lines_dropped.inc_by(dropped.saturating_sub(counted));
        let mut text = Vec::with_capacity(64 * 1024);
        if let Err(error) = TextEncoder::new().encode(&self.gathered(), &mut text) {
            tracing::error!(%error, "the metrics could not be rendered");
        }
        text
    }

    /// All series but those of listeners and endpoints that are gone.
    fn gathered(&self) -> Vec<MetricFamily> {
        let mut families = self.families.registry.gather();
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        if shown.are_any_gone {
            for family in &mut families {
                family.mut_metric().retain(|metric| shown.shows(metric));
            }
            families.retain(|family| !family.get_metric().is_empty());
        }
        families
    }

    /// Shows the series of these listeners and endpoints alone. Those of the others are kept: should one of that name run
    /// again, its counters go on where they were.
    pub fn retain(&self, keeps_listener: impl Fn(&str) -> bool, keeps_endpoint: impl Fn(&str) -> bool) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        let before = (shown.listeners.len(), shown.endpoints.len());
        shown.listeners.retain(|listener, _| keeps_listener(listener));
        shown.endpoints.retain(|endpoint| keeps_endpoint(endpoint));
        shown.are_any_gone |= before != (shown.listeners.len(), shown.endpoints.len());
    }

    /// The configuration was read at this Unix time, and was valid or not.
    pub fn config_read(&self, is_valid: bool, at: f64) {
        self.families.reload_successful.set(i64::from(is_valid));
        if is_valid {
            self.families.reload_succeeded_at.set(at);
        }
    }

    /// Sets the gauge of the fleet's processes; without a fleet there is no series.
    pub fn set_fleet_members(&self, members: Option<usize>) {
        match members {
            Some(members) => {
                let members = i64::try_from(members).unwrap_or(i64::MAX);
                let no_labels: [&str; 0] = [];
                self.families.fleet_members.with_label_values(&no_labels).set(members);
            }
            None => self.families.fleet_members.reset(),
        }
    }

    /// Sets the gauge that the process is draining.
    pub fn set_draining(&self) {
        self.families.draining.set(1);
    }

    /// Somebody asked to change something through the admin port.
    pub fn admin_write(&self, action: &str, result: AdminWrite) {
        self.families.admin_writes.with_label_values(&[action, result.label()]).inc();
    }

    /// The handles of one listener. Its label sets start at zero, except SQS errors by kind.
    pub fn listener(&self, listener: &str, endpoint: &str) -> ListenerMetrics {
        self.shown.write().unwrap_or_else(PoisonError::into_inner).put(listener, endpoint);
        let f = &self.families;
        let l = &[listener][..];
        ListenerMetrics {
            listener: listener.to_owned(),
            received_first: f.received.with_label_values(&[listener, "true"]),
            received_again: f.received.with_label_values(&[listener, "false"]),
            in_progress: Stage::ALL.map(|(_, stage)| f.in_progress.with_label_values(&[listener, stage])),
            deliveries: Outcome::ALL.map(|o| f.deliveries.with_label_values(&[listener, o.label()])),
            delivery_seconds: std::array::from_fn(|_| OnceLock::new()),
            delivery_seconds_family: f.delivery_seconds.clone(),
            responses: Mutex::new(BTreeMap::new()),
            responses_family: f.responses.clone(),
            deleted: f.deleted.with_label_values(l),
            parked: f.parked.with_label_values(l),
            deferred: DeferReason::ALL.map(|r| f.deferred.with_label_values(&[listener, r.label()])),
            released: ReleaseReason::ALL.map(|(_, r)| f.released.with_label_values(&[listener, r])),
            dead_lettered: f.dead_lettered.with_label_values(l),
            abandoned: f.abandoned.with_label_values(l),
            parked_current: f.parked_current.with_label_values(l),
            age_received: f.age.with_label_values(&[listener, "received"]),
            age_completed: f.age.with_label_values(&[listener, "completed"]),
            receive_count: f.receive_count.with_label_values(l),
            near_dead_letter: f.near_dead_letter.with_label_values(l),
            duplicates_suppressed: f.duplicates_suppressed.with_label_values(l),
            expired: f.expired.with_label_values(l),
            no_work: f.no_work.with_label_values(l),
            object_requests: f.object_requests.clone(),
            leases_lost: f.leases_lost.with_label_values(l),
            extensions: ExtensionResult::ALL.map(|(_, r)| f.extensions.with_label_values(&[listener, r])),
            workers_limit: f.workers_limit.with_label_values(l),
            paused: f.paused.with_label_values(l),
            workers_in_use: f.workers_in_use.with_label_values(l),
            workers_reserved: f.workers_reserved.with_label_values(l),
            sqs_ok: Operation::OF_LISTENERS
                .map(|o| f.sqs_requests.with_label_values(&[listener, o.name(), "ok"])),
            sqs_requests: f.sqs_requests.clone(),
            sqs_seconds: Operation::OF_LISTENERS
                .map(|o| f.sqs_seconds.with_label_values(&[listener, o.name()])),
            sqs_empty: f.sqs_empty.with_label_values(l),
            queue_visible: f.queue_visible.clone(),
            queue_not_visible: f.queue_not_visible.clone(),
            queue_delayed: f.queue_delayed.clone(),
            oldest_age: f.oldest_age.with_label_values(l),
            last_receive: f.last_receive.with_label_values(l),
            last_success: f.last_success.with_label_values(l),
            left_out: LeftOut::ALL.map(|why| f.left_out.with_label_values(&[listener, why.label()])),
            headers_dropped: f.headers_dropped.with_label_values(l),
            panics: f.panics.with_label_values(l),
            faulted: f.faulted.with_label_values(l),
            preflight_warnings: Warning::ALL
                .map(|w| f.preflight_warnings.with_label_values(&[listener, w.label()])),
            gate: self.gate(endpoint, listener, |reason| reason == Reason::Misdirected),
        }
    }

    /// The handles of one endpoint.
    pub fn endpoint(&self, endpoint: &str) -> EndpointMetrics {
        self.shown.write().unwrap_or_else(PoisonError::into_inner).endpoints.insert(endpoint.to_owned());
        let f = &self.families;
        EndpointMetrics {
            sessions_limit: f.sessions_limit.with_label_values(&[endpoint]),
            sessions_in_use: f.sessions_in_use.with_label_values(&[endpoint]),
            adaptive_limit: f.adaptive_limit.with_label_values(&[endpoint]),
            adaptive_rate: f.adaptive_rate.clone(),
            fleet_share: f.fleet_share.clone(),
            endpoint: endpoint.to_owned(),
            gate: self.gate(endpoint, "", |reason| reason != Reason::Misdirected),
        }
    }

    /// The handles of a gate; `listener` is empty for an endpoint's.
    fn gate(&self, endpoint: &str, listener: &str, closes: fn(Reason) -> bool) -> GateMetrics {
        let f = &self.families;
        let counter = |reason: Reason| f.gate_closed.with_label_values(&[endpoint, listener, reason.label()]);
        let reasons = Reason::ALL.into_iter().filter(|reason| closes(*reason));
        GateMetrics {
            state: GateState::ALL.map(|s| f.gate_state.with_label_values(&[endpoint, listener, s.label()])),
            closed: Mutex::new(reasons.map(|reason| (reason, counter(reason))).collect()),
        }
    }
}

/// The listeners and endpoints whose series are shown.
#[derive(Debug, Default)]
struct Shown {
    /// Each with its endpoint.
    listeners: BTreeMap<String, String>,
    endpoints: BTreeSet<String>,
    /// Whether there are series of others.
    are_any_gone: bool,
}

impl Shown {
    /// A listener posts to an endpoint.
    fn put(&mut self, listener: &str, endpoint: &str) {
        let before = self.listeners.insert(listener.to_owned(), endpoint.to_owned());
        self.are_any_gone |= before.is_some_and(|before| before != endpoint);
    }

    /// Whether a series is of those that run. The gate of an endpoint has an empty listener.
    fn shows(&self, metric: &Metric) -> bool {
        let label = |name: &str| {
            let found = metric.get_label().iter().find(|label| label.name() == name);
            found.map(LabelPair::value).filter(|value| !value.is_empty())
        };
        match (label("listener"), label("endpoint")) {
            (None, None) => true,
            (Some(listener), None) => self.listeners.contains_key(listener),
            (None, Some(endpoint)) => self.endpoints.contains(endpoint),
            (Some(listener), Some(endpoint)) => {
                self.listeners.get(listener).is_some_and(|its| its == endpoint)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_registers_once_and_the_exposition_names_its_listener() {
        let metrics = Metrics::new();
        let listener = metrics.listener("orders", "http://127.0.0.1:8080");
        metrics.endpoint("http://127.0.0.1:8080").gate.mirror(GateState::Open, &Default::default());
        listener.responded(200);
        let text = String::from_utf8(metrics.render()).unwrap();
        for line in [
            r#"queuepost_messages_received_total{first="true",listener="orders"} 0"#,
            r#"queuepost_deliveries_total{listener="orders",outcome="throttled"} 0"#,
            r#"queuepost_preflight_warnings{listener="orders",warning="few_receives"} 0"#,
            r#"queuepost_http_responses_total{code="200",listener="orders"} 1"#,
            r#"queuepost_gate_state{endpoint="http://127.0.0.1:8080",listener="",state="open"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing from:\n{text}");
        }
    }

    #[test]
    fn series_of_a_listener_that_is_gone_end_and_go_on_when_it_is_back() {
        let metrics = Metrics::new();
        let text = || String::from_utf8(metrics.render()).unwrap();
        for name in ["orders", "mails"] {
            metrics.listener(name, "api").deleted.inc();
            metrics.endpoint("api").sessions_limit.set(1);
        }
        metrics.retain(|listener| listener == "orders", |endpoint| endpoint == "api");
        assert!(text().contains(r#"listener="orders""#) && !text().contains("mails"), "{}", text());
        metrics.listener("mails", "other").deleted.inc();
        let deleted = r#"queuepost_messages_deleted_total{listener="mails"} 2"#;
        assert!(text().contains(deleted), "no counter goes backwards: {}", text());
        let gate = r#"queuepost_gate_state{endpoint="api",listener="mails""#;
        assert!(!text().contains(gate), "it posts to another endpoint now: {}", text());
        metrics.retain(|_| false, |_| false);
        assert!(text().contains("queuepost_draining 0") && !text().contains("api"), "{}", text());
    }

    #[test]
    fn an_endpoint_without_a_learned_rate_has_no_series_for_it() {
        let metrics = Metrics::new();
        let endpoint = metrics.endpoint("api");
        for (rate, wanted) in [(None, false), (Some(5.25), true), (None, false)] {
            endpoint.set_adaptive_rate(rate);
            let text = String::from_utf8(metrics.render()).unwrap();
            assert_eq!(text.contains("adaptive_rate"), wanted, "{text}");
            assert_eq!(text.contains(r#"queuepost_adaptive_rate{endpoint="api"} 5.25"#), wanted, "{text}");
        }
    }

    #[test]
    fn codes_past_the_twentieth_count_as_other() {
        let metrics = Metrics::new();
        let listener = metrics.listener("orders", "http://127.0.0.1:8080");
        for code in 400..430 {
            listener.responded(code);
        }
        let text = String::from_utf8(metrics.render()).unwrap();
        assert_eq!(text.matches("queuepost_http_responses_total{").count(), 21);
        assert!(text.contains(r#"queuepost_http_responses_total{code="other",listener="orders"} 10"#));
    }
}
