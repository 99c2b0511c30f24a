//! Flags over environment over file over defaults.
//!
//! Flags and variables describe one listener and the top level of the file. Without a file they are the whole
//! configuration. With a file of one listener they replace values of that listener. With several listeners
//! they are refused, because it is unclear which one they mean. `--sessions`, `--rate` and
//! `--auth-header-file` belong to the endpoint of the listener.

use std::path::PathBuf;

use crate::config::admin;
use crate::config::auth::written::{Auth, SecretRef};
use crate::config::check;
use crate::config::directory::Trial;
use crate::config::env::{Lookup, set};
use crate::config::explain::{self, Explained};
use crate::config::file::{Endpoint, File, Listener};
use crate::config::given::{Given, Overrides, Put, given};
use crate::config::misspelt::Asked;
use crate::config::plan::Plan;
use crate::config::plan::{Origin, OriginKind};
use crate::config::problem::{ConfigErrors, Fault, Place, Report, Written};
use crate::config::shown::Reveal;
use crate::config::{collect_keys, directory, presets, source, sqsd_names};
use crate::sqs;

/// Reads and checks the whole configuration; either everything is valid or every problem is returned.
pub fn load(
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
    stdout_is_terminal: bool,
) -> Result<Plan, ConfigErrors> {
    load_with(overrides, env, stdout_is_terminal, None)
}

/// The same, as if a file of `listeners_dir` were as `trial` says.
///
/// # Errors
/// Every problem of the configuration.
pub fn load_with(
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
    stdout_is_terminal: bool,
    trial: Option<&Trial>,
) -> Result<Plan, ConfigErrors> {
    let mut report = Report::default();
    let asked = Asked::new(env);
    let env = &|name: &str| asked.look_up(name);
    let Some(file) = written(overrides, env, trial, &mut report) else { return Err(report.into_errors()) };
    let mut plan = check::plan(&file, env, stdout_is_terminal, overrides.require_healthy, &mut report);
    let known: Vec<&str> = variables().into_iter().map(|(_, variable)| variable).collect();
    asked.warn_of_others(&overrides.variables, &known, &mut report);
    plan.warnings = report.finish()?;
    let origins: Vec<Origin> = file.listeners.iter().map(|listener| origin(listener, &plan)).collect();
    for ((listener, written), origin) in plan.listeners.iter_mut().zip(collect_keys::of(file)).zip(origins) {
        (listener.written, listener.origin) = (written, origin);
    }
    Ok(plan)
}

/// Where a listener is written.
fn origin(listener: &Listener, plan: &Plan) -> Origin {
    let Place::File { path, line, .. } = &listener.place else { return Origin::default() };
    let path = PathBuf::from(&**path);
    let is_below = plan.listeners_dir.as_ref().is_some_and(|folder| path.parent() == Some(folder));
    let kind = if is_below { OriginKind::Directory } else { OriginKind::File };
    Origin { kind, path: Some(path), line: *line }
}

/// The file that a configuration is read from, if it is read from one.
pub fn file_of(overrides: &Overrides, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    overrides.config.clone().or_else(|| set(env, source::VARIABLE))
}

/// Whether what is read may change while the process runs: it is in a file, or in `listeners_dir`.
pub fn can_change(overrides: &Overrides, env: &dyn Fn(&str) -> Option<String>) -> bool {
    let folder = overrides.listeners_dir.is_some() || set(env, "QUEUEPOST_LISTENERS_DIR").is_some();
    folder || file_of(overrides, env).is_some()
}

/// Explains the configuration: every key with its value, and where that came from.
///
/// # Errors
/// Every problem of the configuration.
pub fn explain(
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
    stdout_is_terminal: bool,
) -> Result<Vec<Explained>, ConfigErrors> {
    let plan = load(overrides, env, stdout_is_terminal)?;
    let mut report = Report::default();
    match written(overrides, env, None, &mut report) {
        Some(file) => Ok(explain::rows(file, &plan, env)),
        None => Err(report.into_errors()),
    }
}

/// File, environment and flags together, filled up from presets. `None` when the file cannot be read.
fn written(
    overrides: &Overrides,
    env: Lookup<'_>,
    trial: Option<&Trial>,
    report: &mut Report,
) -> Option<File> {
    let mut file = source::read(overrides.config.as_deref(), env, report)?;
    for (put, written) in given(&TOP, overrides, env) {
        put(&mut file, written);
    }
    replace_listener(&mut file, overrides, env, report);
    if file.place == Place::CommandLine && sqsd_names::apply_to(file.listeners.first(), env) {
        if file.listeners.is_empty() {
            file.listeners.push(Listener::empty("", &Place::CommandLine));
        }
        file.notes = file.listeners.iter_mut().map(|listener| sqsd_names::fill(listener, env)).collect();
    }
    directory::read(&mut file, trial, env, report);
    presets::apply(&mut file, report);
    Some(file)
}

/// Every flag and its environment variable, for help texts and documents.
pub fn variables() -> Vec<(&'static str, &'static str)> {
    fn names<T>(table: &[Given<T>]) -> impl Iterator<Item = (&'static str, &'static str)> {
        table.iter().map(|row| (row.flag, row.variable))
    }
    let config = std::iter::once((source::FLAG, source::VARIABLE));
    config.chain(names(&LISTENER)).chain(names(&ENDPOINT)).chain(names(&TOP)).collect()
}

/// Reads and checks queue and credentials, for commands that use a queue alone.
pub fn queue(
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<sqs::Settings, ConfigErrors> {
    let mut report = Report::default();
    let mut listener = Listener::empty("", &Place::CommandLine);
    for (put, written) in given(&LISTENER, overrides, env) {
        put(&mut listener, written);
    }
    let settings = check::queue_settings(&listener, &mut report);
    report.finish().map(drop).and_then(|()| settings.ok_or_else(|| Report::default().into_errors()))
}

const TOP: [Given<File>; 9] = [
    Given {
        flag: "--listeners-dir",
        variable: "QUEUEPOST_LISTENERS_DIR",
        typed: |typed| typed.listeners_dir.as_ref(),
        put: |file, written| file.listeners_dir = Some(Written { reveal: Reveal::Path, ..written }),
    },
    Given {
        flag: "--admin-listen",
        variable: admin::ADDRESS_VARIABLE,
        typed: |typed| typed.admin_listen.as_ref(),
        put: |file, written| file.admin.listen = Some(written),
    },
    Given {
        flag: "--admin-metrics-listen",
        variable: "QUEUEPOST_ADMIN_METRICS_LISTEN",
        typed: |typed| typed.admin_metrics_listen.as_ref(),
        put: |file, written| file.admin.metrics_listen = Some(written),
    },
    Given {
        flag: "--admin-allow-changes",
        variable: "QUEUEPOST_ADMIN_ALLOW_CHANGES",
        typed: |typed| typed.admin_allow_changes.as_ref(),
        put: |file, written| file.admin.allow_changes = Some(written),
    },
    Given {
        flag: "--admin-token-file",
        variable: admin::TOKEN_VARIABLE,
        typed: |typed| typed.admin_token_file.as_ref(),
        put: |file, written| file.admin.token_file = Some(Written { reveal: Reveal::Path, ..written }),
    },
    Given {
        flag: "--fleet-dns",
        variable: "QUEUEPOST_FLEET_DNS",
        typed: |typed| typed.fleet_dns.as_ref(),
        put: |file, written| (file.fleet.dns, file.fleet.replicas) = (Some(written), None),
    },
    Given {
        flag: "--shutdown-deadline",
        variable: "QUEUEPOST_SHUTDOWN_DEADLINE",
        typed: |typed| typed.shutdown_deadline.as_ref(),
        put: |file, written| file.shutdown_deadline = Some(written),
    },
    Given {
        flag: "--log-format",
        variable: "QUEUEPOST_LOG_FORMAT",
        typed: |typed| typed.log_format.as_ref(),
        put: |file, written| file.log_format = Some(written),
    },
    Given {
        flag: "--log-level",
        variable: "QUEUEPOST_LOG",
        typed: |typed| typed.log_level.as_ref(),
        put: |file, written| file.log_level = Some(written),
    },
];

const LISTENER: [Given<Listener>; 14] = [
    Given {
        flag: "--preset",
        variable: "QUEUEPOST_PRESET",
        typed: |typed| typed.preset.as_ref(),
        put: |listener, written| listener.preset = Some(written),
    },
    Given {
        flag: "--queue",
        variable: "QUEUEPOST_QUEUE",
        typed: |typed| typed.queue.as_ref(),
        put: |listener, written| listener.queue = Some(written),
    },
    Given {
        flag: "--url",
        variable: "QUEUEPOST_URL",
        typed: |typed| typed.url.as_ref(),
        put: |listener, written| {
            listener.url = Some(Written { reveal: Reveal::Origin, ..written });
            listener.endpoint = None;
            listener.path = None;
        },
    },
    Given {
        flag: "--algorithm",
        variable: "QUEUEPOST_ALGORITHM",
        typed: |typed| typed.algorithm.as_ref(),
        put: |listener, written| {
            listener.algorithm = Some(written);
            listener.path = None;
        },
    },
    Given {
        flag: "--role-arn",
        variable: "QUEUEPOST_ROLE_ARN",
        typed: |typed| typed.role_arn.as_ref(),
        put: |listener, written| listener.role_arn = Some(written),
    },
    Given {
        flag: "--external-id",
        variable: "QUEUEPOST_EXTERNAL_ID",
        typed: |typed| typed.external_id.as_ref(),
        put: |listener, written| listener.external_id = Some(Written { reveal: Reveal::Nothing, ..written }),
    },
    Given {
        flag: "--region",
        variable: "QUEUEPOST_REGION",
        typed: |typed| typed.region.as_ref(),
        put: |listener, written| listener.region = Some(written),
    },
    Given {
        flag: "--profile",
        variable: "QUEUEPOST_PROFILE",
        typed: |typed| typed.profile.as_ref(),
        put: |listener, written| listener.profile = Some(written),
    },
    Given {
        flag: "--workers",
        variable: "QUEUEPOST_WORKERS",
        typed: |typed| typed.workers.as_ref(),
        put: |listener, written| listener.workers = Some(written),
    },
    Given {
        flag: "--timeout",
        variable: "QUEUEPOST_TIMEOUT",
        typed: |typed| typed.timeout.as_ref(),
        put: |listener, written| listener.timeout = Some(written),
    },
    Given {
        flag: "--success",
        variable: "QUEUEPOST_SUCCESS",
        typed: |typed| typed.success.as_ref(),
        put: |listener, written| listener.success = Some(vec![written]),
    },
    Given {
        flag: "--throttle-delay",
        variable: "QUEUEPOST_THROTTLE_DELAY",
        typed: |typed| typed.throttle_delay.as_ref(),
        put: |listener, written| listener.throttle_delay = Some(written),
    },
    Given {
        flag: "--receive-wait",
        variable: "QUEUEPOST_RECEIVE_WAIT",
        typed: |typed| typed.receive_wait.as_ref(),
        put: |listener, written| listener.receive_wait = Some(written),
    },
    Given {
        flag: "--latency-budget",
        variable: "QUEUEPOST_LATENCY_BUDGET",
        typed: |typed| typed.latency_budget.as_ref(),
        put: |listener, written| listener.latency_budget = Some(written),
    },
];

const ENDPOINT: [Given<Endpoint>; 4] = [
    Given {
        flag: "--sessions",
        variable: "QUEUEPOST_SESSIONS",
        typed: |typed| typed.sessions.as_ref(),
        put: |endpoint, written| endpoint.sessions = Some(written),
    },
    Given {
        flag: "--rate",
        variable: "QUEUEPOST_RATE",
        typed: |typed| typed.rate.as_ref(),
        put: |endpoint, written| {
            endpoint.per_second = Some(written);
            endpoint.burst = None;
        },
    },
    Given {
        flag: "--auth-header-file",
        variable: "QUEUEPOST_AUTH_HEADER_FILE",
        typed: |typed| typed.auth_header_file.as_ref(),
        put: |endpoint, written| {
            let (key, place) = (written.key.clone(), written.place.clone());
            let header_file = Some(Written { reveal: Reveal::Path, ..written });
            endpoint.auth = Some(Auth { header_file, ..Auth::empty(key, place) });
        },
    },
    Given {
        flag: "--algorithm-key-file",
        variable: "QUEUEPOST_ALGORITHM_KEY_FILE",
        typed: |typed| typed.algorithm_key_file.as_ref(),
        put: |endpoint, written| {
            let (key, place) = (written.key.clone(), written.place.clone());
            let file = Written { reveal: Reveal::Path, ..written };
            let secret = SecretRef::of_file(key.clone(), place.clone(), file);
            endpoint.auth = Some(Auth::of_header(key, place, ALGORITHM_KEY, secret));
        },
    },
];
/// Variables with a secret itself, and the flags that name a file with it, which win.
const SECRETS: [(&str, &str, Put<Endpoint>); 2] = [
    (ALGORITHM_KEY_VARIABLE, "--algorithm-key-file", |endpoint, written| {
        let (key, place) = (written.key, written.place);
        let secret = SecretRef::of_variable(key.clone(), place.clone(), ALGORITHM_KEY_VARIABLE);
        endpoint.auth.get_or_insert_with(|| Auth::of_header(key, place, ALGORITHM_KEY, secret));
    }),
    ("QUEUEPOST_AUTH_HEADER", "--auth-header-file", |endpoint, written| {
        let (key, place) = (written.key.clone(), written.place.clone());
        let header_env = Some(written);
        endpoint.auth.get_or_insert_with(|| Auth { header_env, ..Auth::empty(key, place) });
    }),
];
const ALGORITHM_KEY_VARIABLE: &str = "QUEUEPOST_ALGORITHM_KEY";
/// How servers of algorithms take a key: the header, and what comes before the key.
const ALGORITHM_KEY: (&str, &str) = ("Authorization", "Simple ");

/// Applies the values for one listener and its endpoint.
fn replace_listener(file: &mut File, overrides: &Overrides, env: Lookup<'_>, report: &mut Report) {
    let of_listener = given(&LISTENER, overrides, env);
    let mut of_endpoint = given(&ENDPOINT, overrides, env);
    let secrets = SECRETS.iter().filter(|(variable, ..)| set(env, variable).is_some());
    of_endpoint.extend(secrets.map(|&(variable, flag, put)| {
        (put, Written::plain(flag.to_owned(), Place::Variable(variable), variable.to_owned()))
    }));
    if of_listener.is_empty() && of_endpoint.is_empty() {
        return;
    }
    if file.place == Place::CommandLine {
        file.listeners.push(Listener::empty("", &Place::CommandLine));
    }
    let count = file.listeners.len();
    let [listener] = file.listeners.as_mut_slice() else {
        let written = of_listener.iter().map(|(_, written)| written);
        for written in written.chain(of_endpoint.iter().map(|(_, written)| written)) {
            let fault = Fault::new(format!("describes one listener, and the file has {count}"));
            report.refuse_key(&written.place, &written.key, fault.fix("write it into the file"));
        }
        return;
    };
    for (put, written) in of_listener {
        put(listener, written);
    }
    let named = listener.endpoint.as_ref().and_then(|name| name.text.as_deref());
    let endpoint = file.endpoints.iter_mut().find(|endpoint| Some(endpoint.name.raw.as_str()) == named);
    let endpoint = endpoint.unwrap_or(&mut listener.own);
    for (put, written) in of_endpoint {
        put(endpoint, written);
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
