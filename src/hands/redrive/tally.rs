//! What became of the messages of a redrive by hand.

use std::collections::HashSet;

use crate::message::ReceiptHandle;

/// What became of messages.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) moved: u64,
    pub(super) failed: u64,
    /// Ids of messages that were tried, and of what was sent.
    pub(super) seen: HashSet<String>,
    /// Ids of messages that were looked at and left.
    pub(super) looked: HashSet<String>,
    /// One that was looked at and left came again.
    pub(super) been_round: bool,
    /// To be made visible again at the end.
    pub(super) back: Vec<ReceiptHandle>,
    /// Groups with a message that could not be moved: what stands behind it waits.
    pub(super) stuck: HashSet<String>,
}

impl Tally {
    /// Notes a message that is left. One that was tried says nothing about the others.
    pub(super) fn look_at(&mut self, id: &str) {
        if !self.seen.contains(id) {
            self.been_round |= !self.looked.insert(id.to_owned());
        }
    }
}
