//! Finds variables that are named like ours and that nothing reads: most are misspelt.
//!
//! What was looked up is known: variables that the file names with `${…}` or as a secret are none of them. Kubernetes gives
//! each pod variables for the Services of its namespace. Those of one called `queuepost` start like ours and are left alone.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::config::env::{Lookup, OURS};
use crate::config::problem::{Place, Report};
use crate::config::shown::{meant, nearest};
use crate::config::{peers, reference};

/// The environment, and what was looked up in it.
pub(super) struct Asked<'a> {
    env: Lookup<'a>,
    names: RefCell<BTreeSet<String>>,
}

impl<'a> Asked<'a> {
    /// Nothing was looked up yet.
    pub(super) fn new(env: Lookup<'a>) -> Self {
        Self { env, names: RefCell::default() }
    }

    /// The value of a variable.
    pub(super) fn look_up(&self, name: &str) -> Option<String> {
        if name.starts_with(OURS) {
            self.names.borrow_mut().insert(name.to_owned());
        }
        (self.env)(name)
    }

    /// Warns of those of `set` that are none of `known`, and that nothing looks up. Their values are not shown.
    pub(super) fn warn_of_others(&self, set: &[String], known: &[&str], report: &mut Report) {
        let asked = self.names.borrow();
        for name in set {
            let is_known = known.contains(&name.as_str()) || asked.contains(name);
            if is_known || is_of_kubernetes(name, (self.env)(name).as_deref()) {
                continue;
            }
            let warning = format!("is set, and nothing reads it; {}", advice(name, known));
            report.warn(&Place::CommandLine, name, &warning);
        }
    }
}

/// Whether Kubernetes made the variable of a Service (Kubernetes, "Service: environment variables"; the names are Docker's).
fn is_of_kubernetes(name: &str, value: Option<&str>) -> bool {
    let is_url = |value: &str| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_protocol = |text: &str| {
        let word = text.split('_').next().unwrap_or_default();
        ["TCP", "UDP", "SCTP"].contains(&word)
    };
    let of_port = |rest: &str| {
        let (number, protocol) = rest.split_once('_').unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && is_protocol(protocol)
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.is_some_and(is_url))
        || name.split_once("_PORT_").is_some_and(|(_, rest)| of_port(rest))
}

/// What to do about a variable that nothing reads.
fn advice(name: &str, known: &[&str]) -> String {
    let plain = |name: &str| name.strip_prefix(OURS).unwrap_or(name).to_ascii_lowercase();
    let word = plain(name);
    let plains: Vec<String> = known.iter().map(|name| plain(name)).collect();
    if let Some(near) = nearest(&word, plains.iter().map(String::as_str)) {
        return meant(&format!("{OURS}{}", near.to_ascii_uppercase()));
    }
    if reference::is_key(&word) {
        return format!("`{word}` is a key of the file and has no variable");
    }
    peers::hint("listeners[0]", &word).map_or_else(
        || "remove it, or see docs/configuration.md for those there are".to_owned(),
        |hint| format!("for the key in a file: {hint}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::variables;

    fn warned(set: &[(&str, &str)], looked_up: &[&str]) -> Vec<String> {
        let env =
            |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        let asked = Asked::new(&env);
        for name in looked_up {
            drop(asked.look_up(name));
        }
        let names: Vec<String> = set.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut report = Report::default();
        let known: Vec<&str> = variables().into_iter().map(|(_, variable)| variable).collect();
        asked.warn_of_others(&names, &known, &mut report);
        report.finish().expect("warnings alone")
    }

    #[test]
    fn a_misspelt_variable_is_warned_of_with_the_one_that_was_meant() {
        for (name, words) in [
            ("QUEUEPOST_WORKRES", "did you mean `QUEUEPOST_WORKERS`?"),
            ("QUEUEPOST_LOG_FROMAT", "did you mean `QUEUEPOST_LOG_FORMAT`?"),
            ("QUEUEPOST_ROLEARN", "did you mean `QUEUEPOST_ROLE_ARN`?"),
            ("QUEUEPOST_RETRY_DELAY", "`retry_delay` is a key of the file and has no variable"),
            ("QUEUEPOST_CONCURRENCY", "write `workers`"),
            ("QUEUEPOST_COLOUR", "docs/configuration.md"),
            ("QUEUEPOST_PORT", "docs/configuration.md"),
        ] {
            let told = warned(&[(name, "s3cr3t")], &[]).join("\n");
            assert!(
                told.starts_with(name) && told.contains(words) && !told.contains("s3cr3t"),
                "{name}: {told}"
            );
        }
    }

    #[test]
    fn a_variable_that_something_reads_is_not_warned_of() {
        let none: Vec<String> = Vec::new();
        for (_, name) in variables() {
            assert_eq!(warned(&[(name, "x")], &[]), none);
        }
        assert_eq!(warned(&[("QUEUEPOST_REFUNDS_TOKEN", "x")], &["QUEUEPOST_REFUNDS_TOKEN"]), none);
    }

    #[test]
    fn what_kubernetes_makes_of_services_is_not_warned_of() {
        let address = "tcp://10.0.171.239:9464";
        for (name, value) in [
            ("QUEUEPOST_SERVICE_HOST", "10.0.171.239"),
            ("QUEUEPOST_SERVICE_PORT", "9464"),
            ("QUEUEPOST_SERVICE_PORT_METRICS", "9464"),
            ("QUEUEPOST_PORT", address),
            ("QUEUEPOST_PORT_9464_TCP", address),
            ("QUEUEPOST_PORT_9464_TCP_PROTO", "tcp"),
            ("QUEUEPOST_PORT_9464_TCP_PORT", "9464"),
            ("QUEUEPOST_PORT_9464_TCP_ADDR", "10.0.171.239"),
            ("QUEUEPOST_ORDERS_SERVICE_HOST", "10.0.171.239"),
            ("QUEUEPOST_ORDERS_PORT", address),
        ] {
            assert_eq!(warned(&[(name, value)], &[]), Vec::<String>::new(), "{name}");
        }
    }
}
