//! Where every value of a configuration comes from: file, flag, variable, preset or default.
//!
//! Values are shown as problems show them: as written, addresses up to their port, secrets as REDACTED. A test
//! holds the defaults named here to those that apply.

use std::time::Duration;

use crate::config::env::Lookup;
use crate::config::file::{File, Listener};
use crate::config::keys::{self, Slot};
use crate::config::plan::{EndpointPlan, ListenerPlan, Plan};
use crate::config::problem::{Place, Written};
use crate::config::shown::{Reveal, shown, shown_key};
use crate::config::{nested_keys, reference, reveal};
use crate::exchange::AGENT;
use crate::telemetry::log;

/// One key, its value and where that came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Name of the listener; `None` for the process as a whole.
    pub listener: Option<String>,
    /// The key; that of its endpoint starts with `endpoint.`.
    pub key: String,
    /// The value, as far as it may be shown; `None` without one.
    pub value: Option<String>,
    /// `FILE:LINE:COLUMN`, a flag, a variable, `preset NAME` or `default`.
    pub from: String,
}

/// Every key of `file`, which makes `plan`.
pub(super) fn rows(mut file: File, plan: &Plan, env: Lookup<'_>) -> Vec<Explained> {
    let mut rows = Vec::new();
    let mut listeners = std::mem::take(&mut file.listeners);
    for (listener, plan_of_it) in listeners.iter_mut().zip(&plan.listeners) {
        let explained = Explaining { listener: Some(&plan_of_it.listener.name), env };
        explained.listener(listener, &mut file, plan_of_it, plan, &mut rows);
    }
    let whole = Explaining { listener: None, env };
    let deadline = Some(spoken(plan.deadline));
    let format = match plan.log.format {
        log::Format::Text | log::Format::Watched => "text",
        log::Format::Json => "json",
    };
    let filter = Some(log::DEFAULT_FILTER.to_owned());
    for (key, written, default) in [
        ("admin.listen", &file.admin.listen, None),
        ("admin.metrics_listen", &file.admin.metrics_listen, None),
        ("admin.allow_changes", &file.admin.allow_changes, None),
        ("admin.token_file", &file.admin.token_file, None),
        ("fleet.dns", &file.fleet.dns, None),
        ("fleet.server", &file.fleet.server, None),
        ("fleet.replicas", &file.fleet.replicas, None),
        ("fleet.workers", &file.fleet.workers, None),
        ("shutdown.deadline", &file.shutdown_deadline, deadline),
        ("log.format", &file.log_format, Some(format.to_owned())),
        ("log.level", &file.log_level, filter),
    ] {
        let written: Vec<&Written> = written.iter().collect();
        rows.push(whole.row(key, &written, default));
    }
    rows
}

/// Makes rows of one listener, or of the process.
struct Explaining<'a> {
    listener: Option<&'a str>,
    env: Lookup<'a>,
}

impl Explaining<'_> {
    fn listener(
        &self,
        listener: &mut Listener,
        file: &mut File,
        plan: &ListenerPlan,
        whole: &Plan,
        rows: &mut Vec<Explained>,
    ) {
        let of_plan = |key: &str| match key {
            "name" => Some(plan.listener.name.clone()),
            "batch.size" => Some(plan.listener.exchange.messages_max().to_string()),
            "batch.window" => Some(spoken(plan.listener.receiving.window)),
            "retry_delay" => Some("10s, doubled with each receive up to 15m".to_owned()),
            "visibility_timeout" => Some(spoken(plan.listener.lease())),
            "user_agent" => Some(AGENT.to_owned()),
            _ => None,
        };
        self.keys("", &keys::of_listener(listener), of_plan, rows);
        rows.extend(
            nested_keys::of_listener(listener).iter().map(|(key, written)| self.row(key, written, None)),
        );
        for row in &listener.on_response {
            let name = row.key.rsplit_once('.').map_or(row.key.as_str(), |(_, name)| name);
            let status: Vec<&Written> = row.status.iter().flatten().collect();
            rows.push(self.row(&format!("{name}.status"), &status, None));
            rows.push(self.row(&format!("{name}.action"), &row.action.iter().collect::<Vec<_>>(), None));
            rows.push(self.row(&format!("{name}.delay"), &row.delay.iter().collect::<Vec<_>>(), None));
        }
        let named = listener.endpoint.as_ref().and_then(|name| name.text.clone());
        let endpoint = file.endpoints.iter_mut().find(|endpoint| Some(&endpoint.name.raw) == named.as_ref());
        let of_endpoint = whole.endpoints.get(plan.endpoint);
        let of_plan = |key: &str| of_endpoint.and_then(|endpoint| default_of_endpoint(key, endpoint));
        let endpoint = endpoint.unwrap_or(&mut listener.own);
        self.keys("endpoint.", &keys::of_endpoint(endpoint), of_plan, rows);
        let nested = nested_keys::of_endpoint(endpoint);
        rows.extend(nested.iter().map(|(key, written)| self.row(&format!("endpoint.{key}"), written, None)));
    }

    /// The rows of `keys`; `of_plan` knows the defaults that depend on other values.
    fn keys(
        &self,
        prefix: &str,
        keys: &[(&'static str, Slot<'_>)],
        of_plan: impl Fn(&str) -> Option<String>,
        rows: &mut Vec<Explained>,
    ) {
        for (key, slot) in keys {
            match slot {
                Slot::Named(named) => {
                    let row = |(name, written): &(Written, Written)| {
                        self.row(&format!("{prefix}{key}.{}", shown_key(&name.raw)), &[written], None)
                    };
                    rows.extend(named.iter().map(row));
                }
                Slot::One(_) | Slot::List(_) => {
                    rows.push(self.row(&format!("{prefix}{key}"), &slot.written(), of_plan(key)));
                }
            }
        }
    }

    /// One row; `default` replaces that of the table.
    fn row(&self, key: &str, written: &[&Written], default: Option<String>) -> Explained {
        let of_table = || reference::default_of(key).map(str::to_owned);
        let (value, from) = match written.first() {
            None => (default.or_else(of_table), "default".to_owned()),
            Some(first) => {
                let values: Vec<String> = written.iter().map(|written| self.value(written)).collect();
                (Some(values.join(", ")), first.place.to_string())
            }
        };
        Explained { listener: self.listener.map(str::to_owned), key: key.to_owned(), value, from }
    }

    fn value(&self, written: &Written) -> String {
        let written = match written.reveal {
            Reveal::Path => reveal::path(written, self.env),
            Reveal::Variable => reveal::variable(written, self.env),
            Reveal::Text | Reveal::Origin | Reveal::Beginning(_) | Reveal::Nothing => written.clone(),
        };
        // The texts of presets hold no secret, and people copy them to override one.
        let is_ours = matches!(written.place, Place::Preset(_)) && written.reveal == Reveal::Text;
        if is_ours { written.raw } else { shown(&written.raw, written.reveal) }
    }
}

/// The default of an endpoint's key that depends on its listeners.
fn default_of_endpoint(key: &str, endpoint: &EndpointPlan) -> Option<String> {
    match key {
        "sessions" => Some(endpoint.limits.sessions.to_string()),
        "connect_timeout" => Some(spoken(endpoint.client.connect_timeout)),
        "rate_limit.burst" => endpoint.limits.rate.map(|rate| rate.burst.to_string()),
        _ => None,
    }
}

fn spoken(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
