//! Where letters go, and which go to one queue in one call.
//!
//! A call has up to ten, and no more bytes than SQS takes at once.

use std::sync::Arc;

use crate::message::Outgoing;
use crate::ports::BATCH_MAX;
use crate::sqs::{Received, SqsQueue};

/// Where messages go.
#[derive(Debug, Clone)]
pub enum Target {
    /// All to one queue.
    Fixed(Arc<SqsQueue>),
    /// Each to where it says it came from.
    Each {
        /// For those that do not say.
        otherwise: Option<Arc<SqsQueue>>,
        /// Names of the queues whose dead-letter queue it is; `None`: nobody knows them.
        sources: Option<Vec<String>>,
    },
}

/// One call of a batch.
pub(super) struct Batch {
    pub(super) to: Arc<SqsQueue>,
    /// As received, each at the place of what is sent for it.
    pub(super) letters: Vec<Received>,
    /// As sent.
    pub(super) outgoing: Vec<Outgoing>,
}

impl Batch {
    fn has_room(&self, message: &Outgoing) -> bool {
        has_room(&self.outgoing, message)
    }
}

fn has_room(batch: &[Outgoing], message: &Outgoing) -> bool {
    let bytes: usize = batch.iter().map(Outgoing::bytes).sum();
    batch.len() < BATCH_MAX && bytes.saturating_add(message.bytes()) <= Outgoing::MAX_BYTES
}

/// Adds a message to the batch of its queue, or to a new one when that is full.
pub(super) fn place(batches: &mut Vec<Batch>, to: Arc<SqsQueue>, letter: Received, outgoing: Outgoing) {
    let open = batches.iter_mut().find(|batch| Arc::ptr_eq(&batch.to, &to) && batch.has_room(&outgoing));
    if let Some(batch) = open {
        batch.letters.push(letter);
        batch.outgoing.push(outgoing);
    } else {
        batches.push(Batch { to, letters: vec![letter], outgoing: vec![outgoing] });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_ten_messages_and_the_bytes_of_a_call() {
        let of = |bytes| Outgoing { body: "x".repeat(bytes), ..Outgoing::default() };
        assert!(has_room(&vec![of(1); 9], &of(1)) && !has_room(&vec![of(1); 10], &of(1)));
        let half = [of(Outgoing::MAX_BYTES / 2)];
        assert!(has_room(&half, &half[0]) && !has_room(&half, &of(Outgoing::MAX_BYTES / 2 + 1)));
    }
}
