//! The shape `raw`: a message's body byte for byte, its properties as headers.

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::IgnoredAny;

use crate::exchange::headers::{Budget, attribute_headers, instant};
use crate::exchange::{Request, Shape};
use crate::message::Message;

const AGENT: &str = concat!("queuepost/", env!("CARGO_PKG_VERSION"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The shape `raw`, and that of an algorithm call.
#[derive(Debug, Clone)]
pub struct Raw {
    listener: HeaderValue,
    queue: String,
    other_content_type: HeaderValue,
}

impl Raw {
    /// The shape `raw`: bodies that are not JSON are `text/plain; charset=utf-8`.
    pub fn new(listener: &str, queue: &str) -> Self {
        let listener = HeaderValue::from_str(listener).unwrap_or(HeaderValue::from_static("unnamed"));
        let other_content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        Self { listener, queue: queue.to_owned(), other_content_type }
    }

    /// The shape of an algorithm call: bodies that are not JSON are `application/text`.
    pub fn algorithm(listener: &str, queue: &str) -> Self {
        let other_content_type = HeaderValue::from_static("application/text");
        Self { other_content_type, ..Self::new(listener, queue) }
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
        Request { headers_dropped: budget.dropped(), ..Request::new(headers, message.body.clone()) }
    }
}

impl Shape for Raw {
    fn request(&self, message: &Message) -> Result<Request, String> {
        Ok(self.of(message))
    }
}

/// Whether the body parses as JSON; nothing of it is kept.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
