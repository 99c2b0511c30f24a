//! A job of settlement: one message that leaves, and the step it is at: a forward, a delete or a hiding.
//!
//! A [`Job`] says until when trying again makes sense, and which failures are final. A [`Destination`] says how the jobs of
//! a lane are sent. Everything else is the same for all and is in the lane.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::message::{Message, ReceiptHandle};
use crate::pipeline::lease::Lease;
use crate::pipeline::results::ResultQueue;
use crate::pipeline::settle::exit::{Exit, Successor};
use crate::pipeline::settle::forward::{Forward, Owed};
use crate::policy::visibility::whole_seconds;
use crate::ports::{BATCH_MAX, BatchResult, Queue, QueueError, QueueErrorKind, VisibilityChange};

/// A hiding that was carried out ends no sooner than it asked for. A call takes 5 s at most, and the last try begins
/// 2 s before the end.
const CALL_MARGIN: Duration = Duration::from_secs(3);

/// A message that leaves, what is freed when it has left, and the state of its attempts.
#[derive(Debug)]
pub(super) struct Job {
    /// Without its contents, unless those are forwarded.
    pub(super) message: Box<Message>,
    pub(super) exit: Exit,
    /// Closed for a hiding, and of use for the handle alone. Else it is kept until the message is gone.
    pub(super) lease: Lease,
    /// Whom a confirmed delete lets go ahead (FIFO).
    pub(super) successor: Successor,
    /// Its place in settlement.
    pub(super) place: Place,
    pub(super) attempts: u32,
    /// A call may have been carried out: it got no answer, or its handle was replaced meanwhile.
    pub(super) unanswered: bool,
    /// It was refused among others, and is sent alone to find out whether it was meant.
    pub(super) alone: bool,
    /// The handle last sent, if one was.
    sent: Option<ReceiptHandle>,
}

/// A place in settlement, and room for the result that a message owes.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) _one: OwnedSemaphorePermit,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// Nothing was tried yet.
    pub(super) fn new(
        message: Box<Message>,
        exit: Exit,
        lease: Lease,
        successor: Successor,
        place: Place,
    ) -> Self {
        let (attempts, unanswered, alone, sent) = (0, false, false, None);
        Self { message, exit, lease, successor, place, attempts, unanswered, alone, sent }
    }

    /// For the log, after "could not".
    pub(super) fn what(&self) -> &'static str {
        match &self.exit {
            Exit::Delete { .. } => "delete a message",
            Exit::Hide { .. } => "hide a message",
            Exit::After { forward, .. } => match **forward {
                Forward::Copy(_) => "forward a message",
                Forward::Result(_) => "send the result of a message",
            },
        }
    }

    /// The result that it is to send.
    fn result(&mut self) -> Option<&mut Owed> {
        let Exit::After { forward, .. } = &mut self.exit else { return None };
        match &mut **forward {
            Forward::Result(owed) => Some(owed),
            Forward::Copy(_) => None,
        }
    }

    /// Whether it is to send a result.
    pub(super) fn is_result(&self) -> bool {
        matches!(self.exit.forward(), Some(Forward::Result(_)))
    }

    /// Leaves contents out of its result, once; whether it did.
    pub(super) fn shorten(&mut self, queue: &ResultQueue, why: &str) -> bool {
        let message = self.message.clone();
        let Some(owed) = self.result().filter(|owed| !owed.is_short) else { return false };
        owed.shorten(queue, &message, why);
        true
    }

    /// Its bytes in the call that it goes along with.
    pub(super) fn bytes(&self) -> usize {
        self.exit.forward().map_or(0, Forward::bytes)
    }

    /// Whether a failed call says that no later one can succeed.
    pub(super) fn is_final(&self, error: &QueueError) -> bool {
        match &self.exit {
            Exit::Delete { .. } | Exit::Hide { .. } => error.kind == QueueErrorKind::Missing,
            // A queue that is missing may be made; what SQS has against the message itself stays.
            Exit::After { forward, .. } => matches!(**forward, Forward::Copy(_)) && error.is_of_the_message(),
        }
    }

    /// When trying again stops making sense.
    ///
    /// A delete or a forward is tried while its message can be leased: its work is done and nobody else may get it. A
    /// hiding has given its lease up, because an extension would undo it, and is tried until that ends. One that may have
    /// been carried out ends with the time it asked for. The message may be somebody else's then, and a standard queue
    /// may take the older handle all the same.
    pub(super) fn end(&self) -> Instant {
        let Exit::Hide { until, .. } = self.exit else { return self.lease.ceiling() };
        let own = if self.unanswered { until.checked_sub(CALL_MARGIN) } else { None };
        let expires = self.lease.expires();
        own.map_or(expires, |own| own.min(expires))
    }

    /// Whether it is of no use without its lease. The result of a failure is: SQS may never hand the message out again.
    pub(super) fn ends_with_its_lease(&self) -> bool {
        self.exit.forward().is_none() || self.exit.deletes()
    }

    /// Whether the message came again after its handle was sent: what SQS answered proves nothing then.
    pub(super) fn is_outdated(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| *sent != self.lease.handle())
    }

    /// Whether its time has passed, and it is not the first try.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        (self.unanswered || self.attempts > 0) && self.end() <= now
    }
}

/// Where the jobs of a lane are sent.
#[derive(Clone)]
pub(super) enum Destination {
    /// Deletes.
    Deletes(Arc<dyn Queue>),
    /// Hidings.
    Hides(Arc<dyn Queue>),
    /// Copies for the dead-letter queue of this queue.
    Copies(Arc<dyn Queue>),
    /// Results.
    Results(ResultQueue),
}

impl Destination {
    /// Most jobs of one call. Copies go one by one.
    pub(super) fn most(&self) -> usize {
        match self {
            Self::Copies(_) => 1,
            Self::Deletes(_) | Self::Hides(_) | Self::Results(_) => BATCH_MAX,
        }
    }

    /// Makes one call for all `jobs`; a result for each, in order.
    pub(super) async fn call(&self, jobs: &mut [Job]) -> BatchResult {
        match self {
            Self::Deletes(queue) => {
                let handles: Vec<_> = jobs.iter_mut().map(Job::deletes).collect();
                queue.delete(&handles).await
            }
            Self::Hides(queue) => {
                let changes: Vec<_> = jobs.iter_mut().filter_map(Job::change).collect();
                queue.change_visibility(&changes).await
            }
            Self::Copies(queue) => {
                let [Job { message, exit: Exit::After { forward, .. }, .. }] = jobs else {
                    return Ok(Vec::new());
                };
                let Forward::Copy(reason) = &**forward else { return Ok(Vec::new()) };
                queue.dead_letter(message, reason).await.map(|()| vec![Ok(())])
            }
            Self::Results(queue) => {
                let words = |job: &mut Job| job.result().and_then(|owed| owed.words.as_deref().cloned());
                let results: Vec<_> = jobs.iter_mut().map(|job| words(job).unwrap_or_default()).collect();
                queue.outbox.send(&results).await
            }
        }
    }
}

impl Job {
    /// Its delete is sent now, with this handle.
    fn deletes(&mut self) -> ReceiptHandle {
        self.lease.deletes();
        let handle = self.lease.handle();
        self.sent = Some(handle.clone());
        handle
    }

    /// Its hiding, which is sent now.
    fn change(&mut self) -> Option<VisibilityChange> {
        let Exit::Hide { until, .. } = self.exit else { return None };
        let handle = self.lease.handle();
        self.sent = Some(handle.clone());
        Some(change(handle, until))
    }
}

/// Visibility until then, in seconds from now.
pub(super) fn change(receipt: ReceiptHandle, until: Instant) -> VisibilityChange {
    let seconds = whole_seconds(until.saturating_duration_since(Instant::now()));
    VisibilityChange { receipt, seconds }
}

/// Closes the lease of a message that is hidden until then, or until SQS's twelve hours are over.
pub(super) async fn close(lease: &Lease, until: &mut Instant) {
    // SQS refuses a visibility past its twelve hours.
    *until = lease.ceiling().min(*until);
    lease.close(*until).await;
}
