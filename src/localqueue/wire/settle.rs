//! `DeleteMessage`, `ChangeMessageVisibility` and their batches.

use serde::Deserialize;

use super::batch::{self, Done};
use super::{Call, json, nothing, parse, queue_name, required, unsigned};
use crate::localqueue::BrokerError;

const VISIBILITY_RULE: &str = "VisibilityTimeout must be >= 0 and <= 43200.";

/// One message to settle: a request of its own, or an entry of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    #[serde(default)]
    id: String,
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    queue_url: Option<String>,
    #[serde(default)]
    entries: Vec<Target>,
}

/// The operation on the message at an index of a batch.
type Act = fn(&mut Call<'_>, &str, usize, &Target) -> Result<(), BrokerError>;

/// `DeleteMessage`.
pub(super) fn delete(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    one(call, body, delete_target)
}

/// `DeleteMessageBatch`.
pub(super) fn delete_batch(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    many(call, body, delete_target)
}

/// `ChangeMessageVisibility`.
pub(super) fn change_visibility(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    one(call, body, change_target)
}

/// `ChangeMessageVisibilityBatch`.
pub(super) fn change_visibility_batch(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    many(call, body, change_target)
}

fn delete_target(
    call: &mut Call<'_>,
    queue: &str,
    _place: usize,
    target: &Target,
) -> Result<(), BrokerError> {
    call.broker.delete(call.now, queue, handle(target)?)
}

fn change_target(call: &mut Call<'_>, queue: &str, place: usize, target: &Target) -> Result<(), BrokerError> {
    let seconds = unsigned("VisibilityTimeout", target.visibility_timeout, VISIBILITY_RULE)?;
    let seconds = required("VisibilityTimeout", seconds)?;
    let handle = handle(target)?;
    call.broker.change_visibility(call.now, queue, handle, seconds)?;
    call.decision.disturb(call.broker, call.now, queue, place, handle);
    Ok(())
}

fn handle(target: &Target) -> Result<&str, BrokerError> {
    required("ReceiptHandle", target.receipt_handle.as_deref())
}

fn one(call: &mut Call<'_>, body: &[u8], act: Act) -> Result<Vec<u8>, BrokerError> {
    let target: Target = parse(body)?;
    let queue = queue_name(target.queue_url.as_deref())?;
    act(call, queue, 0, &target)?;
    Ok(nothing())
}

fn many(call: &mut Call<'_>, body: &[u8], act: Act) -> Result<Vec<u8>, BrokerError> {
    let request: Batch = parse(body)?;
    let queue = queue_name(request.queue_url.as_deref())?;
    if !call.broker.queue_exists(queue) {
        return Err(BrokerError::QueueDoesNotExist);
    }
    batch::check_ids(request.entries.iter().map(|entry| entry.id.as_str()))?;
    let mut answer = batch::Answer::new();
    for (place, target) in request.entries.into_iter().enumerate() {
        let result = call.spared(place).and_then(|()| act(call, queue, place, &target));
        let id = target.id.clone();
        answer.push(target.id, result.map(|()| Done { id }));
    }
    json(&answer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::localqueue::{Broker, Decision, Receive, SendMessage, Timestamp};

    const T0: Timestamp = Timestamp(0);

    /// A queue with one message in flight, and its handle.
    fn in_flight() -> (Broker, String) {
        let mut broker = Broker::new(1);
        broker.create_queue(T0, "q", &BTreeMap::new()).unwrap();
        broker.send(T0, "q", SendMessage { body: "x".into(), ..Default::default() }).unwrap();
        let handle = broker.receive(T0, "q", &Receive::default()).unwrap().remove(0).receipt_handle;
        (broker, handle)
    }

    #[test]
    fn a_bad_handle_in_a_batch_fails_alone_by_the_senders_fault() {
        let (mut broker, handle) = in_flight();
        let body = format!(
            r#"{{"QueueUrl":"q","Entries":[{{"Id":"a","ReceiptHandle":"{handle}"}},{{"Id":"b","ReceiptHandle":"no"}}]}}"#
        );
        let decision = Decision::default();
        let mut call = Call { broker: &mut broker, now: T0, origin: "", decision: &decision };
        let answer = delete_batch(&mut call, body.as_bytes()).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["Successful"][0]["Id"], "a");
        assert_eq!(answer["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
        assert_eq!(answer["Failed"][0]["SenderFault"], true);
        assert!(broker.inspect(T0, "q").is_empty());
    }

    #[test]
    fn a_visibility_timeout_must_be_there_and_not_negative() {
        let (mut broker, handle) = in_flight();
        let decision = Decision::default();
        let mut call = Call { broker: &mut broker, now: T0, origin: "", decision: &decision };
        for (timeout, code) in
            [("", "MissingParameter"), (r#","VisibilityTimeout":-1"#, "InvalidParameterValue")]
        {
            let body = format!(r#"{{"QueueUrl":"q","ReceiptHandle":"{handle}"{timeout}}}"#);
            let result = change_visibility(&mut call, body.as_bytes()).map_err(|error| error.code());
            assert_eq!(result, Err(code), "{timeout}");
        }
    }
}
