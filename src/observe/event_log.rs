//! What a listener tells the log, and how often.
//!
//! One line per event for whoever must act. The same kind of event again within ten seconds is counted and its message
//! named; the next line or a summary says so. The texts are the catalogue's ([`crate::policy::advice`]). The message says
//! what a failure means and `reason` its class. `fix` says what to do, `error` what the other side said. Never bodies, receipt
//! handles or credentials.
//!
//! What failed is kept beside that, whether or not it had a line ([`crate::observe::recent`]).

pub(crate) mod deliveries;
mod gates;
mod learned;
mod no_work;
mod objects;
mod repeats;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use repeats::PERIOD;
use repeats::{About, LeftOut, Repeats};

use crate::limit::Transition;
use crate::limit::clock::Wall;
use crate::message::{Message, MessageId};
use crate::observe::recent::{Failure, Recent};
use crate::policy::preflight::{Finding, Warning};
use crate::ports::{QueueError, QueueFacts};
use crate::telemetry::Chain;

/// One listener's voice.
#[derive(Debug)]
pub(crate) struct EventLog {
    listener: String,
    queue: String,
    endpoint: String,
    /// What went wrong with messages lately.
    recent: Recent,
    repeats: Mutex<Repeats>,
    /// The last change of each gate, where the log has not told of it.
    untold: Mutex<BTreeMap<&'static str, Transition>>,
    warned: Mutex<BTreeSet<Warning>>,
    /// Whether the log has told of a success that the listener does not list.
    unlisted_success: AtomicBool,
}

impl EventLog {
    /// The voice of a listener between a queue and an endpoint; `wall` dates what went wrong.
    pub(crate) fn new(listener: &str, queue: &str, endpoint: &str, wall: Wall) -> Self {
        Self {
            listener: listener.to_owned(),
            queue: queue.to_owned(),
            endpoint: endpoint.to_owned(),
            recent: Recent::new(wall),
            repeats: Mutex::default(),
            untold: Mutex::default(),
            warned: Mutex::default(),
            unlisted_success: AtomicBool::default(),
        }
    }

    /// A call to the queue failed.
    pub(crate) fn queue_error(&self, error: &QueueError) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        if let Some(left_out) = self.repeats().may_say(About::Queue, error.reason.label(), None) {
            tracing::warn!(
                listener,
                queue,
                operation = error.operation.name(),
                reason = error.reason.label(),
                error = Chain(error.source.as_ref()).to_string(),
                fix = error.advice.fix,
                left_out = left_out.count(),
                "{error}"
            );
        }
    }

    /// The listener cannot go on until a person acts.
    pub(crate) fn faulted(&self, error: &QueueError) {
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
    pub(crate) fn healthy(&self, facts: Option<&QueueFacts>) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let max_receives = facts.and_then(|facts| facts.redrive.as_ref()).map(|redrive| redrive.max_receives);
        let visible = facts.map(|facts| facts.depth.visible);
        tracing::info!(listener, queue, visible, max_receives, "listening");
    }

    /// The queue could not be read for some time, and can be again.
    pub(crate) fn reached_again(&self, after: Duration) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::info!(listener, queue, after_seconds = after.as_secs(), "the queue can be read again");
    }

    /// What the queue's settings would do wrong; each is said once.
    pub(crate) fn findings(&self, findings: &[Finding]) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        for Finding { warning, meaning, fix } in findings {
            if warned.insert(*warning) {
                tracing::warn!(listener, queue, warning = warning.label(), fix, "{meaning}");
            }
        }
    }

    /// What went wrong with messages lately, the newest first.
    pub(crate) fn recent_failures(&self) -> Vec<Failure> {
        self.recent.failures()
    }

    /// A message could not be settled and is left to SQS, which is remembered of it.
    pub(crate) fn abandoned(&self, message: &Message, what: &'static str, why: &str, fix: &str) {
        let then = format!("could not {what}; left to SQS");
        self.recent.add(Failure::new(message, "abandoned", why, &then));
        self.left_to_sqs(message.id.as_str(), what, why, fix);
    }

    /// A message could not be settled and is left to SQS.
    pub(crate) fn left_to_sqs(&self, message_id: &str, what: &'static str, why: &str, fix: &str) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let id = MessageId::new(message_id);
        let left_out = self.repeats().may_say(About::Settlement, what, Some(&id));
        if let Some(left_out) = left_out {
            tracing::warn!(
                listener,
                queue,
                message_id,
                why,
                fix,
                left_out = left_out.count(),
                left_out_ids = left_out.named(),
                "could not {what}; left to SQS: visible again when its lease is over, or dead-lettered if this was its \
                 final receive"
            );
        }
    }

    /// A result queue does not take the result of a message as it is; a shorter one is sent.
    pub(crate) fn result_shortened(&self, id: &MessageId, results: &str, why: &str) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let left_out =
            self.repeats().may_say(About::Settlement, "a result was sent without its contents", Some(id));
        if let Some(left_out) = left_out {
            tracing::warn!(
                listener,
                queue,
                results,
                message_id = id.as_str(),
                why,
                fix = "let the result say less (its template, or the endpoint's answer), or raise the result queue's \
                       MaximumMessageSize",
                left_out = left_out.count(),
                left_out_ids = left_out.named(),
                "the result queue refused a result; it is sent without the answer and the contents of the message"
            );
        }
    }

    /// Half of the messages that may be in flight are.
    pub(crate) fn crowded(&self, in_flight: u64, most: u64) {
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
    pub(crate) fn settles_again(&self) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::info!(listener, queue, "settling works again");
    }

    /// A server sent more messages than were asked for.
    pub(crate) fn surplus(&self, count: usize) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::error!(
            listener,
            queue,
            count,
            "more messages than asked for; left until their visibility ends"
        );
    }

    /// A receive under way was not waited for any longer.
    pub(crate) fn receive_cut_off(&self) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        tracing::warn!(
            listener,
            queue,
            "a receive was still under way near the shutdown deadline; what it brings returns by itself"
        );
    }

    /// What was left out and no line has told of for ten seconds.
    pub(crate) fn make_up(&self) {
        let overdue = self.repeats().overdue();
        self.summarise(overdue);
    }

    /// Everything left out: there will be no more lines.
    pub(crate) fn make_up_for_all(&self) {
        let all = self.repeats().all();
        self.summarise(all);
    }

    fn summarise(&self, left_out: Vec<(About, &'static str, LeftOut)>) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        for (about, kind, lines) in left_out {
            let (left_out, left_out_ids) = (lines.count(), lines.named());
            match about {
                About::Endpoint => {
                    tracing::warn!(
                        listener,
                        queue,
                        reason = kind,
                        left_out,
                        left_out_ids,
                        "more deliveries failed so"
                    );
                }
                About::Queue => {
                    tracing::warn!(
                        listener,
                        queue,
                        reason = kind,
                        left_out,
                        "more calls to the queue failed so"
                    );
                }
                About::Settlement => {
                    tracing::warn!(
                        listener,
                        queue,
                        left_out,
                        left_out_ids,
                        "more messages as said last: {kind}"
                    );
                }
                About::NoWork => {
                    tracing::info!(
                        listener,
                        queue,
                        reason = kind,
                        left_out,
                        left_out_ids,
                        "more messages that were no work"
                    );
                }
                About::Gate => self.gate_after_all(kind, &lines),
                About::Recovery => {}
            }
        }
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
