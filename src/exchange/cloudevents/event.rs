//! Which event a message is already, and the parts of an event.
//!
//! A sender's event comes in one of two forms. As attributes: `ce-id`, `ce-source`, `ce-type`, `ce-specversion` and
//! more, with the body as data; the prefix may also be `ce_` or `cloudEvents_`. As a body: a JSON object with the
//! members `id`, `source`, `type` and `specversion`. In either form the four are texts, and the version is 1.0. An
//! incomplete event is wrapped like any other message.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::exchange::trace_context::{is_traceparent, is_tracestate};
use crate::message::{Attribute, AttributeValue, Message};

/// The attributes every event has, in the order they are written.
pub(super) const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
/// Names with a meaning of their own, which no extension may take.
const CONTEXT: [&str; 9] =
    ["specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time", "data"];
pub(super) const VERSION: &str = "1.0";
/// Prefixes of message attributes that carry an event's attributes; SQS allows no colon in names.
const PREFIXES: [&str; 3] = ["ce-", "ce_", "cloudevents_"];
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const OTHER: &str = "application/octet-stream";

/// The event of a message.
pub(super) enum Found {
    /// A body that is an event in the JSON format.
    Structured(Bytes),
    /// Any other event.
    Event(Event),
}

/// An event in parts.
pub(super) struct Event {
    /// All attributes but `datacontenttype`, the required ones first.
    pub(super) attributes: Vec<(String, String)>,
    /// `datacontenttype`.
    pub(super) content_type: Option<String>,
    /// The data; `None` for an event without any.
    pub(super) data: Option<Bytes>,
    /// Attributes left out.
    pub(super) dropped: u32,
}

/// The event that a message is already; `None` for one that is to be wrapped.
pub(super) fn find(message: &Message) -> Option<Found> {
    let as_attributes = of_attributes(message).map(Found::Event);
    as_attributes.or_else(|| members(&message.body).map(|_| Found::Structured(message.body.clone())))
}

/// Whether a media type is JSON (RFC 6839, section 3.1).
pub(super) fn is_json_type(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.split_once('/').is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

impl Event {
    /// Message attributes as extensions: names in lower case without `-`, `_` and `.`.
    ///
    /// Left out are names that two attributes would share, and names that have a meaning already. So are values
    /// that no event may have, and trace context that is not valid.
    pub(super) fn add_extensions(&mut self, attributes: &[Attribute]) {
        let named: Vec<(String, String)> =
            attributes.iter().map(|each| (extension(&each.name), text(each))).collect();
        let has_parent = named.iter().any(|(name, value)| name == "traceparent" && is_traceparent(value));
        for (name, value) in &named {
            let is_shared = named.iter().filter(|(other, _)| other == name).count() > 1;
            let is_taken =
                CONTEXT.contains(&name.as_str()) || self.attributes.iter().any(|(taken, _)| taken == name);
            let is_valid = match name.as_str() {
                "traceparent" => is_traceparent(value),
                "tracestate" => has_parent && is_tracestate(value),
                _ => true,
            };
            if is_shared || is_taken || !is_valid || !is_name(name) || !is_text(value) {
                self.dropped += 1;
            } else {
                self.attributes.push((name.clone(), value.clone()));
            }
        }
    }

    /// The parts of a body that is an event.
    pub(super) fn of_structured(body: &Bytes) -> Result<Self, String> {
        let members = members(body).unwrap_or_default();
        let mut event = Self { attributes: Vec::new(), content_type: None, data: None, dropped: 0 };
        for name in REQUIRED {
            event
                .attributes
                .extend(members.get(name).and_then(|raw| canonical(raw)).map(|text| (name.to_owned(), text)));
        }
        let data = members.get("data").filter(|raw| raw.get() != "null");
        for (name, raw) in &members {
            match name.as_str() {
                "data" | "data_base64" => {}
                "datacontenttype" => event.content_type = canonical(raw),
                name if REQUIRED.contains(&name) || raw.get() == "null" => {}
                name => match canonical(raw).filter(|value| is_name(name) && is_text(value)) {
                    Some(value) => event.attributes.push((name.to_owned(), value)),
                    None => event.dropped += 1,
                },
            }
        }
        let encoded = members.get("data_base64").and_then(|raw| canonical(raw));
        event.data = match (data, encoded) {
            (Some(raw), _) => Some(event.data_of(raw, body)),
            (None, Some(encoded)) => {
                let bytes = STANDARD.decode(encoded).map_err(|_| "the event's `data_base64` is no base64")?;
                Some(bytes.into())
            }
            (None, None) => None,
        };
        // The JSON format's default (section 3.1).
        if event.content_type.is_none() && event.data.is_some() {
            event.content_type = Some(JSON.to_owned());
        }
        Ok(event)
    }

    /// The bytes of a `data` member: of a text that is not JSON its characters, of all else the JSON as written.
    fn data_of(&self, raw: &RawValue, body: &Bytes) -> Bytes {
        let is_json = self.content_type.as_deref().is_none_or(is_json_type);
        let text = serde_json::from_str::<String>(raw.get()).ok().filter(|_| !is_json);
        text.map_or_else(|| body.slice_ref(raw.get().as_bytes()), Bytes::from)
    }
}

/// The event that message attributes describe.
fn of_attributes(message: &Message) -> Option<Event> {
    let mut given: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut content_type = None;
    let mut dropped = 0;
    for attribute in &message.attributes {
        let name = attribute.name.to_ascii_lowercase();
        if matches!(&*name, "content-type" | "content_type" | "contenttype") {
            content_type = Some(text(attribute));
        }
        let Some(name) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) else { continue };
        let value = Some(text(attribute)).filter(|value| is_name(name) && is_text(value));
        dropped += u32::from(value.is_none());
        // Two attributes for one of the event: neither counts.
        given.entry(name.to_owned()).and_modify(|earlier| *earlier = None).or_insert(value);
    }
    let mut attributes = Vec::with_capacity(given.len());
    for name in REQUIRED {
        attributes.push((name.to_owned(), given.remove(name)??));
    }
    if attributes.first().is_none_or(|(_, version)| version != VERSION) {
        return None;
    }
    let content_type = given.remove("datacontenttype").flatten().or(content_type);
    let content_type = content_type.unwrap_or_else(|| content_type_of(&message.body).to_owned());
    attributes.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Some(Event { attributes, content_type: Some(content_type), data: Some(message.body.clone()), dropped })
}

/// The members of a body that is an event in the JSON format.
fn members(body: &[u8]) -> Option<BTreeMap<String, &RawValue>> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    let is_given = |name: &&str| {
        let text = members.get(*name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        text.is_some_and(|text| is_text(&text) && (*name != "specversion" || text == VERSION))
    };
    let has_both = members.contains_key("data") && members.contains_key("data_base64");
    (REQUIRED.iter().all(is_given) && !has_both).then_some(members)
}

/// The canonical text of an attribute's JSON value: of texts, whole numbers and truth values.
fn canonical(raw: &RawValue) -> Option<String> {
    match serde_json::from_str(raw.get()).ok()? {
        Value::String(text) => Some(text),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => number.as_i64().map(|number| number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A message attribute as text; the canonical text of binary values is base64.
fn text(attribute: &Attribute) -> String {
    match &attribute.value {
        AttributeValue::Text(text) => text.clone(),
        AttributeValue::Binary(bytes) => STANDARD.encode(bytes),
    }
}

/// The name of an extension made of a message attribute's name.
fn extension(name: &str) -> String {
    name.chars().filter(|c| !"-_.".contains(*c)).collect::<String>().to_ascii_lowercase()
}

/// Whether an attribute of an event may have this name (CloudEvents, "Attribute Naming Convention").
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Whether an attribute of an event may have this value (CloudEvents, "Type System").
fn is_text(value: &str) -> bool {
    !value.is_empty() && !value.chars().any(char::is_control)
}

/// The media type of a body without one.
pub(super) fn content_type_of(body: &[u8]) -> &'static str {
    if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        JSON
    } else if std::str::from_utf8(body).is_ok() {
        TEXT
    } else {
        OTHER
    }
}
