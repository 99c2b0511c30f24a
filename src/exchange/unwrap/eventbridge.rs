//! Events of `EventBridge` (`EventBridge` user guide, "AWS service events metadata").
//!
//! `detail` becomes the body, byte for byte as the event has it.

use bytes::Bytes;

use super::Unwrapped;
use super::object::Object;

const FIELDS: &[&str] = &["id", "detail-type", "source", "time", "account", "region", "detail"];

/// Takes the event off its `detail`, if `body` is an event.
pub(super) fn unwrap(body: &Bytes, unwrapped: &mut Unwrapped<'_>) -> Result<(), String> {
    let Some(event) = Object::read(body, "EventBridge event", FIELDS) else { return Ok(()) };
    let (Some(detail), true) =
        (event.raw("detail"), ["detail-type", "source"].iter().all(|name| event.raw(name).is_some()))
    else {
        return Ok(());
    };
    let names = [
        ("x-queuepost-eventbridge-id", "id"),
        ("x-queuepost-eventbridge-detail-type", "detail-type"),
        ("x-queuepost-eventbridge-source", "source"),
        ("x-queuepost-eventbridge-time", "time"),
        ("x-queuepost-eventbridge-account", "account"),
        ("x-queuepost-eventbridge-region", "region"),
    ];
    for (header, field) in names {
        unwrapped.property(header, event.text(field)?);
    }
    unwrapped.body(body.slice_ref(detail.get().as_bytes()));
    Ok(())
}
