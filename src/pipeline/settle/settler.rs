//! How a message that leaves gets to the settle loop, and how the memory learns of it.
//!
//! Settlement has so many places and no more, of two kinds. A slow SQS therefore holds up deliveries and, behind them,
//! receives. It does not fill the memory of the process.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::message::Message;
use crate::pipeline::completion::{Fate, Successor};
use crate::pipeline::lease::Lease;
use crate::pipeline::memory::Memory;
use crate::pipeline::settle::exit::{Exit, Forward};
use crate::pipeline::settle::work::{Delete, Hide, Leaver, Owing};

/// A message that leaves, and all that belongs to it.
#[must_use]
pub(in crate::pipeline) struct Leaving {
    pub(in crate::pipeline) message: Message,
    pub(in crate::pipeline) lease: Lease,
    /// Who waits for its end (FIFO).
    pub(in crate::pipeline) successor: Successor,
}

/// Where deliveries hand over their messages.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Settler {
    places: Places,
    sender: mpsc::Sender<Incoming>,
    memory: Arc<Memory>,
}

/// Room for messages in settlement. Those that owe forwards have room of their own: a dead-letter queue that takes
/// nothing must not keep others from being deleted and hidden.
#[derive(Debug, Clone)]
pub(super) struct Places {
    owing: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Places {
    /// Nobody gets room any more.
    pub(super) fn close(&self) {
        self.owing.close();
        self.others.close();
    }
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
    /// A way for so many messages at once that owe forwards, and as many others; and where they come out.
    pub(super) fn new(each: usize, memory: Arc<Memory>) -> (Self, mpsc::Receiver<Incoming>) {
        let (sender, receiver) = mpsc::channel(2 * each);
        let places = Places { owing: Arc::new(Semaphore::new(each)), others: Arc::new(Semaphore::new(each)) };
        (Self { places, sender, memory }, receiver)
    }

    /// The room, for whoever closes it.
    pub(super) fn places(&self) -> Places {
        self.places.clone()
    }

    /// Takes a message over and remembers how it leaves. Waits for a place; the caller may free its worker then.
    pub(in crate::pipeline) async fn settle(&self, leaving: Leaving, exit: Exit) {
        let Leaving { message, lease, successor } = leaving;
        self.memory.left(&message.id, exit.clone());
        let owes = matches!(&exit, Exit::Delete { first, .. } if !first.is_empty());
        let room = if owes { &self.places.owing } else { &self.places.others };
        // Closed: the loop has ended, and the ledger counts the message as abandoned.
        let Ok(place) = Arc::clone(room).acquire_owned().await else { return };
        let (id, how) = (message.id.clone(), exit.settled());
        match exit {
            Exit::Delete { first, .. } => {
                let leaver = Leaver { id, lease, _place: place };
                let delete = Delete { leaver, how, successor };
                self.hand_over(Incoming::owing(message, first, delete)).await;
            }
            Exit::Park { until } | Exit::Defer { until, .. } | Exit::Release { until, .. } => {
                // SQS refuses a visibility past its twelve hours.
                let until = until.min(lease.ceiling());
                let leaver = Leaver { id, lease: lease.close(until).await, _place: place };
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
