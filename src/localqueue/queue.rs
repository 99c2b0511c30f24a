//! One queue: sending, deleting and hiding messages. Receiving is in `take`.
//!
//! A queue knows no other queue: a message arrives from one through [`Queue::accept_dead_letter`] or
//! [`Queue::accept_redriven`]. The caller of an operation has advanced the queue to `now` before.
//!
//! Handles on a standard queue: every handle of this queue may be used for a delete, but only that of the
//! latest receive deletes. It still deletes or hides a message whose visibility has ended. On a FIFO queue a
//! handle is refused once the visibility has ended.

use std::collections::BTreeMap;

use super::attributes::{MAX_VISIBILITY_SECONDS, Settings};
use super::digest;
use super::handle::Handle;
use super::recent::{Given, Recent};
use super::store::Store;
use super::stored::{State, Stored};
use super::{BrokerError, Disturbance, SendMessage, Sent, Timestamp, checks};

/// Sequence numbers start here, so that each has 20 digits.
const FIRST_SEQUENCE_NUMBER: u64 = 10_000_000_000_000_000_000;

/// A queue's settings, its messages, and what it remembers for five minutes.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) settings: Settings,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created_at: Timestamp,
    pub(super) modified_at: Timestamp,
    pub(super) purged_at: Option<Timestamp>,
    pub(super) store: Store,
    /// Random tag that distinguishes this queue's handles from those of any other.
    pub(super) tag: u64,
    pub(super) next_receipt: u64,
    next_sequence_number: u64,
    /// FIFO: recent sends, by group (or `None`: the whole queue) and deduplication id.
    sends: Recent<(Option<String>, String), Sent>,
    /// FIFO: recent receives, by attempt id.
    pub(super) attempts: Recent<String, Vec<Given>>,
}

impl Queue {
    pub(super) fn new(now: Timestamp, settings: Settings, tag: u64) -> Self {
        Self {
            store: Store::new(settings.fifo.is_some()),
            settings,
            tags: BTreeMap::new(),
            created_at: now,
            modified_at: now,
            purged_at: None,
            tag,
            next_receipt: 1,
            next_sequence_number: FIRST_SEQUENCE_NUMBER,
            sends: Recent::default(),
            attempts: Recent::default(),
        }
    }

    /// Advances the queue to the time `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.store.advance(now, self.settings.retention);
    }

    /// Adds a message under the given id, unless it is a duplicate.
    pub(super) fn send(
        &mut self,
        now: Timestamp,
        message: SendMessage,
        id: String,
    ) -> Result<Sent, BrokerError> {
        checks::message(&message)?;
        checks::size(&message, self.settings.max_message)?;
        let scoped = self.deduplication(&message)?;
        if let Some(first) = scoped.as_ref().and_then(|scoped| self.sends.get(now, scoped)) {
            return Ok(first.clone());
        }
        let sequence_number = self.new_sequence_number();
        let sent = Sent { message_id: id.clone(), sequence_number: sequence_number.clone() };
        let delay = message.delay_seconds.unwrap_or(self.settings.delay);
        self.store.insert(Stored {
            id,
            body: message.body,
            attributes: message.attributes,
            group_id: message.group_id,
            deduplication_id: scoped.as_ref().map(|(_, id)| id.clone()),
            sequence_number,
            trace_header: message.trace_header,
            dead_letter_source: None,
            sent_at: now,
            first_received_at: None,
            last_received_at: now,
            receive_count: 0,
            receipt: 0,
            state: if delay == 0 { State::Visible(now) } else { State::Delayed(now.plus_seconds(delay)) },
        });
        if let Some(scoped) = scoped {
            self.sends.remember(now, scoped, sent.clone());
        }
        Ok(sent)
    }

    /// The deduplication id and its scope: always on a FIFO queue, never on a standard one.
    fn deduplication(&self, message: &SendMessage) -> Result<Option<(Option<String>, String)>, BrokerError> {
        const FOREIGN: &str = "The request includes a parameter that is not valid for this queue type.";
        let Some(fifo) = &self.settings.fifo else {
            return match &message.deduplication_id {
                None => Ok(None),
                Some(id) => Err(BrokerError::invalid("MessageDeduplicationId", id, FOREIGN)),
            };
        };
        if let Some(seconds) = message.delay_seconds.filter(|seconds| *seconds > 0) {
            return Err(BrokerError::invalid("DelaySeconds", &seconds, FOREIGN));
        }
        let group = message.group_id.as_ref().ok_or(BrokerError::MissingParameter("MessageGroupId"))?;
        let id = match &message.deduplication_id {
            Some(id) => id.clone(),
            None if fifo.content_based => digest::deduplication_id(&message.body),
            None => {
                return Err(BrokerError::InvalidMessage(
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
                        .to_owned(),
                ));
            }
        };
        Ok(Some((fifo.per_group.then(|| group.clone()), id)))
    }

    /// Parses a handle, which must belong to this queue.
    fn handle(&self, text: &str) -> Result<Handle, BrokerError> {
        let ours = |handle: &Handle| handle.queue_tag == self.tag && handle.receipt < self.next_receipt;
        Handle::decode(text).filter(ours).ok_or(BrokerError::ReceiptHandleIsInvalid)
    }

    /// Deletes the message if the handle is of its latest receive. Deleting a deleted message succeeds.
    pub(super) fn delete(&mut self, text: &str) -> Result<(), BrokerError> {
        let handle = self.handle(text)?;
        let Some(stored) = self.store.get(handle.key) else { return Ok(()) };
        let latest = stored.receipt == handle.receipt;
        let in_flight = matches!(stored.state, State::InFlight(_));
        if self.settings.fifo.is_some() && !(latest && in_flight) {
            return Err(BrokerError::invalid("ReceiptHandle", text, "The receipt handle has expired."));
        }
        if latest {
            self.store.remove(handle.key);
        }
        Ok(())
    }

    /// Hides the message for this many seconds from now; 0 makes it visible.
    pub(super) fn change_visibility(
        &mut self,
        now: Timestamp,
        text: &str,
        seconds: u32,
    ) -> Result<(), BrokerError> {
        let handle = self.handle(text)?;
        if seconds > MAX_VISIBILITY_SECONDS {
            let reason = "VisibilityTimeout must be >= 0 and <= 43200.";
            return Err(BrokerError::invalid("VisibilityTimeout", &seconds, reason));
        }
        let actionable = |stored: &&Stored| {
            let in_flight = matches!(stored.state, State::InFlight(_));
            stored.receipt == handle.receipt && (in_flight || self.settings.fifo.is_none())
        };
        let Some(stored) = self.store.get(handle.key).filter(actionable) else {
            let reason = "Message does not exist or is not available for visibility timeout change.";
            return Err(BrokerError::invalid("ReceiptHandle", text, reason));
        };
        let until = now.plus_seconds(seconds);
        if until > stored.last_received_at.plus_seconds(MAX_VISIBILITY_SECONDS) {
            let reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]";
            return Err(BrokerError::invalid("VisibilityTimeout", &seconds, reason));
        }
        let state = if seconds == 0 { State::Visible(now) } else { State::InFlight(until) };
        self.store.set_state(handle.key, state);
        Ok(())
    }

    /// Disturbs a message that was just received or changed.
    pub(super) fn disturb(&mut self, now: Timestamp, text: &str, disturbance: Disturbance) {
        let Ok(handle) = self.handle(text) else { return };
        let Some(state) = self.store.get(handle.key).map(|stored| stored.state) else { return };
        let state = match (disturbance, state) {
            // On a FIFO queue a visible message has no valid handle, so it cannot be delivered twice this
            // way.
            (Disturbance::Duplicate, State::InFlight(_)) if self.settings.fifo.is_none() => {
                State::Visible(now)
            }
            (Disturbance::Late(millis), State::InFlight(until)) => State::InFlight(until.plus_millis(millis)),
            (Disturbance::Late(millis), State::Visible(_)) => State::InFlight(now.plus_millis(millis)),
            _ => return,
        };
        self.store.set_state(handle.key, state);
    }

    /// Accepts a message that used up its receives in the queue of ARN `source`; its receive count goes on.
    pub(super) fn accept_dead_letter(&mut self, now: Timestamp, mut stored: Stored, source: &str) {
        stored.dead_letter_source = Some(source.to_owned());
        stored.receipt = 0;
        stored.state = State::Visible(now);
        // Recorded behaviour: a standard queue keeps the sent time, a FIFO queue sets it anew.
        if self.settings.fifo.is_some() {
            stored.sent_at = now;
        }
        self.store.insert(stored);
    }

    /// Accepts a message that leaves a dead-letter queue: it starts anew, under a new id.
    pub(super) fn accept_redriven(&mut self, now: Timestamp, stored: Stored, id: String) {
        let sequence_number = self.new_sequence_number();
        self.store.insert(Stored {
            id,
            sequence_number,
            dead_letter_source: None,
            sent_at: now,
            first_received_at: None,
            last_received_at: now,
            receive_count: 0,
            receipt: 0,
            state: State::Visible(now),
            ..stored
        });
    }

    /// The next sequence number of a FIFO queue.
    fn new_sequence_number(&mut self) -> Option<String> {
        self.settings.fifo.as_ref()?;
        let number = self.next_sequence_number;
        self.next_sequence_number += 1;
        Some(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localqueue::Receive;

    const T0: Timestamp = Timestamp(1_700_000_000_000);

    fn fifo(attributes: &[(&str, &str)]) -> Queue {
        let mut all: BTreeMap<_, _> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        all.insert("FifoQueue".to_owned(), "true".to_owned());
        Queue::new(T0, Settings::create("q.fifo", &all).unwrap(), 1)
    }

    fn message(body: &str, group: Option<&str>, deduplication: Option<&str>) -> SendMessage {
        SendMessage {
            body: body.into(),
            group_id: group.map(str::to_owned),
            deduplication_id: deduplication.map(str::to_owned),
            ..Default::default()
        }
    }

    fn send(queue: &mut Queue, now: Timestamp, message: SendMessage) -> Result<Sent, &'static str> {
        queue.advance(now);
        let id = format!("id-{}", queue.next_sequence_number);
        queue.send(now, message, id).map_err(|error| error.code())
    }

    fn take_handle(queue: &mut Queue, seconds: u32) -> String {
        let receive = Receive { visibility_timeout: Some(seconds), ..Default::default() };
        queue.take(T0, &receive, None).unwrap().messages.remove(0).receipt_handle
    }

    #[test]
    fn a_fifo_message_needs_a_group_a_deduplication_id_and_no_delay() {
        let mut queue = fifo(&[]);
        assert_eq!(send(&mut queue, T0, message("x", None, Some("d"))), Err("MissingParameter"));
        assert_eq!(send(&mut queue, T0, message("x", Some("g"), None)), Err("InvalidParameterValue"));
        let delayed = SendMessage { delay_seconds: Some(5), ..message("x", Some("g"), Some("d")) };
        assert_eq!(send(&mut queue, T0, delayed), Err("InvalidParameterValue"));
        assert!(send(&mut queue, T0, message("x", Some("g"), Some("d"))).is_ok());
    }

    #[test]
    fn a_standard_queue_takes_a_group_and_no_deduplication_id() {
        let mut queue = Queue::new(T0, Settings::create("q", &BTreeMap::new()).unwrap(), 1);
        let sent = send(&mut queue, T0, message("x", Some("tenant"), None)).unwrap();
        assert_eq!(sent.sequence_number, None);
        assert_eq!(send(&mut queue, T0, message("x", None, Some("d"))), Err("InvalidParameterValue"));
    }

    #[test]
    fn a_duplicate_is_answered_like_the_first_and_dropped_for_five_minutes() {
        let mut queue = fifo(&[]);
        let first = send(&mut queue, T0, message("first", Some("g"), Some("d"))).unwrap();
        let handle = take_handle(&mut queue, 60);
        queue.delete(&handle).unwrap();
        let again =
            send(&mut queue, T0.plus_millis(299_999), message("again", Some("h"), Some("d"))).unwrap();
        assert_eq!((again, queue.store.len()), (first.clone(), 0));
        let later = send(&mut queue, T0.plus_seconds(300), message("later", Some("g"), Some("d"))).unwrap();
        assert_eq!(queue.store.len(), 1);
        assert!(later.sequence_number > first.sequence_number);
        assert_eq!(later.sequence_number.map(|number| number.len()), Some(20));
    }

    #[test]
    fn deduplication_goes_by_content_and_by_group_when_the_queue_says_so() {
        let mut queue =
            fifo(&[("ContentBasedDeduplication", "true"), ("DeduplicationScope", "messageGroup")]);
        for (body, group) in [("same", "a"), ("same", "a"), ("other", "a"), ("same", "b")] {
            send(&mut queue, T0, message(body, Some(group), None)).unwrap();
        }
        assert_eq!(queue.store.len(), 3);
    }

    #[test]
    fn on_a_fifo_queue_a_handle_expires_with_the_visibility_timeout() {
        let mut queue = fifo(&[]);
        send(&mut queue, T0, message("x", Some("g"), Some("d"))).unwrap();
        let handle = take_handle(&mut queue, 1);
        let later = T0.plus_seconds(1);
        queue.advance(later);
        let refused = queue.delete(&handle).unwrap_err();
        assert!(refused.to_string().ends_with("The receipt handle has expired."), "{refused}");
        assert_eq!(refused.code(), "InvalidParameterValue");
        assert!(queue.change_visibility(later, &handle, 10).is_err());
        assert_eq!(queue.store.len(), 1);
    }

    #[test]
    fn on_a_standard_queue_the_latest_handle_acts_even_after_the_timeout() {
        let mut queue = Queue::new(T0, Settings::create("q", &BTreeMap::new()).unwrap(), 1);
        send(&mut queue, T0, message("x", None, None)).unwrap();
        let handle = take_handle(&mut queue, 1);
        let later = T0.plus_seconds(5);
        queue.advance(later);
        assert_eq!(queue.change_visibility(later, &handle, 10), Ok(()));
        assert_eq!((queue.store.visible(), queue.store.in_flight()), (0, 1));
        assert_eq!(queue.delete(&handle), Ok(()));
        assert_eq!(queue.store.len(), 0);
    }
}
