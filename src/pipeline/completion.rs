//! What became of a message, told to the message behind it in its group (FIFO).

use tokio::sync::oneshot;
use tokio::time::Instant;

/// What became of a message, as far as its successor is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// SQS confirmed its delete.
    Deleted,
    /// It comes back at this time.
    Hidden(Instant),
}

/// Whoever waits for a message to be gone; dropped untold, it is told that the message is left to SQS.
#[derive(Debug, Default)]
pub(super) struct Successor(Option<oneshot::Sender<Fate>>);

impl Successor {
    /// One that waits, and how it is told.
    pub(super) fn new() -> (Self, oneshot::Receiver<Fate>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }

    /// Says what became of it.
    pub(super) fn tell(self, fate: Fate) {
        if let Some(sender) = self.0 {
            // Nobody waits any more once the drain has begun.
            sender.send(fate).ok();
        }
    }
}
