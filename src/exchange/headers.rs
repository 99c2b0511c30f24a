//! Message properties as header values: what fits, what is encoded, what is dropped.
//!
//! A value that is not visible ASCII is percent-encoded: control characters, line breaks, anything beyond `~`. A
//! companion header `…-Encoding: percent` says so. Dropped and counted are: an attribute whose name is no
//! header token; attributes whose names differ in case only, all of them, because their headers would be one; a name
//! that ends in `-Encoding`, because it would pass for a companion; trace context that is not valid; and whatever
//! would take all message headers together past 8 KiB. Nothing here can make one header into two.

use std::collections::HashMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::exchange::trace_context::{is_traceparent, is_tracestate, is_x_ray, without_outer_space};
use crate::message::{Attribute, AttributeValue};

/// All headers made from a message together, names and values. Servers commonly take 8 KiB in all.
const BUDGET_BYTES: usize = 8 * 1024;
/// `%` itself is encoded, so that decoding yields the value.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');
/// For values with spaces at an end, which servers trim.
const ENCODED_SPACES_TOO: &AsciiSet = &ENCODED.add(b' ');
const PERCENT: HeaderValue = HeaderValue::from_static("percent");
/// How the companion of an encoded header ends.
const COMPANION: &str = "-encoding";
/// How the header of a user attribute begins.
pub(super) const ATTRIBUTE_PREFIX: &str = "x-queuepost-attr-";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Room for the headers made from a message.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    dropped: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: BUDGET_BYTES, dropped: 0 }
    }
}

impl Budget {
    /// The room that is left beside `headers`.
    pub(super) fn beside(headers: &HeaderMap) -> Self {
        let taken: usize = headers.iter().map(|(name, value)| size(name, value)).sum();
        Self { left: BUDGET_BYTES.saturating_sub(taken), dropped: 0 }
    }

    /// Headers left out so far.
    pub(super) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Adds X-Ray's header if it is one; otherwise counts it.
    pub(super) fn put_x_ray(&mut self, headers: &mut HeaderMap, value: &str) {
        if is_x_ray(value) {
            self.put(headers, HeaderName::from_static("x-amzn-trace-id"), value);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds a header, encoded where needed, if there is room for it; otherwise counts it.
    pub(super) fn put(&mut self, headers: &mut HeaderMap, name: HeaderName, value: &str) {
        if is_plain(value) {
            return self.add(headers, [(name, HeaderValue::from_str(value).ok())]);
        }
        let set = if value.trim() == value { ENCODED } else { ENCODED_SPACES_TOO };
        let encoded: String = utf8_percent_encode(value, set).collect();
        let companion = HeaderName::try_from(format!("{name}{COMPANION}"));
        let Ok(companion) = companion else {
            self.dropped += 1;
            return;
        };
        self.add(headers, [(name, HeaderValue::from_str(&encoded).ok()), (companion, Some(PERCENT))]);
    }

    /// Adds a header whose value needs no look, if there is room for it; otherwise counts it.
    pub(super) fn put_value(&mut self, headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
        self.add(headers, [(name, Some(value))]);
    }

    /// Adds all of `pairs` or none.
    fn add<const N: usize>(
        &mut self,
        headers: &mut HeaderMap,
        pairs: [(HeaderName, Option<HeaderValue>); N],
    ) {
        let sizes = pairs.iter().filter_map(|(name, value)| Some(size(name, value.as_ref()?)));
        let size: usize = sizes.sum();
        let complete = pairs.iter().all(|(_, value)| value.is_some());
        let Some(left) = self.left.checked_sub(size).filter(|_| complete) else {
            self.dropped += 1;
            return;
        };
        self.left = left;
        for (name, value) in pairs {
            if let Some(value) = value {
                headers.append(name, value);
            }
        }
    }
}

/// Bytes of a header line, with `: ` and the line break.
fn size(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + 4
}

/// The user attributes as headers that start with `prefix`; `traceparent` and `tracestate` under their own names.
pub(super) fn attribute_headers<'a>(
    headers: &mut HeaderMap,
    budget: &mut Budget,
    prefix: &str,
    attributes: impl Iterator<Item = &'a Attribute>,
) {
    let mut named = Vec::new();
    let mut uses: HashMap<HeaderName, u32> = HashMap::new();
    for attribute in attributes {
        match header_name(prefix, &attribute.name) {
            Some(name) => {
                *uses.entry(name.clone()).or_default() += 1;
                named.push((name, attribute));
            }
            None => budget.dropped += 1,
        }
    }
    let valid_parent = |(name, attribute): &&(HeaderName, &Attribute)| {
        *name == TRACEPARENT && has_valid_trace_context(name, &attribute.value)
    };
    let has_parent = named.iter().find(valid_parent).is_some();
    for (name, attribute) in named {
        let is_ambiguous =
            uses.get(&name).is_some_and(|uses| *uses > 1) || name.as_str().ends_with(COMPANION);
        let is_invalid =
            !has_valid_trace_context(&name, &attribute.value) || (name == TRACESTATE && !has_parent);
        if is_ambiguous || is_invalid {
            budget.dropped += 1;
            continue;
        }
        match &attribute.value {
            AttributeValue::Text(value) if name == TRACESTATE && !is_plain(value) => {
                budget.put(headers, name, &without_outer_space(value));
            }
            AttributeValue::Text(value) => budget.put(headers, name, value),
            AttributeValue::Binary(value) => budget.put(headers, name, &STANDARD.encode(value)),
        }
    }
}

/// The header of an attribute; header names know no case, attributes do.
fn header_name(prefix: &str, attribute: &str) -> Option<HeaderName> {
    match attribute {
        "traceparent" => Some(TRACEPARENT),
        "tracestate" => Some(TRACESTATE),
        name => HeaderName::try_from(format!("{prefix}{name}")).ok(),
    }
}

/// Whether a header that carries trace context carries a valid one; true for every other header.
fn has_valid_trace_context(name: &HeaderName, value: &AttributeValue) -> bool {
    let is_valid = match name {
        name if *name == TRACEPARENT => is_traceparent,
        name if *name == TRACESTATE => is_tracestate,
        _ => return true,
    };
    match value {
        AttributeValue::Text(value) => is_valid(value),
        AttributeValue::Binary(_) => false,
    }
}

/// The same as a header's value.
pub(super) fn instant_value(at: SystemTime) -> Option<HeaderValue> {
    // Not copied: the text becomes the value.
    HeaderValue::from_maybe_shared(Bytes::from(instant(at)?)).ok()
}

/// RFC 3339 in UTC with milliseconds; `None` beyond what the form can say.
pub(super) fn instant(at: SystemTime) -> Option<String> {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(24);
    write!(text, "{}", humantime::format_rfc3339_millis(at)).ok().map(|()| text)
}

/// Visible ASCII and inner spaces: what a header carries as it is.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim() == value
}
