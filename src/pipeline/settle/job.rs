//! A job of settlement: one message that leaves, by a delete, a hiding, or a copy that is forwarded before a delete.
//!
//! A [`Job`] says how it is sent, until when trying again makes sense, and which failures are final. Everything else
//! is the same for all and is in the lane.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::message::{Message, ReceiptHandle};
use crate::pipeline::lease::Lease;
use crate::pipeline::settle::exit::{Exit, Successor};
use crate::policy::visibility::whole_seconds;
use crate::ports::{BatchResult, Queue, QueueError, QueueErrorKind, VisibilityChange};

/// A hiding that was carried out ends no sooner than it asked for. A call takes 5 s at most, and the last try begins
/// 2 s before the end.
const CALL_MARGIN: Duration = Duration::from_secs(3);

/// A message that leaves, what is freed when it has left, and the state of its attempts.
#[derive(Debug)]
pub(super) struct Job {
    /// Without its contents, unless those are forwarded.
    pub(super) message: Message,
    pub(super) exit: Exit,
    /// Closed for a hiding, and of use for the handle alone. Else it is kept until the message is gone.
    pub(super) lease: Lease,
    /// Whom a confirmed delete lets go ahead (FIFO).
    pub(super) successor: Successor,
    /// Its place in settlement.
    pub(super) place: OwnedSemaphorePermit,
    pub(super) attempts: u32,
    /// A call may have been carried out: it got no answer, or its handle was replaced meanwhile.
    pub(super) unanswered: bool,
    /// The handle last sent, if one was.
    sent: Option<ReceiptHandle>,
}

impl Job {
    /// Nothing was tried yet.
    pub(super) fn new(
        message: Message,
        exit: Exit,
        lease: Lease,
        successor: Successor,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { message, exit, lease, successor, place, attempts: 0, unanswered: false, sent: None }
    }

    /// For the log, after "could not".
    pub(super) fn what(&self) -> &'static str {
        match self.exit {
            Exit::Delete { forward: None, .. } => "delete a message",
            Exit::Delete { forward: Some(_), .. } => "forward a message",
            Exit::Hide { .. } => "hide a message",
        }
    }

    /// Whether a failed call says that no later one can succeed.
    pub(super) fn is_final(&self, error: &QueueError) -> bool {
        match self.exit {
            // A queue that is missing may be made; what SQS has against the message itself stays.
            Exit::Delete { forward: Some(_), .. } => error.is_of_the_message(),
            Exit::Delete { .. } | Exit::Hide { .. } => error.kind == QueueErrorKind::Missing,
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

    /// Whether the message came again after its handle was sent: what SQS answered proves nothing then.
    pub(super) fn is_outdated(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| *sent != self.lease.handle())
    }

    /// Whether its time has passed, and it is not the first try.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        (self.unanswered || self.attempts > 0) && self.end() <= now
    }
}

/// Makes one call for all `jobs`, which are of one kind; a result for each, in order. Forwards go one by one.
pub(super) async fn call(queue: &dyn Queue, jobs: &mut [Job]) -> BatchResult {
    let (mut deletes, mut changes) = (Vec::new(), Vec::new());
    for job in jobs {
        let handle = job.lease.handle();
        match &job.exit {
            Exit::Delete { forward: Some(reason), .. } => {
                return queue.dead_letter(&job.message, reason).await.map(|()| vec![Ok(())]);
            }
            Exit::Delete { forward: None, .. } => {
                job.lease.deletes();
                deletes.push(handle.clone());
            }
            Exit::Hide { until, .. } => changes.push(change(handle.clone(), *until)),
        }
        job.sent = Some(handle);
    }
    if changes.is_empty() { queue.delete(&deletes).await } else { queue.change_visibility(&changes).await }
}

/// Visibility until then, in seconds from now.
pub(super) fn change(receipt: ReceiptHandle, until: Instant) -> VisibilityChange {
    let seconds = whole_seconds(until.saturating_duration_since(Instant::now()));
    VisibilityChange { receipt, seconds }
}
