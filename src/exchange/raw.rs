//! One message in a request: its body byte for byte, its properties as headers. The status is the verdict.

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::exchange::headers::{Budget, attribute_headers, instant};
use crate::exchange::{Exchange, Request, Unshapeable, Verdicts};
use crate::message::{Message, MessageId};
use crate::policy::outcome::{Answer, Body, Outcome, StatusSet, classify_answer};

const AGENT: &str = concat!("queuepost/", env!("CARGO_PKG_VERSION"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The exchange `raw`, and that of an algorithm call.
#[derive(Debug, Clone)]
pub struct Raw {
    listener: HeaderValue,
    queue: String,
    other_content_type: HeaderValue,
    success: Success,
}

/// Which answers mean that the work is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Success {
    /// Their statuses.
    pub statuses: StatusSet,
    /// Whether a JSON `error` member in such an answer puts the message at fault.
    pub error_in_body_is_failure: bool,
}

impl Raw {
    /// The exchange `raw`: bodies that are not JSON are `text/plain; charset=utf-8`.
    pub fn new(listener: &str, queue: &str, success: Success) -> Self {
        let listener = HeaderValue::from_str(listener).unwrap_or(HeaderValue::from_static("unnamed"));
        let other_content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        Self { listener, queue: queue.to_owned(), other_content_type, success }
    }

    /// The exchange of an algorithm call: bodies that are not JSON are `application/text`.
    pub fn algorithm(listener: &str, queue: &str, success: Success) -> Self {
        let other_content_type = HeaderValue::from_static("application/text");
        Self { other_content_type, ..Self::new(listener, queue, success) }
    }

    /// The request of one message; headers that do not fit are dropped and counted, never the message.
    fn of(&self, message: &Message) -> Request {
        let mut headers = HeaderMap::with_capacity(16);
        let content_type = if is_json(&message.body) { JSON } else { self.other_content_type.clone() };
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(HeaderName::from_static("x-queuepost-listener"), self.listener.clone());
        let mut budget = Budget::default();
        let id = message.id.as_str();
        budget.put(&mut headers, HeaderName::from_static("idempotency-key"), id);
        budget.put(&mut headers, HeaderName::from_static("x-queuepost-message-id"), id);
        budget.put(&mut headers, HeaderName::from_static("x-queuepost-queue"), &self.queue);
        let count = message.receive_count.get().to_string();
        budget.put(&mut headers, HeaderName::from_static("x-queuepost-receive-count"), &count);
        let optional = [
            ("x-queuepost-first-received-at", message.first_received_at.and_then(instant)),
            ("x-queuepost-sent-at", message.sent_at.and_then(instant)),
            ("x-queuepost-message-group-id", message.group_id.clone()),
            ("x-queuepost-message-deduplication-id", message.deduplication_id.clone()),
            ("x-queuepost-sequence-number", message.sequence_number.clone()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                budget.put(&mut headers, HeaderName::from_static(name), &value);
            }
        }
        if let Some(value) = &message.trace_header {
            budget.put_x_ray(&mut headers, value);
        }
        attribute_headers(&mut headers, &mut budget, &message.attributes);
        Request { headers, body: message.body.clone(), headers_dropped: budget.dropped() }
    }
}

impl Exchange for Raw {
    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable> {
        match messages {
            [message] => Ok(self.of(message)),
            _ => Err(Unshapeable { position: 0, why: "a request carries one message".to_owned() }),
        }
    }

    fn verdicts(&self, answer: &Answer, _ids: &[MessageId]) -> Verdicts {
        let outcome = classify_answer(answer, &self.success.statuses);
        let hides_a_failure = outcome == Outcome::Success
            && self.success.error_in_body_is_failure
            && reports_an_error(&answer.body);
        Verdicts::All(if hides_a_failure { Outcome::AlgorithmError } else { outcome })
    }
}

/// Whether a body is a JSON object whose `error` is present and not null: how an algorithm reports its own failure.
pub fn reports_an_error(body: &Body) -> bool {
    #[derive(Deserialize)]
    struct Report {
        error: Option<IgnoredAny>,
    }
    body.is_whole
        && body.kept.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<Report>(&body.kept).is_ok_and(|report| report.error.is_some())
}

/// Whether the body parses as JSON; nothing of it is kept.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
