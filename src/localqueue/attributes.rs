//! The attributes of a queue that a user sets: names, ranges, defaults, and how they are read back.
//!
//! Ranges and defaults come from the API reference of `SetQueueAttributes`. Server-side encryption, access
//! policies and the FIFO throughput limit are stored and read back, but change nothing. This queue has no
//! keys, does not distinguish callers and has no quotas.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::BrokerError;
use super::checks::MAX_MESSAGE_BYTES;
use super::redrive::{RedriveAllowPolicy, RedrivePolicy};

/// Longest visibility timeout, and longest total time in flight, in seconds: 12 hours.
pub(super) const MAX_VISIBILITY_SECONDS: u32 = 43_200;

const DELAY: RangeInclusive<u32> = 0..=900;
const WAIT: RangeInclusive<u32> = 0..=20;
const VISIBILITY: RangeInclusive<u32> = 0..=MAX_VISIBILITY_SECONDS;
const RETENTION: RangeInclusive<u32> = 60..=1_209_600;
const KEY_REUSE: RangeInclusive<u32> = 60..=86_400;
const MESSAGE_BYTES: RangeInclusive<usize> = 1024..=MAX_MESSAGE_BYTES;

/// Every attribute name that `GetQueueAttributes` accepts.
pub(super) const READABLE: &[&str] = &[
    "All",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "ContentBasedDeduplication",
    "CreatedTimestamp",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "LastModifiedTimestamp",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "QueueArn",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

/// The settable attributes of one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Seconds before a message sent without a delay of its own is visible.
    pub(super) delay: u32,
    /// Longest message, in bytes.
    pub(super) max_message: usize,
    /// Seconds after which a message is dropped.
    pub(super) retention: u32,
    /// Seconds that a receive without a wait time of its own waits.
    pub(super) wait: u32,
    /// Seconds that a received message is hidden when the receive sets no visibility timeout.
    pub(super) visibility: u32,
    pub(super) redrive: Option<RedrivePolicy>,
    pub(super) redrive_allow: Option<RedriveAllowPolicy>,
    /// Present on FIFO queues, and only there.
    pub(super) fifo: Option<FifoSettings>,
    policy: Option<String>,
    kms_key: Option<String>,
    kms_reuse: Option<u32>,
    managed_sse: bool,
}

/// The attributes of FIFO queues only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FifoSettings {
    /// A message without a deduplication id gets one derived from its body.
    pub(super) content_based: bool,
    /// Deduplication ids apply within a group instead of the whole queue.
    pub(super) per_group: bool,
    throughput_per_group: bool,
}

impl Settings {
    /// The settings of a new queue, from the attributes given with `CreateQueue`.
    pub(super) fn create(name: &str, attributes: &BTreeMap<String, String>) -> Result<Self, BrokerError> {
        let fifo = match attributes.get("FifoQueue").map(String::as_str) {
            Some("true") => true,
            None => false,
            // Amazon knows the attribute on FIFO queues only, so "false" counts as an unknown name.
            Some("false") => return Err(BrokerError::InvalidAttributeName("FifoQueue".to_owned())),
            Some(_) => return Err(BrokerError::InvalidAttributeValue("FifoQueue".to_owned())),
        };
        check_name(name, fifo)?;
        let mut settings = Self {
            delay: 0,
            max_message: MAX_MESSAGE_BYTES,
            retention: 345_600,
            wait: 0,
            visibility: 30,
            redrive: None,
            redrive_allow: None,
            fifo: fifo.then(FifoSettings::default),
            policy: None,
            kms_key: None,
            kms_reuse: None,
            managed_sse: true,
        };
        settings.apply(attributes)?;
        Ok(settings)
    }

    /// Sets the given attributes, all or none: callers work on a copy.
    pub(super) fn apply(&mut self, attributes: &BTreeMap<String, String>) -> Result<(), BrokerError> {
        for (name, value) in attributes {
            self.set(name, value)?;
        }
        if self.fifo.as_ref().is_some_and(|fifo| fifo.throughput_per_group && !fifo.per_group) {
            return Err(BrokerError::invalid(
                "FifoThroughputLimit",
                "perMessageGroupId",
                "DeduplicationScope must be messageGroup.",
            ));
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), BrokerError> {
        let given = (!value.is_empty()).then_some(value);
        match name {
            "DelaySeconds" => self.delay = within(name, value, &DELAY)?,
            "MaximumMessageSize" => self.max_message = within(name, value, &MESSAGE_BYTES)?,
            "MessageRetentionPeriod" => self.retention = within(name, value, &RETENTION)?,
            "ReceiveMessageWaitTimeSeconds" => self.wait = within(name, value, &WAIT)?,
            "VisibilityTimeout" => self.visibility = within(name, value, &VISIBILITY)?,
            "KmsDataKeyReusePeriodSeconds" => self.kms_reuse = Some(within(name, value, &KEY_REUSE)?),
            "KmsMasterKeyId" => {
                self.kms_key = given.map(str::to_owned);
                self.managed_sse = self.kms_key.is_none();
            }
            "SqsManagedSseEnabled" => self.managed_sse = one_of(name, value, "false", "true")?,
            "Policy" => {
                if given.is_some_and(|text| !matches!(serde_json::from_str(text), Ok(Value::Object(_)))) {
                    return Err(BrokerError::InvalidAttributeValue(name.to_owned()));
                }
                self.policy = given.map(str::to_owned);
            }
            "RedrivePolicy" => self.redrive = given.map(RedrivePolicy::parse).transpose()?,
            "RedriveAllowPolicy" => self.redrive_allow = given.map(RedriveAllowPolicy::parse).transpose()?,
            "FifoQueue" => {
                if one_of(name, value, "false", "true")? != self.fifo.is_some() {
                    return Err(BrokerError::InvalidAttributeValue(name.to_owned()));
                }
            }
            "ContentBasedDeduplication" | "DeduplicationScope" | "FifoThroughputLimit" => {
                self.set_fifo(name, value)?;
            }
            _ => return Err(BrokerError::InvalidAttributeName(name.to_owned())),
        }
        Ok(())
    }

    /// Sets an attribute that only FIFO queues have.
    fn set_fifo(&mut self, name: &str, value: &str) -> Result<(), BrokerError> {
        let fifo = self.fifo.as_mut().ok_or_else(|| BrokerError::InvalidAttributeName(name.to_owned()))?;
        match name {
            "ContentBasedDeduplication" => fifo.content_based = one_of(name, value, "false", "true")?,
            "DeduplicationScope" => fifo.per_group = one_of(name, value, "queue", "messageGroup")?,
            _ => fifo.throughput_per_group = one_of(name, value, "perQueue", "perMessageGroupId")?,
        }
        Ok(())
    }

    /// The attributes as `GetQueueAttributes` reads them; absent ones have no value.
    pub(super) fn render(&self) -> BTreeMap<String, String> {
        let pick = |choice: bool, no: &str, yes: &str| Some(if choice { yes } else { no }.to_owned());
        let fifo = self.fifo.as_ref();
        [
            ("DelaySeconds", Some(self.delay.to_string())),
            ("MaximumMessageSize", Some(self.max_message.to_string())),
            ("MessageRetentionPeriod", Some(self.retention.to_string())),
            ("ReceiveMessageWaitTimeSeconds", Some(self.wait.to_string())),
            ("VisibilityTimeout", Some(self.visibility.to_string())),
            ("KmsMasterKeyId", self.kms_key.clone()),
            ("KmsDataKeyReusePeriodSeconds", self.kms_reuse.map(|seconds| seconds.to_string())),
            ("SqsManagedSseEnabled", pick(self.managed_sse, "false", "true")),
            ("Policy", self.policy.clone()),
            ("RedrivePolicy", self.redrive.as_ref().map(RedrivePolicy::render)),
            ("RedriveAllowPolicy", self.redrive_allow.as_ref().map(RedriveAllowPolicy::render)),
            ("FifoQueue", fifo.map(|_| "true".to_owned())),
            ("ContentBasedDeduplication", fifo.and_then(|fifo| pick(fifo.content_based, "false", "true"))),
            ("DeduplicationScope", fifo.and_then(|fifo| pick(fifo.per_group, "queue", "messageGroup"))),
            (
                "FifoThroughputLimit",
                fifo.and_then(|fifo| pick(fifo.throughput_per_group, "perQueue", "perMessageGroupId")),
            ),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }
}

/// 1–80 letters, digits, hyphens and underscores; FIFO queues, and only they, end in `.fifo`.
fn check_name(name: &str, fifo: bool) -> Result<(), BrokerError> {
    let stem = if fifo { name.strip_suffix(".fifo") } else { Some(name) };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match stem {
        Some(stem) if !stem.is_empty() && name.len() <= 80 && stem.bytes().all(legal) => Ok(()),
        _ => {
            let reason = if fifo {
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length."
            } else {
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length."
            };
            Err(BrokerError::invalid("QueueName", name, reason))
        }
    }
}

fn within<T: std::str::FromStr + PartialOrd>(
    name: &str,
    value: &str,
    range: &RangeInclusive<T>,
) -> Result<T, BrokerError> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| BrokerError::InvalidAttributeValue(name.to_owned()))
}

/// Whether the value is `yes`, where only `no` and `yes` are allowed.
fn one_of(name: &str, value: &str, no: &str, yes: &str) -> Result<bool, BrokerError> {
    match value {
        _ if value == yes => Ok(true),
        _ if value == no => Ok(false),
        _ => Err(BrokerError::InvalidAttributeValue(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(name: &str, attributes: &[(&str, &str)]) -> Result<Settings, BrokerError> {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::create(name, &attributes)
    }

    #[test]
    fn a_new_queue_has_amazons_defaults() {
        let read = create("q", &[]).unwrap().render();
        let expected = [
            ("DelaySeconds", "0"),
            ("MaximumMessageSize", "1048576"),
            ("MessageRetentionPeriod", "345600"),
            ("ReceiveMessageWaitTimeSeconds", "0"),
            ("SqsManagedSseEnabled", "true"),
            ("VisibilityTimeout", "30"),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn values_outside_their_range_are_refused() {
        for (name, value) in [
            ("DelaySeconds", "901"),
            ("MaximumMessageSize", "1023"),
            ("MaximumMessageSize", "1048577"),
            ("MessageRetentionPeriod", "59"),
            ("ReceiveMessageWaitTimeSeconds", "21"),
            ("VisibilityTimeout", "43201"),
            ("VisibilityTimeout", "-1"),
            ("VisibilityTimeout", "soon"),
            ("Policy", "no json"),
        ] {
            let refused = BrokerError::InvalidAttributeValue(name.to_owned());
            assert_eq!(create("q", &[(name, value)]), Err(refused), "{name}={value}");
        }
    }

    #[test]
    fn fifo_queues_and_only_they_end_in_fifo() {
        assert!(create("q.fifo", &[("FifoQueue", "true")]).is_ok());
        assert!(create("q", &[("FifoQueue", "true")]).is_err());
        assert!(create("q.fifo", &[]).is_err());
        assert!(create(".fifo", &[("FifoQueue", "true")]).is_err());
        assert!(create(&"x".repeat(81), &[]).is_err());
    }

    #[test]
    fn fifo_attributes_are_unknown_on_a_standard_queue() {
        for name in ["ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit", "NoSuchThing"]
        {
            let unknown = BrokerError::InvalidAttributeName(name.to_owned());
            assert_eq!(create("q", &[(name, "true")]), Err(unknown), "{name}");
        }
    }

    #[test]
    fn a_throughput_limit_per_group_needs_deduplication_per_group() {
        let limit = ("FifoThroughputLimit", "perMessageGroupId");
        assert!(create("q.fifo", &[("FifoQueue", "true"), limit]).is_err());
        assert!(
            create("q.fifo", &[("FifoQueue", "true"), limit, ("DeduplicationScope", "messageGroup")]).is_ok()
        );
    }

    #[test]
    fn an_empty_value_removes_a_policy() {
        let mut settings = create("q", &[("Policy", "{}"), ("KmsMasterKeyId", "alias/k")]).unwrap();
        assert_eq!(settings.render()["SqsManagedSseEnabled"], "false");
        settings
            .apply(
                &[("Policy".to_owned(), String::new()), ("KmsMasterKeyId".to_owned(), String::new())].into(),
            )
            .unwrap();
        assert_eq!(settings, create("q", &[]).unwrap());
    }
}
