//! The final receive of a message: SQS dead-letters the message instead of handing it out once more.

use std::sync::Arc;

/// What is special about a message on its final receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalReceive {
    /// Receives that the queue grants (`maxReceiveCount`).
    pub max: u32,
    /// Name of the dead-letter queue, where it is known.
    pub dead_letter_queue: Option<Arc<str>>,
}

impl FinalReceive {
    /// Whether other receives came before it. With a single receive every message is on its final one, so that none
    /// can be spared.
    pub fn follows_others(&self) -> bool {
        self.max > 1
    }
}
