//! The keys of a listener and of an endpoint by name: presets fill them, `check --explain` lists them.
//!
//! A key below another is named with a dot: `rate_limit.per_second`. A test holds the names to the keys that the
//! file reads.

use crate::config::cloudevents::CloudEvents;
use crate::config::file::{Endpoint, Listener};
use crate::config::lambda::Lambda;
use crate::config::problem::{Place, Written};
use crate::config::results::ResultKeys;

/// The field of a key.
pub(super) enum Slot<'a> {
    /// Of one text.
    One(&'a mut Option<Written>),
    /// Of one text or a list of them.
    List(&'a mut Option<Vec<Written>>),
    /// Of texts by names that the user chose.
    Named(&'a mut Vec<(Written, Written)>),
}

impl Slot<'_> {
    /// Whether nothing is written there.
    fn is_empty(&self) -> bool {
        match self {
            Self::One(field) => field.is_none(),
            Self::List(field) => field.is_none(),
            Self::Named(_) => false,
        }
    }

    /// Writes one text.
    fn put(self, written: Written) {
        match self {
            Self::One(field) => *field = Some(written),
            Self::List(field) => *field = Some(vec![written]),
            Self::Named(field) => field.push((written.clone(), written)),
        }
    }

    /// What is written there, in order.
    pub(super) fn written(&self) -> Vec<&Written> {
        match self {
            Self::One(field) => field.iter().collect(),
            Self::List(field) => field.iter().flatten().collect(),
            Self::Named(field) => field.iter().map(|(_, written)| written).collect(),
        }
    }
}

/// Writes a text into the field of `key` if that is empty; returns whether it was.
pub(super) fn fill(keys: Vec<(&'static str, Slot<'_>)>, key: &str, written: Written) -> bool {
    let mut keys = keys;
    for (name, slot) in &mut keys {
        let of_map = key.strip_prefix(*name).and_then(|rest| rest.strip_prefix('.'));
        if let (Slot::Named(field), Some(of_map)) = (slot, of_map) {
            let is_new = field.iter().all(|(other, _)| other.raw != of_map);
            if is_new {
                let name = Written::plain(written.key.clone(), written.place.clone(), of_map.to_owned());
                field.push((name, written));
            }
            return is_new;
        }
    }
    let field = keys.into_iter().find(|(name, slot)| *name == key && slot.is_empty());
    let is_empty = field.is_some();
    if let Some((_, slot)) = field {
        slot.put(written);
    }
    is_empty
}

/// The keys of a listener in the order in which they are explained.
pub(super) fn of_listener(listener: &mut Listener) -> Vec<(&'static str, Slot<'_>)> {
    let mut keys = vec![
        ("preset", Slot::One(&mut listener.preset)),
        ("name", Slot::One(&mut listener.name)),
        ("queue", Slot::One(&mut listener.queue)),
        ("role_arn", Slot::One(&mut listener.role_arn)),
        ("external_id", Slot::One(&mut listener.external_id)),
        ("region", Slot::One(&mut listener.region)),
        ("profile", Slot::One(&mut listener.profile)),
        ("url", Slot::One(&mut listener.url)),
        ("endpoint", Slot::One(&mut listener.endpoint)),
        ("path", Slot::One(&mut listener.path)),
        ("algorithm", Slot::One(&mut listener.algorithm)),
        ("listener_owner", Slot::One(&mut listener.owner)),
        ("output", Slot::One(&mut listener.output)),
        ("workers", Slot::One(&mut listener.workers)),
        ("paused", Slot::One(&mut listener.paused)),
        ("batch.size", Slot::One(&mut listener.batch.size)),
        ("batch.window", Slot::One(&mut listener.batch.window)),
        ("timeout", Slot::One(&mut listener.timeout)),
        ("success", Slot::List(&mut listener.success)),
        ("error_in_body", Slot::One(&mut listener.error_in_body)),
        ("throttle_delay", Slot::One(&mut listener.throttle_delay)),
        ("receive_wait", Slot::One(&mut listener.receive_wait)),
        ("latency_budget", Slot::One(&mut listener.latency_budget)),
        ("unwrap", Slot::List(&mut listener.unwrap)),
        ("non_work", Slot::One(&mut listener.non_work)),
        ("retry_delay", Slot::One(&mut listener.retry_delay)),
        ("retention", Slot::One(&mut listener.retention)),
        ("visibility_timeout", Slot::One(&mut listener.visibility_timeout)),
        ("message_headers", Slot::One(&mut listener.message_headers)),
        ("user_agent", Slot::One(&mut listener.user_agent)),
        ("content_type", Slot::One(&mut listener.content_type)),
        ("record_answers", Slot::One(&mut listener.record_answers)),
        ("template.path", Slot::One(&mut listener.template.path)),
        ("template.query", Slot::Named(&mut listener.template.query)),
        ("template.headers", Slot::Named(&mut listener.template.headers)),
        ("template.body", Slot::One(&mut listener.template.body)),
    ];
    if let Some(cloudevents) = &mut listener.cloudevents {
        keys.push(("cloudevents.mode", Slot::One(&mut cloudevents.mode)));
        keys.push(("cloudevents.source", Slot::One(&mut cloudevents.source)));
        keys.push(("cloudevents.type", Slot::One(&mut cloudevents.event_type)));
        keys.push(("cloudevents.subject", Slot::One(&mut cloudevents.subject)));
    }
    if let Some(lambda) = &mut listener.lambda {
        keys.push(("lambda.partial_failures", Slot::One(&mut lambda.partial_failures)));
        keys.push(("lambda.source_arn", Slot::One(&mut lambda.source_arn)));
    }
    if let Some(results) = &mut listener.results {
        keys.extend(results.success.iter_mut().flat_map(|keys| of_results(keys, SUCCESS)));
        keys.extend(results.failure.iter_mut().flat_map(|keys| of_results(keys, FAILURE)));
    }
    keys
}

const SUCCESS: [&str; 6] = [
    "results.success.queue",
    "results.success.compress",
    "results.success.format",
    "results.success.template",
    "results.success.group_id",
    "results.success.deduplication_id",
];
const FAILURE: [&str; 7] = [
    "results.failure.queue",
    "results.failure.compress",
    "results.failure.format",
    "results.failure.template",
    "results.failure.group_id",
    "results.failure.deduplication_id",
    "results.failure.every_try",
];

/// The keys of a result queue, under their names.
fn of_results<'a, const N: usize>(
    keys: &'a mut ResultKeys,
    names: [&'static str; N],
) -> impl Iterator<Item = (&'static str, Slot<'a>)> {
    let slots = [
        &mut keys.queue,
        &mut keys.compress,
        &mut keys.format,
        &mut keys.template,
        &mut keys.group_id,
        &mut keys.deduplication_id,
        &mut keys.every_try,
    ];
    names.into_iter().zip(slots.map(Slot::One))
}

/// Makes room for a key below another, so that it can be filled.
pub(super) fn make_room(listener: &mut Listener, key: &str, place: &Place) {
    let Some((above, _)) = key.split_once('.') else { return };
    let path = listener.key_of(above);
    match above {
        "cloudevents" => {
            listener.cloudevents.get_or_insert_with(|| CloudEvents::empty(path, place.clone()));
        }
        "lambda" => {
            listener.lambda.get_or_insert_with(|| Lambda::empty(path, place.clone()));
        }
        _ => {}
    }
}

/// The keys of an endpoint, likewise.
pub(super) fn of_endpoint(endpoint: &mut Endpoint) -> Vec<(&'static str, Slot<'_>)> {
    let mut keys = vec![("url", Slot::One(&mut endpoint.url))];
    if let Some(auth) = &mut endpoint.auth {
        keys.push(("auth.header_file", Slot::One(&mut auth.header_file)));
        keys.push(("auth.header_env", Slot::One(&mut auth.header_env)));
    }
    keys.extend([
        ("sessions", Slot::One(&mut endpoint.sessions)),
        ("rate_limit.per_second", Slot::One(&mut endpoint.per_second)),
        ("rate_limit.burst", Slot::One(&mut endpoint.burst)),
        ("connect_timeout", Slot::One(&mut endpoint.connect_timeout)),
        ("pool_idle_timeout", Slot::One(&mut endpoint.pool_idle_timeout)),
        ("retry_after_scope", Slot::One(&mut endpoint.retry_after_scope)),
        ("adaptive", Slot::One(&mut endpoint.adaptive)),
    ]);
    if let Some(tls) = &mut endpoint.tls {
        keys.push(("tls.ca_file", Slot::One(&mut tls.ca_file)));
        keys.push(("tls.cert_file", Slot::One(&mut tls.cert_file)));
        keys.push(("tls.key_file", Slot::One(&mut tls.key_file)));
    }
    keys
}
