//! The shape of one message: its body, its properties as headers, a content type.
//!
//! A body is sent byte for byte. The one exception is a body that its message says to be base64, for an endpoint that
//! takes bytes ([`ContentType::Algorithmia`]).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::IgnoredAny;

use crate::exchange::headers::{ATTRIBUTE_PREFIX, Budget, attribute_headers, instant_value};
use crate::exchange::{Request, Shape, sqsd};
use crate::message::{AttributeValue, Message};

/// How this program names itself.
pub const AGENT: &str = concat!("queuepost/", env!("CARGO_PKG_VERSION"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// What Algorithmia's servers call a string.
const TEXT: HeaderValue = HeaderValue::from_static("application/text");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const LISTENER: HeaderName = HeaderName::from_static("x-queuepost-listener");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MESSAGE_ID: HeaderName = HeaderName::from_static("x-queuepost-message-id");
const QUEUE: HeaderName = HeaderName::from_static("x-queuepost-queue");
const RECEIVE_COUNT: HeaderName = HeaderName::from_static("x-queuepost-receive-count");
const FIRST_RECEIVED_AT: HeaderName = HeaderName::from_static("x-queuepost-first-received-at");
const SENT_AT: HeaderName = HeaderName::from_static("x-queuepost-sent-at");
const GROUP_ID: HeaderName = HeaderName::from_static("x-queuepost-message-group-id");
const DEDUPLICATION_ID: HeaderName = HeaderName::from_static("x-queuepost-message-deduplication-id");
const SEQUENCE_NUMBER: HeaderName = HeaderName::from_static("x-queuepost-sequence-number");
/// The attribute that says how a body is encoded, and the one value that is understood.
const ENCODING: (&str, &str) = ("content-encoding", "base64");

/// The shape of a listener's requests.
#[derive(Debug, Clone)]
pub struct Raw {
    listener: HeaderValue,
    queue: String,
    look: Look,
}

/// What is equal in all requests of a listener.
#[derive(Debug, Clone)]
pub struct Look {
    /// How the properties of a message become headers.
    pub properties: Properties,
    /// `User-Agent`.
    pub user_agent: HeaderValue,
    /// `Content-Type`.
    pub content_type: ContentType,
}

/// How the properties of a message become headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Properties {
    /// As `X-Queuepost-…`.
    Queuepost,
    /// As Elastic Beanstalk's daemon names them.
    Sqsd {
        /// The path of the request.
        path: String,
    },
    /// Not at all.
    None,
}

/// The content type of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json` for bodies that are JSON, else `text/plain; charset=utf-8`.
    Auto,
    /// `application/json` for bodies that are JSON, else `application/text`. A body whose message has the attribute
    /// `content-encoding` with the value `base64` is decoded, and is `application/octet-stream`.
    Algorithmia,
    /// Always the same.
    Fixed(HeaderValue),
}

impl Default for Look {
    fn default() -> Self {
        let user_agent = HeaderValue::from_static(AGENT);
        Self { properties: Properties::Queuepost, user_agent, content_type: ContentType::Auto }
    }
}

impl Raw {
    /// The shape of the requests of `listener`, with messages from `queue`.
    pub fn new(listener: &str, queue: &str) -> Self {
        let listener = HeaderValue::from_str(listener).unwrap_or(HeaderValue::from_static("unnamed"));
        Self { listener, queue: queue.to_owned(), look: Look::default() }
    }

    /// The same shape with another look.
    #[must_use]
    pub fn with(self, look: Look) -> Self {
        Self { look, ..self }
    }

    /// Content type and body of a message.
    fn content(&self, message: &Message) -> Result<(HeaderValue, Bytes), String> {
        let other = match &self.look.content_type {
            ContentType::Fixed(content_type) => return Ok((content_type.clone(), message.body.clone())),
            ContentType::Algorithmia if is_base64(message) => {
                let bytes = STANDARD.decode(message.body.trim_ascii());
                let bytes = bytes.map_err(|_| "its body is not the base64 that its content-encoding says")?;
                return Ok((BYTES, Bytes::from(bytes)));
            }
            ContentType::Algorithmia => TEXT,
            ContentType::Auto => PLAIN_TEXT,
        };
        Ok((if is_json(&message.body) { JSON } else { other }, message.body.clone()))
    }

    /// Adds the properties under this program's own names.
    fn put_own(&self, headers: &mut HeaderMap, budget: &mut Budget, message: &Message) {
        headers.insert(LISTENER, self.listener.clone());
        let id = message.id.as_str();
        budget.put(headers, IDEMPOTENCY_KEY, id);
        budget.put(headers, MESSAGE_ID, id);
        budget.put(headers, QUEUE, &self.queue);
        budget.put_value(headers, RECEIVE_COUNT, HeaderValue::from(message.receive_count.get()));
        let instants = [(FIRST_RECEIVED_AT, message.first_received_at), (SENT_AT, message.sent_at)];
        for (name, at) in instants {
            if let Some(value) = at.and_then(instant_value) {
                budget.put_value(headers, name, value);
            }
        }
        let texts = [
            (GROUP_ID, &message.group_id),
            (DEDUPLICATION_ID, &message.deduplication_id),
            (SEQUENCE_NUMBER, &message.sequence_number),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                budget.put(headers, name, text);
            }
        }
        if let Some(value) = &message.trace_header {
            budget.put_x_ray(headers, value);
        }
        attribute_headers(headers, budget, ATTRIBUTE_PREFIX, message.attributes.iter());
    }
}

impl Shape for Raw {
    /// Headers that do not fit are dropped and counted, never the message.
    fn request(&self, message: &Message) -> Result<Request, String> {
        let (content_type, body) = self.content(message)?;
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(USER_AGENT, self.look.user_agent.clone());
        let mut budget = Budget::default();
        match &self.look.properties {
            Properties::Queuepost => self.put_own(&mut headers, &mut budget, message),
            Properties::Sqsd { path } => sqsd::put(&mut headers, &mut budget, &self.queue, path, message),
            Properties::None => {}
        }
        Ok(Request { headers_dropped: budget.dropped(), ..Request::new(headers, body) })
    }
}

/// Whether the body parses as JSON; nothing of it is kept.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Whether the message says that its body is base64.
fn is_base64(message: &Message) -> bool {
    let (name, encoding) = ENCODING;
    message.attributes.iter().any(|attribute| {
        attribute.name.eq_ignore_ascii_case(name)
            && matches!(&attribute.value, AttributeValue::Text(text) if text.eq_ignore_ascii_case(encoding))
    })
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
