//! What the log says of deliveries: what went wrong, what becomes of the message, and when it goes right again.
//!
//! A failure has one line in ten seconds for each reason; the others are counted and named. The last word on a
//! message is never left out: its final receive, and that it is sent to the dead-letter queue. The beginning of the
//! endpoint's answer is in `answer`, as [`crate::policy::outcome::Answer`] has it: fit for a log.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::EventLog;
use super::repeats::{About, LeftOut};
use crate::message::Message;
use crate::observe::failing::Recovery;
use crate::observe::recent::Failure;
use crate::policy::advice::Advice;
use crate::policy::advice::endpoint::{EndpointReason, Seen};
use crate::policy::decide::Disposition;
use crate::policy::final_receive::FinalReceive;
use crate::policy::outcome::{Body, Outcome};
use crate::telemetry::log::DELIVERED;

/// What one POST came to.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) outcome: Outcome,
    /// Its class, for people.
    pub(crate) reason: EndpointReason,
    pub(crate) seen: Seen,
    pub(crate) retry_after: Option<Duration>,
    /// When the POST began; `None`: there was none.
    pub(crate) started: Option<SystemTime>,
    pub(crate) took: Option<Duration>,
    /// What the connection said, if it failed.
    pub(crate) why: Option<String>,
    /// What the endpoint said, if it answered.
    pub(crate) answer: Option<String>,
    /// The beginning of the answer's body, for its result. It goes into no log.
    pub(crate) body: Body,
    /// Messages that the POST carried.
    pub(crate) together: usize,
}

impl Posted {
    /// An outcome without an answer.
    pub(crate) fn not(outcome: Outcome) -> Self {
        let reason = EndpointReason::of_outcome(outcome);
        let seen = Seen::default();
        let (body, started) = (Body::default(), None);
        Self {
            outcome,
            reason,
            seen,
            retry_after: None,
            started,
            took: None,
            why: None,
            answer: None,
            body,
            together: 1,
        }
    }

    /// The same POST, for a message of it that came to something else.
    pub(crate) fn of(&self, outcome: Outcome) -> Self {
        Self { outcome, reason: EndpointReason::of_message(outcome), ..self.clone() }
    }

    /// Messages that shared the POST, if there were several.
    fn batch(&self) -> Option<usize> {
        (self.together > 1).then_some(self.together)
    }

    /// Whether a message that is deleted for it was dealt with: a row may take what `success` does not list for one.
    fn is_work_done(&self) -> bool {
        matches!(self.outcome, Outcome::Success | Outcome::UnlistedSuccess)
    }

    /// What it was, in a sentence.
    pub(crate) fn meaning(&self) -> String {
        self.reason.advice(&self.seen).meaning
    }
}

/// Where a message on its final receive goes.
fn next_stop(last: &FinalReceive, message: &Message) -> String {
    let (count, max) = (message.receive_count.get(), last.max);
    let next = last.dead_letter_queue.as_deref().unwrap_or("the dead-letter queue");
    format!("final receive ({count} of {max}): {next} next")
}

impl EventLog {
    /// A delivery has ended. `last` says that it was the message's last, whatever the disposition does. `waits`: the message
    /// is not parked at SQS, but waits in this process.
    pub(crate) fn delivered(
        &self,
        message: &Message,
        posted: &Posted,
        disposition: Disposition,
        last: Option<&FinalReceive>,
        waits: bool,
    ) {
        let (id, reason) = (&message.id, posted.reason.label());
        let is_final = match disposition {
            Disposition::Delete if posted.is_work_done() => return self.deleted(message, posted),
            Disposition::Park { .. } | Disposition::Defer { .. } => last.is_some(),
            Disposition::DeadLetter => true,
            Disposition::Hold | Disposition::Delete => false,
        };
        let then = last.filter(|_| is_final && disposition != Disposition::DeadLetter);
        let then = then.map_or_else(|| describe(disposition, waits), |last| next_stop(last, message));
        self.remember(message, posted, disposition, (&then, last.filter(|_| is_final)));
        if posted.outcome == Outcome::UnlistedSuccess && !self.unlisted_success.swap(true, Ordering::Relaxed)
        {
            self.repeats().says(About::Endpoint, reason, id);
            return self.first_unlisted_success(message, posted, &then);
        }
        if is_final {
            self.repeats().says(About::Endpoint, reason, id);
            return self.line(message, posted, &then, Some(&LeftOut::default()));
        }
        if disposition == Disposition::Delete {
            // The configuration says that nobody has to act on it.
            return self.line(message, posted, &then, None);
        }
        let left_out = self.repeats().may_say(About::Endpoint, reason, Some(id));
        self.line(message, posted, &then, left_out.as_ref());
    }

    /// Keeps what a POST came to that was no success.
    fn remember(
        &self,
        message: &Message,
        posted: &Posted,
        disposition: Disposition,
        (then, last): (&str, Option<&FinalReceive>),
    ) {
        let failure = Failure::new(message, posted.outcome.label(), posted.reason.label(), then).on(last);
        let (status, answer, error) = (posted.seen.status, posted.answer.as_deref(), posted.why.as_deref());
        let failure = failure.saying(status, answer, error);
        match disposition {
            Disposition::Hold => self.recent.hold(failure),
            _ => self.recent.add(failure),
        }
    }

    /// The listener's first success that it does not list. With the right line in its configuration it is the last.
    fn first_unlisted_success(&self, message: &Message, posted: &Posted, then: &str) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let Advice { meaning, fix } = posted.reason.advice(&posted.seen);
        tracing::error!(
            listener,
            queue,
            message_id = message.id.as_str(),
            receive_count = message.receive_count.get(),
            status = posted.seen.status,
            outcome = posted.outcome.label(),
            reason = posted.reason.label(),
            fix,
            "{then}: {meaning}: so no message with this answer is deleted, and each is posted again until it is \
             dead-lettered"
        );
    }

    /// A message is older than the listener's retention: it is deleted without a POST.
    pub(crate) fn expired(&self, message: &Message, age: Duration) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let then = "deleted without a POST: it is older than the listener's retention";
        self.recent.add(Failure::new(message, "expired", "too_old", then));
        let left_out = self.repeats().may_say(About::Endpoint, "expired", Some(&message.id));
        if let Some(left_out) = left_out {
            tracing::warn!(
                listener,
                queue,
                message_id = message.id.as_str(),
                receive_count = message.receive_count.get(),
                first_received_seconds_ago = age.as_secs(),
                left_out = left_out.count(),
                left_out_ids = left_out.named(),
                fix = "raise or remove retention if the work is still wanted; look why its deliveries failed",
                "{then}"
            );
        }
    }

    /// One line of a message that is deleted now, in a target of its own.
    fn deleted(&self, message: &Message, posted: &Posted) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let duration_ms = posted.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        tracing::debug!(
            target: DELIVERED,
            listener,
            queue,
            message_id = message.id.as_str(),
            receive_count = message.receive_count.get(),
            status = posted.seen.status,
            duration_ms,
            outcome = posted.outcome.label(),
            "delivered"
        );
    }

    /// One line of a delivery, for whoever must act if it says what was left out.
    fn line(&self, message: &Message, posted: &Posted, then: &str, left_out: Option<&LeftOut>) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let (message_id, receive_count) = (message.id.as_str(), message.receive_count.get());
        let duration_ms = posted.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let (status, error, outcome) = (posted.seen.status, posted.why.as_deref(), posted.outcome.label());
        let batch_messages = posted.batch();
        let failed = posted.outcome != Outcome::Success;
        let reason = failed.then(|| posted.reason.label());
        let answer = posted.answer.as_deref().filter(|_| failed);
        let Some(left_out) = left_out else {
            tracing::debug!(
                listener,
                queue,
                message_id,
                receive_count,
                status,
                duration_ms,
                outcome,
                batch_messages,
                reason,
                error,
                answer,
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
            batch_messages,
            reason,
            error,
            answer,
            fix,
            left_out = left_out.count(),
            left_out_ids = left_out.named(),
            "{then}: {meaning}"
        );
    }

    /// Deliveries succeed again.
    pub(crate) fn recovered(&self, message: &Message, recovery: Recovery) {
        if self.repeats().may_say(About::Recovery, "recovered", None).is_none() {
            return;
        }
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let (failed_deliveries, after_seconds) = (recovery.failed, recovery.after.as_secs());
        tracing::info!(
            listener,
            queue,
            message_id = message.id.as_str(),
            receive_count = message.receive_count.get(),
            failed_deliveries,
            after_seconds,
            "deliveries succeed again"
        );
    }

    /// A message goes back to the queue for the last time, without another POST.
    pub(crate) fn given_back(&self, message: &Message, why: &'static str, last: &FinalReceive) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let then = next_stop(last, message);
        let released = Failure::new(message, "released", "not_posted", &then);
        self.recent.add(released.on(Some(last)).saying(None, None, Some(why)));
        tracing::warn!(
            listener,
            queue,
            message_id = message.id.as_str(),
            receive_count = message.receive_count.get(),
            "{then}: released, {why}"
        );
    }

    /// A message that a busy endpoint refused stays under its lease.
    pub(crate) fn kept(&self, message: &Message, wait: Duration) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let left_out = self.repeats().may_say(About::Settlement, "keep", Some(&message.id));
        if let Some(left_out) = left_out {
            tracing::info!(
                listener,
                queue,
                message_id = message.id.as_str(),
                receive_count = message.receive_count.get(),
                left_out = left_out.count(),
                left_out_ids = left_out.named(),
                "waits {} s under its lease and is posted again: parked, it would be dead-lettered",
                wait.as_secs()
            );
        }
    }
}

fn describe(disposition: Disposition, waits: bool) -> String {
    match disposition {
        Disposition::Park { delay } if waits => format!("waits {} s in this process", delay.as_secs()),
        Disposition::Delete => "deleted, as on_response says".to_owned(),
        Disposition::Park { delay } => format!("parked for {} s", delay.as_secs()),
        Disposition::Defer { delay, .. } => format!("deferred for {} s", delay.as_secs()),
        Disposition::Hold => "held: nothing could be sent".to_owned(),
        Disposition::DeadLetter => "is sent to the dead-letter queue".to_owned(),
    }
}
