//! What a listener tells the log, and how often.
//!
//! One line per event for whoever must act; the same kind of event again within ten seconds is only counted,
//! and the next line says how many were left out. The words for what failed are the catalogue's
//! ([`crate::policy::advice`]): what it means in the message, its class in `reason`, what to do in `fix`, what the
//! other side said in `error`. Never bodies, receipt handles or credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limit::{Reason, Transition};
use crate::message::Message;
use crate::pipeline::ports::{QueueError, QueueFacts};
use crate::policy::advice::Advice;
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::decide::Disposition;
use crate::policy::outcome::Outcome;
use crate::policy::preflight::{Finding, Warning};
use crate::telemetry::Chain;
use crate::telemetry::log::DELIVERED;

/// Least time between two lines of one kind.
const PERIOD: Duration = Duration::from_secs(10);

/// What one POST came to.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) outcome: Outcome,
    /// Its class, for people.
    pub(super) reason: EndpointReason,
    pub(super) seen: Seen,
    pub(super) retry_after: Option<Duration>,
    pub(super) took: Option<Duration>,
    /// What the connection said, if it failed.
    pub(super) why: Option<String>,
}

impl Posted {
    /// An outcome without an answer.
    pub(super) fn not(outcome: Outcome) -> Self {
        let reason = EndpointReason::of_outcome(outcome);
        Self { outcome, reason, seen: Seen::default(), retry_after: None, took: None, why: None }
    }
}

/// One listener's voice.
#[derive(Debug)]
pub(super) struct Narrator {
    listener: String,
    queue: String,
    endpoint: String,
    said: Mutex<BTreeMap<(About, &'static str), Said>>,
    warned: Mutex<BTreeSet<Warning>>,
}

/// What a line is about; kinds of different things have equal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Endpoint,
    Queue,
    Settlement,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    left_out: u64,
}

impl Narrator {
    /// The voice of a listener between a queue and an endpoint.
    pub(super) fn new(listener: &str, queue: &str, endpoint: &str) -> Self {
        Self {
            listener: listener.to_owned(),
            queue: queue.to_owned(),
            endpoint: endpoint.to_owned(),
            said: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    /// A delivery has ended.
    pub(super) fn delivered(&self, message: &Message, posted: &Posted, disposition: Disposition) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let (message_id, outcome) = (message.id.as_str(), posted.outcome.label());
        let receive_count = message.receive_count.get();
        let duration_ms = posted.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let (status, error) = (posted.seen.status, posted.why.as_deref());
        let reason = posted.reason.label();
        if disposition == Disposition::Delete {
            tracing::debug!(
                target: DELIVERED,
                listener,
                queue,
                message_id,
                receive_count,
                status,
                duration_ms,
                outcome,
                "delivered"
            );
            return;
        }
        let then = describe(disposition);
        let Some(left_out) = self.may_say(About::Endpoint, reason) else {
            tracing::debug!(
                listener,
                queue,
                message_id,
                receive_count,
                status,
                duration_ms,
                outcome,
                reason,
                error,
                "{then}"
            );
            return;
        };
        let Advice { meaning, fix } = posted.reason.advice(&posted.seen);
        tracing::warn!(
            listener,
            queue,
            message_id,
            receive_count,
            status,
            duration_ms,
            outcome,
            reason,
            error,
            fix,
            left_out = shown(left_out),
            "{then}: {meaning}"
        );
    }

    /// A call to the queue failed.
    pub(super) fn queue_error(&self, error: &QueueError) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        if let Some(left_out) = self.may_say(About::Queue, error.reason.label()) {
            tracing::warn!(
                listener,
                queue,
                operation = error.operation.name(),
                reason = error.reason.label(),
                error = Chain(error.source.as_ref()).to_string(),
                fix = error.advice.fix,
                left_out = shown(left_out),
                "{error}"
            );
        }
    }

    /// The listener cannot go on until a person acts.
    pub(super) fn faulted(&self, error: &QueueError) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::error!(
            listener,
            queue,
            operation = error.operation.name(),
            reason = error.reason.label(),
            error = Chain(error.source.as_ref()).to_string(),
            fix = error.advice.fix,
            "listener faulted, tried again at least every 30 s: {error}"
        );
    }

    /// The queue could be read.
    pub(super) fn healthy(&self, facts: Option<&QueueFacts>) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let max_receives = facts.and_then(|facts| facts.redrive.as_ref()).map(|redrive| redrive.max_receives);
        let visible = facts.map(|facts| facts.depth.visible);
        tracing::info!(listener, queue, visible, max_receives, "listening");
    }

    /// What the queue's settings would do wrong; each is said once.
    pub(super) fn findings(&self, findings: &[Finding]) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        for Finding { warning, meaning, fix } in findings {
            if warned.insert(*warning) {
                tracing::warn!(listener, queue, warning = warning.label(), fix, "{meaning}");
            }
        }
    }

    /// A message could not be settled and is left to SQS.
    pub(super) fn left_to_sqs(&self, message_id: &str, what: &'static str, why: &str, fix: &str) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        if let Some(left_out) = self.may_say(About::Settlement, what) {
            tracing::warn!(
                listener,
                queue,
                message_id,
                why,
                fix,
                left_out = shown(left_out),
                "could not {what}; SQS hands it out again"
            );
        }
    }

    /// A message a busy endpoint turned away stays in the house.
    pub(super) fn kept(&self, message: &Message, wait: Duration) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        if let Some(left_out) = self.may_say(About::Settlement, "kept") {
            tracing::info!(
                listener,
                queue,
                message_id = message.id.as_str(),
                receive_count = message.receive_count.get(),
                left_out = shown(left_out),
                "waits {} s under its lease and is posted again: parked, it would be dead-lettered",
                wait.as_secs()
            );
        }
    }

    /// Half of the messages that may be in flight are.
    pub(super) fn crowded(&self, in_flight: u64, most: u64) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::warn!(
            listener,
            queue,
            in_flight,
            most,
            "half of the messages that may be in flight are, parked ones included; at the limit SQS hands out no \
             more: lower throttle_delay, or let the endpoint take more"
        );
    }

    /// Settling works again.
    pub(super) fn settles_again(&self) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::info!(listener, queue, "settling works again");
    }

    /// A gate has changed: of the endpoint, or of this listener alone (`of` says which).
    pub(super) fn gate(&self, of: &'static str, transition: Option<Transition>) {
        let (listener, endpoint) = (self.listener.as_str(), self.endpoint.as_str());
        match transition {
            None => {}
            Some(Transition::Opened { after, .. }) => {
                let seconds = after.as_secs();
                tracing::info!(listener, endpoint, gate = of, closed_seconds = seconds, "gate open");
            }
            Some(Transition::Closed { reason, pause, by_probe }) => {
                let (seconds, label, words) = (pause.as_secs_f64().round(), reason.label(), reason.words());
                let is_fault = matches!(reason, Reason::Unauthorized | Reason::Misdirected);
                let (gate, reason) = (of, label);
                if by_probe {
                    tracing::info!(listener, endpoint, gate, reason, seconds, "gate still closed: {words}");
                } else if is_fault {
                    tracing::error!(listener, endpoint, gate, reason, seconds, "gate closed: {words}");
                } else {
                    tracing::warn!(listener, endpoint, gate, reason, seconds, "gate closed: {words}");
                }
            }
        }
    }

    /// A server sent more messages than were asked for.
    pub(super) fn surplus(&self, count: usize) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::error!(
            listener,
            queue,
            count,
            "more messages than asked for; left until their visibility ends"
        );
    }

    /// A receive under way was not waited for any longer.
    pub(super) fn receive_cut_off(&self) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::warn!(
            listener,
            queue,
            "a receive was still under way near the shutdown deadline; what it brings returns by itself"
        );
    }

    /// How many lines of this kind were left out since the last, if one may be said now.
    fn may_say(&self, about: About, kind: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said.get_mut(&(about, kind)) {
            Some(last) if now.duration_since(last.at) < PERIOD => {
                last.left_out += 1;
                None
            }
            Some(last) => {
                last.at = now;
                Some(std::mem::take(&mut last.left_out))
            }
            None => {
                said.insert((about, kind), Said { at: now, left_out: 0 });
                Some(0)
            }
        }
    }
}

/// A number of lines left out, unless it is none.
fn shown(left_out: u64) -> Option<u64> {
    (left_out > 0).then_some(left_out)
}

fn describe(disposition: Disposition) -> String {
    match disposition {
        Disposition::Delete => "delivered".to_owned(),
        Disposition::Park { delay } => format!("parked for {} s", delay.as_secs()),
        Disposition::Defer { delay, .. } => format!("deferred for {} s", delay.as_secs()),
        Disposition::Hold => "held: nothing could be sent".to_owned(),
        Disposition::DeadLetter => "sent to the dead-letter queue".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_of_a_kind_in_ten_seconds_and_the_next_says_how_many_were_left_out() {
        let narrator = Narrator::new("orders", "orders-queue", "http://127.0.0.1:8080");
        let may_say = |kind| narrator.may_say(About::Endpoint, kind);
        assert_eq!(may_say("timed_out"), Some(0));
        assert_eq!(may_say("timed_out"), None);
        assert_eq!(may_say("failed"), Some(0));
        assert_eq!(narrator.may_say(About::Queue, "timed_out"), Some(0));
        tokio::time::advance(PERIOD).await;
        assert_eq!(may_say("timed_out"), Some(1));
    }
}
