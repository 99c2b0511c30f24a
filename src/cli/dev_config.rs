//! `queuepost dev --config FILE`: a configuration as it is, with queues and endpoint on this machine.
//!
//! Each queue of the file is created in the embedded server, whatever its account. Each POST goes to the sample endpoint,
//! with its own path, headers and credentials. Nothing outside this machine is called: no role is assumed, no object
//! fetched or deleted, no token asked for. Everything else is as in the file.

use std::net::SocketAddr;
use std::time::Duration;

use crate::app::render::tokens;
use crate::config::{self, ConfigErrors, Overrides, Plan};
use crate::localqueue::{Broker, BrokerError, SharedBroker};
use crate::sqs::{self, QueueRef};

const FIFO: &str = ".fifo";

/// Loads the file with these values in front. Variables fill in its `${…}`, and stand for no flag.
pub(super) fn load(overrides: &Overrides) -> Result<Plan, ConfigErrors> {
    let env = |name: &str| config::process_env(name).filter(|_| !name.starts_with("QUEUEPOST_"));
    config::load(overrides, &env, true)
}

/// Leads the plan's queues and POSTs to the servers on this machine.
///
/// What would call servers elsewhere is left out, with a warning.
pub(super) fn redirect(plan: &mut Plan, endpoint: SocketAddr, receive_wait: Duration) {
    for listener in &mut plan.listeners {
        listener.queue.queue = QueueRef::Name(listener.queue.queue.name().to_owned());
        (listener.queue.role, listener.queue.profile) = (None, None);
        listener.listener.receiving.wait = receive_wait;
        let own = listener.queue.clone();
        for result in listener.results.all_mut() {
            result.queue =
                sqs::Settings { queue: QueueRef::Name(result.queue.queue.name().to_owned()), ..own.clone() };
        }
        let url = &mut listener.target.url;
        // None of these fails for an address of http or https.
        let changed = url.set_scheme("http").is_ok()
            && url.set_ip_host(endpoint.ip()).is_ok()
            && url.set_port(Some(endpoint.port())).is_ok();
        debug_assert!(changed, "an address that is no http");
    }
    let mut left_out = Vec::new();
    for listener in &mut plan.listeners {
        // Its objects are real ones.
        if listener.claim_check.take().is_some() {
            left_out.push(format!("claim_check of listener {}", listener.listener.name));
        }
    }
    for endpoint in &mut plan.endpoints {
        drop(std::mem::take(&mut endpoint.client.tls));
        if let Some(auth) = &endpoint.client.auth
            && auth.asks_others()
        {
            endpoint.client.auth = None;
            left_out.push(format!("auth of endpoint {}", endpoint.client.name));
        }
    }
    let warning = |what| format!("{what} is left out in dev: it would call servers elsewhere");
    plan.warnings.extend(left_out.into_iter().map(warning));
}

/// Creates the plan's queues, each with a dead-letter queue, and its result queues.
pub(super) fn create_queues(
    broker: &SharedBroker,
    plan: &Plan,
    max_receives: u32,
    dead_letter_retention: &str,
) -> Result<(), BrokerError> {
    let create = |broker: &mut Broker, now, queue: &str| {
        let dead_letters = dead_letter_queue(queue);
        let retention = ("MessageRetentionPeriod".to_owned(), dead_letter_retention.to_owned());
        let fifo = queue.ends_with(FIFO).then(|| ("FifoQueue".to_owned(), "true".to_owned()));
        broker.create_queue(now, &dead_letters, &fifo.clone().into_iter().chain([retention]).collect())?;
        let policy = format!(
            r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:{dead_letters}","maxReceiveCount":{max_receives}}}"#
        );
        let redrive = ("RedrivePolicy".to_owned(), policy);
        broker.create_queue(now, queue, &fifo.into_iter().chain([redrive]).collect()).map(drop)
    };
    broker.with(|broker, now| {
        let mut names: Vec<&str> = Vec::new();
        for listener in &plan.listeners {
            create(broker, now, &listener.listener.queue_name)?;
            names.push(&listener.listener.queue_name);
        }
        // A queue may take the results of several listeners, and be the queue of another one.
        let results = plan.listeners.iter().flat_map(|listener| listener.results.all());
        for name in results.map(|(_, result)| result.queue.queue.name()) {
            if !names.contains(&name) {
                let fifo = name.ends_with(FIFO).then(|| ("FifoQueue".to_owned(), "true".to_owned()));
                broker.create_queue(now, name, &fifo.into_iter().collect())?;
                names.push(name);
            }
        }
        Ok(())
    })
}

/// What the sample endpoint must not print: names of headers with secrets, and texts of addresses that may be tokens.
#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) headers: Vec<String>,
    pub(super) texts: Vec<String>,
}

/// Those of a plan.
pub(super) fn secrets(plan: &Plan) -> Secrets {
    let of_auth = plan.endpoints.iter().filter_map(|endpoint| endpoint.client.auth.as_ref());
    let of_auth = of_auth.map(|auth| auth.header().to_string());
    let fixed = plan.listeners.iter().flat_map(|listener| listener.target.headers.shown());
    let fixed = fixed.filter(|(_, value)| value.is_none()).map(|(name, _)| name.to_string());
    let texts = plan.listeners.iter().flat_map(|listener| tokens(&listener.target.url)).collect();
    Secrets { headers: of_auth.chain(fixed).collect(), texts }
}

/// The name of a queue's dead-letter queue.
pub(super) fn dead_letter_queue(queue: &str) -> String {
    match queue.strip_suffix(FIFO) {
        Some(name) => format!("{name}-dlq{FIFO}"),
        None => format!("{queue}-dlq"),
    }
}
