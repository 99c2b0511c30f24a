//! Messages that no endpoint has to do work for: a service says something about itself.
//!
//! Recognised are S3's `s3:TestEvent`, also in an SNS envelope, and SNS's confirmations of subscriptions. All of the fields
//! that the service sends must be there: a message that is deleted without a POST must not be somebody's work.

use super::object::Object;
use super::sns::{CONFIRMATIONS, NOTIFICATION};

/// The longest body that is looked into: the services send a tenth of that.
const LONGEST: usize = 16 * 1024;
/// The longest name of a topic that is passed on (SNS: 256 characters, and the ARN before it).
const TOPIC_MAX: usize = 400;

const FIELDS: &[&str] =
    &["Service", "Event", "Bucket", "Records", "Type", "TopicArn", "Token", "SubscribeURL", "Message"];

/// A message that is no work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWork {
    /// S3 tries out whether it may send notifications to the queue.
    TestEvent,
    /// SNS wants a subscription of the queue confirmed, or says that one has ended.
    Subscription {
        /// The ARN of the topic, where it is written as ARNs are: letters, digits and `:_-.` alone.
        topic: Option<String>,
    },
}

impl NoWork {
    /// What the body of a message is, if it is no work.
    pub(super) fn recognise(body: &[u8]) -> Option<Self> {
        if body.len() > LONGEST {
            return None;
        }
        let object = Object::read(body, "message", FIELDS)?;
        if is_test_event(&object) {
            return Some(Self::TestEvent);
        }
        let (kind, topic) = (object.text("Type").ok()??, object.text("TopicArn").ok()??);
        if kind == NOTIFICATION {
            let message = object.text("Message").ok()??;
            let inner = Object::read(message.as_bytes(), "message", FIELDS)?;
            return is_test_event(&inner).then_some(Self::TestEvent);
        }
        let is_confirmation = CONFIRMATIONS.contains(&kind.as_str())
            && ["Token", "SubscribeURL", "Message"].iter().all(|name| object.has_text(name));
        is_confirmation.then(|| Self::Subscription { topic: Some(topic).filter(|topic| is_arn(topic)) })
    }
}

fn is_test_event(object: &Object<'_>) -> bool {
    object.says("Event", "s3:TestEvent")
        && object.says("Service", "Amazon S3")
        && object.has_text("Bucket")
        && object.raw("Records").is_none()
}

fn is_arn(topic: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_-.".contains(&byte);
    topic.starts_with("arn:") && topic.len() <= TOPIC_MAX && topic.bytes().all(plain)
}
