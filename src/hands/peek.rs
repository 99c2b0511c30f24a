//! Looks at messages of a queue, hides them meanwhile, and releases them at the end.
//!
//! SQS has no way of looking that is no receive. So each look raises a message's receive count by one.

use std::collections::HashSet;
use std::time::Duration;

use crate::message::MessageId;
use crate::ports::{BATCH_MAX, Queue as _, QueueError, VisibilityChange};
use crate::sqs::{ReceiveRequest, Received, SqsQueue};

/// How long messages are hidden while others are looked for.
pub const HIDDEN: Duration = Duration::from_secs(30);
/// Long poll of each receive: short polls overlook messages.
const WAIT: Duration = Duration::from_secs(1);

/// A look at one queue.
pub struct Look<'a> {
    queue: &'a SqsQueue,
    /// What came, each once.
    shown: Vec<Received>,
    seen: HashSet<MessageId>,
}

impl<'a> Look<'a> {
    /// Nothing was looked at yet.
    pub fn at(queue: &'a SqsQueue) -> Self {
        Self { queue, shown: Vec::new(), seen: HashSet::new() }
    }

    /// Messages that did not come before, at most ten; none when there are no more. They stay hidden until
    /// [`Self::give_back`].
    pub async fn next(&mut self, max: usize) -> Result<&[Received], QueueError> {
        let request = ReceiveRequest {
            max: max.min(BATCH_MAX),
            wait: WAIT,
            visibility: Some(HIDDEN),
            attempt_id: None,
        };
        let came = self.queue.receive_by_hand(&request).await?;
        let before = self.shown.len();
        let seen = &mut self.seen;
        self.shown.extend(came.into_iter().filter(|received| seen.insert(received.message.id.clone())));
        Ok(self.shown.get(before..).unwrap_or_default())
    }

    /// What came so far.
    pub fn shown(&self) -> &[Received] {
        &self.shown
    }

    /// Makes what came visible again; how many messages stay hidden for a while.
    pub async fn give_back(&self) -> usize {
        let mut kept = 0_usize;
        for some in self.shown.chunks(BATCH_MAX) {
            let visible = |received: &Received| VisibilityChange {
                receipt: received.message.receipt.clone(),
                seconds: 0,
            };
            let changes: Vec<VisibilityChange> = some.iter().map(visible).collect();
            kept += match self.queue.change_visibility(&changes).await {
                Ok(results) => results.iter().filter(|result| result.is_err()).count(),
                Err(_) => some.len(),
            };
        }
        kept
    }
}
