//! The environment variables of other programs in the place of `sqsd`, each with its own unit.
//!
//! Two families share the name of the queue and differ in all else: simple-sqsd (seconds) and the Node program `sqsd` with
//! its forerunners (milliseconds for the timeout). They are read only without a configuration file, and only if they name
//! the queue or the address. Flags and this program's own variables win. What was read is told at start.

use crate::config::auth::written::{Auth, SecretRef};
use crate::config::env::{Lookup, set};
use crate::config::file::Listener;
use crate::config::keys;
use crate::config::problem::{Place, Written};
use crate::config::shown::Reveal;
use crate::config::sign::written::Sign;

/// What a number without a unit means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    None,
    Seconds,
    Milliseconds,
}

/// Variables, the keys they stand for, and their units; of two for one key the first wins.
const NAMES: [(&str, &str, Unit); 20] = [
    ("SQSD_QUEUE_URL", "queue", Unit::None),
    ("SQSD_QUEUE_NAME", "queue", Unit::None),
    ("SQSD_HTTP_URL", "url", Unit::None),
    ("SQSD_WORKER_HTTP_URL", "url", Unit::None),
    ("SQSD_QUEUE_REGION", "region", Unit::None),
    ("SQSD_QUEUE_REGION_NAME", "region", Unit::None),
    ("SQSD_HTTP_MAX_CONNS", "workers", Unit::None),
    ("SQSD_WORKER_CONCURRENCY", "workers", Unit::None),
    ("SQSD_HTTP_TIMEOUT", "timeout", Unit::Seconds),
    ("SQSD_QUEUE_INACTIVITY_TIMEOUT", "timeout", Unit::Seconds),
    ("SQSD_WORKER_TIMEOUT", "timeout", Unit::Milliseconds),
    ("SQSD_QUEUE_WAIT_TIME", "receive_wait", Unit::Seconds),
    ("SQSD_WAIT_TIME_SECONDS", "receive_wait", Unit::Seconds),
    ("SQSD_QUEUE_VISIBILITY_TIMEOUT", "visibility_timeout", Unit::Seconds),
    ("SQSD_ERROR_VISIBILITY_TIMEOUT", "retry_delay", Unit::Seconds),
    ("SQSD_RETENTION_PERIOD", "retention", Unit::Seconds),
    ("SQSD_HTTP_CONTENT_TYPE", "content_type", Unit::None),
    ("SQSD_WORKER_HTTP_REQUEST_CONTENT_TYPE", "content_type", Unit::None),
    ("SQSD_HTTP_USER_AGENT", "user_agent", Unit::None),
    ("SQSD_WORKER_USER_AGENT", "user_agent", Unit::None),
];

/// What programs of a family do unless told otherwise, by the variable of their address.
const FAMILIES: [(&str, [(&str, &str); 2]); 2] = [
    // fterrag/simple-sqsd: http.StatusOK to http.StatusIMUsed are a success.
    ("SQSD_HTTP_URL", [("success", "200-226"), ("workers", "25")]),
    // mogadanez/sqsd 3.0.0: up to ten messages at once, since its concurrency has no effect.
    ("SQSD_WORKER_HTTP_URL", [("success", "2xx"), ("workers", "10")]),
];

/// Variables that have no counterpart, and why.
const WITHOUT: [(&str, &str); 21] = [
    ("SQSD_QUEUE_MAX_MSGS", RECEIVES),
    ("SQSD_MAX_MESSAGES_PER_REQUEST", RECEIVES),
    ("SQSD_QUEUE_MAX_RETRIES", "the queue's redrive policy says how often a message is received"),
    ("SQSD_AWS_ENDPOINT", SERVER),
    ("SQSD_ENDPOINT_URL", SERVER),
    ("SQSD_SSL_ENABLED", SERVER),
    ("SQSD_SQS_HTTP_TIMEOUT", "calls of SQS have time-outs of their own"),
    ("SQSD_HTTP_SSL_VERIFY", "certificates are always verified: name a private authority in tls.ca_file"),
    ("SQSD_HTTP_HEALTH_PATH", HEALTH),
    ("SQSD_HTTP_HEALTH_WAIT", HEALTH),
    ("SQSD_HTTP_HEALTH_INTERVAL", HEALTH),
    ("SQSD_HTTP_HEALTH_SUCCESS_COUNT", HEALTH),
    ("SQSD_WORKER_HEALTH_URL", HEALTH),
    ("SQSD_WORKER_HEALTH_WAIT_TIME", HEALTH),
    ("SQSD_CRON_FILE", TASKS),
    ("SQSD_CRON_ENDPOINT", TASKS),
    ("SQSD_CRON_TIMEOUT", TASKS),
    ("SQSD_RUN_DAEMONIZED", "it always goes on"),
    ("SQSD_SLEEP_SECONDS", "an idle queue is polled long"),
    ("SQSD_WORKER_HTTP_HOST", "write the whole address into SQSD_WORKER_HTTP_URL"),
    ("SQSD_WORKER_HTTP_PATH", "write the whole address into SQSD_WORKER_HTTP_URL"),
];
const RECEIVES: &str = "receives are sized by free workers";
const SERVER: &str = "the queue's URL names its server, and AWS_ENDPOINT_URL_SQS another";
const HEALTH: &str = "messages wait in the queue until the endpoint takes connections";
/// The value of a header with credentials, and the name of that header.
const AUTHORIZATION: &str = "SQSD_HTTP_AUTHORIZATION_HEADER";
const AUTHORIZATION_NAME: &str = "SQSD_HTTP_AUTHORIZATION_HEADER_NAME";
/// The header of a signature, and the key that makes it; simple-sqsd signs if both are set.
const SIGNATURE: &str = "SQSD_HTTP_HMAC_HEADER";
const SIGNATURE_KEY: &str = "SQSD_HMAC_SECRET_KEY";
const TASKS: &str = "docs/sqsd.md has the recipe for periodic tasks";

/// Whether the variables name a queue or an address that `listener` does not have.
pub(super) fn apply_to(listener: Option<&Listener>, env: Lookup<'_>) -> bool {
    let is_missing = |key: &str| match key {
        "queue" => listener.is_none_or(|listener| listener.queue.is_none()),
        "url" => listener.is_none_or(|listener| listener.url.is_none() && listener.endpoint.is_none()),
        _ => false,
    };
    NAMES.iter().any(|(variable, key, _)| is_missing(key) && set(env, variable).is_some())
}

/// Fills what nobody wrote from the variables; returns what to say about it.
pub(super) fn fill(listener: &mut Listener, env: Lookup<'_>) -> String {
    let (mut read, mut overruled) = (Vec::new(), Vec::new());
    for (variable, key, unit) in NAMES {
        let Some(value) = set(env, variable) else { continue };
        let (text, unit) = match unit {
            Unit::Seconds => (format!("{value}s"), " in seconds"),
            Unit::Milliseconds => (format!("{value}ms"), " in milliseconds"),
            Unit::None => (value, ""),
        };
        if put(listener, key, variable, text) {
            read.push(format!("{variable} as {key}{unit}"));
        } else {
            overruled.push(format!("{variable} (there is another {key})"));
        }
    }
    if set(env, AUTHORIZATION).is_some() {
        if listener.own.auth.is_none() {
            let name = set(env, AUTHORIZATION_NAME).unwrap_or_else(|| "Authorization".to_owned());
            let (key, place) = (AUTHORIZATION.to_owned(), Place::Variable(AUTHORIZATION));
            let secret = SecretRef::of_variable(key.clone(), place.clone(), AUTHORIZATION);
            listener.own.auth = Some(Auth::of_header(key, place, (&name, ""), secret));
            read.push(format!("{AUTHORIZATION} as credentials"));
        } else {
            overruled.push(format!("{AUTHORIZATION} (there are other credentials)"));
        }
    }
    if let (Some(header), Some(_)) = (set(env, SIGNATURE), set(env, SIGNATURE_KEY)) {
        if listener.own.sign.is_none() {
            listener.own.sign = Some(Sign::of_simple_sqsd(SIGNATURE, &header, SIGNATURE_KEY));
            read.push(format!("{SIGNATURE} and {SIGNATURE_KEY} as a signature"));
        } else {
            overruled.push(format!("{SIGNATURE} (there is another signature)"));
        }
    }
    let from = NAMES.iter().map(|(variable, ..)| *variable).find(|variable| set(env, variable).is_some());
    if let (Some(from), None) = (from, &listener.algorithm) {
        put(listener, "preset", from, "sqsd".to_owned());
    }
    let address = listener.url.as_ref().map(|url| url.place.clone());
    for (variable, defaults) in FAMILIES {
        if address != Some(Place::Variable(variable)) {
            continue;
        }
        for (key, text) in defaults {
            if put(listener, key, variable, text.to_owned()) {
                read.push(format!("{key} {text} as programs with {variable} have it"));
            }
        }
    }
    let without = WITHOUT.iter().filter(|(variable, _)| set(env, variable).is_some());
    let without = without.map(|(variable, why)| format!("{variable} ({why})"));
    let unused: Vec<String> = overruled.into_iter().chain(without).collect();
    let mut note = format!("variables of sqsd programs are read: {}", read.join(", "));
    if !unused.is_empty() {
        note += "; without effect: ";
        note += &unused.join(", ");
    }
    note
}

/// Writes a text into the field of `key` if that is empty; returns whether it was.
fn put(listener: &mut Listener, key: &'static str, variable: &'static str, text: String) -> bool {
    let reveal = if key == "url" { Reveal::Origin } else { Reveal::Text };
    let path = listener.key_of(key);
    let written = Written { reveal, ..Written::plain(path, Place::Variable(variable), text) };
    keys::fill(keys::of_listener(listener), key, written)
}

#[cfg(test)]
#[path = "sqsd_names_tests.rs"]
mod tests;
