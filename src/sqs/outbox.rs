//! One SQS queue, as results need it: messages sent in batches.

use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use super::queue::{SETTLE_TIMEOUT, built, in_order, seconds};
use super::{error, send};
use crate::message::Outgoing;
use crate::ports::{BatchResult, BoxFuture, Operation, Outbox, QueueError};
use crate::sqs::SqsQueue;

impl Outbox for SqsQueue {
    fn name(&self) -> &str {
        self.own_name()
    }

    fn send<'a>(&'a self, messages: &'a [Outgoing]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            if messages.is_empty() {
                return Ok(Vec::new());
            }
            let answer = self.send_entries(messages).await?;
            let done = answer.successful.iter().map(|entry| entry.id.as_str());
            Ok(in_order(messages.len(), done, &answer.failed, error::send_error))
        })
    }
}

impl SqsQueue {
    /// One `SendMessageBatch`; the id of an entry is its index.
    pub(super) async fn send_entries(
        &self,
        messages: &[Outgoing],
    ) -> Result<SendMessageBatchOutput, QueueError> {
        let url = self.url().await?;
        let entries = built(Operation::Send, &url, messages, |index, message| entry(index, message.clone()))?;
        let answer = self.connection().call(Operation::Send, &url, SETTLE_TIMEOUT, |client| {
            client.send_message_batch().queue_url(&*url).set_entries(Some(entries)).send()
        });
        self.noting_absence(answer.await)
    }
}

fn entry(
    index: String,
    message: Outgoing,
) -> Result<SendMessageBatchRequestEntry, aws_sdk_sqs::error::BuildError> {
    let trace = send::trace(message.trace_header);
    let attributes = message.attributes.into_iter().filter_map(send::to_sdk).collect();
    SendMessageBatchRequestEntry::builder()
        .id(index)
        .message_body(message.body)
        .set_message_attributes(Some(attributes))
        .set_message_system_attributes(trace)
        .set_delay_seconds(message.delay.map(seconds))
        .set_message_group_id(message.group_id)
        .set_message_deduplication_id(message.deduplication_id)
        .build()
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
