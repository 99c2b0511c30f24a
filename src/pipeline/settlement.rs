//! What is to be done with one message at SQS, and how it gets to the loop that does it.
//!
//! A settlement needs a [`Place`]; places are bounded, so a slow SQS holds up the workers and, behind them, the
//! pollers, instead of filling the memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::message::{MessageId, ReceiptHandle};
use crate::pipeline::in_house::{InHouse, Settled};
use crate::pipeline::lease::{Closed, Lease};
use crate::pipeline::ports::VisibilityChange;
use crate::policy::visibility::whole_seconds;

/// What is to be done with one message at SQS.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) id: MessageId,
    pub(super) receipt: ReceiptHandle,
    pub(super) action: Action,
    pub(super) books: InHouse,
}

/// Delete it, or hide it.
#[derive(Debug)]
pub(super) enum Action {
    /// Its work is done.
    Delete {
        /// For the books: deleted, or dead-lettered.
        how: Settled,
        /// Kept until the delete is confirmed.
        lease: Lease,
    },
    /// It is not.
    Hide {
        /// Visible again at; now or earlier gives it back at once.
        until: Instant,
        /// For the books.
        how: Settled,
        /// What the lease was when it was given up.
        lease: Closed,
    },
}

impl Action {
    /// For the books.
    pub(super) fn how(&self) -> Settled {
        match self {
            Self::Delete { how, .. } | Self::Hide { how, .. } => *how,
        }
    }

    /// When trying again stops making sense.
    pub(super) fn end(&self) -> Instant {
        match self {
            Self::Delete { lease, .. } => lease.ceiling(),
            Self::Hide { lease, .. } => lease.expires,
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
    /// A call got no answer, so that it may have been carried out.
    pub(super) unanswered: bool,
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
        let job = Job { settlement, _place: self.permit, attempts: 0, unanswered: false };
        // The channel has as much room as there are places. If the loop is gone, the entry's drop counts the
        // message as abandoned.
        self.sender.send(job).await.ok();
    }
}

impl Job {
    /// What to send to hide it, computed now.
    pub(super) fn change(&self) -> VisibilityChange {
        let until = match self.settlement.action {
            Action::Hide { until, .. } => until,
            Action::Delete { .. } => Instant::now(),
        };
        change(&self.settlement.receipt, until)
    }
}

/// Visibility until then, in seconds from now.
pub(super) fn change(receipt: &ReceiptHandle, until: Instant) -> VisibilityChange {
    let seconds = whole_seconds(until.saturating_duration_since(Instant::now()));
    VisibilityChange { receipt: receipt.clone(), seconds }
}
