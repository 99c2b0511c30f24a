//! A plan tried out: can its queues be read, are their settings sound, can its endpoints be reached.
//!
//! Nothing is received, sent or posted: queues are asked for their attributes, endpoints get a connection (and a
//! TLS handshake) that is closed at once. Listeners are tried side by side, each queue for ten seconds at most and
//! each endpoint for its own time to connect, so that the whole takes no longer however many there are.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::resources::{self, Limits};
use crate::app::{StartError, client};
use crate::config::{EndpointPlan, ListenerPlan, Plan, Problem};
use crate::endpoint::{self, ConnectivityError, check_connectivity, connectivity_check_takes};
use crate::policy::advice::Advice;
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::decide::{Action, Policy};
use crate::policy::outcome::Step;
use crate::policy::preflight::{Delays, findings, spoken, survives};
use crate::ports::{Queue, QueueFacts, QueueReason, Redrive};
use crate::sqs;
use crate::telemetry::Chain;

/// Longest time a queue is tried for.
const QUEUE_MAX: Duration = Duration::from_secs(10);
/// What a connectivity check may take beyond the times that it keeps by itself, before it counts as stuck.
const CHECK_MARGIN: Duration = Duration::from_secs(2);

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Name of the listener; `None` for the configuration as a whole.
    pub listener: Option<String>,
    /// What was checked.
    pub what: What,
    /// How it went.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub fix: Option<String>,
    /// The parts of a problem with the configuration.
    pub problem: Option<Problem>,
}

/// What can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// File, environment, flags.
    Configuration,
    /// That the queue exists and can be read.
    Queue,
    /// The queue's redrive policy and retention.
    Redrive,
    /// That the endpoint resolves, connects and its TLS verifies.
    Endpoint,
}

impl What {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Queue => "queue",
            Self::Redrive => "redrive",
            Self::Endpoint => "endpoint",
        }
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// As it should.
    Ok,
    /// It will run, but probably not as meant.
    Warning,
    /// It will not run.
    Failed,
}

/// What the configuration alone tells: its warnings, or that it is valid; and what this machine has too little of.
///
/// Errors: the files of an endpoint do not hold what they should.
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
    Ok(std::iter::once(of_plan(Status::Ok, format!("valid: {size}"))).chain(warnings).chain(short).collect())
}

/// Tries out every listener's queue and endpoint; in the order of the listeners.
pub async fn online(plan: &Plan) -> Vec<Checked> {
    let clients = Arc::new(sqs::Clients::default());
    let mut trying = JoinSet::new();
    for (index, listener) in plan.listeners.iter().enumerate() {
        let Some(endpoint) = plan.endpoints.get(listener.endpoint) else { continue };
        let (clients, listener, endpoint) = (Arc::clone(&clients), listener.clone(), endpoint.clone());
        trying.spawn(async move {
            let (mut checked, reached) =
                tokio::join!(try_queue(&clients, &listener), try_endpoint(&listener, &endpoint));
            checked.push(reached);
            (index, checked)
        });
    }
    let mut all = trying.join_all().await;
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().flat_map(|(_, checked)| checked).collect()
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
    let way_back = way_back(&facts, &plan.listener.policy);
    checked.extend(way_back.map(|text| check(What::Redrive, Status::Ok, text, None)));
    checked
}

/// How dead letters come back that a row of the listener sent; SQS itself knows the source only of those it moved.
fn way_back(facts: &QueueFacts, policy: &Policy) -> Option<String> {
    let sends = policy.rows.iter().any(|row| row.action == Action::DeadLetter);
    let name = &facts.redrive.as_ref().filter(|_| sends)?.dead_letter_name;
    let queue = facts.arn.as_deref().unwrap_or("QUEUE_ARN");
    let dlq = facts.arn.as_deref().and_then(|arn| arn.rsplit_once(':'));
    let dlq = dlq.map_or_else(|| "DLQ_ARN".to_owned(), |(before, _)| format!("{before}:{name}"));
    Some(format!(
        "messages that `dead_letter` rows send to {name} have no source SQS knows of; name it to move them back: \
         aws sqs start-message-move-task --source-arn {dlq} --destination-arn {queue}"
    ))
}

/// A redrive policy nothing is wrong with.
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

/// How long an endpoint is tried for: whatever time it is given to connect is waited for.
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
        };
        let facts = QueueFacts { redrive: Some(redrive), ..QueueFacts::default() };
        let delays = Delays { throttled: None, longer: None };
        assert_eq!(describe(&facts, &delays), "10 receives, then orders-dlq");
    }
}
