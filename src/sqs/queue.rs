//! One SQS queue, as the pipeline needs it.
//!
//! Each call is one attempt with its own timeout. A queue configured by ARN or name is looked up on first
//! use, and again after SQS called it missing. So a queue that was created again is found.
//! Batch entries have their index as id. An entry that the answer does not mention counts as failed and worth
//! repeating. A repeat is safe for every batch call of this file.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::Connection;
use super::left_out::Omissions;
use super::redrive::{Attributes, DeadLetterRef};
use super::{convert, error, redrive, salvage, send};
use crate::message::{Message, MessageId, ReceiptHandle};
use crate::ports::{
    BATCH_MAX, BatchResult, BoxFuture, DeadLetterReason, EntryError, LeftOut, Operation, Queue, QueueError,
    QueueErrorKind, QueueFacts, QueueLimits, QueueReason, Receive, VisibilityChange,
};
use crate::sqs::{Outgoing, QueueRef};
use aws_sdk_sqs::types::{
    self, BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName, QueueAttributeName,
};
use tokio::time::Instant;

/// How much longer a receive may take than its long poll.
pub(super) const RECEIVE_MARGIN: Duration = Duration::from_secs(10);
/// Timeout of a call during which a lease runs: delete, change of visibility, send.
pub(super) const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a call without a lease: address and attributes of a queue.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long messages are received one by one after an answer that was too long. Ten messages of another
/// server may be longer than the limit, and each attempt spends a receive of all ten.
const SINGLE_TIME: Duration = Duration::from_secs(600);

/// One queue on a shared connection.
pub struct SqsQueue {
    name: QueueRef,
    connection: Arc<Connection>,
    fifo: bool,
    known: Mutex<Known>,
    omissions: Omissions,
}

/// Facts about the queue that may turn out wrong.
#[derive(Debug, Default)]
pub(super) struct Known {
    url: Option<Arc<str>>,
    pub(super) dead_letter: Option<DeadLetter>,
    /// Until when messages are received one by one.
    single_until: Option<Instant>,
}

/// The dead-letter queue that the redrive policy named.
#[derive(Debug, Clone)]
pub(super) struct DeadLetter {
    pub(super) target: DeadLetterRef,
    pub(super) url: Arc<str>,
    /// When the policy was read.
    pub(super) read_at: Instant,
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqsQueue({})", self.name)
    }
}

impl Queue for SqsQueue {
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        Box::pin(self.receive_messages(receive))
    }

    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        Box::pin(self.delete_messages(handles))
    }

    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        Box::pin(self.change_visibilities(changes))
    }

    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        reason: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(self.copy_to_dead_letter(message, reason))
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        Box::pin(self.facts())
    }

    fn limits(&self) -> QueueLimits {
        QueueLimits::of_sqs(self.fifo)
    }

    fn left_out(&self) -> Vec<(LeftOut, u64)> {
        self.omissions.take()
    }
}

impl SqsQueue {
    /// The queue `name` on `connection`; makes no call yet.
    pub(super) fn new(name: QueueRef, connection: Arc<Connection>) -> Self {
        let fifo = name.is_fifo();
        Self { name, connection, fifo, known: Mutex::default(), omissions: Omissions::default() }
    }

    /// Its name, for logs.
    pub fn own_name(&self) -> &str {
        self.name.name()
    }

    /// Whether it is a FIFO queue, by its name.
    pub fn is_fifo(&self) -> bool {
        self.fifo
    }

    /// The connection of all calls.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Whether a session token of AWS left this machine over plain HTTP.
    pub fn sends_token_in_clear(&self) -> bool {
        self.connection.sends_token_in_clear()
    }

    /// Sends one message to the queue; returns its id.
    pub async fn send(&self, message: impl Into<Outgoing>) -> Result<MessageId, QueueError> {
        let url = self.url().await?;
        let sent = self.send_to(&url, message.into()).await;
        self.noting_absence(sent)
    }

    async fn receive_messages(&self, receive: Receive) -> Result<Vec<Message>, QueueError> {
        let url = self.url().await?;
        let single = self.known().single_until.is_some_and(|until| Instant::now() < until);
        // The same attempt id would return the same messages again.
        let attempt = receive.attempt.filter(|_| self.fifo && !single).map(|number| format!("{number:032x}"));
        let max = if single { 1 } else { i32::try_from(receive.max.clamp(1, BATCH_MAX)).unwrap_or(1) };
        let limit = receive.wait + RECEIVE_MARGIN;
        let answer = self.connection.call(Operation::Receive, &url, limit, |client| {
            let receive = client
                .receive_message()
                .queue_url(&*url)
                .max_number_of_messages(max)
                .wait_time_seconds(seconds(receive.wait))
                .visibility_timeout(seconds(receive.visibility))
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .message_attribute_names("All")
                .set_receive_request_attempt_id(attempt);
            async move { salvage::read(receive.send().await) }
        });
        let answer = answer.await;
        if answer.as_ref().is_err_and(|failure| failure.reason == QueueReason::AnswerTooLong) {
            self.known().single_until = Some(Instant::now() + SINGLE_TIME);
        }
        let answer = self.noting_absence(answer)?;
        Ok(self.taken(answer, convert::message))
    }

    /// The usable messages of an answer; the others are counted.
    pub(super) fn taken<T>(
        &self,
        answer: salvage::Answer,
        convert: impl Fn(types::Message) -> Result<T, LeftOut>,
    ) -> Vec<T> {
        self.omissions.note(self.name.name(), LeftOut::Malformed, answer.malformed);
        let mut taken = Vec::with_capacity(answer.messages.len());
        for theirs in answer.messages {
            match convert(theirs) {
                Ok(message) => taken.push(message),
                Err(why) => self.omissions.note(self.name.name(), why, 1),
            }
        }
        taken
    }

    async fn delete_messages(&self, handles: &[ReceiptHandle]) -> BatchResult {
        if handles.is_empty() {
            return Ok(Vec::new());
        }
        let url = self.url().await?;
        let entries = built(Operation::Delete, &url, handles, |index, handle| {
            DeleteMessageBatchRequestEntry::builder().id(index).receipt_handle(handle.expose()).build()
        })?;
        let answer = self.connection.call(Operation::Delete, &url, SETTLE_TIMEOUT, |client| {
            client.delete_message_batch().queue_url(&*url).set_entries(Some(entries)).send()
        });
        let answer = self.noting_absence(answer.await)?;
        let done = answer.successful.iter().map(|entry| entry.id.as_str());
        Ok(in_order(handles.len(), done, &answer.failed, error::entry_error))
    }

    async fn change_visibilities(&self, changes: &[VisibilityChange]) -> BatchResult {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let url = self.url().await?;
        let entries = built(Operation::ChangeVisibility, &url, changes, |index, change| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index)
                .receipt_handle(change.receipt.expose())
                .visibility_timeout(i32::try_from(change.seconds).unwrap_or(i32::MAX))
                .build()
        })?;
        let answer = self.connection.call(Operation::ChangeVisibility, &url, SETTLE_TIMEOUT, |client| {
            client.change_message_visibility_batch().queue_url(&*url).set_entries(Some(entries)).send()
        });
        let answer = self.noting_absence(answer.await)?;
        let done = answer.successful.iter().map(|entry| entry.id.as_str());
        Ok(in_order(changes.len(), done, &answer.failed, error::entry_error))
    }

    async fn facts(&self) -> Result<QueueFacts, QueueError> {
        let url = self.url().await?;
        let read = self.attributes(&url).await;
        let attributes = self.noting_absence(read)?;
        let redrive = match redrive::policy(&attributes) {
            None => {
                self.known().dead_letter = None;
                None
            }
            Some(policy) => {
                let dead_letter = self.dead_letter_attributes(policy.target.clone()).await;
                Some(redrive::with_dead_letter(policy, dead_letter.as_ref()))
            }
        };
        Ok(QueueFacts { fifo: self.fifo, redrive, ..redrive::facts(&url, &attributes) })
    }

    pub(super) async fn attributes(&self, url: &Arc<str>) -> Result<Attributes, QueueError> {
        let answer = self.connection.call(Operation::Attributes, url, LOOKUP_TIMEOUT, |client| {
            client.get_queue_attributes().queue_url(&**url).attribute_names(QueueAttributeName::All).send()
        });
        Ok(answer.await?.attributes.unwrap_or_default())
    }

    pub(super) async fn send_to(&self, url: &Arc<str>, message: Outgoing) -> Result<MessageId, QueueError> {
        let trace = send::trace(message.trace_header);
        let attributes = message.attributes.into_iter().filter_map(send::to_sdk).collect();
        let answer = self.connection.call(Operation::Send, url, SETTLE_TIMEOUT, |client| {
            client
                .send_message()
                .queue_url(&**url)
                .message_body(message.body)
                .set_message_attributes(Some(attributes))
                .set_message_system_attributes(trace)
                .set_delay_seconds(message.delay.map(seconds))
                .set_message_group_id(message.group_id)
                .set_message_deduplication_id(message.deduplication_id)
                .send()
        });
        // SQS always returns an id; a server that returns none has still accepted the message.
        Ok(MessageId::new(answer.await?.message_id.unwrap_or_default()))
    }

    /// The queue's URL: as configured, as cached, or looked up.
    pub(super) async fn url(&self) -> Result<Arc<str>, QueueError> {
        if let Some(url) = &self.known().url {
            return Ok(Arc::clone(url));
        }
        let url = match &self.name {
            QueueRef::Url(url) => Arc::from(url.as_str()),
            QueueRef::Arn { account, name, .. } => self.look_up(name, Some(account)).await?,
            QueueRef::Name(name) => self.look_up(name, None).await?,
        };
        self.known().url = Some(Arc::clone(&url));
        Ok(url)
    }

    pub(super) async fn look_up(&self, name: &str, owner: Option<&str>) -> Result<Arc<str>, QueueError> {
        let asked = Arc::from(name);
        let answer = self.connection.call(Operation::QueueUrl, &asked, LOOKUP_TIMEOUT, |client| {
            let owner = owner.map(str::to_owned);
            client.get_queue_url().queue_name(name).set_queue_owner_aws_account_id(owner).send()
        });
        answer.await?.queue_url.map(Arc::from).ok_or_else(|| {
            error::failed(Operation::QueueUrl, &asked, QueueReason::NotSqs, "the answer names no queue")
        })
    }

    /// Drops the cached facts about a queue that is gone.
    pub(super) fn noting_absence<T>(&self, result: Result<T, QueueError>) -> Result<T, QueueError> {
        if result.as_ref().is_err_and(|failure| failure.kind == QueueErrorKind::Missing) {
            *self.known() = Known::default();
        }
        result
    }

    /// Never locked during a call.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Batch entries with their index as id.
pub(super) fn built<T, E>(
    operation: Operation,
    queue: &Arc<str>,
    items: &[T],
    entry: impl Fn(String, &T) -> Result<E, aws_sdk_sqs::error::BuildError>,
) -> Result<Vec<E>, QueueError> {
    let entries = items.iter().enumerate().map(|(index, item)| entry(index.to_string(), item));
    entries
        .collect::<Result<_, _>>()
        .map_err(|failure| error::failed(operation, queue, QueueReason::Batch, failure.to_string()))
}

/// One result per entry, in the order of the request.
pub(super) fn in_order<'a>(
    count: usize,
    done: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
    translate: fn(&BatchResultErrorEntry) -> EntryError,
) -> Vec<Result<(), EntryError>> {
    let mut results = vec![Err(error::unanswered_entry()); count];
    let done = done.map(|id| (id, Ok(())));
    let failed = failed.iter().map(|entry| (entry.id.as_str(), Err(translate(entry))));
    for (id, result) in done.chain(failed) {
        if let Some(slot) = id.parse().ok().and_then(|index: usize| results.get_mut(index)) {
            *slot = result;
        }
    }
    results
}

pub(super) fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
