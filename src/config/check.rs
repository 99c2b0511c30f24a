//! From the configuration as written to a plan: every rule is checked, and every problem collected.
//!
//! For the remaining checks a default replaces a refused value, so that one mistake is one problem. The plan
//! is returned only when no value was refused. `value.rs` and `queue.rs` parse texts, and `rules.rs` checks
//! combinations of values. This file knows which rule belongs to which key, and names its default. Those of endpoints are in
//! `endpoints.rs`, those of request shapes in `exchange.rs`.

use std::time::Duration;

use url::Url;

use crate::config::consumers::{Consumer, Consumers};
use crate::config::endpoints::{Endpoints, Joining};
use crate::config::env::Lookup;
use crate::config::file::{File, Listener, Row};
use crate::config::firsts::Firsts;
use crate::config::plan::{ListenerPlan, Origin, Plan};
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::queue::parse as parse_queue;
use crate::config::results::Source;
use crate::config::value::{self, TWELVE_HOURS};
use crate::config::written_keys::WrittenKeys;
use crate::config::{directory, exchange, gathering, rules, stay, unwrap};
use crate::exchange::Success;
use crate::policy::decide;
use crate::policy::outcome::StatusSet;
use crate::sqs::{self, QueueRef, Role};
use crate::telemetry::log;
use crate::tuning::Tuning;
use crate::{endpoint, pipeline};

const WORKERS: u32 = 16;
pub(super) const WORKERS_MAX: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_mins(1);
/// Algorithmia's longest timeout, 3,000 s, and the margin.
const ALGORITHM_TIMEOUT_MAX: Duration = Duration::from_secs(3_015);
const SECOND: Duration = Duration::from_secs(1);
pub(super) const RECEIVE_WAIT: Duration = Duration::from_secs(20);
pub(super) const LATENCY_BUDGET_MAX: Duration = Duration::from_secs(20);

const NOTHING_TO_RUN: &str = "no listener is described: give --config FILE, or --queue and --url";
const FIRST_LISTENER: &str =
    "write `listeners:`, below it `  - queue: QUEUE` and below that, as far in, `    url: https://HOST/PATH`";

/// The plan of `file`; complete only if the report has no problem.
pub(super) fn plan(
    file: &File,
    env: Lookup<'_>,
    stdout_is_terminal: bool,
    require_healthy: bool,
    report: &mut Report,
) -> Plan {
    if file.listeners.is_empty() && file.listeners_dir.is_none() && !report.mentions("listeners") {
        let fault = Fault::new("is required: a list with at least one listener");
        match file.place {
            Place::CommandLine => report.refuse_key(&file.place, "", Fault::new(NOTHING_TO_RUN)),
            Place::File { .. } | Place::Flag(_) | Place::Variable(_) | Place::Preset(_) => {
                report.refuse_key(&file.place, "listeners", fault.fix(FIRST_LISTENER));
            }
        }
    }
    let mut endpoints = Endpoints::new(&file.endpoints, env, report);
    let mut others = Others::default();
    let described = |written| listener(written, &mut endpoints, &mut others, env, report);
    let mut listeners: Vec<ListenerPlan> = file.listeners.iter().filter_map(described).collect();
    let beside = (file.listeners_dir.is_some(), file.fleet.is_written());
    let (endpoints, indexes) = endpoints.finish(beside, report);
    for listener in &mut listeners {
        listener.endpoint = indexes.get(listener.endpoint).copied().unwrap_or_default();
    }
    let fleet = file.fleet.settings(report);
    if let Some(fleet) = &fleet {
        file.fleet.leaves_nobody_out(fleet, &endpoints, &listeners, report);
    }
    let longest = listeners.iter().map(|listener| listener.target.timeout).max().unwrap_or_default();
    Plan {
        listeners,
        endpoints,
        listeners_dir: directory::folder(file),
        admin: file.admin.addresses(report),
        admin_token: file.admin.token(env, report),
        fleet,
        deadline: deadline(file, longest, report),
        log: log_settings(file, stdout_is_terminal, report),
        require_healthy,
        notes: file.notes.clone(),
        warnings: Vec::new(),
    }
}

fn deadline(file: &File, longest: Duration, report: &mut Report) -> Duration {
    let written = file.shutdown_deadline.as_ref();
    match report.parse(written, |text| value::duration(text, SECOND, TWELVE_HOURS)) {
        Some(deadline) => {
            report.advise(written, rules::deadline_covers_requests(deadline, longest));
            deadline
        }
        None => rules::deadline_of(longest),
    }
}

fn log_settings(file: &File, stdout_is_terminal: bool, report: &mut Report) -> log::Settings {
    let default = if stdout_is_terminal { log::Format::Text } else { log::Format::Json };
    let formats =
        |text: &str| value::one_of(text, &[("text", log::Format::Text), ("json", log::Format::Json)]);
    let filter = |text: &str| {
        log::filter(text).map_err(|_| {
            Fault::new("is no log filter")
                .fix("write error, warn, info, debug or trace, or directives such as info,hyper=debug")
        })
    };
    log::Settings {
        format: report.parse(file.log_format.as_ref(), formats).unwrap_or(default),
        filter: report.parse(file.log_level.as_ref(), filter).unwrap_or(log::DEFAULT_FILTER.to_owned()),
    }
}

fn listener(
    written: &Listener,
    endpoints: &mut Endpoints,
    others: &mut Others,
    env: Lookup<'_>,
    report: &mut Report,
) -> Option<ListenerPlan> {
    let queue = queue_settings(written, report);
    let timeout = timeout(written, report);
    let workers = |text: &str| value::whole(text, 1, WORKERS_MAX);
    let workers = value::size(report.parse(written.workers.as_ref(), workers).unwrap_or(WORKERS));
    let mut receiving = receiving(written, report);
    let success = exchange::success(written, report);
    let unwrap = unwrap::unwrap(written, report);
    let policy = policy(written, timeout, &success, report);
    let is_fifo = queue.as_ref().is_some_and(|queue| queue.queue.name().strip_suffix(".fifo").is_some());
    let gathering = gathering::gathering(written, is_fifo, report);
    let templates = exchange::templates(written, gathering.size > 1, report);
    let claim_check = written.claim_check.as_ref().map(|written| written.settings(report));
    let query = exchange::algorithm_path(written, timeout, report);
    let target = target(written, query.as_deref(), endpoints, env, report);
    let look = exchange::look(written, target.as_ref().and_then(|(_, url)| url.as_ref()), report);
    (receiving.visibility, receiving.window) = (stay::visibility(written, report), gathering.window);
    let name = others.add(written, queue.as_ref(), target.as_ref(), report);
    let source = Source { listener: name.as_deref(), queue: queue.as_ref(), unwrap: &unwrap };
    let results = written.results.as_ref().map(|results| results.plan(source, report));
    let (endpoint, url) = target?;
    let by_hand = |workers: &Written| !matches!(workers.place, Place::Preset(_));
    let workers_written = written.workers.as_ref().is_some_and(by_hand);
    let joining = Joining { workers, workers_written, timeout };
    let retry_after_closes_gate = endpoints.join(endpoint, &joining);
    let headers = endpoints.headers(endpoint, written, env, report);
    let (queue, name, url) = (queue?, name?, url?);
    let queue_name = queue.queue.name().to_owned();
    let made = exchange::Made { look, success, templates, unwrap, most: gathering.size };
    let exchange = exchange::exchange(written, &name, &queue.queue, &url, made, env, report)?;
    let answer_kept = exchange.answer_kept();
    let records_answers = exchange::records_answers(written, report);
    Some(ListenerPlan {
        listener: pipeline::Settings {
            name,
            queue_name,
            workers,
            timeout,
            receiving,
            policy,
            exchange,
            retry_after_closes_gate,
            tuning: Tuning::default(),
        },
        queue,
        claim_check: claim_check.flatten(),
        results: results.unwrap_or_default(),
        target: endpoint::Target { url, timeout, headers, answer_kept, records_answers },
        endpoint,
        event_listener: exchange::event_listener(written, timeout, report),
        written: WrittenKeys::default(),
        origin: Origin::default(),
    })
}

fn timeout(written: &Listener, report: &mut Report) -> Duration {
    let is_algorithm = written.algorithm.is_some();
    let longest = if is_algorithm { ALGORITHM_TIMEOUT_MAX } else { rules::TIMEOUT_MAX };
    let timeout = |text: &str| {
        let timeout = value::duration(text, Duration::ZERO, Duration::MAX)?;
        rules::request_fits_twelve_hours(timeout, longest).map(|()| timeout)
    };
    report.parse(written.timeout.as_ref(), timeout).unwrap_or(TIMEOUT)
}

pub(super) fn queue_settings(written: &Listener, report: &mut Report) -> Option<sqs::Settings> {
    if written.queue.is_none() {
        let fault = Fault::new("is required: the URL, ARN or name of an SQS queue");
        report.refuse_key(&written.place, &written.key_of("queue"), fault);
    }
    let queue = report.parse(written.queue.as_ref(), parse_queue);
    let region = report.parse(written.region.as_ref(), value::region);
    let profile = report.parse(written.profile.as_ref(), value::profile);
    let arn = report.parse(written.role_arn.as_ref(), value::role_arn);
    let external_id = report.parse(written.external_id.as_ref(), value::external_id);
    let with_role = rules::goes_with("role_arn", written.role_arn.is_some());
    report.require(written.external_id.as_ref(), with_role);
    let queue = queue?;
    let mismatch = region.as_ref().and_then(|region| rules::region_is_that_of_the_queue(region, &queue));
    report.advise(written.region.as_ref(), mismatch);
    report.advise(written.queue.as_ref(), rules::queue_of_aws_is_https(&queue));
    Some(sqs::Settings {
        queue,
        region,
        profile,
        role: arn.map(|arn| Role { arn, external_id }),
        address: None,
    })
}

/// The keys that are about receives alone.
fn receiving(written: &Listener, report: &mut Report) -> pipeline::Receiving {
    pipeline::Receiving {
        wait: report.parse(written.receive_wait.as_ref(), receive_wait).unwrap_or(RECEIVE_WAIT),
        latency_budget: report.parse(written.latency_budget.as_ref(), latency_budget).unwrap_or_default(),
        visibility: None,
        window: Duration::ZERO,
        paused: report.parse(written.paused.as_ref(), value::truth).unwrap_or_default(),
    }
}

fn latency_budget(text: &str) -> Result<Duration, Fault> {
    value::duration(text, Duration::ZERO, LATENCY_BUDGET_MAX)
}

/// Whole seconds, as SQS counts them (`ReceiveMessage`, `WaitTimeSeconds`: 0 to 20).
fn receive_wait(text: &str) -> Result<Duration, Fault> {
    let wait = value::duration(text, Duration::ZERO, RECEIVE_WAIT)?;
    if wait.subsec_nanos() == 0 { Ok(wait) } else { Err(Fault::new("is not in whole seconds")) }
}

fn policy(written: &Listener, timeout: Duration, success: &Success, report: &mut Report) -> decide::Policy {
    let default = decide::Policy::default();
    let delay = |text: &str| value::duration(text, SECOND, TWELVE_HOURS);
    let throttle_delay =
        report.parse(written.throttle_delay.as_ref(), delay).unwrap_or(default.throttle_delay);
    report.advise(written.throttle_delay.as_ref(), rules::pause_fits_after_request(throttle_delay, timeout));
    let mut rows: Vec<decide::Row> = Vec::new();
    for written in &written.on_response {
        let Some(row) = row(written, report) else { continue };
        let pause = row.delay.and_then(|delay| rules::pause_fits_after_request(delay, timeout));
        report.advise(written.delay.as_ref(), pause);
        let status = [rules::row_is_reached(&row, &rows), rules::row_leaves_success(&row, &success.statuses)];
        for warning in status.into_iter().flatten() {
            report.warn(&written.place, &written.key, &warning);
        }
        rows.push(row);
    }
    decide::Policy {
        throttle_delay,
        rows,
        retry_delay: stay::retry_delay(written, timeout, report),
        retention: stay::retention(written, report),
    }
}

fn statuses(written: &Row, report: &mut Report) -> Option<StatusSet> {
    let status = written.status.as_deref()?;
    let parts = status.iter().filter_map(|item| {
        report.parse(Some(item), |text| value::statuses(text, "write 503, 500-504 or 5xx"))
    });
    Some(StatusSet::new(parts.flatten()))
}

fn row(written: &Row, report: &mut Report) -> Option<decide::Row> {
    const ACTIONS: [(&str, decide::Action); 4] = [
        ("delete", decide::Action::Delete),
        ("park", decide::Action::Park),
        ("defer", decide::Action::Defer),
        ("dead_letter", decide::Action::DeadLetter),
    ];
    for (key, missing) in [("status", written.status.is_none()), ("action", written.action.is_none())] {
        if missing {
            report.refuse_key(&written.place, &format!("{}.{key}", written.key), Fault::new("is required"));
        }
    }
    let status = statuses(written, report);
    let action = report.parse(written.action.as_ref(), |text| value::one_of(text, &ACTIONS));
    let delay = report.parse(written.delay.as_ref(), |text| value::duration(text, SECOND, TWELVE_HOURS));
    report.require(written.delay.as_ref(), action.map_or(Ok(()), rules::delay_is_of_a_pause));
    Some(decide::Row { status: status?, action: action?, delay })
}

/// Index of the endpoint and full address of the POST; the latter is `None` when it was refused.
fn target(
    written: &Listener,
    algorithm: Option<&str>,
    endpoints: &mut Endpoints,
    env: Lookup<'_>,
    report: &mut Report,
) -> Option<(usize, Option<Url>)> {
    let is_algorithm = written.algorithm.is_some();
    let (index, base, path) = match (&written.url, &written.endpoint) {
        (Some(text), None) => {
            let is_default = matches!(text.place, Place::Preset(_));
            if let (Some(path), false) = (&written.path, is_algorithm || is_default) {
                report.refuse(path, Fault::new("has no effect beside `url`").fix("write it into the `url`"));
            }
            let parse = if is_algorithm { value::base_url } else { value::http_url };
            let url = report.parse(Some(text), parse)?;
            let path = written.path.as_ref().and_then(|path| path.text.as_deref()).filter(|_| is_default);
            (endpoints.inline(written, &url, env, report), url, algorithm.or(path))
        }
        (None, Some(name)) => {
            let (index, base) = report.parse(Some(name), |name| endpoints.named(name))?;
            let is_made = is_algorithm || written.template.has_path();
            if written.path.is_none() && !is_made {
                let fault = Fault::new("is required with `endpoint`").fix("write / for the endpoint itself");
                report.refuse_key(&written.place, &written.key_of("path"), fault);
            }
            let Some(base) = base.cloned() else { return Some((index, None)) };
            let path = written.path.as_ref().and_then(|path| path.text.as_deref());
            (index, base, if is_algorithm { algorithm } else { path })
        }
        (None, None) => {
            let fault = Fault::new("is required: where messages are posted to");
            let fault = if written.place == Place::CommandLine {
                fault
            } else {
                fault.fix("or name an `endpoint` and a `path`")
            };
            report.refuse_key(&written.place, &written.key_of("url"), fault);
            return None;
        }
        (Some(_), Some(name)) => {
            report.refuse(name, Fault::new("is not allowed beside `url`").fix("keep one of them"));
            return None;
        }
    };
    let Some(path) = path else { return Some((index, Some(base))) };
    match (value::below(&base, path), &written.path) {
        (Ok(url), _) => Some((index, Some(url))),
        (Err(fault), Some(written)) => {
            report.refuse(written, fault);
            Some((index, None))
        }
        (Err(_), None) => Some((index, None)),
    }
}

/// The listeners so far: their names and queues, each with the path of its listener's key.
#[derive(Default)]
struct Others {
    names: Firsts<String, String>,
    consumers: Consumers,
}

impl Others {
    /// Adds a listener; returns its name, unless the name is refused.
    ///
    /// A duplicate listener gets no second problem about its name: the user should remove it, not rename it.
    fn add(
        &mut self,
        written: &Listener,
        queue: Option<&sqs::Settings>,
        target: Option<&(usize, Option<Url>)>,
        report: &mut Report,
    ) -> Option<String> {
        if let (Some(queue), Some((endpoint, Some(url)))) = (queue, target) {
            let consumer = Consumer { key: &written.key, queue, endpoint: *endpoint, url };
            match self.consumers.add(&consumer) {
                Ok(warning) => report.advise(written.queue.as_ref(), warning),
                Err(fault) => {
                    report.require(written.queue.as_ref(), Err(fault));
                    return None;
                }
            }
        }
        self.name(written, queue.map(|queue| &queue.queue), report)
    }

    /// The listener's name, written or derived from its queue's; unique.
    fn name(&mut self, written: &Listener, queue: Option<&QueueRef>, report: &mut Report) -> Option<String> {
        let name = match &written.name {
            Some(text) => report.parse(Some(text), value::name)?,
            None => value::name_from_queue(queue?.name()),
        };
        let fault = if name.is_empty() {
            Fault::new("is required: the queue's name has no letter or digit to make one of")
        } else if let Some(key) = self.names.earlier(name.clone(), written.key.clone()) {
            Fault::new(format!("is not unique: `{name}` is {key}")).fix("set another `name`")
        } else {
            return Some(name);
        };
        match &written.name {
            Some(text) => report.refuse(text, fault),
            None => report.refuse_key(&written.place, &written.key_of("name"), fault),
        }
        None
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
