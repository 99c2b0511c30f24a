//! The operations on queues themselves: create, delete, list, attributes, tags, purge.

use std::collections::BTreeMap;

use super::attributes::Settings;
use super::queue::Queue;
use super::redrive::{RedriveAllowPolicy, RedrivePolicy, arn_of};
use super::{Broker, BrokerError, Timestamp};

/// Milliseconds between two purges of a queue: 60 seconds.
const PURGE_PAUSE_MILLIS: u64 = 60_000;
/// Tags per queue (SQS quotas).
const MAX_TAGS: usize = 50;

impl Broker {
    /// Creates a queue. For an existing name it succeeds if every given attribute has the queue's value.
    pub fn create_queue(
        &mut self,
        now: Timestamp,
        name: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), BrokerError> {
        let settings = Settings::create(name, attributes)?;
        if let Some(existing) = self.queues.get(name) {
            let mut wanted = existing.settings.clone();
            wanted.apply(attributes)?;
            return match first_difference(&wanted, &existing.settings) {
                None => Ok(()),
                Some(attribute) => Err(BrokerError::QueueNameExists(attribute)),
            };
        }
        self.check_redrive(name, &settings)?;
        let tag = self.random.u64(..);
        self.queues.insert(name.to_owned(), Queue::new(now, settings, tag));
        Ok(())
    }

    /// Removes a queue with all its messages. Its name may be used again at once, unlike on Amazon.
    pub fn delete_queue(&mut self, queue: &str) -> Result<(), BrokerError> {
        self.queues.remove(queue).ok_or(BrokerError::QueueDoesNotExist)?;
        // Waiting receives learn that the queue is gone.
        self.mark_changed(queue);
        Ok(())
    }

    /// Whether there is a queue of this name.
    pub fn queue_exists(&self, queue: &str) -> bool {
        self.queues.contains_key(queue)
    }

    /// The names that start with `prefix`, in alphabetical order.
    pub fn list_queues(&self, prefix: &str) -> Vec<String> {
        self.queues.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// The queues whose redrive policy names this one, in alphabetical order.
    pub fn list_dead_letter_source_queues(&self, queue: &str) -> Result<Vec<String>, BrokerError> {
        if !self.queue_exists(queue) {
            return Err(BrokerError::QueueDoesNotExist);
        }
        let names_it =
            |source: &Queue| matches!(&source.settings.redrive, Some(policy) if policy.target == queue);
        let sources = self.queues.iter().filter(|(_, source)| names_it(source));
        Ok(sources.map(|(name, _)| name.clone()).collect())
    }

    /// All attributes of a queue, with ARN, times (seconds) and message counts (exact).
    pub fn attributes(
        &mut self,
        now: Timestamp,
        queue: &str,
    ) -> Result<BTreeMap<String, String>, BrokerError> {
        let state = self.queue_at(now, queue)?;
        let store = &state.store;
        let mut attributes = state.settings.render();
        attributes.extend(
            [
                ("QueueArn", arn_of(queue)),
                ("CreatedTimestamp", state.created_at.as_seconds().to_string()),
                ("LastModifiedTimestamp", state.modified_at.as_seconds().to_string()),
                ("ApproximateNumberOfMessages", store.visible().to_string()),
                ("ApproximateNumberOfMessagesNotVisible", store.in_flight().to_string()),
                ("ApproximateNumberOfMessagesDelayed", store.delayed().to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Ok(attributes)
    }

    /// Changes attributes, all or none. A new delay of a FIFO queue also holds for messages delayed now.
    pub fn set_attributes(
        &mut self,
        now: Timestamp,
        queue: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), BrokerError> {
        let mut settings = self.queue_at(now, queue)?.settings.clone();
        settings.apply(attributes)?;
        self.check_redrive(queue, &settings)?;
        let state = self.queue_at(now, queue)?;
        if settings.fifo.is_some() && settings.delay != state.settings.delay {
            state.store.change_delay(settings.delay);
        }
        state.settings = settings;
        state.modified_at = now;
        self.mark_changed(queue);
        Ok(())
    }

    /// Seconds that a receive without a wait time of its own waits on this queue.
    pub fn default_wait(&self, queue: &str) -> Result<u32, BrokerError> {
        self.queues.get(queue).map(|queue| queue.settings.wait).ok_or(BrokerError::QueueDoesNotExist)
    }

    /// Drops every message of a queue, at most once in 60 seconds.
    pub fn purge(&mut self, now: Timestamp, queue: &str) -> Result<(), BrokerError> {
        let state = self.queue_at(now, queue)?;
        if state.purged_at.is_some_and(|at| now.millis_since(at) < PURGE_PAUSE_MILLIS) {
            return Err(BrokerError::PurgeQueueInProgress(queue.to_owned()));
        }
        state.purged_at = Some(now);
        state.store.clear();
        Ok(())
    }

    /// The tags of a queue.
    pub fn tags(&self, queue: &str) -> Result<&BTreeMap<String, String>, BrokerError> {
        self.queues.get(queue).map(|queue| &queue.tags).ok_or(BrokerError::QueueDoesNotExist)
    }

    /// Adds tags to a queue, or gives them new values.
    pub fn tag_queue(&mut self, queue: &str, tags: &BTreeMap<String, String>) -> Result<(), BrokerError> {
        let queue = self.queues.get_mut(queue).ok_or(BrokerError::QueueDoesNotExist)?;
        let mut all = queue.tags.clone();
        all.extend(tags.clone());
        if all.len() > MAX_TAGS {
            return Err(BrokerError::invalid("Tags", &all.len(), "Too many tags."));
        }
        queue.tags = all;
        Ok(())
    }

    /// Removes tags from a queue; unknown ones are ignored.
    pub fn untag_queue(&mut self, queue: &str, keys: &[String]) -> Result<(), BrokerError> {
        let queue = self.queues.get_mut(queue).ok_or(BrokerError::QueueDoesNotExist)?;
        queue.tags.retain(|key, _| !keys.contains(key));
        Ok(())
    }

    /// Checks that the dead-letter queue exists, has the same type and allows this source.
    fn check_redrive(&self, name: &str, settings: &Settings) -> Result<(), BrokerError> {
        let Some(policy) = &settings.redrive else { return Ok(()) };
        let refused = |reason: &str| BrokerError::invalid(RedrivePolicy::NAME, &policy.render(), reason);
        let target =
            self.queues.get(&policy.target).ok_or_else(|| refused("Dead letter target does not exist."))?;
        if target.settings.fifo.is_some() != settings.fifo.is_some() {
            return Err(refused("Dead-letter queue must be same type of queue as the source."));
        }
        let allows = |allow: &RedriveAllowPolicy| allow.allows(name);
        if !target.settings.redrive_allow.as_ref().is_none_or(allows) {
            return Err(refused(
                "The dead-letter queue's RedriveAllowPolicy does not allow this source queue.",
            ));
        }
        Ok(())
    }
}

/// The first attribute by name in which two settings differ.
fn first_difference(left: &Settings, right: &Settings) -> Option<String> {
    let (left, right) = (left.render(), right.render());
    left.keys().chain(right.keys()).filter(|name| left.get(*name) != right.get(*name)).min().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localqueue::SendMessage;

    const T0: Timestamp = Timestamp(1_700_000_000_000);

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn broker_with(queues: &[(&str, &[(&str, &str)])]) -> Broker {
        let mut broker = Broker::new(1);
        for (name, attributes) in queues {
            broker.create_queue(T0, name, &map(attributes)).unwrap();
        }
        broker
    }

    #[test]
    fn creating_a_queue_again_succeeds_only_with_the_same_attributes() {
        let mut broker = broker_with(&[("q", &[("VisibilityTimeout", "40")])]);
        assert_eq!(broker.create_queue(T0, "q", &map(&[("VisibilityTimeout", "40")])), Ok(()));
        assert_eq!(broker.create_queue(T0, "q", &map(&[])), Ok(()));
        let other = broker.create_queue(T0, "q", &map(&[("VisibilityTimeout", "41")]));
        assert_eq!(other, Err(BrokerError::QueueNameExists("VisibilityTimeout".into())));
    }

    #[test]
    fn a_dead_letter_queue_must_exist_be_of_the_same_type_and_agree() {
        let mut broker = broker_with(&[
            ("dead", &[]),
            ("dead.fifo", &[("FifoQueue", "true")]),
            ("closed", &[("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#)]),
        ]);
        let mut create = |target: &str| {
            let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, arn_of(target));
            broker.create_queue(T0, "q", &map(&[("RedrivePolicy", &policy)])).map_err(|error| error.code())
        };
        for target in ["missing", "dead.fifo", "closed"] {
            assert_eq!(create(target), Err("InvalidParameterValue"), "{target}");
        }
        assert_eq!(create("dead"), Ok(()));
        assert_eq!(broker.list_dead_letter_source_queues("dead"), Ok(vec!["q".to_owned()]));
    }

    #[test]
    fn counts_tell_visible_delayed_and_in_flight_messages_apart() {
        let mut broker = broker_with(&[("q", &[])]);
        for delay in [None, None, Some(60)] {
            let message = SendMessage { body: "x".into(), delay_seconds: delay, ..Default::default() };
            broker.send(T0, "q", message).unwrap();
        }
        broker.receive(T0, "q", &crate::localqueue::Receive::default()).unwrap();
        let read = broker.attributes(T0, "q").unwrap();
        for name in ["", "Delayed", "NotVisible"] {
            assert_eq!(read[&format!("ApproximateNumberOfMessages{name}")], "1", "{name}");
        }
    }

    #[test]
    fn a_second_purge_within_a_minute_is_refused() {
        let mut broker = broker_with(&[("q", &[])]);
        broker.send(T0, "q", SendMessage { body: "x".into(), ..Default::default() }).unwrap();
        assert_eq!(broker.purge(T0, "q"), Ok(()));
        assert!(broker.inspect(T0, "q").is_empty());
        assert!(broker.purge(T0.plus_millis(59_999), "q").is_err());
        assert_eq!(broker.purge(T0.plus_seconds(60), "q"), Ok(()));
    }

    #[test]
    fn a_refused_change_of_attributes_changes_nothing() {
        let mut broker = broker_with(&[("q", &[])]);
        let change = map(&[("DelaySeconds", "5"), ("VisibilityTimeout", "-1")]);
        assert!(broker.set_attributes(T0, "q", &change).is_err());
        assert_eq!(broker.attributes(T0, "q").unwrap()["DelaySeconds"], "0");
    }

    #[test]
    fn a_new_delay_of_a_fifo_queue_holds_for_messages_delayed_now() {
        let mut broker = broker_with(&[("q.fifo", &[("FifoQueue", "true"), ("DelaySeconds", "60")])]);
        let message = SendMessage {
            body: "x".into(),
            group_id: Some("g".into()),
            deduplication_id: Some("d".into()),
            ..Default::default()
        };
        broker.send(T0, "q.fifo", message).unwrap();
        broker.set_attributes(T0.plus_seconds(1), "q.fifo", &map(&[("DelaySeconds", "5")])).unwrap();
        assert_eq!(broker.next_change(T0, "q.fifo"), Some(T0.plus_seconds(5)));
    }

    #[test]
    fn tags_come_and_go() {
        let mut broker = broker_with(&[("q", &[])]);
        broker.tag_queue("q", &map(&[("team", "x"), ("gone", "y")])).unwrap();
        broker.untag_queue("q", &["gone".to_owned()]).unwrap();
        assert_eq!(broker.tags("q"), Ok(&map(&[("team", "x")])));
        let many = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert!(broker.tag_queue("q", &many).is_err());
    }

    #[test]
    fn queues_are_listed_by_prefix_in_order() {
        let broker = broker_with(&[("b-2", &[]), ("a", &[]), ("b-1", &[])]);
        assert_eq!(broker.list_queues("b-"), ["b-1", "b-2"]);
    }
}
