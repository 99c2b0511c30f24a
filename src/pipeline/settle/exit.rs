//! How a message leaves: what a delivery hands to settlement with it, and what the memory keeps of it. And what became of
//! it then, told to the message behind it in its group (FIFO).
//!
//! An exit is a row of steps. What is to be sent first is a [`Forward`], and `then` is the rest. When SQS has accepted a
//! forward, the message goes on with the rest. So the rest is what it still owes.
//!
//! A message that is dropped without an exit is abandoned: SQS hands it out again when its lease is over.

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::forward::Forward;

/// How a message leaves this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) enum Exit {
    /// Its work is done: it is deleted.
    Delete {
        /// Deleted or dead-lettered.
        how: Settled,
    },
    /// It is left in the queue, hidden.
    Hide {
        /// Visible again at; now or earlier makes it visible at once.
        until: Instant,
        /// Parked, deferred or released.
        how: Settled,
    },
    /// Something is sent to another queue first.
    After {
        /// What is sent.
        forward: Box<Forward>,
        /// How it leaves once that was accepted.
        then: Box<Self>,
    },
}

impl Exit {
    /// Deleted, with nothing to be sent before.
    pub(in crate::pipeline) const DELETE: Self = Self::Delete { how: Settled::Deleted };

    /// The same, after `forward` was accepted, if there is one.
    #[must_use]
    pub(in crate::pipeline) fn after(self, forward: Option<Forward>) -> Self {
        match forward {
            Some(forward) => Self::After { forward: Box::new(forward), then: Box::new(self) },
            None => self,
        }
    }

    /// The last step: a delete or a hiding.
    pub(in crate::pipeline) fn last(&self) -> &Self {
        self.then().map_or(self, Self::last)
    }

    /// Whether it ends with a delete.
    pub(in crate::pipeline) fn deletes(&self) -> bool {
        matches!(self.last(), Self::Delete { .. })
    }

    /// What is to be sent now, if something is.
    pub(in crate::pipeline) fn forward(&self) -> Option<&Forward> {
        match self {
            Self::After { forward, .. } => Some(forward),
            Self::Delete { .. } | Self::Hide { .. } => None,
        }
    }

    /// All that is to be sent, in order.
    pub(in crate::pipeline) fn forwards(&self) -> impl Iterator<Item = &Forward> {
        std::iter::successors(Some(self), |exit| exit.then()).filter_map(Self::forward)
    }

    fn then(&self) -> Option<&Self> {
        match self {
            Self::After { then, .. } => Some(then),
            Self::Delete { .. } | Self::Hide { .. } => None,
        }
    }

    /// Bytes kept for it that the message does not bring along.
    pub(in crate::pipeline) fn bytes(&self) -> usize {
        self.forwards().map(Forward::bytes).sum()
    }

    /// Forgets what its results say.
    pub(in crate::pipeline) fn forget_words(&mut self) {
        for forward in self.forwards_mut() {
            if let Forward::Result(owed) = forward {
                owed.words = None;
            }
        }
    }

    /// The same to be changed.
    pub(in crate::pipeline) fn forwards_mut(&mut self) -> Vec<&mut Forward> {
        match self {
            Self::After { forward, then } => {
                let mut all = then.forwards_mut();
                all.insert(0, &mut **forward);
                all
            }
            Self::Delete { .. } | Self::Hide { .. } => Vec::new(),
        }
    }
}

/// What became of a message, as far as its successor is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Fate {
    /// SQS confirmed its delete.
    Deleted,
    /// It comes back at this time.
    Hidden(Instant),
}

/// Whoever waits for a message to be gone: what is behind it in its group, and the object it stood for. Dropped untold, they
/// are told that the message is left to SQS.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Successor(Vec<oneshot::Sender<Fate>>);

impl Successor {
    /// One that waits, and how it is told.
    #[cfg(test)]
    pub(in crate::pipeline) fn new() -> (Self, oneshot::Receiver<Fate>) {
        let mut successor = Self::default();
        let receiver = successor.joined();
        (successor, receiver)
    }

    /// One more that waits: how it is told.
    pub(in crate::pipeline) fn joined(&mut self) -> oneshot::Receiver<Fate> {
        let (sender, receiver) = oneshot::channel();
        self.0.push(sender);
        receiver
    }

    /// Whether anybody waits.
    pub(in crate::pipeline) fn is_awaited(&self) -> bool {
        !self.0.is_empty()
    }

    /// Says what became of it.
    pub(in crate::pipeline) fn tell(self, fate: Fate) {
        for sender in self.0 {
            // Nobody waits any more once the drain has begun.
            sender.send(fate).ok();
        }
    }
}
