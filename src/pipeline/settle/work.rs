//! The three kinds of work of settlement: a delete, a hiding, and what is owed before a delete.
//!
//! A [`Work`] says how it is sent, until when trying again makes sense, and which failures are final. Everything else
//! is the same for all and is in the lane.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::message::{Message, MessageId, ReceiptHandle};
use crate::pipeline::completion::Successor;
use crate::pipeline::lease::{Closed, Lease};
use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::exit::Forward;
use crate::policy::visibility::whole_seconds;
use crate::ports::{BATCH_MAX, BatchResult, Queue, QueueError, QueueErrorKind, VisibilityChange};

/// A hiding that was carried out ends no sooner than it asked for. A call takes 5 s at most, and the last try begins
/// 2 s before the end.
const CALL_MARGIN: Duration = Duration::from_secs(3);

/// One kind of work.
pub(super) trait Work: Send + Sized + 'static {
    /// For the log, after "could not".
    const WHAT: &'static str;
    /// Most of them in one call.
    const BATCH: usize;
    /// Whether a handle that SQS calls invalid after a call without an answer means that the call was carried out.
    const GONE_IS_DONE: bool;

    /// A lease that is kept or closed.
    type Lease: AsRef<Lease>;

    /// The message.
    fn leaver(&self) -> &Leaver<Self::Lease>;

    /// The message's id.
    fn id(&self) -> &MessageId {
        &self.leaver().id
    }

    /// Holds the newest handle.
    fn lease(&self) -> &Lease {
        self.leaver().lease.as_ref()
    }

    /// When trying again stops making sense. `unanswered`: a call may have been carried out.
    fn end(&self, _unanswered: bool) -> Instant {
        self.lease().ceiling()
    }

    /// Whether a failed call says that no later one can succeed.
    fn is_final(error: &QueueError) -> bool {
        error.kind == QueueErrorKind::Missing
    }

    /// Makes one call for all `jobs`; a result for each, in order.
    fn call(queue: Arc<dyn Queue>, jobs: &mut [Job<Self>]) -> impl Future<Output = BatchResult> + Send;
}

/// Work, and the state of its attempts.
#[derive(Debug)]
pub(super) struct Job<W> {
    pub(super) work: W,
    pub(super) attempts: u32,
    /// A call may have been carried out: it got no answer, or its handle was replaced meanwhile.
    pub(super) unanswered: bool,
    /// The handle last sent, if one was.
    sent: Option<ReceiptHandle>,
}

impl<W: Work> Job<W> {
    /// Nothing was tried yet.
    pub(super) fn new(work: W) -> Self {
        Self { work, attempts: 0, unanswered: false, sent: None }
    }

    /// The newest handle, noted as the one that is sent.
    fn sends(&mut self) -> ReceiptHandle {
        self.sent.insert(self.work.lease().handle()).clone()
    }

    /// Whether the message came again after its handle was sent: what SQS answered proves nothing then.
    pub(super) fn is_outdated(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| *sent != self.work.lease().handle())
    }

    /// Whether its time has passed, and it is not the first try.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        (self.unanswered || self.attempts > 0) && self.work.end(self.unanswered) <= now
    }
}

/// A message that leaves, and what is freed when it has left.
#[derive(Debug)]
pub(super) struct Leaver<L> {
    pub(super) id: MessageId,
    pub(super) lease: L,
    /// Its place in settlement.
    pub(super) _place: OwnedSemaphorePermit,
}

/// A message to be deleted; its lease is kept until that is confirmed.
#[derive(Debug)]
pub(super) struct Delete {
    pub(super) leaver: Leaver<Lease>,
    /// Deleted or dead-lettered.
    pub(super) how: Settled,
    /// Whom a confirmed delete lets go ahead (FIFO).
    pub(super) successor: Successor,
}

/// A message to be hidden; its lease is given up but for the handle.
#[derive(Debug)]
pub(super) struct Hide {
    pub(super) leaver: Leaver<Closed>,
    /// Parked, deferred or released.
    pub(super) how: Settled,
    /// Visible again at.
    pub(super) until: Instant,
}

/// A message to be deleted once all it owes was accepted; its lease is kept meanwhile.
#[derive(Debug)]
pub(super) struct Owing {
    pub(super) message: Message,
    /// In this order.
    pub(super) owed: Vec<Forward>,
    pub(super) delete: Delete,
}

impl<L: Into<Lease>> Leaver<L> {
    /// The message has left.
    pub(super) fn settled(self, how: Settled) {
        self.lease.into().settled(how);
    }
}

impl Work for Delete {
    const WHAT: &'static str = "delete a message";
    const BATCH: usize = BATCH_MAX;
    const GONE_IS_DONE: bool = true;
    type Lease = Lease;

    fn leaver(&self) -> &Leaver<Lease> {
        &self.leaver
    }

    async fn call(queue: Arc<dyn Queue>, jobs: &mut [Job<Self>]) -> BatchResult {
        let handle = |job: &mut Job<Self>| {
            job.work.leaver.lease.deletes();
            job.sends()
        };
        let handles: Vec<_> = jobs.iter_mut().map(handle).collect();
        queue.delete(&handles).await
    }
}

impl Work for Hide {
    const WHAT: &'static str = "hide a message";
    const BATCH: usize = BATCH_MAX;
    const GONE_IS_DONE: bool = false;
    type Lease = Closed;

    fn leaver(&self) -> &Leaver<Closed> {
        &self.leaver
    }

    /// A hiding that may have been carried out ends with the time it asked for. The message may be somebody else's
    /// then, and a standard queue may take the older handle all the same.
    fn end(&self, unanswered: bool) -> Instant {
        let expires = self.leaver.lease.expires();
        let own = if unanswered { self.until.checked_sub(CALL_MARGIN) } else { None };
        own.map_or(expires, |own| own.min(expires))
    }

    async fn call(queue: Arc<dyn Queue>, jobs: &mut [Job<Self>]) -> BatchResult {
        let change = |job: &mut Job<Self>| {
            let receipt = job.sends();
            change(receipt, job.work.until)
        };
        let changes: Vec<_> = jobs.iter_mut().map(change).collect();
        queue.change_visibility(&changes).await
    }
}

impl Work for Owing {
    const WHAT: &'static str = "forward a message";
    const BATCH: usize = 1;
    const GONE_IS_DONE: bool = false;
    type Lease = Lease;

    fn leaver(&self) -> &Leaver<Lease> {
        &self.delete.leaver
    }

    /// A queue that is missing may be made; what SQS has against the message itself stays.
    fn is_final(error: &QueueError) -> bool {
        error.is_of_the_message()
    }

    async fn call(queue: Arc<dyn Queue>, jobs: &mut [Job<Self>]) -> BatchResult {
        let mut accepted = Vec::new();
        for Job { work: Self { message, owed, .. }, .. } in jobs {
            match owed.first() {
                Some(Forward::DeadLetter(reason)) => queue.dead_letter(message, reason).await?,
                None => {}
            }
            accepted.push(Ok(()));
        }
        Ok(accepted)
    }
}

/// Visibility until then, in seconds from now.
pub(super) fn change(receipt: ReceiptHandle, until: Instant) -> VisibilityChange {
    let seconds = whole_seconds(until.saturating_duration_since(Instant::now()));
    VisibilityChange { receipt, seconds }
}
