//! A message in flight: received, and not yet settled by us.
//!
//! [`InFlight`] owns the message and all that is freed when it leaves: lease, ledger entry, slot. Intake makes it once, and
//! the stages move it by value. Settling consumes it, so a message cannot be settled twice. A panic or the end of the process
//! may drop it on the way. Then its slot is free, its lease ends and the ledger counts it as abandoned: SQS hands it out
//! again.
//!
//! Whether this is the message's final receive is computed here, once, and read everywhere else.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::limit::Slot;
use crate::message::{Message, MessageId};
use crate::pipeline::completion::{Fate, Successor};
use crate::pipeline::lease::Lease;
use crate::pipeline::ledger::LedgerEntry;
use crate::pipeline::settle::settler::Settler;
use crate::policy::final_receive::FinalReceive;
use crate::telemetry::labels::Stage;
use crate::telemetry::trace::Journey;

/// A message in flight, and what is freed when it leaves.
#[must_use]
pub(super) struct InFlight {
    pub(super) message: Message,
    pub(super) lease: Lease,
    pub(super) ledger: LedgerEntry,
    /// Messages of one group share a slot: one of them is delivered at a time.
    pub(super) slot: Slot,
    /// What is special about this receive, if it is the message's final one.
    pub(super) final_receive: Option<FinalReceive>,
    /// Who waits for its end (FIFO).
    pub(super) successor: Successor,
    pub(super) settler: Settler,
    pub(super) trace: Journey,
}

impl InFlight {
    /// Its id.
    pub(super) fn id(&self) -> &MessageId {
        &self.message.id
    }

    /// Whether refusing it once more would dead-letter it, though other receives of it could have succeeded.
    pub(super) fn is_last_try(&self) -> bool {
        self.final_receive.as_ref().is_some_and(FinalReceive::follows_others)
    }

    /// It moves on: in the ledger, and with it the ledger of its copies.
    pub(super) fn enter(&mut self, stage: Stage) {
        self.ledger.enter(stage);
        self.lease.enter(stage);
    }

    /// How much longer SQS lets this receive be hidden.
    pub(super) fn hideable(&self) -> Duration {
        self.lease.hideable()
    }

    /// The time after which a POST that takes so long would outlast what SQS grants one receive.
    pub(super) fn last_start(&self, longest_post: Duration) -> Instant {
        self.lease.ceiling() - longest_post
    }

    /// Lets it share the slot of a message of its group.
    pub(super) fn share_slot_of(&mut self, other: &Self) {
        self.slot = other.slot.clone();
    }

    /// How to learn what becomes of it.
    pub(super) fn fate(&mut self) -> oneshot::Receiver<Fate> {
        let (successor, fate) = Successor::new();
        self.successor = successor;
        fate
    }
}
