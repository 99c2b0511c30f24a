//! The answer of a function to a batch: the messages that it names in `batchItemFailures`.
//!
//! Empty, `null`, and an object without the key or with `null` in it are complete successes. All else must be an object with
//! a list of objects. Each of these has an `itemIdentifier` that is a text and not empty. Source: AWS Lambda developer guide,
//! "Handling errors for an SQS event source", section "Success and failure conditions".

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::policy::outcome::Body;

/// The answer cannot be read, so nothing is known of any message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "batchItemFailures")]
    failures: Option<Vec<Map<String, Value>>>,
}

/// Without the space that JSON allows around a value (RFC 8259, section 2). A form feed is none: such a text is no JSON.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_kept = |byte: &u8| !b" \t\r\n".contains(byte);
    let start = text.iter().position(is_kept).unwrap_or(text.len());
    let end = text.iter().rposition(is_kept).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// The ids of the messages that failed.
pub(super) fn read(body: &Body) -> Result<Vec<String>, Unreadable> {
    if !body.is_whole {
        return Err(Unreadable);
    }
    let text = trimmed(&body.kept);
    if text.is_empty() || text == b"null" {
        return Ok(Vec::new());
    }
    // A list would be read as the fields of an object.
    if !text.starts_with(b"{") {
        return Err(Unreadable);
    }
    let response: Response = serde_json::from_slice(text).map_err(|_| Unreadable)?;
    let id = |mut item: Map<String, Value>| match item.remove("itemIdentifier") {
        Some(Value::String(id)) if !id.is_empty() => Ok(id),
        Some(_) | None => Err(Unreadable),
    };
    response.failures.unwrap_or_default().into_iter().map(id).collect()
}
