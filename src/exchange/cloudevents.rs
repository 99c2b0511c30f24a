//! The shape `cloudevents`: a message as an event of CloudEvents 1.0 over HTTP, in one of its three content modes.
//!
//! A message that is an event already stays that event ([`event`]); every other one is wrapped. In `binary` mode
//! the attributes are `ce-` headers and the data is the body. In `structured` and `batched` mode everything is one
//! JSON text; a batch may have several events. An attribute that breaks the standard is left out and counted. So is one without room in 8 KiB of
//! headers. Without `id`, `source`, `type` and `specversion` there is no event, so then no request is made.

mod event;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use self::event::{Event, Found, REQUIRED, VERSION, content_type_of, find, is_json_type};
use crate::exchange::headers::{ATTRIBUTE_PREFIX, Budget, attribute_headers, instant};
use crate::exchange::{BatchShape, Request, Shape, Unshapeable};
use crate::message::{Attribute, Message};

const AGENT: &str = concat!("queuepost/", env!("CARGO_PKG_VERSION"));
const STRUCTURED: HeaderValue = HeaderValue::from_static("application/cloudevents+json; charset=UTF-8");
const BATCHED: HeaderValue = HeaderValue::from_static("application/cloudevents-batch+json; charset=UTF-8");
/// What a header value must not have as it is (HTTP binding, section 3.1.3.2).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The shape `cloudevents`, and the attributes of events that it makes itself.
#[derive(Debug, Clone)]
pub struct CloudEvents {
    /// How an event is put into a request.
    pub mode: ContentMode,
    /// `source`: a URI reference that names the queue.
    pub source: String,
    /// `type`.
    pub event_type: String,
    /// `subject`.
    pub subject: Option<String>,
}

/// The content modes of the HTTP binding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentMode {
    /// Attributes as headers, data as the body.
    #[default]
    Binary,
    /// One JSON object.
    Structured,
    /// A JSON array of such objects.
    Batched,
}

impl CloudEvents {
    /// The event of a message that its sender did not make one.
    fn wrapped(&self, message: &Message) -> Event {
        let mut event = Event {
            attributes: Vec::with_capacity(12),
            content_type: Some(content_type_of(&message.body).to_owned()),
            data: Some(message.body.clone()),
            dropped: 0,
        };
        let mut add = |name: &str, value: &str| event.attributes.push((name.to_owned(), value.to_owned()));
        add("specversion", VERSION);
        add("id", message.id.as_str());
        add("source", &self.source);
        add("type", &self.event_type);
        let time = message.sent_at.and_then(instant);
        let of_queue = [
            ("time", time.as_deref()),
            ("subject", self.subject.as_deref()),
            ("partitionkey", message.group_id.as_deref()),
            ("sequence", message.sequence_number.as_deref()),
        ];
        for (name, value) in of_queue {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                add(name, value);
            }
        }
        event.add_extensions(&message.attributes);
        event
    }
}

impl CloudEvents {
    fn found(&self, message: &Message) -> Found {
        find(message).unwrap_or_else(|| Found::Event(self.wrapped(message)))
    }

    /// The event of a message as JSON, and how many attributes were left out.
    fn as_json(&self, message: &Message) -> Result<(Bytes, u32), String> {
        match self.found(message) {
            Found::Structured(text) => Ok((text, 0)),
            Found::Event(event) => {
                let text = serde_json::to_vec(&event).map_err(|_| "the event makes no JSON".to_owned())?;
                Ok((text.into(), event.dropped))
            }
        }
    }
}

impl Shape for CloudEvents {
    fn request(&self, message: &Message) -> Result<Request, String> {
        let mut headers = HeaderMap::with_capacity(16);
        let mut budget = Budget::default();
        let (body, dropped) = if self.mode == ContentMode::Binary {
            let event = match self.found(message) {
                Found::Structured(text) => Event::of_structured(&text)?,
                Found::Event(event) => event,
            };
            binary_body(event, &mut headers, &mut budget)?
        } else {
            let (text, dropped) = self.as_json(message)?;
            (json_body(self.mode, &mut headers, text), dropped)
        };
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let id = message.id.as_str();
        budget.put(&mut headers, HeaderName::from_static("idempotency-key"), id);
        if let Some(value) = &message.trace_header {
            budget.put_x_ray(&mut headers, value);
        }
        // The trace of this request; the event's own attributes say the same (Distributed Tracing extension).
        let is_trace = |attribute: &&Attribute| matches!(&*attribute.name, "traceparent" | "tracestate");
        let trace: Vec<Attribute> = message.attributes.iter().filter(is_trace).cloned().collect();
        attribute_headers(&mut headers, &mut budget, ATTRIBUTE_PREFIX, trace.iter());
        Ok(Request { headers_dropped: budget.dropped() + dropped, ..Request::new(headers, body) })
    }
}

impl BatchShape for CloudEvents {
    /// A JSON array with the events, whatever the mode says.
    fn request_of(&self, messages: &[Cow<'_, Message>]) -> Result<Request, Unshapeable> {
        let mut body = Vec::with_capacity(messages.iter().map(|message| message.body.len() + 512).sum());
        let mut headers_dropped = 0;
        for (position, message) in messages.iter().enumerate() {
            let (text, dropped) = self.as_json(message).map_err(|why| Unshapeable { position, why })?;
            body.push(if position == 0 { b'[' } else { b',' });
            body.extend_from_slice(&text);
            headers_dropped += dropped;
        }
        body.push(b']');
        let headers = [(CONTENT_TYPE, BATCHED), (USER_AGENT, HeaderValue::from_static(AGENT))];
        Ok(Request { headers_dropped, ..Request::new(HeaderMap::from_iter(headers), body.into()) })
    }

    fn size_of(&self, message: &Message) -> usize {
        self.as_json(message).map_or(message.body.len(), |(text, _)| text.len()) + 1
    }
}

/// The body of a request that carries an event as JSON.
fn json_body(mode: ContentMode, headers: &mut HeaderMap, event: Bytes) -> Bytes {
    if mode == ContentMode::Structured {
        headers.insert(CONTENT_TYPE, STRUCTURED);
        return event;
    }
    headers.insert(CONTENT_TYPE, BATCHED);
    [b"[", &*event, b"]"].concat().into()
}

/// Attributes as headers; returns the body and how many attributes were left out before.
fn binary_body(event: Event, headers: &mut HeaderMap, budget: &mut Budget) -> Result<(Bytes, u32), String> {
    let mut dropped = event.dropped;
    for (name, value) in &event.attributes {
        let encoded: String = utf8_percent_encode(value, ENCODED).collect();
        match HeaderName::try_from(format!("ce-{name}")) {
            Ok(header) => budget.put(headers, header, &encoded),
            Err(_) => dropped += 1,
        }
    }
    if let Some(missing) = REQUIRED.iter().find(|name| !headers.contains_key(format!("ce-{name}"))) {
        return Err(format!("the event's `{missing}` has no room in 8 KiB of headers"));
    }
    if let Some(content_type) = &event.content_type {
        if HeaderValue::from_str(content_type).is_err() {
            return Err("the event's data has no valid content type".to_owned());
        }
        budget.put(headers, CONTENT_TYPE, content_type);
    }
    Ok((event.data.unwrap_or_default(), dropped))
}

impl Serialize for Event {
    /// The JSON event format, section 3.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        for (name, value) in &self.attributes {
            members.serialize_entry(name, value)?;
        }
        let content_type = self.content_type.as_deref();
        if let Some(content_type) = content_type {
            members.serialize_entry("datacontenttype", content_type)?;
        }
        let Some(data) = self.data.as_deref() else { return members.end() };
        let is_json = content_type.is_none_or(is_json_type);
        match (is_json, serde_json::from_slice::<&RawValue>(data), std::str::from_utf8(data)) {
            (true, Ok(json), _) => members.serialize_entry("data", json)?,
            (false, _, Ok(text)) => members.serialize_entry("data", text)?,
            // Also data that claims to be JSON and is not: as a JSON string it would be something else.
            (true, Err(_), _) | (false, _, Err(_)) => {
                members.serialize_entry("data_base64", &STANDARD.encode(data))?;
            }
        }
        members.end()
    }
}

#[cfg(test)]
#[path = "cloudevents_tests.rs"]
mod tests;
