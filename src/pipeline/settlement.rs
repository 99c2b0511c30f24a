//! What is to be done with one message at SQS, and how it gets to the loop that does it.
//!
//! A settlement needs a [`Place`]; places are bounded, so a slow SQS holds up the workers and, behind them, the
//! pollers, instead of filling the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::message::{MessageId, ReceiptHandle};
use crate::pipeline::completion::{Fate, Successor};
use crate::pipeline::lease::{Closed, Lease};
use crate::pipeline::ledger::{LedgerEntry, Settled};
use crate::policy::visibility::whole_seconds;
use crate::ports::VisibilityChange;

/// A hiding that was carried out ends no later than it asked for; a call takes 5 s at most, 2 s of which the last try
/// has anyway.
const CALL_MARGIN: Duration = Duration::from_secs(3);

/// What is to be done with one message at SQS.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) id: MessageId,
    pub(super) action: Action,
    pub(super) ledger: LedgerEntry,
    /// Whom a confirmed delete lets go ahead (FIFO).
    pub(super) successor: Successor,
}

/// Delete it, or hide it.
#[derive(Debug)]
pub(super) enum Action {
    /// Its work is done.
    Delete {
        /// For the ledger: deleted, or dead-lettered.
        how: Settled,
        /// Kept until the delete is confirmed.
        lease: Lease,
    },
    /// It is not.
    Hide {
        /// Visible again at; now or earlier gives it back at once.
        until: Instant,
        /// For the ledger.
        how: Settled,
        /// Given up but for its handle.
        lease: Closed,
    },
}

impl Action {
    /// For the ledger.
    pub(super) fn how(&self) -> Settled {
        match self {
            Self::Delete { how, .. } | Self::Hide { how, .. } => *how,
        }
    }

    /// When trying again stops making sense. A hiding that may have been carried out ends with the time it asked for:
    /// then the message may be somebody else's, and a standard queue may take the older handle all the same.
    pub(super) fn end(&self, unanswered: bool) -> Instant {
        match self {
            Self::Delete { lease, .. } => lease.ceiling(),
            Self::Hide { lease, until, .. } if unanswered => {
                lease.expires().min(until.checked_sub(CALL_MARGIN).unwrap_or(*until))
            }
            Self::Hide { lease, .. } => lease.expires(),
        }
    }

    /// Holds the newest receipt handle.
    pub(super) fn lease(&self) -> &Lease {
        match self {
            Self::Delete { lease, .. } => lease,
            Self::Hide { lease, .. } => lease.lease(),
        }
    }
}

/// Where deliveries hand over their settlements.
#[derive(Debug, Clone)]
pub(super) struct Settler {
    places: Arc<Semaphore>,
    sender: mpsc::Sender<Job>,
}

/// A settlement and the state of its attempts.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) settlement: Settlement,
    _place: OwnedSemaphorePermit,
    pub(super) attempts: u32,
    /// A call may have been carried out: it got no answer, or its handle was replaced meanwhile.
    pub(super) unanswered: bool,
    /// Version of the handle last sent.
    sent: u32,
    /// Counts it among those of its kind, once the loop has it.
    pub(super) pending: Option<PendingOne>,
}

/// How many settlements of one kind are pending, wherever they are.
#[derive(Debug, Default)]
pub(super) struct Pending(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct PendingOne(Arc<AtomicUsize>);

impl Pending {
    /// One more.
    pub(super) fn one(&self) -> PendingOne {
        self.0.fetch_add(1, Ordering::Relaxed);
        PendingOne(Arc::clone(&self.0))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for PendingOne {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Room for one settlement.
#[must_use]
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
    sender: mpsc::Sender<Job>,
}

impl Settler {
    /// A way for `places` settlements at once, and where they come out.
    pub(super) fn new(places: usize) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(places);
        (Self { places: Arc::new(Semaphore::new(places)), sender }, receiver)
    }

    /// Waits for room; `None` only after the loop has ended.
    pub(super) async fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Place { permit, sender: self.sender.clone() })
    }
}

impl Place {
    /// Takes over a settlement. The caller may free its permit.
    pub(super) async fn fill(self, settlement: Settlement) {
        let job =
            Job { settlement, _place: self.permit, attempts: 0, unanswered: false, sent: 0, pending: None };
        // The channel has as much room as there are places. If the loop is gone, the entry's drop counts the
        // message as abandoned.
        self.sender.send(job).await.ok();
    }
}

impl Job {
    /// The newest handle, noted as the one that is sent.
    pub(super) fn handle(&mut self) -> ReceiptHandle {
        let receipt = match &self.settlement.action {
            Action::Delete { lease, .. } => lease.deletes_with(),
            Action::Hide { lease, .. } => lease.lease().receipt(),
        };
        self.sent = receipt.version;
        receipt.handle
    }

    /// Whether it is to be deleted, not hidden.
    pub(super) fn is_delete(&self) -> bool {
        matches!(self.settlement.action, Action::Delete { .. })
    }

    /// Whether the message came again after its handle was sent: what SQS answered proves nothing then.
    pub(super) fn is_outdated(&self) -> bool {
        self.settlement.action.lease().receipt().version != self.sent
    }

    /// Takes it off the ledger. `sure`: SQS itself confirmed it.
    pub(super) fn settled(self, sure: bool) -> (MessageId, Action) {
        let Settlement { id, action, ledger, successor } = self.settlement;
        ledger.settled(action.how());
        if let Some(copies) = action.lease().take_copies() {
            copies.settled(action.how());
        }
        if sure && matches!(action, Action::Delete { .. }) {
            successor.tell(Fate::Deleted);
        }
        (id, action)
    }

    /// What to send to hide it, computed now.
    pub(super) fn change(&mut self) -> VisibilityChange {
        let until = match self.settlement.action {
            Action::Hide { until, .. } => until,
            Action::Delete { .. } => Instant::now(),
        };
        change(self.handle(), until)
    }
}

/// Visibility until then, in seconds from now.
pub(super) fn change(receipt: ReceiptHandle, until: Instant) -> VisibilityChange {
    let seconds = whole_seconds(until.saturating_duration_since(Instant::now()));
    VisibilityChange { receipt, seconds }
}
