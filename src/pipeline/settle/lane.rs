//! A lane: all work of one kind, until SQS has taken it or no try makes sense any more.
//!
//! Work waits for its batch or its next try, or is in a call; nowhere else. What failed in one call is tried
//! again in one, with back-off. What cannot be done is said and dropped: SQS hands the message out again.
//!
//! A result that SQS refuses for what it contains is shortened and sent again: the work of its message is done, and whoever
//! waits must learn of it. Refused as a whole, the results of a call are sent one by one. A short result has next to
//! nothing of the message in it. If that is refused too, the queue is at fault, and a person has to mend it.
//!
//! An answer about a handle that a second receive has replaced meanwhile proves nothing, good or bad: on a standard
//! queue such a delete may be confirmed and have deleted nothing. It is sent again with the newer handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::observe::event_log::EventLog;
use crate::pipeline::settle::exit::{Exit, Successor};
use crate::pipeline::settle::job::{Destination, Job};
use crate::policy::advice::entry::{TOO_LATE, TOO_LATE_FIX};
use crate::policy::advice::queue::Named;
use crate::policy::backoff;
use crate::ports::{BatchResult, EntryError, EntryErrorKind, Operation, Outgoing, QueueError, QueueReason};

/// Calls of one lane under way at once.
const CALLS_MAX: usize = 32;
/// The last try comes so long before the end, for the way of the call.
pub(super) const LAST_TRY_BEFORE: Duration = Duration::from_secs(2);

/// All work of one kind.
pub(super) struct Lane {
    destination: Destination,
    /// What is to be sent, in order of its time and then of arrival.
    waiting: BTreeMap<(Instant, u64), Job>,
    /// What failed, by the time of its next try; shortly before, it joins what is to be sent.
    again: BTreeMap<(Instant, u64), Job>,
    next: u64,
    /// How long work waits for a batch at most.
    linger: Duration,
    /// What is to be tried again joins a batch so long before its time at most.
    joins_before: Duration,
    /// Most in one batch.
    most: usize,
    calls: JoinSet<(Vec<Job>, BatchResult)>,
    /// Why it fails until a person acts.
    fault: Option<String>,
    events: Arc<EventLog>,
}

/// What one call came to: the work that is done, and the failure of the call as a whole.
pub(super) type Outcome = (Vec<Job>, Option<QueueError>);

impl Lane {
    /// Empty; work waits at most `linger` for a batch.
    pub(super) fn new(destination: Destination, linger: Duration, events: Arc<EventLog>) -> Self {
        let (calls, most) = (JoinSet::new(), destination.most());
        let (waiting, again) = (BTreeMap::new(), BTreeMap::new());
        let joins_before = linger;
        Self { destination, waiting, again, next: 0, linger, joins_before, most, calls, fault: None, events }
    }

    /// Work that comes from now on waits at most `linger`. A longer one than at the start brings no further try forward.
    pub(super) fn set_linger(&mut self, linger: Duration) {
        self.linger = linger;
    }

    /// More work. Where somebody waits for it to be done it gathers no longer than at the start.
    pub(super) fn push(&mut self, job: Job) {
        let linger =
            if job.successor.is_awaited() { self.linger.min(self.joins_before) } else { self.linger };
        self.waiting.insert((Instant::now() + linger, self.next), job);
        self.next += 1;
    }

    fn push_again(&mut self, at: Instant, job: Job) {
        self.again.insert((at, self.next), job);
        self.next += 1;
    }

    /// Whether there is no work, wherever it could be.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.again.is_empty() && self.calls.is_empty()
    }

    /// Why it fails until a person acts. Without work there is no fault: only new work can find out.
    pub(super) fn fault(&mut self) -> Option<String> {
        if self.is_empty() {
            self.fault = None;
        }
        self.fault.clone()
    }

    /// Sends what has waited long enough, as far as calls may run.
    pub(super) fn send(&mut self, hurry: bool) {
        let now = Instant::now();
        while self.calls.len() < CALLS_MAX {
            let jobs = self.batch(now, hurry);
            if jobs.is_empty() {
                break;
            }
            // Its time may have passed while it waited for a call to end, or while the process stood still.
            let (late, mut jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.is_late(now));
            for job in &late {
                self.give_up(job, TOO_LATE, TOO_LATE_FIX);
            }
            if !jobs.is_empty() {
                let destination = self.destination.clone();
                self.calls.spawn(async move {
                    let result = destination.call(&mut jobs).await;
                    (jobs, result)
                });
            }
        }
    }

    /// A batch, if it is full, the time of its first has come or it is in a hurry.
    fn batch(&mut self, now: Instant, hurry: bool) -> Vec<Job> {
        let joins = |at: Instant| at <= now + self.joins_before;
        while let Some(first) = self.again.first_entry().filter(|first| joins(first.key().0)) {
            let (at, job) = first.remove_entry();
            self.waiting.insert(at, job);
        }
        let (count, is_full) = self.next_batch();
        let is_due = self.waiting.keys().next().is_some_and(|&(at, _)| at <= now);
        if !(hurry || is_due || is_full) {
            return Vec::new();
        }
        let first = std::iter::from_fn(|| self.waiting.pop_first());
        first.take(count).map(|(_, job)| job).collect()
    }

    /// How many fit into one batch, and whether no more would.
    fn next_batch(&self) -> (usize, bool) {
        let (mut count, mut bytes) = (0, 0);
        for job in self.waiting.values() {
            bytes += job.bytes();
            if count > 0 && (job.alone || bytes > Outgoing::BATCH_BYTES) {
                return (count, true);
            }
            count += 1;
            if job.alone || count == self.most {
                return (count, true);
            }
        }
        (count, false)
    }

    /// When there is something to send.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let first = [&self.waiting, &self.again].into_iter().filter_map(|jobs| jobs.keys().next());
        first.map(|&(at, _)| at).min().filter(|_| self.calls.len() < CALLS_MAX)
    }

    /// What the next call came to; `None` while there is none. `unit` is the jitter of further tries. The messages of a
    /// call that panicked are left to SQS.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(super) async fn answer(&mut self, unit: f64) -> Option<Outcome> {
        let Ok((jobs, result)) = self.calls.join_next().await? else { return Some((Vec::new(), None)) };
        let results = match result {
            Ok(results) => results,
            Err(error) => {
                self.failed(jobs, &error, unit);
                return Some((Vec::new(), Some(error)));
            }
        };
        self.fault = None;
        let mut results = results.into_iter();
        let (mut done, mut fault) = (Vec::new(), None);
        for job in jobs {
            match results.next() {
                Some(Err(error)) if error.kind == EntryErrorKind::Refused && job.is_result() => {
                    fault = self.refused(job, &error.code, unit).or(fault);
                }
                // A result is sent without a handle that could be lost.
                Some(Err(_)) if job.is_result() => self.retry(job, unit),
                result => done.extend(self.entry(job, result, unit)),
            }
        }
        Some((done, fault))
    }

    /// A whole call failed.
    fn failed(&mut self, jobs: Vec<Job>, error: &QueueError, unit: f64) {
        self.events.queue_error(error);
        let are_several = jobs.len() > 1;
        for mut job in jobs {
            job.unanswered |= error.may_be_carried_out();
            if job.is_final(error) {
                self.give_up(&job, error.kind.label(), &error.advice.fix);
                continue;
            }
            if job.is_result() && error.is_of_the_message() {
                if are_several {
                    job.alone = true;
                    self.push(job);
                } else if self.refused(job, error.reason.label(), unit).is_some() {
                    self.fault = Some(error.to_string());
                }
                continue;
            }
            if error.kind.is_fault() {
                self.fault = Some(error.to_string());
            }
            self.retry(job, unit);
        }
    }

    /// SQS refuses a result for what it contains. An error: it is a short one, so the queue is at fault.
    fn refused(&mut self, mut job: Job, code: &str, unit: f64) -> Option<QueueError> {
        let Destination::Results(queue) = self.destination.clone() else { return None };
        let id = job.message.id.clone();
        if job.shorten(&queue, &format!("the result was shortened: SQS refused it whole ({code})")) {
            self.events.result_shortened(&id, queue.outbox.name(), code);
            job.alone = true;
            self.push(job);
            return None;
        }
        let source = format!("{code}: the result of message {id}, without any contents").into();
        let (name, named) = (Arc::from(queue.outbox.name()), Named::default());
        let error = QueueError::new(Operation::Send, name, QueueReason::Parameter, &named, source);
        self.events.queue_error(&error);
        self.fault = Some(error.to_string());
        self.retry(job, unit);
        Some(error)
    }

    /// What SQS answered about one entry; the job, if it is done.
    fn entry(&mut self, mut job: Job, result: Option<Result<(), EntryError>>, unit: f64) -> Option<Job> {
        let is_lost = matches!(&result, Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost);
        match result {
            Some(Ok(())) if job.is_outdated() => {
                job.unanswered = true;
                self.push(job);
            }
            Some(Err(_)) if is_lost && job.is_outdated() => self.push(job),
            Some(Ok(())) => return Some(job),
            // The first call had deleted it; some servers call the handle invalid then. Or the visibility has
            // lapsed meanwhile, so it is no confirmation that a successor could start on.
            Some(Err(_)) if is_lost && job.unanswered && matches!(job.exit, Exit::Delete { .. }) => {
                job.successor = Successor::default();
                return Some(job);
            }
            Some(Err(error)) if error.kind != EntryErrorKind::Retryable => {
                if is_lost {
                    job.lease.refused();
                }
                self.give_up(&job, &error.code, error.kind.fix());
            }
            Some(Err(_)) | None => self.retry(job, unit),
        }
        None
    }

    fn retry(&mut self, mut job: Job, unit: f64) {
        job.attempts += 1;
        let now = Instant::now();
        let last_try = job.end().checked_sub(LAST_TRY_BEFORE).unwrap_or(now);
        if now >= last_try || (job.lease.is_lost() && job.ends_with_its_lease()) {
            self.give_up(&job, TOO_LATE, TOO_LATE_FIX);
        } else {
            self.push_again(last_try.min(now + backoff::call(job.attempts, unit)), job);
        }
    }

    /// Says that the message is left to SQS; whoever drops it counts it as abandoned.
    fn give_up(&self, job: &Job, why: &str, fix: &str) {
        self.events.abandoned(&job.message, job.what(), why, fix);
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
