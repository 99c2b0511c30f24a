//! The ports of the pipeline: a queue to receive messages from, an endpoint to deliver them to. Beside them objects, which
//! hold what was too long for a message (`objects`). And queues that results are sent to (`outbox`).
//!
//! Each has two implementations. `Queue`: SQS, and the embedded broker in the simulation. `Endpoint`: HTTP,
//! and a scripted one. A third one, `RequestSigner`, is the endpoint's: a signature with credentials of AWS. No implementation retries, sleeps or decides. A call is one attempt, bounded in time
//! by the implementation. Its failure is data of a closed kind.

mod objects;
mod operation;
mod outbox;

pub use crate::message::Outgoing;
pub use objects::{ObjectError, ObjectErrorKind, ObjectOperation, ObjectStore};
pub use operation::Operation;
pub use outbox::Outbox;

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use url::Url;

use crate::escape;
use crate::exchange::Request;
use crate::message::{Message, ReceiptHandle};
use crate::policy::advice::Advice;
pub use crate::policy::advice::entry::EntryErrorKind;
use crate::policy::advice::queue::{Call, Named};
pub use crate::policy::advice::queue::{QueueErrorKind, QueueReason};
use crate::policy::outcome::Attempt;
use crate::policy::preflight;
use crate::policy::visibility::CEILING;

/// A boxed future: one allocation per call, small beside a system call.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Most entries one batch call takes (AWS limit).
pub const BATCH_MAX: usize = 10;
/// How long what a queue said of itself is used for a message without being read again.
///
/// While messages flow it is read every 30 s; ten seconds more are for the read itself.
pub const FACTS_KEEP: Duration = Duration::from_secs(40);
/// Messages of one standard queue that may be in flight, parked ones included (SQS quota).
const IN_FLIGHT_MAX: u64 = 120_000;

/// One queue, as the pipeline needs it.
///
/// # Cancel safety
/// Dropping the future of `receive` does not undo the call. Messages already handed out stay hidden until
/// their visibility ends, so callers await the future.
pub trait Queue: Send + Sync + 'static {
    /// Asks for up to `receive.max` messages; an empty queue is an empty `Ok`.
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

    /// Finds the queue and reads its attributes. Called before the first receive and for gauges.
    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>>;

    /// What the queue can do at most.
    fn limits(&self) -> QueueLimits;

    /// How many received messages were left out since the last call, and why.
    fn left_out(&self) -> Vec<(LeftOut, u64)> {
        Vec::new()
    }
}

/// What a queue can do at most in one call, and with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages of one receive, and entries of one batch call.
    pub batch: usize,
    /// Total time that one receive of a message may be hidden, from its request on.
    pub longest_visibility: Duration,
    /// Messages that may be in flight over all consumers, parked ones included; `None` where none is known.
    pub in_flight: Option<u64>,
}

impl QueueLimits {
    /// The limits of a queue of Amazon SQS.
    pub fn of_sqs(fifo: bool) -> Self {
        // A FIFO queue is limited by its groups as well: its total tells little.
        let in_flight = (!fifo).then_some(IN_FLIGHT_MAX);
        Self { batch: BATCH_MAX, longest_visibility: CEILING, in_flight }
    }
}

/// The answer of a batch call: a result per entry, or the failure of the whole call.
pub type BatchResult = Result<Vec<Result<(), EntryError>>, QueueError>;

/// One `ReceiveMessage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receive {
    /// 1 to 10.
    pub max: usize,
    /// Long-poll time, whole seconds, 0 to 20 s.
    pub wait: Duration,
    /// Visibility timeout of the received messages, whole seconds.
    pub visibility: Duration,
    /// Attempt id of this receive, for FIFO queues (`ReceiveRequestAttemptId`). A repeated receive with the
    /// same number and the same parameters returns the same messages. SQS knows the number for five minutes.
    pub attempt: Option<u128>,
}

/// Why a received message is left out; label of `queuepost_messages_left_out_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// The message has no id or no receipt handle, so it could never be settled.
    Unidentified,
    /// Its id or receipt handle is longer than any of SQS's. This process would have to remember it at that
    /// length.
    TooLong,
    /// Its body does not match the MD5 sum that SQS computed.
    Damaged,
    /// One of its attributes cannot be read.
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

    /// The reason as text for people.
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
    /// The receipt handle of the message.
    pub receipt: ReceiptHandle,
    /// From now on; 0 makes the message visible at once. At most 43,200 s.
    pub seconds: u32,
}

/// Why this process, rather than SQS, sends a message to the dead-letter queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterReason {
    /// Name of the outcome, for example `rejected`.
    pub outcome: &'static str,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The beginning of the answer, fit for a log.
    pub answer: Option<String>,
    /// The listener.
    pub listener: Option<Arc<str>>,
}

/// The attributes of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its URL.
    pub url: String,
    /// Its ARN, where the server reports it.
    pub arn: Option<String>,
    /// Whether it is a FIFO queue.
    pub fifo: bool,
    /// How long it keeps a message.
    pub retention: Option<Duration>,
    /// Its own visibility timeout; every receive sets another.
    pub visibility: Option<Duration>,
    /// Depth of the queue itself.
    pub depth: QueueDepth,
    /// Redrive policy, if it has one.
    pub redrive: Option<Redrive>,
}

impl QueueFacts {
    /// The facts that warnings about the queue depend on.
    pub fn settings(&self) -> preflight::Facts<'_> {
        let redrive = self.redrive.as_ref().map(|redrive| preflight::Redrive {
            max_receives: redrive.max_receives,
            dead_letter_name: &redrive.dead_letter_name,
            dead_letter_fifo: redrive.dead_letter_fifo,
            dead_letter_retention: redrive.dead_letter_retention,
            // What passes by itself is no setting.
            dead_letter_unread: (redrive.dead_letter_unread.as_ref())
                .filter(|unread| unread.kind.is_fault())
                .map(|unread| (unread.why.as_str(), unread.fix.as_str())),
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
    /// In flight; parked messages included.
    pub not_visible: u64,
    /// Sent with a delay that has not passed yet.
    pub delayed: u64,
}

/// A redrive policy and, where readable, the facts about the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// Receives before SQS moves a message, 1 to 1,000.
    pub max_receives: u32,
    /// Name of the dead-letter queue.
    pub dead_letter_name: String,
    /// Whether that is a FIFO queue.
    pub dead_letter_fifo: bool,
    /// How long the dead-letter queue keeps a message; `None` when the consumer may not read it.
    pub dead_letter_retention: Option<Duration>,
    /// `None` when the consumer may not read the dead-letter queue.
    pub dead_letter_depth: Option<QueueDepth>,
    /// Why it could not be read.
    pub dead_letter_unread: Option<Unread>,
}

/// A queue whose attributes could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What the program makes of it.
    pub kind: QueueErrorKind,
    /// What it means, with the principal, action and resource that AWS named.
    pub why: String,
    /// What to do.
    pub fix: String,
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
    /// The kind; the program branches on this alone.
    pub kind: QueueErrorKind,
    /// The reason, for people.
    pub reason: QueueReason,
    /// Meaning and fix, for people.
    pub advice: Advice,
    /// The error text of SQS or of the client.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl QueueError {
    /// The failure of `operation` on `queue`; `named` holds the details that SQS gave beside the reason.
    pub fn new(
        operation: Operation,
        queue: Arc<str>,
        reason: QueueReason,
        named: &Named,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        // A server may have named the queue; its text is in the advice.
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

    /// Whether SQS may have carried the call out: no answer came, but a connection may have existed.
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

/// One HTTP endpoint, as the pipeline needs it.
pub trait Endpoint: Send + Sync + 'static {
    /// Makes one POST and reports its result. Never an error: what an endpoint does is data.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection. Whether the endpoint acted on the request is then unknown.
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt>;
}

/// Signs requests with credentials that come from neither configuration nor file: those of AWS.
pub trait RequestSigner: std::fmt::Debug + Send + Sync + 'static {
    /// The headers that sign a request.
    fn sign<'a>(&'a self, request: ToSign<'a>) -> BoxFuture<'a, Result<HeaderMap, Unsigned>>;

    /// The endpoint refused the credentials: others may be there already.
    fn doubt(&self);

    /// The texts that a log must not repeat.
    fn secrets(&self) -> Vec<String>;
}

/// A POST that is complete but for its signature.
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// Its address.
    pub url: &'a Url,
    /// Its headers, without those the client adds itself.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
    /// The time.
    pub now: SystemTime,
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
#[error("no credentials to sign with: {0}")]
pub struct Unsigned(pub String);
