//! A message's properties as the headers of Elastic Beanstalk's daemon `sqsd`, for receivers that check them.
//!
//! Names and forms are those of the daemon's version 3.0.4. Bounds and encoding are those of all message headers
//! (`headers.rs`). Two differences: X-Ray's trace header is passed on, and trace context keeps its own names.
//! A message never chooses the path of its request: the daemon's attribute `beanstalk.sqsd.path` is ignored.

use std::fmt::Write as _;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName};

use crate::exchange::headers::{Budget, attribute_headers};
use crate::message::{Attribute, AttributeValue, Message};

/// How the daemon names itself.
pub const AGENT: &str = "aws-sqsd/3.0.4";
const ATTRIBUTE_PREFIX: &str = "x-aws-sqsd-attr-";
/// Attributes with this prefix are the daemon's own, for periodic tasks.
const OWN_PREFIX: &str = "beanstalk.sqsd.";
/// The daemon's own attributes that become headers.
const OF_PERIODIC_TASKS: [(&str, &str); 2] = [
    ("beanstalk.sqsd.task_name", "x-aws-sqsd-taskname"),
    ("beanstalk.sqsd.scheduled_time", "x-aws-sqsd-scheduled-at"),
];

/// Adds the headers of a message from `queue`, posted to `path`.
pub(super) fn put(headers: &mut HeaderMap, budget: &mut Budget, queue: &str, path: &str, message: &Message) {
    let count = message.receive_count.get().to_string();
    let own = |name: &str| {
        let attribute = message.attributes.iter().find(|attribute| attribute.name == name)?;
        match &attribute.value {
            AttributeValue::Text(text) => Some(text.clone()),
            AttributeValue::Binary(_) => None,
        }
    };
    let always = [
        ("x-aws-sqsd-msgid", Some(message.id.as_str().to_owned())),
        ("x-aws-sqsd-queue", Some(queue.to_owned())),
        ("x-aws-sqsd-receive-count", Some(count)),
        ("x-aws-sqsd-first-received-at", message.first_received_at.and_then(instant)),
        ("x-aws-sqsd-sent-at", message.sent_at.and_then(instant)),
        ("x-aws-sqsd-path", Some(path.to_owned())),
        ("x-aws-sqsd-sender-id", message.sender_id.clone()),
    ];
    let of_tasks = OF_PERIODIC_TASKS.map(|(attribute, header)| (header, own(attribute)));
    for (name, value) in always.into_iter().chain(of_tasks) {
        if let Some(value) = value {
            budget.put(headers, HeaderName::from_static(name), &value);
        }
    }
    if let Some(value) = &message.trace_header {
        budget.put_x_ray(headers, value);
    }
    let is_sent = |attribute: &&Attribute| {
        matches!(attribute.value, AttributeValue::Text(_)) && !attribute.name.starts_with(OWN_PREFIX)
    };
    attribute_headers(headers, budget, ATTRIBUTE_PREFIX, message.attributes.iter().filter(is_sent));
}

/// UTC in ISO 8601, in whole seconds; `None` beyond what the form can say.
fn instant(at: SystemTime) -> Option<String> {
    let mut text = String::with_capacity(20);
    write!(text, "{}", humantime::format_rfc3339_seconds(at)).ok().map(|()| text)
}

#[cfg(test)]
#[path = "sqsd_tests.rs"]
mod tests;
