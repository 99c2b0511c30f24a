//! Operations for commands that a person runs: send in batches, and receive with every attribute of a
//! message.
//!
//! The pipeline has no use for these operations. A receive may leave the visibility to the queue, or carry
//! its own attempt id. It reports the sender, and the source queue of a dead letter. As everywhere in this
//! area one call is one attempt; the caller repeats it where a repeat helps.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{self, MessageSystemAttributeName as Name};

use super::queue::{RECEIVE_MARGIN, seconds};
use super::{convert, error, salvage};
use crate::message::{Message, MessageId};
use crate::ports::{BATCH_MAX, EntryErrorKind, LeftOut, Operation, QueueError};
use crate::sqs::{Outgoing, SqsQueue, Unsent};

/// One `ReceiveMessage` of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiveRequest {
    /// 1 to 10.
    pub max: usize,
    /// Long-poll time, whole seconds, 0 to 20 s.
    pub wait: Duration,
    /// Visibility timeout of the received messages; the queue's own by default.
    pub visibility: Option<Duration>,
    /// `ReceiveRequestAttemptId`, for FIFO queues: the same id hands out the same messages for five minutes.
    pub attempt_id: Option<String>,
}

/// A message with the attributes that only a person needs.
#[derive(Debug, Clone)]
pub struct Received {
    /// The message itself.
    pub message: Message,
    /// Id of the user or role that sent the message.
    pub sender_id: Option<String>,
    /// ARN of the source queue, for messages in a dead-letter queue.
    pub dead_letter_queue_source_arn: Option<String>,
}

impl SqsQueue {
    /// The queue's URL, as configured or looked up.
    pub async fn address(&self) -> Result<Arc<str>, QueueError> {
        self.url().await
    }

    /// Sends up to ten messages in one call; one result per message, in order.
    ///
    /// `delay`, group and deduplication id belong to each message. A message that the answer does not mention
    /// counts as not sent. Sending it again may therefore create a second copy.
    pub async fn send_batch(
        &self,
        messages: &[Outgoing],
    ) -> Result<Vec<Result<MessageId, Unsent>>, QueueError> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let url = self.url().await?;
        let answer = self.send_entries(messages).await?;
        let unanswered = Unsent {
            retryable: true,
            why: "SQS did not say what became of it".to_owned(),
            fix: EntryErrorKind::Retryable.fix().to_owned(),
        };
        let mut results = vec![Err(unanswered); messages.len()];
        let sent =
            answer.successful.into_iter().map(|entry| (entry.id, Ok(MessageId::new(entry.message_id))));
        let failed = answer.failed.iter().map(|entry| (entry.id.clone(), Err(error::unsent(&url, entry))));
        for (id, result) in sent.chain(failed) {
            if let Some(slot) = id.parse().ok().and_then(|index: usize| results.get_mut(index)) {
                *slot = result;
            }
        }
        Ok(results)
    }

    /// Receives up to ten messages; an empty queue is an empty `Ok`.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the call: messages already handed out stay hidden.
    pub async fn receive_by_hand(&self, request: &ReceiveRequest) -> Result<Vec<Received>, QueueError> {
        let url = self.url().await?;
        let max = i32::try_from(request.max.clamp(1, BATCH_MAX)).unwrap_or(1);
        let limit = request.wait + RECEIVE_MARGIN;
        let answer = self.connection().call(Operation::Receive, &url, limit, |client| {
            let receive = client
                .receive_message()
                .queue_url(&*url)
                .max_number_of_messages(max)
                .wait_time_seconds(seconds(request.wait))
                .set_visibility_timeout(request.visibility.map(seconds))
                .message_system_attribute_names(Name::All)
                .message_attribute_names("All")
                .set_receive_request_attempt_id(request.attempt_id.clone());
            async move { salvage::read(receive.send().await) }
        });
        let answer = self.noting_absence(answer.await)?;
        Ok(self.taken(answer, received))
    }
}

fn received(mut theirs: types::Message) -> Result<Received, LeftOut> {
    let mut take = |name| theirs.attributes.as_mut().and_then(|system| system.remove(&name));
    let (sender_id, source) = (take(Name::SenderId), take(Name::DeadLetterQueueSourceArn));
    let message = convert::message(theirs)?;
    Ok(Received { message, sender_id, dead_letter_queue_source_arn: source })
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
