//! Message properties as header values: what fits, what is encoded, what is dropped.
//!
//! A value that is not visible ASCII (control characters, line breaks, anything beyond `~`) is percent-encoded
//! and announced by a companion header `…-Encoding: percent`. A name that is no header token, and whatever
//! would take all message headers together past 8 KiB, is dropped and counted. Nothing here can make one
//! header into two.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::message::{Attribute, AttributeValue};
use crate::shape::Request;

/// All headers made from a message together, names and values. Servers commonly take 8 KiB in all.
const BUDGET_BYTES: usize = 8 * 1024;
/// `%` itself is encoded, so that decoding gives back the value.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');
/// For values with spaces at an end, which servers trim.
const ENCODED_SPACES_TOO: &AsciiSet = &ENCODED.add(b' ');
const PERCENT: HeaderValue = HeaderValue::from_static("percent");
const ATTRIBUTE_PREFIX: &str = "x-queuepost-attr-";

/// A request and what had to be left out of it.
#[derive(Debug, Clone)]
pub struct Shaped {
    /// What to post.
    pub request: Request,
    /// Headers left out because of their name or for lack of room.
    pub headers_dropped: u32,
}

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
    /// Headers left out so far.
    pub(super) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Adds a header, encoded where needed, if there is room for it; otherwise counts it.
    pub(super) fn put(&mut self, headers: &mut HeaderMap, name: HeaderName, value: &str) {
        if is_plain(value) {
            self.add(headers, vec![(name, HeaderValue::from_str(value).ok())]);
            return;
        }
        let set = if value.trim() == value { ENCODED } else { ENCODED_SPACES_TOO };
        let encoded: String = utf8_percent_encode(value, set).collect();
        let companion = HeaderName::try_from(format!("{name}-encoding"));
        let Ok(companion) = companion else {
            self.dropped += 1;
            return;
        };
        self.add(headers, vec![(name, HeaderValue::from_str(&encoded).ok()), (companion, Some(PERCENT))]);
    }

    /// Adds all of `pairs` or none.
    fn add(&mut self, headers: &mut HeaderMap, pairs: Vec<(HeaderName, Option<HeaderValue>)>) {
        let size: usize = pairs
            .iter()
            .map(|(name, value)| name.as_str().len() + value.as_ref().map_or(0, HeaderValue::len) + 4)
            .sum();
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

/// The user attributes as headers; `traceparent` and `tracestate` under their own names.
pub(super) fn attribute_headers(headers: &mut HeaderMap, budget: &mut Budget, attributes: &[Attribute]) {
    for attribute in attributes {
        let name = match attribute.name.as_str() {
            name @ ("traceparent" | "tracestate") => HeaderName::try_from(name),
            name => HeaderName::try_from(format!("{ATTRIBUTE_PREFIX}{name}")),
        };
        let Ok(name) = name else {
            budget.dropped += 1;
            continue;
        };
        match &attribute.value {
            AttributeValue::Text(value) => budget.put(headers, name, value),
            AttributeValue::Binary(value) => budget.put(headers, name, &STANDARD.encode(value)),
        }
    }
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
