//! The two seams of the pipeline: a queue to take messages from, an endpoint to deliver them to.
//!
//! `Queue` has two implementations (SQS, and the embedded broker in the simulation), `Endpoint` likewise (HTTP,
//! and a scripted one). Neither retries, sleeps or decides: a call is one attempt, bounded in time by the
//! implementation, and its failure is data of a closed kind.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::escape;
use crate::message::{Message, ReceiptHandle};
use crate::policy::advice::Advice;
pub use crate::policy::advice::entry::EntryErrorKind;
use crate::policy::advice::queue::{Call, Named};
pub use crate::policy::advice::queue::{QueueErrorKind, QueueReason};
use crate::policy::outcome::Attempt;
use crate::policy::preflight;
use crate::shape::Request;

/// A boxed future: one allocation per call, small beside a system call.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Most entries one batch call takes (AWS limit).
pub const BATCH_MAX: usize = 10;

/// One queue, as the pipeline needs it.
///
/// # Cancel safety
/// Dropping the future of `receive` does not undo the call: messages already handed out stay hidden until
/// their visibility ends. Callers await it.
pub trait Queue: Send + Sync + 'static {
    /// Asks for up to `receive.max` messages; an empty queue is `Ok` of nothing.
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>>;

    /// Deletes up to ten messages; one result per handle, in order.
    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult>;

    /// Sets the visibility of up to ten messages to whole seconds from now; one result per change, in order.
    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult>;

    /// Sends a copy of a message, with `reason` as attributes, to the queue's dead-letter queue.
    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        reason: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>>;

    /// Finds the queue and reads what it says of itself. Called before the first receive and for gauges.
    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>>;

    /// How many received messages were left out, and why, since this was last asked.
    fn left_out(&self) -> Vec<(LeftOut, u64)> {
        Vec::new()
    }
}

/// What a batch call answers: a result per entry, or the failure of the whole call.
pub type BatchResult = Result<Vec<Result<(), EntryError>>, QueueError>;

/// One `ReceiveMessage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receive {
    /// 1 to 10.
    pub max: usize,
    /// Long-poll time, whole seconds, 0 to 20 s.
    pub wait: Duration,
    /// Visibility time-out of what is received, whole seconds.
    pub visibility: Duration,
    /// On FIFO queues: which receive this is. Asked for again under the same number, and with nothing else changed,
    /// it brings the same messages as the first time (`ReceiveRequestAttemptId`, known to SQS for five minutes).
    pub attempt: Option<u128>,
}

/// Why nothing is done with a received message; label of `queuepost_messages_left_out_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It has no id or no receipt handle, so that it could never be settled.
    Unidentified,
    /// Its id or receipt handle is longer than those of SQS, and would be remembered at that length.
    TooLong,
    /// Its body is not the one SQS took the MD5 sum of.
    Damaged,
    /// An attribute of it makes no sense.
    Malformed,
}

impl LeftOut {
    /// Every reason, to initialise metrics.
    pub const ALL: [Self; 4] = [Self::Unidentified, Self::TooLong, Self::Damaged, Self::Malformed];

    /// Label value of the reason.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unidentified => "unidentified",
            Self::TooLong => "too_long",
            Self::Damaged => "damaged",
            Self::Malformed => "malformed",
        }
    }

    /// The reason for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unidentified => "it has no id or no receipt handle",
            Self::TooLong => "its id is longer than 256 bytes or its receipt handle longer than 4 KiB",
            Self::Damaged => "its body does not match MD5OfBody, the sum the server sent with it",
            Self::Malformed => "an attribute of it has no type, or a binary value that is no base64",
        }
    }

    /// Position in [`Self::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|&each| each == self).unwrap_or_default()
    }
}

/// One `ChangeMessageVisibility`.
#[derive(Debug, Clone)]
pub struct VisibilityChange {
    /// Whose visibility.
    pub receipt: ReceiptHandle,
    /// From now; 0 makes the message visible at once. At most 43,200.
    pub seconds: u32,
}

/// Why a message is sent to the dead-letter queue by us rather than by SQS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterReason {
    /// Name of the outcome, for example `rejected`.
    pub outcome: &'static str,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
}

/// What a queue says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its URL.
    pub url: String,
    /// Its ARN, where the server says it.
    pub arn: Option<String>,
    /// Whether it is a FIFO queue.
    pub fifo: bool,
    /// How long it keeps a message.
    pub retention: Option<Duration>,
    /// Its own visibility time-out; every receive sets another.
    pub visibility: Option<Duration>,
    /// Depth of the queue itself.
    pub depth: QueueDepth,
    /// Redrive policy, if it has one.
    pub redrive: Option<Redrive>,
}

impl QueueFacts {
    /// What warnings about it hang on.
    pub fn settings(&self) -> preflight::Facts<'_> {
        let redrive = self.redrive.as_ref().map(|redrive| preflight::Redrive {
            max_receives: redrive.max_receives,
            dead_letter_name: &redrive.dead_letter_name,
            dead_letter_fifo: redrive.dead_letter_fifo,
            dead_letter_retention: redrive.dead_letter_retention,
        });
        preflight::Facts {
            url: &self.url,
            arn: self.arn.as_deref(),
            fifo: self.fifo,
            retention: self.retention,
            redrive,
        }
    }
}

/// Approximate numbers of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Ready to be received.
    pub visible: u64,
    /// In flight, parked ones included.
    pub not_visible: u64,
    /// Sent with a delay that has not passed.
    pub delayed: u64,
}

/// A redrive policy and, where it can be read, what the dead-letter queue says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// Receives before SQS moves a message, 1 to 1,000.
    pub max_receives: u32,
    /// Name of the dead-letter queue.
    pub dead_letter_name: String,
    /// Whether that is a FIFO queue.
    pub dead_letter_fifo: bool,
    /// How long it keeps a message; `None` when the consumer may not read it.
    pub dead_letter_retention: Option<Duration>,
    /// `None` when the consumer may not read the dead-letter queue.
    pub dead_letter_depth: Option<QueueDepth>,
}

/// One entry of a batch call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryError {
    /// What to do about it.
    pub kind: EntryErrorKind,
    /// SQS's code, for the log.
    pub code: String,
}

/// A call to a queue that failed as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{operation} on {queue}: {}", advice.meaning)]
pub struct QueueError {
    /// Which call.
    pub operation: Operation,
    /// The queue, as the call named it: its URL, or its name while that is looked up.
    pub queue: Arc<str>,
    /// What it means; branch on this and nothing else.
    pub kind: QueueErrorKind,
    /// What it means to a person.
    pub reason: QueueReason,
    /// What to tell that person.
    pub advice: Advice,
    /// What SQS or the client said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl QueueError {
    /// The failure of `operation` on `queue`; `named` is what SQS said of it beyond the reason.
    pub fn new(
        operation: Operation,
        queue: Arc<str>,
        reason: QueueReason,
        named: &Named,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        // A server may have named the queue, and its words are in the advice.
        let queue = match escape::line(&queue) {
            Cow::Borrowed(_) => queue,
            Cow::Owned(escaped) => escaped.into(),
        };
        let call = Call { operation: operation.name(), action: operation.action(), queue: &queue };
        let Advice { meaning, fix } = reason.advice(&call, named);
        let advice =
            Advice { meaning: escape::line(&meaning).into_owned(), fix: escape::line(&fix).into_owned() };
        Self { operation, queue, kind: reason.kind(), reason, advice, source }
    }

    /// Whether SQS may have carried the call out: no answer came, and a connection may have been there.
    pub fn may_be_carried_out(&self) -> bool {
        use QueueReason::{ConnectTimedOut, ConnectionRefused, Dns, Tls};
        matches!(self.kind, QueueErrorKind::TimedOut | QueueErrorKind::Network)
            && !matches!(self.reason, ConnectTimedOut | ConnectionRefused | Dns | Tls)
    }

    /// Whether SQS refused what a message sent to it contains, so that it refuses the same again.
    pub fn is_of_the_message(&self) -> bool {
        use QueueReason::{Contents, Parameter, TooLong};
        matches!(self.reason, Contents | Parameter | TooLong)
    }
}

/// SQS operations, as `queuepost_sqs_requests_total` labels them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `ReceiveMessage`.
    Receive,
    /// `DeleteMessageBatch`.
    Delete,
    /// `ChangeMessageVisibilityBatch`.
    ChangeVisibility,
    /// `SendMessage`.
    Send,
    /// `GetQueueUrl`.
    QueueUrl,
    /// `GetQueueAttributes`.
    Attributes,
}

impl Operation {
    /// Every operation, to initialise metrics.
    pub const ALL: [Self; 6] =
        [Self::Receive, Self::Delete, Self::ChangeVisibility, Self::Send, Self::QueueUrl, Self::Attributes];

    /// SQS's name of the operation; the label value too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "ReceiveMessage",
            Self::Delete => "DeleteMessageBatch",
            Self::ChangeVisibility => "ChangeMessageVisibilityBatch",
            Self::Send => "SendMessage",
            Self::QueueUrl => "GetQueueUrl",
            Self::Attributes => "GetQueueAttributes",
        }
    }

    /// IAM's name of the permission it needs: that of the single action also covers its batch.
    pub fn action(self) -> &'static str {
        match self {
            Self::Receive => "sqs:ReceiveMessage",
            Self::Delete => "sqs:DeleteMessage",
            Self::ChangeVisibility => "sqs:ChangeMessageVisibility",
            Self::Send => "sqs:SendMessage",
            Self::QueueUrl => "sqs:GetQueueUrl",
            Self::Attributes => "sqs:GetQueueAttributes",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One HTTP endpoint, as the pipeline needs it.
pub trait Endpoint: Send + Sync + 'static {
    /// Makes one POST and reports what came of it. Never an error: what an endpoint does is data.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; whether the endpoint acted is then unknown.
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt>;
}
