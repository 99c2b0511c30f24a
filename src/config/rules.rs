//! What values must fit together: one function for each rule, with what a person is told when they do not.
//!
//! The functions work on parsed values and know no keys or places; who calls them adds those. A `Result` is a rule
//! whose breach refuses the configuration, an `Option<String>` one that is only warned of: allowed, but probably
//! not meant. Texts read as the end of a sentence that starts with the key or the value.

use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::config::problem::Fault;
use crate::config::value::TWELVE_HOURS;
use crate::policy::decide::{Action, Row, STATUSES};
use crate::policy::outcome::StatusSet;
use crate::policy::visibility::CEILING;
use crate::sqs::{self, QueueRef};

/// Shortest request time-out.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// Longest request time-out: the lease (time-out + 30 s) and its last extension stay below the 12 hours SQS allows.
pub(super) const TIMEOUT_MAX: Duration = TWELVE_HOURS.saturating_sub(Duration::from_mins(1));
/// A running delivery of the longest time-out ends this long before the deadline, to be settled.
const DEADLINE_MARGIN: Duration = Duration::from_secs(15);
/// Shortest deadline that is not written: a long poll of 20 s ends, and what it brings is released.
const DEADLINE_LEAST: Duration = Duration::from_secs(25);
/// Longest deadline that is not written: ten seconds below the 120 s after which Fargate kills (ECS, `stopTimeout`).
/// Whoever has longer time-outs sets the deadline together with the time the process is given.
const DEADLINE_MOST: Duration = Duration::from_secs(110);

/// The message stays hidden while its request runs, and SQS hides it for 12 hours at most.
pub(super) fn request_fits_twelve_hours(timeout: Duration, longest: Duration) -> Result<(), Fault> {
    if (TIMEOUT_MIN..=longest).contains(&timeout) {
        return Ok(());
    }
    let fault = Fault::new(format!("is out of range: {} to {}", spoken(TIMEOUT_MIN), spoken(longest)));
    let too_long = timeout > TIMEOUT_MAX && longest == TIMEOUT_MAX;
    Err(if too_long {
        fault.fix(
            "SQS hides a message for 12h at most from its receive on, and settling needs the last minute",
        )
    } else {
        fault
    })
}

/// The 12 hours count from the receive, so what the request took is missing from the pause after it.
pub(super) fn pause_fits_after_request(pause: Duration, timeout: Duration) -> Option<String> {
    (pause.saturating_add(timeout) > TWELVE_HOURS).then(|| {
        format!(
            "is {}: SQS counts 12h from the receive on, so after a request of up to {} the pause is cut to {}",
            spoken(pause),
            spoken(timeout),
            spoken(Duration::from_secs(CEILING.saturating_sub(timeout).as_secs()))
        )
    })
}

/// The deadline of a drain that nobody wrote: the longest request can end, within what ends processes from outside.
pub(super) fn deadline_of(longest: Duration) -> Duration {
    longest.saturating_add(DEADLINE_MARGIN).clamp(DEADLINE_LEAST, DEADLINE_MOST)
}

/// A drain that ends before the longest request can, cuts it off and has it retried.
pub(super) fn deadline_covers_requests(deadline: Duration, longest: Duration) -> Option<String> {
    let enough = longest.saturating_add(DEADLINE_MARGIN);
    (deadline < enough).then(|| {
        format!(
            "is {}, below the largest time-out + 15s: deliveries still running then are cut off and retried; \
             {} is enough",
            spoken(deadline),
            spoken(enough)
        )
    })
}

/// A worker without a session never runs, so a listener with more workers than sessions has some for nothing.
pub(super) fn sessions_cover_workers(sessions: usize, workers: usize) -> Option<String> {
    (sessions < workers).then(|| {
        format!(
            "is {sessions}, below the {workers} workers of a listener: {} of them never run; raise it or lower \
             `workers`",
            workers.saturating_sub(sessions)
        )
    })
}

/// No more requests run than there are workers, so sessions far beyond them limit nothing.
pub(super) fn sessions_are_in_reach(sessions: usize, workers: usize) -> Option<String> {
    (sessions > workers.saturating_mul(2)).then(|| {
        format!("is {sessions}, but its listeners have {workers} workers together: it is never reached")
    })
}

/// Two listeners that bring the same queue to the same place are one with more workers; `other` is the earlier one.
pub(super) fn listeners_differ(other: Option<&str>) -> Result<(), Fault> {
    let Some(other) = other else { return Ok(()) };
    let rule = format!("is the queue of {other} too, with the same endpoint and address");
    Err(Fault::new(rule).fix(format!("remove this listener and raise `workers` of {other}")))
}

/// Listeners that bring one queue to several places take its messages from each other; a canary wants that.
pub(super) fn queue_is_not_shared(other: Option<&str>) -> Option<String> {
    let other = other?;
    Some(format!(
        "is the queue of {other} too: each message goes to either by chance; if both should get all, give each a \
         queue of its own (an SNS topic copies messages to both)"
    ))
}

/// Without TLS everybody on the way can read the credentials.
pub(super) fn credentials_are_encrypted(url: &Url, has_auth: bool) -> Option<String> {
    (has_auth && url.scheme() == "http" && !is_near(url)).then(|| {
        "sends the credentials of `auth` unencrypted over http://, readable for everybody on the way; write https://"
            .to_owned()
    })
}

/// Certificates are for TLS, and http:// has none: who wrote them believes in a protection that is not there.
pub(super) fn tls_needs_https(url: &Url) -> Result<(), Fault> {
    if url.scheme() == "https" {
        return Ok(());
    }
    Err(Fault::new("has no effect on an http:// address").fix("write https://, or remove it"))
}

/// A client proves who it is with a certificate and its key; one alone is of no use.
pub(super) fn certificate_and_key_are_a_pair(certificate: bool, key: bool) -> Result<(), Fault> {
    if certificate == key { Ok(()) } else { Err(Fault::new("needs `cert_file` and `key_file` together")) }
}

/// A request signed for another region than the queue's is refused by SQS.
pub(super) fn region_is_that_of_the_queue(region: &str, queue: &QueueRef) -> Option<String> {
    let of_queue = sqs::region(queue).filter(|&of_queue| of_queue != region)?;
    Some(format!("is {region}, but the queue is in {of_queue}"))
}

/// Amazon's addresses speak https; a VPC endpoint is called as its URL says.
pub(super) fn queue_of_aws_is_https(queue: &QueueRef) -> Option<String> {
    let QueueRef::Url(url) = queue else { return None };
    (url.scheme() == "http" && sqs::is_aws(url)).then(|| {
        "starts with http://, and Amazon's servers speak https: write https://, or messages, and session tokens with \
         them, may travel in clear"
            .to_owned()
    })
}

/// Success deletes: a range that takes in 429 or 5xx deletes messages nobody worked on.
pub(super) fn success_leaves_out_failures(low: u16, high: u16) -> Result<(), Fault> {
    let (range, rule) = (low..=high, "would delete messages nobody worked on");
    let fix = |status: &str| {
        format!(
            "write 200-299; if it is meant, delete by `on_response: [{{status: {status}, action: delete}}]`"
        )
    };
    if range.contains(&429) {
        return Err(Fault::new(format!("takes in 429, throttling, and {rule}")).fix(fix("429")));
    }
    if high >= 500 {
        let status = if low == high { low.to_string() } else { "5xx".to_owned() };
        return Err(Fault::new(format!("takes in {status}, a failed server, and {rule}")).fix(fix(&status)));
    }
    Ok(())
}

/// Who lists 404 means it; who lists 300-399 or a range of 4xx more likely miscounted.
pub(super) fn success_leaves_out_refusals(low: u16, high: u16) -> Option<String> {
    if low < 400 && high >= 300 {
        return Some(
            "takes in redirects, which are not followed: nobody worked on those messages".to_owned(),
        );
    }
    (low < high && high >= 400).then(|| {
        "takes in several statuses that refuse the message; list single ones, such as 409, if they mean it is done"
            .to_owned()
    })
}

/// The first row that has the status decides, so a row behind others with all its statuses is dead.
pub(super) fn row_is_reached(row: &Row, earlier: &[Row]) -> Option<String> {
    (!row.is_reached(earlier)).then(|| "never applies: rows above it have all its statuses".to_owned())
}

/// Rows come before `success`, so one that pauses a status of success has finished work done again.
pub(super) fn row_leaves_success(row: &Row, success: &StatusSet) -> Option<String> {
    if row.action == Action::Delete {
        return None;
    }
    let both =
        STATUSES.into_iter().find(|&status| row.status.contains(status) && success.contains(status))?;
    Some(format!("has {both}, which is in `success` too; rows come first, so such an answer does not delete"))
}

/// Only what hides a message has a time to hide it for.
pub(super) fn delay_is_of_a_pause(action: Action) -> Result<(), Fault> {
    match action {
        Action::Park | Action::Defer => Ok(()),
        Action::Delete | Action::DeadLetter => {
            Err(Fault::new("has no effect: only `park` and `defer` have a delay"))
        }
    }
}

/// A key that only says more about another is a mistake without it: a role's external id, a rate's burst.
pub(super) fn goes_with(other: &str, present: bool) -> Result<(), Fault> {
    if present { Ok(()) } else { Err(Fault::new(format!("has no effect without `{other}`"))) }
}

/// An algorithm is called at a path made of its name, so one that is written would be ignored.
pub(super) fn path_is_not_of_an_algorithm(algorithm: bool) -> Result<(), Fault> {
    if algorithm {
        return Err(Fault::new("is not allowed with `algorithm`, which has its own path"));
    }
    Ok(())
}

/// Whether an address is on this machine or, by the look of it, in a private network.
fn is_near(url: &Url) -> bool {
    let private = |address: IpAddr| match address {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10 is shared between a provider and its customers (RFC 6598): overlays and pods use it.
            let shared = matches!(v4.octets(), [100, 64..=127, ..]);
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    };
    match url.host() {
        Some(Host::Ipv4(address)) => private(address.into()),
        Some(Host::Ipv6(address)) => private(address.into()),
        // A name without a dot is looked up in the own domain: containers, Kubernetes services. `.default` is the
        // namespace of many such services; names of other namespaces look like any name of the internet.
        Some(Host::Domain(name)) => {
            let inside = [".default", ".home.arpa", ".internal", ".lan", ".local", ".svc"];
            sqs::is_loopback(url) || !name.contains('.') || inside.iter().any(|end| name.ends_with(end))
        }
        None => false,
    }
}

fn spoken(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
