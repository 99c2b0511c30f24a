//! The default wording of a result: one JSON object, always with the same keys.
//!
//! What is not known is `null`. Two keys are only there where they say something: `bodyEncoding` and `error`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::packed::{escaped, without_what_sqs_refuses};
use super::{ResultFacts, beginning, epoch_ms, text_of};

/// Longest `error`, in bytes.
const ERROR_BYTES: usize = 2 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    listener: &'a str,
    message_id: &'a str,
    state: &'static str,
    outcome: &'static str,
    enqueued_time: Option<u64>,
    start_time: Option<u64>,
    end_time: Option<u64>,
    status: Option<u16>,
    #[serde(flatten)]
    body: Answer<'a>,
    receive: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    body: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_encoding: Option<&'static str>,
    body_truncated: bool,
}

/// The result, whose body takes at most `most` bytes of it.
pub(super) fn text(facts: &ResultFacts<'_>, listener: &str, error: Option<&str>, most: usize) -> String {
    let json = Json {
        listener,
        message_id: facts.message.id.as_str(),
        state: facts.state.label(),
        outcome: facts.outcome.label(),
        enqueued_time: facts.message.sent_at.and_then(epoch_ms),
        start_time: facts.started.and_then(epoch_ms),
        end_time: epoch_ms(facts.ended),
        status: facts.status,
        body: answer(facts, most),
        receive: facts.message.receive_count.get(),
        error: error.map(|error| beginning(error, ERROR_BYTES)),
    };
    // Texts and numbers alone: nothing of them fails.
    without_what_sqs_refuses(serde_json::to_string(&json).unwrap_or_default())
}

fn answer<'a>(facts: &ResultFacts<'a>, most: usize) -> Answer<'a> {
    let body = facts.body;
    if facts.status.is_none() {
        return Answer { body: None, body_encoding: None, body_truncated: false };
    }
    if let Some(text) = text_of(body) {
        let kept = escaped(text, most);
        let body_truncated = !body.is_whole || kept.len() < text.len();
        return Answer { body: Some(kept.into()), body_encoding: None, body_truncated };
    }
    let bytes = body.kept.get(..most / 4 * 3).unwrap_or(&body.kept);
    let body_truncated = !body.is_whole || bytes.len() < body.kept.len();
    Answer { body: Some(STANDARD.encode(bytes).into()), body_encoding: Some("base64"), body_truncated }
}
