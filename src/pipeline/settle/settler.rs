//! How a message that leaves gets to the settle loop, and how the memory learns of it.
//!
//! Settlement has so many places and no more. So a slow SQS holds up the workers and, behind them, the
//! receives. The memory of the process does not fill.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::message::Message;
use crate::pipeline::completion::{Fate, Successor};
use crate::pipeline::lease::Lease;
use crate::pipeline::ledger::LedgerEntry;
use crate::pipeline::memory::Memory;
use crate::pipeline::settle::exit::{Exit, Forward};
use crate::pipeline::settle::work::{Delete, Hide, Leaver, Owing};
use crate::telemetry::labels::Stage;

/// A message that leaves, and all that belongs to it.
#[must_use]
pub(in crate::pipeline) struct Leaving {
    pub(in crate::pipeline) message: Message,
    pub(in crate::pipeline) lease: Lease,
    pub(in crate::pipeline) ledger: LedgerEntry,
    /// Who waits for its end (FIFO).
    pub(in crate::pipeline) successor: Successor,
}

/// Where deliveries hand over their messages.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Settler {
    places: Arc<Semaphore>,
    sender: mpsc::Sender<Incoming>,
    memory: Arc<Memory>,
}

/// What comes to the settle loop.
#[derive(Debug)]
pub(super) enum Incoming {
    Delete(Delete),
    Hide(Hide),
    Owing(Box<Owing>),
}

impl Incoming {
    /// A message to be deleted, once what it owes was accepted.
    pub(super) fn owing(message: Message, owed: Vec<Forward>, delete: Delete) -> Self {
        if owed.is_empty() {
            Self::Delete(delete)
        } else {
            Self::Owing(Box::new(Owing { message, owed, delete }))
        }
    }
}

impl Settler {
    /// A way for `places` messages at once, and where they come out.
    pub(super) fn new(places: usize, memory: Arc<Memory>) -> (Self, mpsc::Receiver<Incoming>) {
        let (sender, receiver) = mpsc::channel(places);
        (Self { places: Arc::new(Semaphore::new(places)), sender, memory }, receiver)
    }

    /// Takes a message over and remembers how it leaves. Waits for a place; the caller may free its worker then.
    pub(in crate::pipeline) async fn settle(&self, leaving: Leaving, exit: Exit) {
        let Leaving { message, lease, mut ledger, successor } = leaving;
        ledger.enter(Stage::Settling);
        lease.enter(Stage::Settling);
        self.memory.left(&message.id, exit.clone());
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        let (id, how) = (message.id.clone(), exit.settled());
        match exit {
            Exit::Delete { first } => {
                let leaver = Leaver { id, lease, ledger, _place: place };
                let delete = Delete { leaver, how, successor };
                self.hand_over(Incoming::owing(message, first, delete)).await;
            }
            Exit::Park { until } | Exit::Defer { until, .. } | Exit::Release { until, .. } => {
                // SQS refuses a visibility past its twelve hours.
                let until = until.min(lease.ceiling());
                let leaver = Leaver { id, lease: lease.close(until).await, ledger, _place: place };
                self.hand_over(Incoming::Hide(Hide { leaver, how, until })).await;
                // Only now: what stands behind it in its group is released after it.
                successor.tell(Fate::Hidden(until));
            }
        }
    }

    async fn hand_over(&self, incoming: Incoming) {
        // The channel has as much room as there are places. If the loop is gone, the ledger counts the message as
        // abandoned.
        self.sender.send(incoming).await.ok();
    }
}
