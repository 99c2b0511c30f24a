//! Calls that only a person makes: lists of queues, message move tasks, purges.
//!
//! As everywhere in this area one call is one attempt. Lists are read to their end, at most [`PAGES_MAX`] pages.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::ListMessageMoveTasksResultEntry as Entry;
use url::Url;

use super::queue::LOOKUP_TIMEOUT;
use crate::ports::{Operation, QueueError, QueueReason};
use crate::sqs::{QueueRef, SqsQueue};

/// Pages of a list that are read: 100,000 queues.
const PAGES_MAX: usize = 100;
/// Entries of a page (AWS limit).
const PAGE: i32 = 1_000;
/// Time for starting or cancelling a task and for a purge.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// How a message move task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveStatus {
    /// It moves messages.
    Running,
    /// It has moved all.
    Completed,
    /// Somebody ended it, or is about to.
    Cancelled,
    /// It cannot go on.
    Failed,
}

/// A message move task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// By which it is cancelled; only while it runs.
    pub handle: Option<String>,
    /// How it stands.
    pub status: MoveStatus,
    /// Messages moved so far, approximately.
    pub moved: u64,
    /// Messages there were to move, approximately.
    pub to_move: Option<u64>,
    /// Why it failed, as SQS names it.
    pub failure: Option<String>,
}

impl SqsQueue {
    /// Another queue over the same connection: of the same server, account and region.
    #[must_use]
    pub fn beside(&self, name: QueueRef) -> Self {
        Self::new(name, Arc::clone(self.connection()))
    }

    /// Its dead-letter queue; `None` without a redrive policy.
    pub async fn dead_letter_queue(&self) -> Result<Option<Self>, QueueError> {
        match self.find_dead_letter().await {
            Ok(found) => Ok(found.url.parse().ok().map(|url| self.beside(QueueRef::Url(url)))),
            Err(error) if error.reason == QueueReason::NoDeadLetterQueue => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// URLs of the queues of this account and region whose name begins with `prefix`.
    pub async fn queues(&self, prefix: &str) -> Result<Vec<String>, QueueError> {
        let asked: Arc<str> = Arc::from(if prefix.is_empty() { "*" } else { prefix });
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let mut found = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let (prefix, page) = (prefix.clone(), token.take());
            let answer = self.connection().call(Operation::Queues, &asked, LOOKUP_TIMEOUT, |client| {
                let list = client.list_queues().set_queue_name_prefix(prefix);
                list.max_results(PAGE).set_next_token(page).send()
            });
            let answer = answer.await?;
            found.extend(answer.queue_urls.unwrap_or_default());
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// URLs of the queues whose dead-letter queue this is.
    pub async fn sources(&self) -> Result<Vec<String>, QueueError> {
        let url = self.url().await?;
        let mut found = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let page = token.take();
            let answer = self.connection().call(Operation::Sources, &url, LOOKUP_TIMEOUT, |client| {
                let list = client.list_dead_letter_source_queues().queue_url(&*url);
                list.max_results(PAGE).set_next_token(page).send()
            });
            let answer = answer.await?;
            found.extend(answer.queue_urls);
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Starts to move the messages of the dead-letter queue `source`, an ARN; to where each came from without a
    /// `destination`. `rate`: messages per second, 1 to 500.
    pub async fn start_move(
        &self,
        source: &str,
        destination: Option<&str>,
        rate: Option<u32>,
    ) -> Result<Option<String>, QueueError> {
        let url = self.url().await?;
        let rate = rate.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX));
        let started = self.connection().call(Operation::StartMove, &url, COMMAND_TIMEOUT, |client| {
            let start = client.start_message_move_task().source_arn(source);
            start
                .set_destination_arn(destination.map(str::to_owned))
                .set_max_number_of_messages_per_second(rate)
                .send()
        });
        Ok(started.await?.task_handle)
    }

    /// The latest move task of the dead-letter queue `source`, an ARN.
    pub async fn latest_move(&self, source: &str) -> Result<Option<Move>, QueueError> {
        let url = self.url().await?;
        let answer = self.connection().call(Operation::Moves, &url, LOOKUP_TIMEOUT, |client| {
            client.list_message_move_tasks().source_arn(source).max_results(1).send()
        });
        Ok(answer.await?.results.unwrap_or_default().into_iter().next().map(task))
    }

    /// Ends a move task; returns how many messages it has moved.
    pub async fn cancel_move(&self, handle: &str) -> Result<u64, QueueError> {
        let url = self.url().await?;
        let answer = self.connection().call(Operation::CancelMove, &url, COMMAND_TIMEOUT, |client| {
            client.cancel_message_move_task().task_handle(handle).send()
        });
        Ok(u64::try_from(answer.await?.approximate_number_of_messages_moved).unwrap_or_default())
    }

    /// Drops all messages of the queue. SQS takes up to a minute for it, and refuses a second purge meanwhile.
    pub async fn purge(&self) -> Result<(), QueueError> {
        let url = self.url().await?;
        let purged = self.connection().call(Operation::Purge, &url, COMMAND_TIMEOUT, |client| {
            client.purge_queue().queue_url(&*url).send()
        });
        self.noting_absence(purged.await.map(drop))
    }

    /// The queue that an ARN names, over this queue's connection and at its server; `None` for what is no ARN.
    pub async fn of_arn(&self, arn: &str) -> Result<Option<Self>, QueueError> {
        let own = self.url().await?;
        // arn:PARTITION:sqs:REGION:ACCOUNT:NAME
        let mut parts = arn.split(':').skip(4);
        let (Some(account), Some(name)) = (parts.next(), parts.next()) else { return Ok(None) };
        let beside = || {
            let mut url: Url = own.parse().ok()?;
            url.path_segments_mut().ok()?.pop().pop().push(account).push(name);
            Some(url)
        };
        Ok(beside().map(|url| self.beside(QueueRef::Url(url))))
    }
}

fn task(entry: Entry) -> Move {
    let status = match entry.status.as_deref() {
        Some("RUNNING") => MoveStatus::Running,
        Some("COMPLETED") => MoveStatus::Completed,
        Some("FAILED") => MoveStatus::Failed,
        _ => MoveStatus::Cancelled,
    };
    Move {
        handle: entry.task_handle,
        status,
        moved: u64::try_from(entry.approximate_number_of_messages_moved).unwrap_or_default(),
        to_move: entry.approximate_number_of_messages_to_move.and_then(|count| u64::try_from(count).ok()),
        failure: entry.failure_reason,
    }
}
