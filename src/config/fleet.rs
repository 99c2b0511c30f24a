//! The keys of the fleet: how its processes are counted, and what they share.
//!
//! A number of processes says nothing of their order. So each cap has to have something for each of them.

use std::num::NonZeroU32;

use crate::config::fields::Fields;
use crate::config::plan::{EndpointPlan, ListenerPlan};
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::{rules, value};
use crate::fleet::{Settings, Source};

/// More processes than anybody runs.
pub(super) const REPLICAS_MAX: u32 = 1_000;
/// Longest name that DNS knows, without the last dot.
const NAME_MAX: usize = 253;
/// Longest part of it.
const LABEL_MAX: usize = 63;

/// `fleet`, as written.
#[derive(Debug, Default)]
pub(super) struct FleetKeys {
    /// Path and place of the map; `None`: it is not written.
    pub(super) map: Option<(String, Place)>,
    pub(super) dns: Option<Written>,
    pub(super) server: Option<Written>,
    pub(super) replicas: Option<Written>,
    pub(super) workers: Option<Written>,
}

impl FleetKeys {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let keys = Self {
            map: Some((fields.path().to_owned(), fields.place().clone())),
            dns: fields.text("dns"),
            server: fields.text("server"),
            replicas: fields.text("replicas"),
            workers: fields.text("workers"),
        };
        fields.finish();
        keys
    }

    /// Whether there is one, in whatever way it is counted.
    pub(super) fn is_written(&self) -> bool {
        self.dns.is_some() || self.replicas.is_some()
    }

    /// The fleet, if there is one.
    pub(super) fn settings(&self, report: &mut Report) -> Option<Settings> {
        let name = report.parse(self.dns.as_ref(), dns_name);
        let server = report.parse(self.server.as_ref(), |text| {
            value::socket_address(text)
                .map_err(|_| Fault::new("is no IP address and port").fix("write 10.96.0.10:53"))
        });
        report.require(self.server.as_ref(), rules::goes_with("dns", self.dns.is_some()));
        let replicas = report.parse(self.replicas.as_ref(), |text| value::whole(text, 1, REPLICAS_MAX));
        let workers = report.parse(self.workers.as_ref(), value::truth).unwrap_or_default();
        if let (Some(replicas), Some(_)) = (&self.replicas, &self.dns) {
            report.refuse(replicas, Fault::new("is not allowed beside `dns`, which counts").fix("keep one"));
        }
        let source = match (&self.map, &self.dns, &self.replicas) {
            (_, Some(_), _) => Source::Dns { name: name?, server },
            (_, None, Some(_)) => Source::Fixed(NonZeroU32::new(replicas?)?),
            (Some((key, place)), None, None) => {
                let fault = Fault::new("says nothing of how many processes there are");
                let fix = "write `dns:` with a name that has a record for each process, or `replicas:` with their number";
                report.refuse_key(place, key, fault.fix(fix));
                return None;
            }
            (None, None, None) => return None,
        };
        Some(Settings { source, workers })
    }

    /// Whether each of a fixed number of processes has something of each cap.
    pub(super) fn leaves_nobody_out(
        &self,
        fleet: &Settings,
        endpoints: &[EndpointPlan],
        listeners: &[ListenerPlan],
        report: &mut Report,
    ) {
        let (Source::Fixed(replicas), Some(written)) = (&fleet.source, &self.replicas) else { return };
        let each = value::size(replicas.get());
        let mut refuse = |what: String| {
            let rule = format!("leaves some processes without work: {what}");
            let fix = "raise that, or count the processes with `dns`: then the last of them stand by";
            report.refuse(written, Fault::new(rule).fix(fix));
        };
        for endpoint in endpoints {
            let (name, limits) = (&endpoint.client.name, &endpoint.limits);
            if limits.divided && limits.sessions < each {
                refuse(format!("endpoint {name} has {} `sessions`", limits.sessions));
            }
            if let Some(rate) = limits.rate.filter(|rate| value::size(rate.burst.get()) < each) {
                refuse(format!("endpoint {name} has a `rate_limit.burst` of {}", rate.burst));
            }
        }
        for listener in listeners.iter().filter(|_| fleet.workers) {
            let (name, workers) = (&listener.listener.name, listener.listener.workers);
            if workers < each {
                refuse(format!("listener {name} has {workers} `workers`"));
            }
        }
    }
}

/// A name that may be in DNS, or that of SRV records.
fn dns_name(text: &str) -> Result<String, Fault> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    let is_label = |label: &str| (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(is_letter);
    if name.len() <= NAME_MAX && name.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err(Fault::new("is no DNS name").fix("write a name such as queuepost-fleet.default.svc.cluster.local"))
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
