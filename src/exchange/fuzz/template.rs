//! Templates as a user may write them, and messages that they are rendered with.

use http::HeaderName;

use super::message::{self, PART};
use crate::exchange::template::{Base, Flaw, Parts, Templated};
use crate::exchange::{Raw, Shape as _};
use crate::message::{Attribute, AttributeValue};

/// Longer inputs find nothing but the bounds of work, and take long to do so.
const INPUT_MAX: usize = 8 * 1024;
/// A message of 1 MiB and as much again, as templates may make of it.
const BODY_MAX: usize = 2 * 1024 * 1024;
/// What no error may repeat.
const SECRET: &str = "s3cr3t-of-the-message";

/// Templates of body, path and a header, and then the message that they are rendered with.
///
/// A flaw has its place. What is rendered is bounded and leads to the listener's own host; an error says nothing of the message.
pub(crate) fn template(data: &[u8]) {
    if data.len() > INPUT_MAX {
        return;
    }
    let mut inputs = data.split(|byte| *byte == PART);
    let mut text = || String::from_utf8_lossy(inputs.next().unwrap_or_default()).into_owned();
    let (body, path, header) = (text(), text(), text());
    let mut message = message::of(inputs);
    message.attributes.push(Attribute {
        name: "secret".to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(SECRET.to_owned()),
    });
    let mut parts = Parts::default();
    let mut flaws = parts.body(&body).err().unwrap_or_default();
    if !path.is_empty() {
        flaws.extend(parts.path(&path).err().unwrap_or_default());
    }
    if !header.is_empty() {
        flaws.extend(parts.header(&HeaderName::from_static("x-made"), &header).err().unwrap_or_default());
    }
    flaws.iter().for_each(has_its_place);
    if !flaws.is_empty() {
        return;
    }
    let base = Base { path: "/base".to_owned(), query: Some("key=1".to_owned()) };
    let shape = Templated::new(Raw::new("listener", "queue"), parts, base, "listener", "queue");
    let Ok(shape) = shape else { return };
    match shape.request(&message) {
        Err(why) => {
            let is_written = [&body, &path, &header].iter().any(|text| text.contains(SECRET));
            assert!(is_written || !why.contains(SECRET), "{why}");
            assert!(!why.contains('\n'), "{why}");
        }
        Ok(request) => {
            assert!(request.body.len() <= BODY_MAX, "{} bytes", request.body.len());
            assert!(request.headers.values().all(|value| value.to_str().is_ok()));
            let Ok(listener) = "https://api.example:8443/base?key=1".parse() else { return };
            let address = request.address(&listener);
            assert!(address.as_str().starts_with("https://api.example:8443/base"), "{address}");
        }
    }
}

fn has_its_place(flaw: &Flaw) {
    assert!(flaw.line >= 1 && flaw.column >= 1 && !flaw.rule.is_empty(), "{flaw:?}");
}
