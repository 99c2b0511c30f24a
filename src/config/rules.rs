//! Rules about combinations of values: one function for each, with its text for people.
//!
//! The functions work on parsed values and know no keys or positions; their callers add those. A `Result` is
//! a rule whose violation refuses the configuration. An `Option<String>` is a warning: the value is allowed,
//! but probably not intended. Texts read as the end of a sentence that starts with the key or the value.

use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::config::problem::Fault;
use crate::config::value::TWELVE_HOURS;
use crate::policy::decide::{Action, Row, STATUSES};
use crate::policy::outcome::StatusSet;
use crate::policy::visibility::CEILING;
use crate::sqs::{self, QueueRef};

/// Shortest request timeout.
pub(super) const TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// Longest request timeout: the lease (timeout + 30 s) and its last extension stay below SQS's 12 hours.
pub(super) const TIMEOUT_MAX: Duration = TWELVE_HOURS.saturating_sub(Duration::from_mins(1));
/// The longest delivery must end this long before the deadline, to be settled.
const DEADLINE_MARGIN: Duration = Duration::from_secs(15);
/// Shortest default deadline: a long poll of 20 s ends, and its messages are released.
const DEADLINE_LEAST: Duration = Duration::from_secs(25);
/// Longest default deadline: ten seconds below the 120 s after which Fargate kills (ECS, `stopTimeout`). A
/// user with longer timeouts sets the deadline together with the platform's grace period.
const DEADLINE_MOST: Duration = Duration::from_secs(110);

/// A message stays hidden during its request: SQS hides it for 12 hours at most.
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

/// The 12 hours count from the receive: the time of the request shortens the pause after it.
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

/// The default deadline of a drain: the longest request can end, within the grace period of common platforms.
pub(super) fn deadline_of(longest: Duration) -> Duration {
    longest.saturating_add(DEADLINE_MARGIN).clamp(DEADLINE_LEAST, DEADLINE_MOST)
}

/// A drain cuts off a request that outlasts it, and the message is retried.
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

/// A worker without a session never runs, so workers beyond the sessions have no effect.
pub(super) fn sessions_cover_workers(sessions: usize, workers: usize) -> Option<String> {
    (sessions < workers).then(|| {
        format!(
            "is {sessions}, below the {workers} workers of a listener: {} of them never run; raise it or lower \
             `workers`",
            workers.saturating_sub(sessions)
        )
    })
}

/// Workers limit the running requests, so sessions far beyond the workers limit nothing.
pub(super) fn sessions_are_in_reach(sessions: usize, workers: usize) -> Option<String> {
    (sessions > workers.saturating_mul(2)).then(|| {
        format!("is {sessions}, but its listeners have {workers} workers together: it is never reached")
    })
}

/// Two listeners from one queue to one target should be one with more workers; `other` is the earlier one.
pub(super) fn listeners_differ(other: Option<&str>) -> Result<(), Fault> {
    let Some(other) = other else { return Ok(()) };
    let rule = format!("is the queue of {other} too, with the same endpoint and address");
    Err(Fault::new(rule).fix(format!("remove this listener and raise `workers` of {other}")))
}

/// Listeners from one queue to different targets take messages from each other; a canary intends that.
pub(super) fn queue_is_not_shared(other: Option<&str>) -> Option<String> {
    let other = other?;
    Some(format!(
        "is the queue of {other} too: each message goes to either by chance; if both should get all, give each a \
         queue of its own (an SNS topic copies messages to both)"
    ))
}

/// Without TLS everybody on the network path can read the credentials.
pub(super) fn credentials_are_encrypted(url: &Url, has_auth: bool) -> Option<String> {
    (has_auth && url.scheme() == "http" && !is_near(url)).then(|| {
        "sends the credentials of `auth` unencrypted over http://, readable for everybody on the way; write https://"
            .to_owned()
    })
}

/// Whoever may delete from the queue can delete a message with its receipt handle.
pub(super) fn receipt_handles_are_encrypted(url: &Url) -> Option<String> {
    (url.scheme() == "http" && !is_near(url)).then(|| {
        "sends messages and their receipt handles unencrypted over http://, readable for everybody on the way; write https://"
            .to_owned()
    })
}

/// Certificates have no effect on http://. A user who sets them expects a protection that is missing.
pub(super) fn tls_needs_https(url: &Url) -> Result<(), Fault> {
    if url.scheme() == "https" {
        return Ok(());
    }
    Err(Fault::new("has no effect on an http:// address").fix("write https://, or remove it"))
}

/// A client authenticates with a certificate and its key; one alone has no effect.
pub(super) fn certificate_and_key_are_a_pair(certificate: bool, key: bool) -> Result<(), Fault> {
    if certificate == key { Ok(()) } else { Err(Fault::new("needs `cert_file` and `key_file` together")) }
}

/// A request signed for another region than the queue's is refused by SQS.
pub(super) fn region_is_that_of_the_queue(region: &str, queue: &QueueRef) -> Option<String> {
    let of_queue = sqs::region(queue).filter(|&of_queue| of_queue != region)?;
    Some(format!("is {region}, but the queue is in {of_queue}"))
}

/// Amazon's addresses use https; a VPC endpoint is called as its URL says.
pub(super) fn queue_of_aws_is_https(queue: &QueueRef) -> Option<String> {
    let QueueRef::Url(url) = queue else { return None };
    (url.scheme() == "http" && sqs::is_aws(url)).then(|| {
        "starts with http://, and Amazon's servers speak https: write https://, or messages, and session tokens with \
         them, may travel in clear"
            .to_owned()
    })
}

/// A success deletes the message. A range with 429 or 5xx would delete messages that nobody processed.
pub(super) fn success_leaves_out_failures(low: u16, high: u16) -> Result<(), Fault> {
    let (range, rule) = (low..=high, "would delete messages nobody worked on");
    let fix = |status: &str| {
        format!("write 2xx; if it is meant, delete by `on_response: [{{status: {status}, action: delete}}]`")
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

/// A single 404 is intended. A range such as 300-399, or within 4xx, is more likely a mistake.
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

/// The first row with the status decides: a row whose statuses all come earlier never matches.
pub(super) fn row_is_reached(row: &Row, earlier: &[Row]) -> Option<String> {
    (!row.is_reached(earlier)).then(|| "never applies: rows above it have all its statuses".to_owned())
}

/// Rows come before `success`. A row that hides the message after a success status repeats finished work.
pub(super) fn row_leaves_success(row: &Row, success: &StatusSet) -> Option<String> {
    if row.action == Action::Delete {
        return None;
    }
    let both =
        STATUSES.into_iter().find(|&status| row.status.contains(status) && success.contains(status))?;
    Some(format!("has {both}, which is in `success` too; rows come first, so such an answer does not delete"))
}

/// Only rows that hide a message may have a delay.
pub(super) fn delay_is_of_a_pause(action: Action) -> Result<(), Fault> {
    match action {
        Action::Park | Action::Defer => Ok(()),
        Action::Delete | Action::DeadLetter => {
            Err(Fault::new("has no effect: only `park` and `defer` have a delay"))
        }
    }
}

/// Some keys only refine another key and are a mistake without it: a role's external id, a rate's burst.
pub(super) fn goes_with(other: &str, present: bool) -> Result<(), Fault> {
    if present { Ok(()) } else { Err(Fault::new(format!("has no effect without `{other}`"))) }
}

/// An algorithm's path is derived from its name, so a written path would be ignored.
pub(super) fn path_is_not_of_an_algorithm(algorithm: bool) -> Result<(), Fault> {
    if algorithm {
        return Err(Fault::new("is not allowed with `algorithm`, which has its own path"));
    }
    Ok(())
}

/// Whether an address is on this machine or, by its form, in a private network.
fn is_near(url: &Url) -> bool {
    let private = |address: IpAddr| match address {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10 is shared between a provider and its customers (RFC 6598); overlays and pods use
            // it.
            let shared = matches!(v4.octets(), [100, 64..=127, ..]);
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    };
    match url.host() {
        Some(Host::Ipv4(address)) => private(address.into()),
        Some(Host::Ipv6(address)) => private(address.into()),
        // A name without a dot is resolved in the local domain: containers, Kubernetes services. `.default`
        // is the namespace of many such services. Names in other namespaces look like any name of the
        // internet.
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
