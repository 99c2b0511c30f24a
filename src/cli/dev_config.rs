//! `queuepost dev --config FILE`: a configuration as it is, with queues and endpoint on this machine.
//!
//! Each queue of the file is created in the embedded server, whatever its account, with a dead-letter queue. POSTs to an
//! endpoint on this machine are real. For every other endpoint the sample stands in: it gets POSTs with their own path, headers and
//! credentials. Nothing outside this machine is called: no role is assumed, no object
//! fetched or deleted, no token asked for. Everything else is as in the file.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::app::render::{shown, tokens};
use crate::config::Plan;
use crate::localqueue::{Broker, BrokerError, SharedBroker, Timestamp};
use crate::sqs::{self, QueueRef};

const FIFO: &str = ".fifo";
/// Longer than the queue's own four days, as it should be: 14 days, in seconds.
const DEAD_LETTER_RETENTION: &str = "1209600";

/// Leads the plan's queues to the server on this machine, and POSTs that would go elsewhere to the sample.
///
/// What would call servers elsewhere is left out, with a warning. Returns for each listener the endpoint that the sample
/// stands in for; `None`: its own is on this machine.
pub(super) fn redirect(plan: &mut Plan, sample: SocketAddr, receive_wait: Duration) -> Vec<Option<String>> {
    let mut replaced = Vec::new();
    let mut is_replaced = BTreeSet::new();
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
        if is_on_this_machine(url) {
            replaced.push(None);
            continue;
        }
        replaced.push(Some(shown(url)));
        is_replaced.insert(listener.endpoint);
        // None of these fails for an address of http or https.
        let changed = url.set_scheme("http").is_ok()
            && url.set_ip_host(sample.ip()).is_ok()
            && url.set_port(Some(sample.port())).is_ok();
        debug_assert!(changed, "an address that is no http");
    }
    leave_out(plan, &is_replaced);
    replaced
}

/// Whether an address is of this machine by its name: `localhost` or a loopback address.
fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        // RFC 6761, section 6.3.
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Leaves out what would call servers elsewhere, with a warning. Endpoints that the sample stands in for lose their TLS.
fn leave_out(plan: &mut Plan, is_replaced: &BTreeSet<usize>) {
    let mut left_out = Vec::new();
    for listener in &mut plan.listeners {
        // Its objects are real ones.
        if listener.claim_check.take().is_some() {
            left_out.push(format!("claim_check of listener {}", listener.listener.name));
        }
    }
    for (index, endpoint) in plan.endpoints.iter_mut().enumerate() {
        if is_replaced.contains(&index) {
            drop(std::mem::take(&mut endpoint.client.tls));
        }
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
) -> Result<(), BrokerError> {
    broker.with(|broker, now| {
        let mut names: Vec<&str> = Vec::new();
        for listener in &plan.listeners {
            create_queue(broker, now, &listener.listener.queue_name, max_receives)?;
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

/// Creates a queue with a dead-letter queue.
pub(super) fn create_queue(
    broker: &mut Broker,
    now: Timestamp,
    queue: &str,
    max_receives: u32,
) -> Result<(), BrokerError> {
    let dead_letters = dead_letter_queue(queue);
    let retention = ("MessageRetentionPeriod".to_owned(), DEAD_LETTER_RETENTION.to_owned());
    let fifo = queue.ends_with(FIFO).then(|| ("FifoQueue".to_owned(), "true".to_owned()));
    broker.create_queue(now, &dead_letters, &fifo.clone().into_iter().chain([retention]).collect())?;
    let policy = format!(
        r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:{dead_letters}","maxReceiveCount":{max_receives}}}"#
    );
    let redrive = ("RedrivePolicy".to_owned(), policy);
    broker.create_queue(now, queue, &fifo.into_iter().chain([redrive]).collect()).map(drop)
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
