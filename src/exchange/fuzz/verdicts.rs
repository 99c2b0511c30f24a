//! Answers to batches, and successes that hide a failure.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::exchange::{BatchShape as _, Lambda, Verdicts, reports_an_error};
use crate::message::MessageId;
use crate::policy::outcome::{Answer, Body, Outcome};

/// The ids of the batch that is answered.
const IDS: [&str; 3] = ["m-1", "m-2", "m-3"];

/// The first byte says whether the body came whole and whether the function failed; the rest is the body.
///
/// A message is a success only where another reader of the answer finds it named nowhere.
pub(crate) fn verdicts(data: &[u8]) {
    let (flags, text) = data.split_first().map_or((0, data), |(flags, text)| (*flags, text));
    let body = Body { kept: Bytes::copy_from_slice(text), is_whole: flags & 1 == 0 };
    let read: Option<Value> = serde_json::from_slice(text).ok();
    let hides = read.as_ref().and_then(|read| read.get("error")).is_some_and(|error| !error.is_null());
    assert!(!hides || !body.is_whole || reports_an_error(&body), "an error went unseen");
    let answer = Answer { status: 200, body, function_error: flags & 2 != 0, ..Answer::default() };
    let lambda =
        Lambda { source_arn: "arn".to_owned(), region: "eu-west-1".to_owned(), partial_failures: true };
    let ids = IDS.map(MessageId::new);
    let outcomes = match lambda.verdicts(&answer, &ids) {
        Verdicts::All(outcome) => vec![outcome; IDS.len()],
        Verdicts::Each(outcomes) => outcomes,
    };
    assert_eq!(outcomes.len(), IDS.len());
    if outcomes.contains(&Outcome::Success) {
        assert!(answer.body.is_whole && !answer.function_error, "half an answer, or a failed function");
        let is_json = serde_json::from_slice::<IgnoredAny>(text).is_ok();
        assert!(is_json || text.trim_ascii().is_empty(), "a success that cannot be read");
    }
    let named = read.as_ref().and_then(|read| read.get("batchItemFailures")).and_then(Value::as_array);
    let is_named = |id: &str| {
        let identifies = |item: &Value| item.get("itemIdentifier").and_then(Value::as_str) == Some(id);
        named.is_some_and(|items| items.iter().any(identifies))
    };
    for (id, outcome) in IDS.into_iter().zip(outcomes) {
        assert!(outcome == Outcome::Failed || !is_named(id), "{id} failed, and counts as {outcome:?}");
    }
}
