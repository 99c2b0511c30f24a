//! Dead-letter settings of a queue: its dead-letter queue, and which sources it accepts.
//!
//! Both are JSON documents inside a queue attribute. This file reads and writes them. The broker checks
//! whether the named queue exists and allows the source, because only the broker knows all queues. ARNs are
//! stored as queue names: this broker has one account and one region.

use serde::Deserialize;
use serde_json::{Value, json};

use super::BrokerError;

/// The prefix of every queue ARN of this broker.
const ARN_PREFIX: &str = "arn:aws:sqs:us-east-1:000000000000:";
/// Source queues that a `byQueue` policy may name.
const MAX_SOURCES: usize = 10;

/// The ARN of a queue of this broker.
pub(super) fn arn_of(queue: &str) -> String {
    format!("{ARN_PREFIX}{queue}")
}

/// The queue of an ARN, if the ARN is of this broker's account and region.
pub(super) fn queue_of(arn: &str) -> Option<&str> {
    arn.strip_prefix(ARN_PREFIX).filter(|name| !name.is_empty())
}

/// When and to which queue a message is dead-lettered: the `RedrivePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RedrivePolicy {
    /// Name of the dead-letter queue.
    pub(super) target: String,
    /// Max receives of a message, 1–1000; the next receive moves it.
    pub(super) max_receives: u32,
}

impl RedrivePolicy {
    pub(super) const NAME: &str = "RedrivePolicy";

    /// Reads the attribute's text.
    pub(super) fn parse(text: &str) -> Result<Self, BrokerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            dead_letter_target_arn: Option<String>,
            max_receive_count: Option<Value>,
        }
        let refused = |reason: &str| BrokerError::invalid(Self::NAME, text, reason);
        let document: Document =
            serde_json::from_str(text).map_err(|_| refused("Redrive policy is not a valid JSON map."))?;
        let arn = document.dead_letter_target_arn.ok_or_else(|| {
            refused("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
        })?;
        let count = document.max_receive_count.ok_or_else(|| {
            refused("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
        })?;
        // Templates often render the number as text, and Amazon accepts both.
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok());
        let max_receives = count
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| (1..=1000).contains(count))
            .ok_or_else(|| refused("Invalid value for maxReceiveCount: it must be between 1 and 1000."))?;
        let target = queue_of(&arn).ok_or_else(|| refused("Dead letter target does not exist."))?.to_owned();
        Ok(Self { target, max_receives })
    }

    /// The attribute's text, in one form for all equal values.
    pub(super) fn render(&self) -> String {
        json!({ "deadLetterTargetArn": arn_of(&self.target), "maxReceiveCount": self.max_receives })
            .to_string()
    }
}

/// Which queues may use this one as their dead-letter queue: the `RedriveAllowPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RedriveAllowPolicy {
    All,
    None,
    /// Only queues with these names.
    Queues(Vec<String>),
}

impl RedriveAllowPolicy {
    pub(super) const NAME: &str = "RedriveAllowPolicy";

    /// Reads the attribute's text.
    pub(super) fn parse(text: &str) -> Result<Self, BrokerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            redrive_permission: String,
            source_queue_arns: Option<Vec<String>>,
        }
        let refused = |reason: &str| BrokerError::invalid(Self::NAME, text, reason);
        let document: Document = serde_json::from_str(text)
            .map_err(|_| refused("It must be a JSON map with a redrivePermission."))?;
        match (document.redrive_permission.as_str(), document.source_queue_arns) {
            ("allowAll", None) => Ok(Self::All),
            ("denyAll", None) => Ok(Self::None),
            ("byQueue", Some(arns)) if (1..=MAX_SOURCES).contains(&arns.len()) => {
                let name = |arn: &String| queue_of(arn).map(str::to_owned);
                let names: Option<Vec<_>> = arns.iter().map(name).collect();
                names.map(Self::Queues).ok_or_else(|| refused("A source queue ARN is not valid."))
            }
            _ => Err(refused("redrivePermission and sourceQueueArns do not go together.")),
        }
    }

    /// The attribute's text, in one form for all equal values.
    pub(super) fn render(&self) -> String {
        match self {
            Self::All => json!({ "redrivePermission": "allowAll" }),
            Self::None => json!({ "redrivePermission": "denyAll" }),
            Self::Queues(names) => {
                let arns: Vec<_> = names.iter().map(|name| arn_of(name)).collect();
                json!({ "redrivePermission": "byQueue", "sourceQueueArns": arns })
            }
        }
        .to_string()
    }

    /// Whether the queue of this name may use this one as its dead-letter queue.
    pub(super) fn allows(&self, source: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Queues(names) => names.iter().any(|name| name == source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_takes_its_count_as_number_or_text() {
        for count in ["3", "\"3\""] {
            let text = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{count}}}"#, arn_of("dlq"));
            let policy = RedrivePolicy::parse(&text).unwrap();
            assert_eq!(policy, RedrivePolicy { target: "dlq".into(), max_receives: 3 });
            assert_eq!(RedrivePolicy::parse(&policy.render()), Ok(policy));
        }
    }

    #[test]
    fn a_broken_redrive_policy_is_refused() {
        let arn = arn_of("dlq");
        for text in [
            "no json".to_owned(),
            "{}".to_owned(),
            format!(r#"{{"deadLetterTargetArn":"{arn}"}}"#),
            format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":0}}"#),
            format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":1001}}"#),
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:dlq","maxReceiveCount":1}"#.to_owned(),
        ] {
            assert!(RedrivePolicy::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_allow_policy_names_who_may_use_the_queue() {
        let text = format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{}"]}}"#, arn_of("mine"));
        let policy = RedriveAllowPolicy::parse(&text).unwrap();
        assert!(policy.allows("mine") && !policy.allows("other"));
        assert_eq!(RedriveAllowPolicy::parse(&policy.render()), Ok(policy));
        assert!(!RedriveAllowPolicy::parse(r#"{"redrivePermission":"denyAll"}"#).unwrap().allows("mine"));
        assert!(RedriveAllowPolicy::parse(r#"{"redrivePermission":"byQueue"}"#).is_err());
    }
}
