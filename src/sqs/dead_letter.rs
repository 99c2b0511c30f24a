//! The dead-letter queue of a queue: which it is, what it says of itself, and copies sent to it.
//!
//! Which queue it is stands in the redrive policy of its source, which may be replaced at any time. So what was read is
//! used for [`FACTS_KEEP`] and then asked for anew. Its address is kept for as long as the policy names it.

use std::sync::Arc;

use tokio::time::Instant;

use super::queue::{DeadLetter, SqsQueue};
use super::redrive::{Attributes, DeadLetterRef};
use super::settings::FIFO;
use super::{error, redrive, send};
use crate::message::Message;
use crate::ports::{DeadLetterReason, FACTS_KEEP, Operation, QueueError, QueueErrorKind, QueueReason};

impl SqsQueue {
    /// The attributes of the dead-letter queue; an error when they may not or cannot be read.
    pub(super) async fn dead_letter_attributes(
        &self,
        target: DeadLetterRef,
    ) -> Result<Attributes, QueueError> {
        let read = async {
            let url = self.dead_letter_url(target).await?;
            self.attributes(&url).await
        };
        read.await.inspect_err(|failure| {
            tracing::debug!(queue = self.own_name(), error = %failure, "cannot read the dead-letter queue");
            self.known().dead_letter = None;
        })
    }

    pub(super) async fn copy_to_dead_letter(
        &self,
        message: &Message,
        reason: &DeadLetterReason,
    ) -> Result<(), QueueError> {
        let known = self.known().dead_letter.clone();
        let DeadLetter { target, url, .. } = match known.filter(|known| known.read_at.elapsed() <= FACTS_KEEP)
        {
            Some(known) => known,
            None => self.find_dead_letter().await?,
        };
        let copy =
            send::copy(message, self.own_name(), reason, target.name.ends_with(FIFO)).ok_or_else(|| {
                error::failed(Operation::Send, &url, QueueReason::Contents, "the message's body is no text")
            })?;
        let sent = self.send_to(&url, copy).await;
        if sent.as_ref().is_err_and(|failure| failure.kind == QueueErrorKind::Missing) {
            self.known().dead_letter = None;
        }
        sent.map(drop)
    }

    /// Asks the queue for the ARN of its dead-letter queue.
    pub(super) async fn find_dead_letter(&self) -> Result<DeadLetter, QueueError> {
        let url = self.url().await?;
        let read = self.attributes(&url).await;
        let attributes = self.noting_absence(read)?;
        let Some(policy) = redrive::policy(&attributes) else {
            let text = "the queue has no redrive policy, and so no dead-letter queue";
            return Err(error::failed(Operation::Send, &url, QueueReason::NoDeadLetterQueue, text));
        };
        let url = self.dead_letter_url(policy.target.clone()).await?;
        Ok(DeadLetter { target: policy.target, url, read_at: Instant::now() })
    }

    /// URL of the dead-letter queue `target`, which the policy names now; looked up once.
    async fn dead_letter_url(&self, target: DeadLetterRef) -> Result<Arc<str>, QueueError> {
        if let Some(known) = self.known().dead_letter.as_mut().filter(|known| known.target == target) {
            known.read_at = Instant::now();
            return Ok(Arc::clone(&known.url));
        }
        let url = match self.look_up(&target.name, Some(&target.account)).await {
            Err(failure) if failure.kind == QueueErrorKind::Denied => {
                let own = self.url().await?;
                target.url_like(&own).map(Arc::from).ok_or(failure)?
            }
            found => found?,
        };
        self.known().dead_letter =
            Some(DeadLetter { target, url: Arc::clone(&url), read_at: Instant::now() });
        Ok(url)
    }
}
