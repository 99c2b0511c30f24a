//! The AWS JSON 1.0 protocol: turns request bodies into broker calls, and results into answer bodies.
//!
//! There is no HTTP and no waiting here: [`answer`] maps bytes to bytes at one point in time. Only
//! `ReceiveMessage` may wait. It is split into reading the request and writing the answer, and `long_poll`
//! waits in between.
//!
//! Unknown fields are ignored, as Amazon does. A field of the wrong type is a `SerializationException`. A
//! missing or out-of-range field is an error of the operation.

mod attribute;
mod batch;
mod moves;
mod queues;
pub(super) mod receive;
mod send;
mod settle;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Broker, BrokerError, Decision, Operation, Timestamp};

/// The account in queue URLs and ARNs.
const ACCOUNT: &str = "000000000000";

/// The context of an operation.
pub(super) struct Call<'a> {
    /// The broker, locked for this call.
    pub(super) broker: &'a mut Broker,
    /// The time of the call.
    pub(super) now: Timestamp,
    /// Scheme, host and port that the client used: the prefix of every queue URL in the answer.
    pub(super) origin: &'a str,
    /// The injected faults of this call.
    pub(super) decision: &'a Decision,
}

impl Call<'_> {
    /// Whether no injected fault hits a batch entry.
    fn spared(&self, place: usize) -> Result<(), BrokerError> {
        if self.decision.fails(place) { Err(BrokerError::InternalError) } else { Ok(()) }
    }

    fn queue_url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{queue}", self.origin)
    }
}

/// Performs any operation but `ReceiveMessage`.
pub(super) fn answer(operation: Operation, call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    match operation {
        Operation::CancelMessageMoveTask => moves::cancel(call, body),
        Operation::ChangeMessageVisibility => settle::change_visibility(call, body),
        Operation::ChangeMessageVisibilityBatch => settle::change_visibility_batch(call, body),
        Operation::CreateQueue => queues::create(call, body),
        Operation::DeleteMessage => settle::delete(call, body),
        Operation::DeleteMessageBatch => settle::delete_batch(call, body),
        Operation::DeleteQueue => queues::delete(call, body),
        Operation::GetQueueAttributes => queues::attributes(call, body),
        Operation::GetQueueUrl => queues::url(call, body),
        Operation::ListDeadLetterSourceQueues => queues::list_sources(call, body),
        Operation::ListMessageMoveTasks => moves::list(call, body),
        Operation::ListQueueTags => queues::tags(call, body),
        Operation::ListQueues => queues::list(call, body),
        Operation::PurgeQueue => queues::purge(call, body),
        Operation::SendMessage => send::one(call, body),
        Operation::SendMessageBatch => send::batch(call, body),
        Operation::SetQueueAttributes => queues::set_attributes(call, body),
        Operation::TagQueue => queues::tag(call, body),
        Operation::UntagQueue => queues::untag(call, body),
        Operation::StartMessageMoveTask => moves::start(call, body),
        // It may have to wait: see `long_poll`.
        Operation::ReceiveMessage => Err(BrokerError::InternalError),
    }
}

/// The answer to an operation that this server does not have.
pub(super) fn unsupported(operation: &str) -> BrokerError {
    BrokerError::UnsupportedOperation(format!("The embedded queue does not support {operation}."))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, BrokerError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| BrokerError::Serialization(error.to_string()))
}

fn json(answer: &impl Serialize) -> Result<Vec<u8>, BrokerError> {
    serde_json::to_vec(answer).map_err(|_| BrokerError::InternalError)
}

/// The answer of operations without a result.
fn nothing() -> Vec<u8> {
    b"{}".to_vec()
}

fn required<T>(name: &'static str, value: Option<T>) -> Result<T, BrokerError> {
    value.ok_or(BrokerError::MissingParameter(name))
}

/// The queue name in a queue URL: its last part, whatever host and account come before it.
///
/// Hosts differ with the way a client reaches this server, and users configure URLs of other emulators.
fn queue_name(url: Option<&str>) -> Result<&str, BrokerError> {
    let url = required("QueueUrl", url.filter(|url| !url.is_empty()))?;
    match url.rsplit('/').next() {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(BrokerError::InvalidAddress(url.to_owned())),
    }
}

/// A number that must not be negative; the broker checks its upper limit.
fn unsigned(name: &'static str, value: Option<i64>, rule: &'static str) -> Result<Option<u32>, BrokerError> {
    let convert = |value: i64| u32::try_from(value).map_err(|_| BrokerError::invalid(name, &value, rule));
    value.map(convert).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_queue_url_is_the_name() {
        assert_eq!(queue_name(Some("http://127.0.0.1:1/000000000000/jobs")), Ok("jobs"));
        assert_eq!(queue_name(Some("http://elsewhere/queue/jobs.fifo")), Ok("jobs.fifo"));
        assert_eq!(queue_name(Some("jobs")), Ok("jobs"));
        assert_eq!(queue_name(None), Err(BrokerError::MissingParameter("QueueUrl")));
        assert!(matches!(queue_name(Some("http://x/")), Err(BrokerError::InvalidAddress(_))));
    }

    #[test]
    fn an_empty_body_is_an_empty_request_and_other_text_is_refused() {
        let mut broker = Broker::new(0);
        let decision = Decision::default();
        let mut call =
            Call { broker: &mut broker, now: Timestamp(0), origin: "http://h", decision: &decision };
        assert_eq!(answer(Operation::ListQueues, &mut call, b""), Ok(b"{}".to_vec()));
        let refused = answer(Operation::ListQueues, &mut call, b"[1").map_err(|error| error.code());
        assert_eq!(refused, Err("SerializationException"));
    }
}
