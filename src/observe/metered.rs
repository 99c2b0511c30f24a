//! A queue, or a result queue, that counts its calls and how long they take, and traces them; nothing else.

use std::sync::Arc;

use tokio::time::Instant;

use crate::message::{Message, ReceiptHandle};
use crate::ports::{
    BatchResult, BoxFuture, DeadLetterReason, Operation, Outbox, Outgoing, Queue, QueueError, QueueFacts,
    QueueLimits, Receive, VisibilityChange,
};
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::trace::Call;

/// Counts the calls to `queue`.
pub(crate) struct Metered {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    /// The queue's name.
    pub(crate) name: String,
}

impl Metered {
    async fn count<T>(
        &self,
        operation: Operation,
        messages: usize,
        call: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        count(&self.metrics, &self.name, operation, messages, call).await
    }
}

impl Queue for Metered {
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        Box::pin(async move {
            let traced = Call::begin();
            let result = self.count(Operation::Receive, 0, self.queue.receive(receive)).await;
            for (why, messages) in self.queue.left_out() {
                self.metrics.left_out(why, messages);
            }
            if let Ok(messages) = &result {
                traced.received(&self.name, messages);
                if messages.is_empty() {
                    self.metrics.sqs_empty.inc();
                }
            }
            result
        })
    }

    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        Box::pin(self.count(Operation::Delete, handles.len(), self.queue.delete(handles)))
    }

    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        Box::pin(self.count(
            Operation::ChangeVisibility,
            changes.len(),
            self.queue.change_visibility(changes),
        ))
    }

    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        reason: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(self.count(Operation::Send, 1, self.queue.dead_letter(message, reason)))
    }

    fn limits(&self) -> QueueLimits {
        self.queue.limits()
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        Box::pin(async move {
            let facts = self.count(Operation::Attributes, 0, self.queue.inspect()).await?;
            let unread = facts.redrive.as_ref().and_then(|redrive| redrive.dead_letter_unread.as_ref());
            if let Some(unread) = unread {
                self.metrics.sqs_refused(Operation::Attributes, unread.kind);
            }
            Ok(facts)
        })
    }
}

/// Counts the calls to a result queue.
pub(crate) struct MeteredOutbox {
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) metrics: Arc<ListenerMetrics>,
}

impl Outbox for MeteredOutbox {
    fn name(&self) -> &str {
        self.outbox.name()
    }

    fn send<'a>(&'a self, messages: &'a [Outgoing]) -> BoxFuture<'a, BatchResult> {
        let sent = self.outbox.send(messages);
        Box::pin(count(&self.metrics, self.name(), Operation::Send, messages.len(), sent))
    }
}

async fn count<T>(
    metrics: &ListenerMetrics,
    name: &str,
    operation: Operation,
    messages: usize,
    call: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    let asked = Instant::now();
    let traced = Call::begin();
    let result = call.await;
    // A failure may be of a call made on the way (the address of the queue): count it as what it was.
    let (operation, kind) = match &result {
        Ok(_) => (operation, None),
        Err(error) => (error.operation, Some(error.kind)),
    };
    metrics.sqs_call(operation, asked.elapsed(), kind);
    traced.ended(name, operation, messages, kind);
    result
}
