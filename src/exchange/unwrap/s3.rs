//! Notifications of S3 (Amazon S3 user guide, "Event message structure").
//!
//! The body stays the event: its readers expect `Records`. Of an event with one record, as S3 sends them, headers say what
//! happened to which object. The key in the event is URL-encoded; in the header it is itself.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use super::Unwrapped;
use super::object::Object;

const WHAT: &str = "S3 event";

/// Describes the event in headers, if `body` is one.
pub(super) fn describe(body: &Bytes, unwrapped: &mut Unwrapped<'_>) -> Result<(), String> {
    let Some(event) = Object::read(body, WHAT, &["Records"]) else { return Ok(()) };
    let Ok(Some(records)) = event.read_as::<Vec<&RawValue>>("Records", "a list") else { return Ok(()) };
    let Some(first) = records.first().and_then(|record| {
        Object::read(record.get().as_bytes(), WHAT, &["eventSource", "eventName", "eventTime", "s3"])
    }) else {
        return Ok(());
    };
    if !first.says("eventSource", "aws:s3") {
        return Ok(());
    }
    unwrapped.property("x-queuepost-s3-records", Some(records.len().to_string()));
    if records.len() > 1 {
        return Ok(());
    }
    unwrapped.property("x-queuepost-s3-event-name", first.text("eventName")?);
    unwrapped.property("x-queuepost-s3-event-time", first.text("eventTime")?);
    let s3 = first.object("s3", &["bucket", "object"])?;
    unwrapped.property("x-queuepost-s3-bucket", s3.object("bucket", &["name"])?.text("name")?);
    let object = s3.object("object", &["key", "versionId"])?;
    unwrapped.property("x-queuepost-s3-key", object.text("key")?.as_deref().map(decoded).transpose()?);
    unwrapped.property("x-queuepost-s3-version-id", object.text("versionId")?);
    Ok(())
}

/// The key of an object, of which the event has spaces as `+` and other characters as `%XX`.
fn decoded(key: &str) -> Result<String, String> {
    let key = key.replace('+', " ");
    let decoded = percent_decode_str(&key).decode_utf8().map(std::borrow::Cow::into_owned);
    decoded.map_err(|_| "`key` of the S3 event is not URL-encoded UTF-8".to_owned())
}
