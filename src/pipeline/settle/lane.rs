//! A lane: all work of one kind, until SQS has done it or no further try makes sense.
//!
//! Work waits for a batch, is in a call, or waits for its next try; nowhere else. What failed in one call is tried
//! again in one, with back-off. What cannot be done is said and dropped: SQS hands the message out again.
//!
//! An answer about a handle that a second receive has replaced meanwhile proves nothing, good or bad: on a standard
//! queue such a delete may be confirmed and have deleted nothing. It is sent again with the newer handle.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::observe::event_log::EventLog;
use crate::pipeline::settle::batching::{Buffer, Later};
use crate::pipeline::settle::work::{Job, Work};
use crate::policy::advice::entry::{TOO_LATE, TOO_LATE_FIX};
use crate::policy::backoff;
use crate::ports::{BatchResult, EntryError, EntryErrorKind, Queue, QueueError};

/// Calls of one lane under way at once.
const CALLS_MAX: usize = 32;
/// The last try comes so long before the end, for the way of the call.
pub(super) const LAST_TRY_BEFORE: Duration = Duration::from_secs(2);

/// All work of one kind.
#[derive(Debug)]
pub(super) struct Lane<W> {
    waiting: Buffer<Job<W>>,
    retries: Later<Job<W>>,
    calls: JoinSet<Answer<W>>,
    /// Why it fails until a person acts.
    fault: Option<String>,
    events: Arc<EventLog>,
}

/// What SQS answered to one call.
type Answer<W> = (Vec<Job<W>>, BatchResult);

/// What one call came to.
#[derive(Debug)]
pub(super) struct Outcome<W> {
    pub(super) done: Vec<Done<W>>,
    /// The failure of the call as a whole.
    pub(super) error: Option<QueueError>,
}

/// Work that is done.
#[derive(Debug)]
pub(super) struct Done<W> {
    pub(super) work: W,
    /// Whether SQS itself confirmed it.
    pub(super) is_sure: bool,
}

impl<W: Work> Lane<W> {
    /// Empty; work waits at most `linger` for a batch.
    pub(super) fn new(linger: Duration, events: Arc<EventLog>) -> Self {
        Self {
            waiting: Buffer::new(linger, W::BATCH),
            retries: Later::default(),
            calls: JoinSet::new(),
            fault: None,
            events,
        }
    }

    /// More work.
    pub(super) fn push(&mut self, work: W) {
        self.waiting.push(Job::new(work));
    }

    /// Whether there is no work, wherever it could be.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.retries.is_empty() && self.calls.is_empty()
    }

    /// Why it fails until a person acts. Without work there is no fault: only new work can find out.
    pub(super) fn fault(&mut self) -> Option<&str> {
        if self.is_empty() {
            self.fault = None;
        }
        self.fault.as_deref()
    }

    /// Sends what has waited long enough, as far as calls may run.
    pub(super) fn send(&mut self, queue: &Arc<dyn Queue>, hurry: bool) {
        let now = Instant::now();
        while let Some(job) = self.retries.due(now) {
            self.waiting.push(job);
        }
        while self.calls.len() < CALLS_MAX {
            let Some(jobs) = self.waiting.batch(now, hurry) else { break };
            // The time of a further try may have passed while it waited, or while the process stood still.
            let (late, mut jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.is_late(now));
            for job in &late {
                self.give_up(job, TOO_LATE, TOO_LATE_FIX);
            }
            if !jobs.is_empty() {
                let queue = Arc::clone(queue);
                self.calls.spawn(async move {
                    let result = W::call(queue, &mut jobs).await;
                    (jobs, result)
                });
            }
        }
    }

    /// When there is something to send.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let room = self.calls.len() < CALLS_MAX;
        [self.waiting.due(), self.retries.next_at()].into_iter().flatten().min().filter(|_| room)
    }

    /// The end of a call; `None` while there is none. The messages of one that panicked are left to SQS.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(super) async fn answer(&mut self) -> Option<Result<Answer<W>, JoinError>> {
        self.calls.join_next().await
    }

    /// Takes an answer in. `unit` is the jitter of further tries.
    pub(super) fn answered(&mut self, answer: Result<Answer<W>, JoinError>, unit: f64) -> Outcome<W> {
        let mut done = Vec::new();
        let error = match answer {
            Err(_panicked) => None,
            Ok((jobs, Ok(results))) => {
                self.fault = None;
                let mut results = results.into_iter();
                for job in jobs {
                    done.extend(self.entry(job, results.next(), unit));
                }
                None
            }
            Ok((jobs, Err(error))) => {
                self.failed(jobs, &error, unit);
                Some(error)
            }
        };
        Outcome { done, error }
    }

    /// A whole call failed.
    fn failed(&mut self, jobs: Vec<Job<W>>, error: &QueueError, unit: f64) {
        self.events.queue_error(error);
        if error.kind.is_fault() && !W::is_final(error) {
            self.fault = Some(error.to_string());
        }
        for mut job in jobs {
            job.unanswered |= error.may_be_carried_out();
            if W::is_final(error) {
                self.give_up(&job, error.kind.label(), &error.advice.fix);
            } else {
                self.retry(job, unit);
            }
        }
    }

    /// What SQS answered about one entry.
    fn entry(
        &mut self,
        mut job: Job<W>,
        result: Option<Result<(), EntryError>>,
        unit: f64,
    ) -> Option<Done<W>> {
        let is_lost = matches!(&result, Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost);
        match result {
            Some(Ok(())) if job.is_outdated() => {
                job.unanswered = true;
                self.waiting.push(job);
            }
            Some(Err(_)) if is_lost && job.is_outdated() => self.waiting.push(job),
            Some(Ok(())) => return Some(Done { work: job.work, is_sure: true }),
            // The first call had deleted it; some servers call the handle invalid then. Or the visibility has
            // lapsed meanwhile, so it is no confirmation that a successor could start on.
            Some(Err(_)) if is_lost && job.unanswered && W::GONE_IS_DONE => {
                return Some(Done { work: job.work, is_sure: false });
            }
            Some(Err(error)) if error.kind != EntryErrorKind::Retryable => {
                if is_lost {
                    job.work.lease().refused();
                }
                self.give_up(&job, &error.code, error.kind.fix());
            }
            Some(Err(_)) | None => self.retry(job, unit),
        }
        None
    }

    fn retry(&mut self, mut job: Job<W>, unit: f64) {
        job.attempts += 1;
        let now = Instant::now();
        let last_try = job.work.end(job.unanswered).checked_sub(LAST_TRY_BEFORE).unwrap_or(now);
        if job.work.lease().is_lost() || now >= last_try {
            self.give_up(&job, TOO_LATE, TOO_LATE_FIX);
        } else {
            self.retries.push(last_try.min(now + backoff::call(job.attempts, unit)), job);
        }
    }

    /// Says that the message is left to SQS; whoever drops it counts it as abandoned.
    fn give_up(&self, job: &Job<W>, why: &str, fix: &str) {
        self.events.left_to_sqs(job.work.id().as_str(), W::WHAT, why, fix);
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
