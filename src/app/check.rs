//! Tries a plan out: whether its queues can be read, their settings are sound, and its endpoints are
//! reachable.
//!
//! No message is received, sent or posted. Queues are asked for their attributes; endpoints get a connection
//! (and a TLS handshake) that is closed at once. All listeners are checked at the same time, each queue for
//! ten seconds at most. An endpoint gets its own time to connect. So the duration does not grow with the
//! number of listeners.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::endpoints::client;
use crate::app::resources::{self, Limits};
use crate::app::results::{self, Looked};
use crate::app::start::StartError;
use crate::config::{EndpointPlan, ListenerPlan, Plan, Problem};
use crate::endpoint::{self, ConnectivityError, check_connectivity, connectivity_check_takes};
use crate::fleet::{Dns, LookError, Names as _, Source};
use crate::policy::advice::Advice;
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::decide::{Action, Policy};
use crate::policy::outcome::Step;
use crate::policy::preflight::{Delays, findings, spoken, survives};
use crate::ports::{Queue, QueueFacts, QueueReason, Redrive};
use crate::sqs::{self, QueueRef};
use crate::telemetry::Chain;

/// Longest time of the check of a queue.
const QUEUE_MAX: Duration = Duration::from_secs(10);
/// How much longer than its own limits a connectivity check may take. After that it counts as stuck.
const CHECK_MARGIN: Duration = Duration::from_secs(2);

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Name of the listener; `None` for the configuration as a whole.
    pub listener: Option<String>,
    /// The subject of the check.
    pub what: What,
    /// The verdict.
    pub status: Status,
    /// The finding.
    pub detail: String,
    /// The fix.
    pub fix: Option<String>,
    /// The parts of a problem with the configuration.
    pub problem: Option<Problem>,
}

/// The subjects of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// File, environment, flags.
    Configuration,
    /// Whether the queue exists and can be read.
    Queue,
    /// The queue's redrive policy and retention.
    Redrive,
    /// Whether the result queues exist and can be read.
    Results,
    /// Whether the endpoint resolves, connects and passes TLS verification.
    Endpoint,
    /// Whether the name of the fleet lists processes.
    Fleet,
}

impl What {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Queue => "queue",
            Self::Redrive => "redrive",
            Self::Results => "results",
            Self::Endpoint => "endpoint",
            Self::Fleet => "fleet",
        }
    }
}

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The check passed.
    Ok,
    /// The listener will run, but probably not as intended.
    Warning,
    /// The listener will not run.
    Failed,
}

/// The findings of the configuration alone: its warnings or that it is valid, and limits of this machine.
///
/// Errors: a file of an endpoint is not valid.
pub fn offline(plan: &Plan) -> Result<Vec<Checked>, StartError> {
    plan.endpoints.iter().try_for_each(|endpoint| client(endpoint).map(drop))?;
    let of_plan = |status, detail| Checked {
        listener: None,
        what: What::Configuration,
        status,
        detail,
        fix: None,
        problem: None,
    };
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let size =
        format!("{}, {}", count(plan.listeners.len(), "listener"), count(plan.endpoints.len(), "endpoint"));
    let warnings = plan.warnings.iter().map(|warning| of_plan(Status::Warning, warning.clone()));
    let short = resources::shortages(plan, Limits::reachable())
        .into_iter()
        .map(|shortage| Checked { fix: Some(shortage.fix), ..of_plan(Status::Warning, shortage.meaning) });
    let notes = plan.notes.iter().map(|note| of_plan(Status::Ok, note.clone()));
    Ok(std::iter::once(of_plan(Status::Ok, format!("valid: {size}")))
        .chain(notes)
        .chain(warnings)
        .chain(short)
        .collect())
}

/// Checks the fleet's name, then every listener's queue and endpoint; results in the order of the listeners.
pub async fn online(plan: &Plan) -> Vec<Checked> {
    let (fleet, mut checked) = tokio::join!(try_fleet(plan), try_listeners(plan));
    checked.splice(0..0, fleet);
    checked
}

/// Looks the fleet's name up. One that lists nobody may do so from elsewhere, so it is no failure.
async fn try_fleet(plan: &Plan) -> Option<Checked> {
    let Source::Dns { name, server } = &plan.fleet.as_ref()?.source else { return None };
    let dns = Dns::new(name.clone(), *server, plan.admin.all);
    let looked = timeout(QUEUE_MAX, dns.look()).await.unwrap_or(Err(LookError::TimedOut));
    let (status, detail, fix) = match looked {
        Ok(found) => (Status::Ok, format!("{name} lists {} processes", found.members.len()), None),
        Err(error) => {
            let fix = "from outside of the cluster that may be as it should; inside, the processes stand by until the name lists them: check fleet.dns";
            (Status::Warning, format!("{name}: {error}"), Some(fix.to_owned()))
        }
    };
    Some(Checked { listener: None, what: What::Fleet, status, detail, fix, problem: None })
}

async fn try_listeners(plan: &Plan) -> Vec<Checked> {
    let clients = Arc::new(sqs::Clients::default());
    let mut trying = JoinSet::new();
    for (index, listener) in plan.listeners.iter().enumerate() {
        let Some(endpoint) = plan.endpoints.get(listener.endpoint) else { continue };
        let (clients, listener, endpoint) = (Arc::clone(&clients), listener.clone(), endpoint.clone());
        trying.spawn(async move {
            let (mut checked, results, reached) = tokio::join!(
                try_queue(&clients, &listener),
                try_results(&clients, &listener),
                try_endpoint(&listener, &endpoint)
            );
            checked.extend(results);
            checked.push(reached);
            (index, checked)
        });
    }
    let mut all = trying.join_all().await;
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().flat_map(|(_, checked)| checked).collect()
}

async fn try_results(clients: &sqs::Clients, plan: &ListenerPlan) -> Vec<Checked> {
    let looked = results::look_at(clients, &plan.results, QUEUE_MAX).await.into_iter();
    let checked = looked.map(|Looked { is_readable, detail, fix }| Checked {
        listener: Some(plan.listener.name.clone()),
        what: What::Results,
        status: if is_readable { Status::Ok } else { Status::Failed },
        detail,
        fix,
        problem: None,
    });
    checked.collect()
}

async fn try_queue(clients: &sqs::Clients, plan: &ListenerPlan) -> Vec<Checked> {
    let check = |what, status, detail, fix| Checked {
        listener: Some(plan.listener.name.clone()),
        what,
        status,
        detail,
        fix,
        problem: None,
    };
    let mut checked = Vec::new();
    let inspected = async {
        let queue = clients.queue(&plan.queue).await;
        let facts = queue.inspect().await;
        (facts, queue.sends_token_in_clear())
    };
    let inspected = timeout(QUEUE_MAX, inspected).await;
    if let Ok((_, true)) = &inspected {
        let text = "a session token of AWS travels over plain http, for everybody on the way to see";
        checked.push(check(What::Queue, Status::Warning, text.to_owned(), Some(sqs::TOKEN_FIX.to_owned())));
    }
    let mut failed = |detail: String, fix| {
        checked.push(check(What::Queue, Status::Failed, detail, Some(fix)));
        std::mem::take(&mut checked)
    };
    let facts = match inspected {
        Ok((Ok(facts), _)) => facts,
        Ok((Err(error), _)) => return failed(Chain(&error).to_string(), error.advice.fix),
        Err(_) => {
            let text = format!("no answer within {}", spoken(QUEUE_MAX));
            return failed(text, QueueReason::TimedOut.fix().to_owned());
        }
    };
    let depth = &facts.depth;
    let read = format!(
        "{}: {} visible, {} in flight, {} delayed",
        plan.listener.queue_name, depth.visible, depth.not_visible, depth.delayed
    );
    let delays = Delays::of(&plan.listener.policy);
    let findings = findings(&facts.settings(), &delays);
    checked.push(check(What::Queue, Status::Ok, read, None));
    if findings.is_empty() {
        checked.push(check(What::Redrive, Status::Ok, describe(&facts, &delays), None));
    }
    checked.extend(
        findings
            .into_iter()
            .map(|finding| check(What::Redrive, Status::Warning, finding.meaning, Some(finding.fix))),
    );
    let way_back = way_back(&plan.queue.queue, &facts, &plan.listener.policy);
    checked.extend(way_back.map(|text| check(What::Redrive, Status::Ok, text, None)));
    checked
}

/// How to move back dead letters that a row of the listener sent. The dead-letter queue is named as the queue is.
fn way_back(queue: &QueueRef, facts: &QueueFacts, policy: &Policy) -> Option<String> {
    let sends = policy.rows.iter().any(|row| row.action == Action::DeadLetter);
    let name = &facts.redrive.as_ref().filter(|_| sends)?.dead_letter_name;
    let queue = queue.to_string();
    let dlq = queue
        .rfind(['/', ':'])
        .map_or_else(|| name.clone(), |end| format!("{}{name}", queue.split_at(end.saturating_add(1)).0));
    Some(format!(
        "messages that `dead_letter` rows send to {name} go back with: queuepost redrive --queue {dlq}"
    ))
}

/// A redrive policy without findings.
fn describe(facts: &QueueFacts, delays: &Delays) -> String {
    let Some(Redrive { max_receives, dead_letter_name, dead_letter_retention, .. }) = &facts.redrive else {
        return "none".to_owned();
    };
    let unread = if dead_letter_retention.is_none() { " (whose retention cannot be read)" } else { "" };
    let survives = delays.throttled.as_ref().map_or_else(String::new, |pause| {
        format!("; a message survives steady 429s for {}", spoken(survives(*max_receives, pause.delay)))
    });
    format!("{max_receives} receives, then {dead_letter_name}{unread}{survives}")
}

/// How long the check of an endpoint may take: the endpoint's own time to connect, in full.
fn connectivity_check_max(settings: &endpoint::Settings) -> Duration {
    connectivity_check_takes(settings).saturating_add(CHECK_MARGIN)
}

async fn try_endpoint(plan: &ListenerPlan, endpoint: &EndpointPlan) -> Checked {
    let origin = plan.target.url.origin().ascii_serialization();
    let check = |status, detail: String, fix: Option<&str>| Checked {
        listener: Some(plan.listener.name.clone()),
        what: What::Endpoint,
        status,
        detail: format!("{origin}: {detail}"),
        fix: fix.map(str::to_owned),
        problem: None,
    };
    let failed = |text: &str, step| {
        let Advice { meaning, fix } = EndpointReason::of_step(step).advice(&Seen::default());
        check(Status::Failed, format!("{meaning}: {text}"), Some(&fix))
    };
    let most = connectivity_check_max(&endpoint.client);
    match timeout(most, check_connectivity(&endpoint.client, &plan.target.url)).await {
        Ok(Ok(())) if plan.target.url.scheme() == "https" => {
            check(Status::Ok, "connects, TLS verifies".to_owned(), None)
        }
        Ok(Ok(())) => check(Status::Ok, "connects".to_owned(), None),
        Ok(Err(ConnectivityError::Unreached { step, text })) => failed(&text, step),
        Ok(Err(ConnectivityError::Client(error))) => failed(&Chain(&error).to_string(), Step::Other),
        Err(_) => failed(&format!("given up after {}", spoken(most)), Step::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_tried_for_all_the_time_it_has_to_connect_and_to_speak_its_last_word() {
        let connect_timeout = Duration::from_secs(300);
        let settings = endpoint::Settings {
            name: "api".to_owned(),
            connect_timeout,
            pool_idle_timeout: Duration::from_secs(4),
            pool_size: 1,
            auth: None,
            sign: None,
            tls: endpoint::Tls::default(),
        };
        assert_eq!(
            connectivity_check_max(&settings),
            connect_timeout + Duration::from_secs(3) + CHECK_MARGIN
        );
    }

    #[test]
    fn a_redrive_policy_is_described_without_429s_if_these_end_the_message() {
        let redrive = Redrive {
            max_receives: 10,
            dead_letter_name: "orders-dlq".to_owned(),
            dead_letter_fifo: false,
            dead_letter_retention: Some(Duration::from_secs(1_209_600)),
            dead_letter_depth: None,
            dead_letter_unread: None,
        };
        let facts = QueueFacts { redrive: Some(redrive), ..QueueFacts::default() };
        let delays = Delays { throttled: None, longer: None };
        assert_eq!(describe(&facts, &delays), "10 receives, then orders-dlq");
    }
}
