//! A message as templates see it.
//!
//! Every text, list and object is handed out by a [`Node`], which counts it against the bounds. So the work of a template
//! is bounded whatever the message contains. What a message lacks is not there at all, so that printing it is an error.
//! JSON keeps the order of its members; of equal names the last one counts.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use crate::exchange::headers::instant;
use crate::exchange::template::limits::{BODY_BYTES, ITEM_BYTES, Meter};
use crate::message::{AttributeValue, Message};

/// The names that a template may begin with.
pub(super) const ROOTS: [&str; 6] = ["attributes", "body", "json", "listener", "message", "queue"];
/// The names that a template of several messages may begin with; each of `messages` has the other names of [`ROOTS`].
pub(super) const BATCH_ROOTS: [&str; 3] = ["listener", "messages", "queue"];
/// The names beside a body of several messages.
pub(super) const COMMON_ROOTS: [&str; 2] = ["listener", "queue"];
/// The members of `message`.
pub(super) const PROPERTIES: [&str; 7] = [
    "deduplication_id",
    "first_received_at",
    "group_id",
    "id",
    "receive_count",
    "sent_at",
    "sequence_number",
];
/// The names that the template of a result may begin with.
pub(super) const RESULT_ROOTS: [&str; 7] =
    ["attributes", "body", "json", "listener", "message", "queue", "result"];
/// The members of `result`.
pub(super) const RESULT_PROPERTIES: [&str; 10] = [
    "body",
    "body_truncated",
    "end_time",
    "enqueued_time",
    "error",
    "json",
    "outcome",
    "start_time",
    "state",
    "status",
];
/// Name of the meter among the variables; no template can write it.
const METER: &str = "\u{0}meter";
/// The first whole number beyond 64 bits. The parser rounds such numbers, so templates do not get them.
const BEYOND_64_BITS: f64 = 18_446_744_073_709_551_616.0;

/// Why a value cannot be used: words of ours, and none of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why(pub(super) String);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Why {}

impl From<Why> for Error {
    fn from(why: Why) -> Self {
        Self::from(ErrorKind::InvalidOperation).with_source(why)
    }
}

/// What the templates of a listener read of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// `json`: the body is parsed.
    pub(super) json: bool,
    /// `body`.
    pub(super) body: bool,
}

/// Whether the body can be read as a template asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// It can, or it is not asked for.
    Readable,
    /// It is asked for as JSON and is none.
    NoJson,
    /// It is not UTF-8.
    NoText,
    /// It is longer than what a template may make of it.
    TooLong,
}

/// The variables of one message.
#[derive(Debug)]
pub(super) struct Variables {
    /// The root: a [`Node`].
    pub(super) root: Value,
    /// What is wrong with the body.
    pub(super) body: Body,
    /// What is counted.
    pub(super) meter: Arc<Meter>,
}

impl Variables {
    /// The variables; the body is parsed only where a template reads `json`.
    ///
    /// `result` is what became of the message, for templates of results.
    pub(super) fn new(
        message: &Message,
        listener: &str,
        queue: &str,
        result: Option<Value>,
        wants: Wants,
    ) -> Self {
        let Members { of_message, body, longest } = Members::new(message, wants);
        let longest = longest.max(result.as_ref().map_or(0, self::longest));
        let result = result.map(|result| ("result", result));
        let value = of_message.into_iter().chain(common(listener, queue)).chain(result).collect();
        Self::of(value, body, Meter::new(longest))
    }

    /// The variables of several messages.
    pub(super) fn of_batch(messages: &[&Message], listener: &str, queue: &str, wants: Wants) -> Self {
        let (mut values, mut longest, mut body) = (Vec::with_capacity(messages.len()), 0, Body::Readable);
        for message in messages {
            let members = Members::new(message, wants);
            values.push(members.of_message.into_iter().collect::<Value>());
            longest = longest.max(members.longest);
            // Of several it is not known which one a failure is about.
            body = if messages.len() == 1 { members.body } else { Body::Readable };
        }
        let messages = [("messages", Value::from(values))];
        let value = messages.into_iter().chain(common(listener, queue)).collect();
        Self::of(value, body, Meter::of_batch(longest))
    }

    fn of(value: Value, body: Body, meter: Meter) -> Self {
        let meter = Arc::new(meter);
        let root = Value::from_object(Node { value, meter: Arc::clone(&meter), round: None });
        Self { root, body, meter }
    }
}

fn common(listener: &str, queue: &str) -> [(&'static str, Value); 2] {
    [("listener", Value::from(listener)), ("queue", Value::from(queue))]
}

/// What a template sees of one message.
struct Members {
    of_message: Vec<(&'static str, Value)>,
    body: Body,
    /// The longest text in it.
    longest: usize,
}

impl Members {
    fn new(message: &Message, wants: Wants) -> Self {
        // A body from S3 may have any length, and its JSON takes many times as much memory.
        let fits = message.body.len() <= BODY_BYTES;
        let text = std::str::from_utf8(&message.body).ok().filter(|_| fits);
        let json = (wants.json && fits).then(|| serde_json::from_slice::<Value>(&message.body));
        let body = match (&json, text) {
            _ if !fits => Body::TooLong,
            (Some(Err(_)), _) => Body::NoJson,
            (_, None) => Body::NoText,
            (Some(Ok(_)) | None, Some(_)) => Body::Readable,
        };
        let attribute = |value: &AttributeValue| match value {
            AttributeValue::Text(text) => text.clone(),
            AttributeValue::Binary(bytes) => STANDARD.encode(bytes),
        };
        let attributes: Value =
            message.attributes.iter().map(|each| (each.name.as_str(), attribute(&each.value))).collect();
        let of_json = json.as_ref().and_then(|json| json.as_ref().ok()).map_or(0, longest);
        let of_body = text.filter(|_| wants.body).map_or(0, str::len);
        let longest = of_body.max(of_json).max(longest(&attributes));
        let all = [
            ("attributes", Some(attributes)),
            ("body", text.filter(|_| wants.body).map(Value::from)),
            ("json", json.and_then(Result::ok)),
            ("message", Some(properties(message))),
        ];
        let of_message = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Self { of_message, body, longest }
    }
}

fn properties(message: &Message) -> Value {
    let all = [
        ("deduplication_id", message.deduplication_id.as_deref().map(Value::from)),
        ("first_received_at", message.first_received_at.and_then(instant).map(Value::from)),
        ("group_id", message.group_id.as_deref().map(Value::from)),
        ("id", Some(Value::from(message.id.as_str()))),
        ("receive_count", Some(Value::from(message.receive_count.get()))),
        ("sent_at", message.sent_at.and_then(instant).map(Value::from)),
        ("sequence_number", message.sequence_number.as_deref().map(Value::from)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The longest text in a value. The parser's own limit bounds the depth.
fn longest(value: &Value) -> usize {
    match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len),
        ValueKind::Seq => {
            value.try_iter().into_iter().flatten().map(|item| longest(&item)).max().unwrap_or(0)
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            let both = |key: Value| longest(&key).max(value.get_item(&key).map_or(0, |item| longest(&item)));
            keys.map(both).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// A list or an object that counts what it hands out.
pub(super) struct Node {
    value: Value,
    meter: Arc<Meter>,
    /// What each item counts as a round, where this is what a loop goes through.
    round: Option<u64>,
}

impl Node {
    /// The same value as what a loop goes through. `meter` is found in the variables of a rendering.
    pub(super) fn of_loop(value: &Value, state: &minijinja::State<'_, '_>) -> Option<Value> {
        let meter = state.lookup(METER)?.downcast_object::<MeterHandle>()?;
        let (value, meter) = (Self::bare(value), Arc::clone(&meter.0));
        let is_in_another = state.lookup("loop").is_some();
        let round = Some(if is_in_another { meter.round } else { meter.outer_round });
        Some(Value::from_object(Self { value, meter, round }))
    }

    /// The same value, whose items are counted for what they are.
    pub(super) fn of_value(value: &Value) -> Value {
        match value.downcast_object_ref::<Self>() {
            Some(node) if node.round.is_some() => {
                let (value, meter) = (node.value.clone(), Arc::clone(&node.meter));
                Value::from_object(Self { value, meter, round: None })
            }
            Some(_) | None => value.clone(),
        }
    }

    /// The value without its counting.
    fn bare(value: &Value) -> Value {
        value.downcast_object_ref::<Self>().map_or_else(|| value.clone(), |node| node.value.clone())
    }

    /// A value on its way to the template.
    fn hand_out(&self, value: Value) -> Value {
        let kind = value.kind();
        let length = value.as_str().map_or(0, |text| u64::try_from(text.len()).unwrap_or(u64::MAX));
        let round = self.round.unwrap_or_default();
        if !self.meter.takes(length.saturating_add(round).saturating_add(ITEM_BYTES)) {
            return refused();
        }
        match kind {
            ValueKind::Map | ValueKind::Seq => {
                let meter = Arc::clone(&self.meter);
                Value::from_object(Self { value, meter, round: None })
            }
            ValueKind::Number if is_rounded(&value) => {
                self.meter.refuse_number();
                refused()
            }
            _ => value,
        }
    }
}

/// Whether the parser may have rounded a whole number.
fn is_rounded(value: &Value) -> bool {
    !value.is_integer() && f64::try_from(value.clone()).is_ok_and(|number| number.abs() >= BEYOND_64_BITS)
}

/// A value that ends the rendering where it is used; the meter knows why.
fn refused() -> Value {
    Value::from(Error::from(ErrorKind::InvalidOperation))
}

impl fmt::Debug for Node {
    /// Nothing of the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.value.kind() == ValueKind::Map { ObjectRepr::Map } else { ObjectRepr::Seq }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if key.as_str() == Some(METER) {
            return Some(Value::from_object(MeterHandle(Arc::clone(&self.meter))));
        }
        let value = self.value.get_item(key).ok().filter(|value| !value.is_undefined())?;
        Some(self.hand_out(value))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if self.value.kind() != ValueKind::Map {
            return Enumerator::Seq(self.value.len().unwrap_or_default());
        }
        let node = Arc::clone(self);
        match self.value.try_iter() {
            Ok(keys) => Enumerator::Iter(Box::new(keys.map(move |key| node.hand_out(key)))),
            Err(_) => Enumerator::NonEnumerable,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.value.len()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The meter among the variables.
#[derive(Debug)]
struct MeterHandle(Arc<Meter>);

impl Object for MeterHandle {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}
