//! Messages in every shape that has no template.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::message;
use crate::exchange::{
    AGENT, BatchShape, CloudEvents, ContentMode, ContentType, Lambda, Look, Properties, Raw, Request, Shape,
    is_beyond_messages,
};
use crate::message::{Attribute, AttributeValue, Message};

/// All headers of a message: 8 KiB, and what every request of a listener has.
const HEADERS_MAX: usize = 8 * 1024 + 256;
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// The requests of one message. No header is malformed, all together are bounded, and each value can be read back.
pub(crate) fn request(data: &[u8]) {
    let message = message::of(data.split(|byte| *byte == message::PART));
    let raw = Raw::new("listener", "queue");
    if let Ok(request) = raw.request(&message) {
        headers(&request);
        attributes_come_back(&request.headers, &message);
        assert_eq!(request.body, message.body, "a body is sent byte for byte");
    }
    let path = "/work".to_owned();
    let agent = HeaderValue::from_static(AGENT);
    for (properties, content_type) in
        [(Properties::Sqsd { path }, ContentType::Algorithmia), (Properties::None, ContentType::Auto)]
    {
        let look = Look { properties, user_agent: agent.clone(), content_type };
        if let Ok(request) = raw.clone().with(look).request(&message) {
            headers(&request);
        }
    }
    for mode in [ContentMode::Binary, ContentMode::Structured, ContentMode::Batched] {
        event(mode, &message);
    }
    record(&message);
}

fn headers(request: &Request) {
    let mut bytes = 0;
    for (name, value) in &request.headers {
        bytes += name.as_str().len() + value.len() + 4;
        let text = value.to_str();
        assert!(text.is_ok(), "{name} is not visible ASCII: {value:?}");
        assert!(!is_beyond_messages(name), "a message set {name}");
        // An event may have an attribute `encoding`; no other attribute of it has a companion.
        let own = name.as_str().strip_suffix("-encoding").filter(|of| *of != "ce");
        if let Some(of) = own {
            assert!(value == "percent" && request.headers.contains_key(of), "{name} stands alone");
        }
    }
    assert!(bytes <= HEADERS_MAX, "{bytes} bytes of headers");
}

/// What an attribute's header says, decoded as its companion tells, is the attribute.
fn attributes_come_back(headers: &HeaderMap, message: &Message) {
    // Trace context has headers of its own, and a name like that of a companion has none.
    let others = |attribute: &&Attribute| {
        let name = attribute.name.to_ascii_lowercase();
        !matches!(&*attribute.name, "traceparent" | "tracestate") && !name.ends_with("-encoding")
    };
    for attribute in message.attributes.iter().filter(others) {
        let name = format!("x-queuepost-attr-{}", attribute.name).to_ascii_lowercase();
        let (AttributeValue::Text(sent), Some(value)) = (&attribute.value, headers.get(&name)) else {
            continue;
        };
        let text = value.to_str().unwrap_or_default();
        let is_encoded = headers.contains_key(format!("{name}-encoding"));
        let read =
            if is_encoded { percent_decode_str(text).decode_utf8_lossy() } else { Cow::Borrowed(text) };
        assert_eq!(read, sent.as_str(), "{name}");
    }
}

/// An event is whole, or there is no request.
fn event(mode: ContentMode, message: &Message) {
    let source = "arn:aws:sqs:eu-west-1:123456789012:orders".to_owned();
    let shape = CloudEvents { mode, source, event_type: "com.amazon.sqs.message".to_owned(), subject: None };
    let Ok(request) = shape.request(message) else { return };
    headers(&request);
    if mode == ContentMode::Binary {
        assert!(REQUIRED.iter().all(|name| request.headers.contains_key(format!("ce-{name}"))));
        return;
    }
    assert!(serde_json::from_slice::<IgnoredAny>(&request.body).is_ok(), "an event that is no JSON");
    let events = match serde_json::from_slice(&request.body) {
        Ok(Value::Array(events)) => events,
        Ok(event) => vec![event],
        // Nested deeper, or with longer numbers, than the reader here takes: the sender's own event.
        Err(_) => return,
    };
    assert_eq!(events.len(), 1);
    for event in events {
        assert!(REQUIRED.iter().all(|name| event.get(name).is_some_and(Value::is_string)), "{event}");
    }
}

/// The event of AWS Lambda has the message in it, and is no longer than was announced.
fn record(message: &Message) {
    let lambda = Lambda {
        source_arn: "arn:aws:sqs:eu-west-1:123456789012:orders".to_owned(),
        region: "eu-west-1".to_owned(),
        partial_failures: true,
    };
    let twice = [Cow::Borrowed(message), Cow::Borrowed(message)];
    let Ok(request) = lambda.request_of(&twice) else { return };
    headers(&request);
    let announced: usize = twice.iter().map(|message| lambda.size_of(message)).sum();
    assert!(request.body.len() <= announced + 16, "{} bytes, not {announced}", request.body.len());
    let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let body = event.pointer("/Records/1/body").and_then(Value::as_str);
    assert_eq!(body.map(str::as_bytes), Some(&*message.body));
}
