//! Reads a queue's attributes: depth, retention and redrive policy.
//!
//! Pure. Servers write `maxReceiveCount` as a number (AWS) or as text (others). A policy that cannot be read
//! is logged and counts as none, because only depths and warnings depend on it.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::settings::FIFO;
use crate::ports::{QueueDepth, QueueError, QueueFacts, Redrive, Unread};

/// `GetQueueAttributes`, as the SDK hands it over.
pub(super) type Attributes = HashMap<Name, String>;

/// The attributes of a queue, except its redrive policy and its type.
pub(super) fn facts(url: &str, attributes: &Attributes) -> QueueFacts {
    QueueFacts {
        url: url.to_owned(),
        arn: attributes.get(&Name::QueueArn).cloned(),
        retention: time(attributes, &Name::MessageRetentionPeriod),
        visibility: time(attributes, &Name::VisibilityTimeout),
        depth: depth(attributes),
        ..QueueFacts::default()
    }
}

/// A policy, with the attributes of its dead-letter queue where they could be read.
pub(super) fn with_dead_letter(policy: Policy, read: Result<&Attributes, &QueueError>) -> Redrive {
    let dead_letter = read.ok();
    let unread = |error: &QueueError| Unread {
        kind: error.kind,
        why: error.to_string(),
        fix: error.advice.fix.clone(),
    };
    Redrive {
        max_receives: policy.max_receives,
        dead_letter_fifo: policy.target.name.ends_with(FIFO),
        dead_letter_name: policy.target.name,
        dead_letter_retention: dead_letter
            .and_then(|attributes| time(attributes, &Name::MessageRetentionPeriod)),
        dead_letter_depth: dead_letter.map(depth),
        dead_letter_unread: read.err().map(unread),
    }
}

/// An attribute in whole seconds.
fn time(attributes: &Attributes, name: &Name) -> Option<Duration> {
    attributes.get(name)?.parse().ok().map(Duration::from_secs)
}

/// Depths; a missing one counts as 0.
pub(super) fn depth(attributes: &Attributes) -> QueueDepth {
    let number = |name| attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or_default();
    QueueDepth {
        visible: number(Name::ApproximateNumberOfMessages),
        not_visible: number(Name::ApproximateNumberOfMessagesNotVisible),
        delayed: number(Name::ApproximateNumberOfMessagesDelayed),
    }
}

/// A redrive policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// Receives before SQS moves a message.
    pub(super) max_receives: u32,
    /// The dead-letter queue.
    pub(super) target: DeadLetterRef,
}

/// A dead-letter queue, by account and name from its ARN. It is always in the region of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeadLetterRef {
    /// Account of its owner.
    pub(super) account: String,
    /// Its name.
    pub(super) name: String,
}

impl DeadLetterRef {
    /// Its URL, in the form of its source's URL with account and name replaced.
    ///
    /// For consumers without permission for `GetQueueUrl`.
    pub(super) fn url_like(&self, source: &str) -> Option<String> {
        let mut url = Url::parse(source).ok()?;
        {
            let mut parts = url.path_segments_mut().ok()?;
            parts.pop().pop().push(&self.account).push(&self.name);
        }
        Some(url.into())
    }
}

/// The redrive policy, if there is one that can be read.
pub(super) fn policy(attributes: &Attributes) -> Option<Policy> {
    let json = attributes.get(&Name::RedrivePolicy).filter(|json| !json.is_empty())?;
    let policy = parse(json);
    if policy.is_none() {
        tracing::warn!(policy = json.as_str(), "the queue's redrive policy cannot be read; treated as none");
    }
    policy
}

fn parse(json: &str) -> Option<Policy> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Written {
        dead_letter_target_arn: String,
        max_receive_count: Value,
    }
    let Written { dead_letter_target_arn: arn, max_receive_count } = serde_json::from_str(json).ok()?;
    let max_receives = match &max_receive_count {
        Value::String(text) => text.trim().parse().ok()?,
        number => u32::try_from(number.as_u64()?).ok()?,
    };
    // arn:PARTITION:sqs:REGION:ACCOUNT:NAME
    let mut parts = arn.split(':').skip(4);
    let (account, name) = (parts.next()?, parts.next()?);
    // Otherwise an invalid name would be shown, and asked for, as if it were a name.
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().chain(account.chars()).all(is_part) {
        return None;
    }
    let target = DeadLetterRef { account: account.to_owned(), name: name.to_owned() };
    Some(Policy { max_receives, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:orders-dlq";

    fn target() -> DeadLetterRef {
        DeadLetterRef { account: "123456789012".to_owned(), name: "orders-dlq".to_owned() }
    }

    #[test]
    fn a_policy_is_read_whether_its_count_is_a_number_or_text() {
        for count in ["5", "\"5\"", "\" 5 \""] {
            let json = format!(r#"{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":{count}}}"#);
            assert_eq!(parse(&json), Some(Policy { max_receives: 5, target: target() }), "{json}");
        }
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_none() {
        for json in [
            "",
            "{}",
            "[]",
            &format!(r#"{{"deadLetterTargetArn":"{ARN}"}}"#),
            &format!(r#"{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":-1}}"#),
            &format!(r#"{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":null}}"#),
            r#"{"deadLetterTargetArn":"orders-dlq","maxReceiveCount":5}"#,
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:x\u001b[31m\nforged","maxReceiveCount":5}"#,
        ] {
            assert_eq!(parse(json), None, "{json}");
        }
        assert_eq!(policy(&Attributes::from([(Name::RedrivePolicy, String::new())])), None);
    }

    #[test]
    fn depths_are_read_and_what_is_missing_is_none() {
        let attributes = Attributes::from([
            (Name::ApproximateNumberOfMessages, "12".to_owned()),
            (Name::ApproximateNumberOfMessagesNotVisible, "many".to_owned()),
        ]);
        assert_eq!(depth(&attributes), QueueDepth { visible: 12, not_visible: 0, delayed: 0 });
    }

    #[test]
    fn times_are_read_and_what_is_missing_or_nonsense_is_unknown() {
        let attributes = Attributes::from([
            (Name::MessageRetentionPeriod, "345600".to_owned()),
            (Name::VisibilityTimeout, "soon".to_owned()),
        ]);
        let read = facts("http://q/1/orders", &attributes);
        assert_eq!(read.retention, Some(Duration::from_secs(345_600)));
        assert_eq!((read.visibility, read.arn), (None, None));
    }

    #[test]
    fn the_url_of_a_dead_letter_queue_follows_that_of_its_source() {
        for (source, expected) in [
            (
                "https://sqs.eu-west-1.amazonaws.com/999/orders",
                "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-dlq",
            ),
            ("http://localhost:9324/queue/999/orders", "http://localhost:9324/queue/123456789012/orders-dlq"),
        ] {
            assert_eq!(target().url_like(source).as_deref(), Some(expected));
        }
    }
}
