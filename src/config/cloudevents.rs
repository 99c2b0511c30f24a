//! The keys of a listener whose messages are sent as events of CloudEvents.
//!
//! By default the source of an event is the queue's ARN. Its default type is the one that other bridges from
//! SQS to CloudEvents use. A queue whose account nobody wrote has no ARN here, so its source is a URN with its name.

use crate::config::fields::Fields;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::{queue_arn, value};
use crate::exchange;
use crate::sqs::{self, QueueRef};

/// The type that TriggerMesh's source of SQS messages made known.
const TYPE: &str = "com.amazon.sqs.message";
const MODES: [(&str, exchange::ContentMode); 3] = [
    ("binary", exchange::ContentMode::Binary),
    ("structured", exchange::ContentMode::Structured),
    ("batched", exchange::ContentMode::Batched),
];

/// `listeners[].cloudevents`.
#[derive(Debug)]
pub(super) struct CloudEvents {
    key: String,
    place: Place,
    pub(super) mode: Option<Written>,
    pub(super) source: Option<Written>,
    pub(super) event_type: Option<Written>,
    pub(super) subject: Option<Written>,
}

impl CloudEvents {
    /// Nothing is written yet.
    pub(super) fn empty(key: String, place: Place) -> Self {
        Self { key, place, mode: None, source: None, event_type: None, subject: None }
    }

    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let cloudevents = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            mode: fields.text("mode"),
            source: fields.text("source"),
            event_type: fields.text("type"),
            subject: fields.text("subject"),
        };
        fields.finish();
        cloudevents
    }

    /// The shape of the listener's requests.
    pub(super) fn shape(
        &self,
        is_algorithm: bool,
        queue: &QueueRef,
        report: &mut Report,
    ) -> exchange::CloudEvents {
        if is_algorithm {
            let fault = Fault::new("is not allowed beside `algorithm`: its server expects the plain message");
            report.refuse_key(&self.place, &self.key, fault.fix("keep one of them"));
        }
        let mode = report.parse(self.mode.as_ref(), |text| value::one_of(text, &MODES));
        let source = report.parse(self.source.as_ref(), source);
        let event_type = report.parse(self.event_type.as_ref(), text);
        exchange::CloudEvents {
            mode: mode.unwrap_or_default(),
            source: source.unwrap_or_else(|| source_of(queue)),
            event_type: event_type.unwrap_or_else(|| TYPE.to_owned()),
            subject: report.parse(self.subject.as_ref(), text),
        }
    }
}

/// A text that an attribute of an event may have (CloudEvents, "Type System").
fn text(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::new("must not be empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new("has a control character, which no attribute of an event may have"));
    }
    Ok(text.to_owned())
}

/// A URI reference (RFC 3986, section 4.1).
fn source(text: &str) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        let fault = Fault::new("is no URI reference: visible ASCII without spaces and `<>\"{}|\\^`");
        return Err(fault.fix("write a path such as /orders, a URL, a URN or an ARN"));
    }
    Ok(text.to_owned())
}

/// The queue's ARN, if its URL or the listener names account and region.
fn source_of(queue: &QueueRef) -> String {
    let account =
        queue_arn::account(queue).filter(|_| !matches!(queue, QueueRef::Url(url) if !sqs::is_aws(url)));
    let name = queue.name();
    let (Some(account), Some(region)) = (account, sqs::region(queue)) else {
        return format!("urn:queuepost:queue:{name}");
    };
    queue_arn::arn(region, account, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        source_of(&crate::config::queue::parse(text).expect(text))
    }

    #[test]
    fn the_source_is_the_arn_of_the_queue_where_it_is_known() {
        let arn = "arn:aws:sqs:eu-west-1:123456789012:orders";
        assert_eq!(of("https://sqs.eu-west-1.amazonaws.com/123456789012/orders"), arn);
        assert_eq!(of(arn), arn);
        assert_eq!(
            of("arn:aws-cn:sqs:cn-north-1:123456789012:orders"),
            of("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders")
        );
        let china = "arn:aws-cn:sqs:cn-north-1:123456789012:orders";
        assert_eq!(of("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders"), china);
        let government = "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:orders";
        assert_eq!(of("https://sqs.us-gov-west-1.amazonaws.com/123456789012/orders"), government);
        assert_eq!(of("http://127.0.0.1:9324/000000000000/orders"), "urn:queuepost:queue:orders");
        assert_eq!(of("orders"), "urn:queuepost:queue:orders");
    }

    #[test]
    fn a_source_is_a_uri_reference_and_texts_have_no_control_characters() {
        for right in ["/orders", "https://example.com/a?b#c", "urn:a:b", "arn:aws:sqs:::", "a"] {
            assert!(source(right).is_ok(), "{right}");
        }
        for wrong in ["", "a b", "ä", "<a>", "a\n"] {
            assert!(source(wrong).is_err(), "{wrong:?}");
        }
        assert!(text("Größe 7").is_ok() && text("").is_err() && text("a\nb").is_err());
    }
}
