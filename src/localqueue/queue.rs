//! One queue: what sending, receiving, deleting and hiding mean for its messages.
//!
//! It knows nothing of other queues. A receive that finds a message which used up its receives returns it as
//! *poison*, and the broker puts it into the dead-letter queue. Every operation first brings the store to `now`.
//!
//! Handles, standard queue: deleting with any handle of this queue succeeds, but only the handle of the latest receive
//! deletes; a message whose visibility ran out can still be deleted or hidden with it. FIFO queue: once the visibility ran
//! out the handle is refused.

use std::collections::BTreeMap;

use super::attributes::{MAX_VISIBILITY_SECONDS, Settings};
use super::digest;
use super::handle::Handle;
use super::recent::{Given, Recent};
use super::store::{Key, State, Store, Stored};
use super::{BrokerError, Receive, Received, SendMessage, Sent, Timestamp, checks};

/// Messages of one queue in flight at most (SQS quotas); then standard queues answer `OverLimit`, FIFO queues nothing.
pub(super) const MAX_IN_FLIGHT: usize = 120_000;
/// The sender of every message: the one account there is.
const SENDER: &str = "000000000000";
/// Sequence numbers start here, so that each has 20 digits.
const FIRST_SEQUENCE_NUMBER: u64 = 10_000_000_000_000_000_000;

/// A queue's settings, its messages and its memories.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) settings: Settings,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created_at: Timestamp,
    pub(super) modified_at: Timestamp,
    pub(super) purged_at: Option<Timestamp>,
    pub(super) store: Store,
    /// Random: tells handles of this queue from those of any other.
    tag: u64,
    next_receipt: u64,
    next_sequence_number: u64,
    /// FIFO: sends by group (or `None`: the whole queue) and deduplication id.
    sends: Recent<(Option<String>, String), Sent>,
    /// FIFO: receives by attempt id.
    attempts: Recent<String, Vec<Given>>,
}

/// What a receive took out of the queue's ready messages.
pub(super) struct Taken {
    /// For the consumer.
    pub(super) messages: Vec<Received>,
    /// Removed: their receives are used up.
    pub(super) poison: Vec<Stored>,
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

    /// Brings the queue to the time `now`.
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
        let sequence_number = self.settings.fifo.is_some().then(|| {
            let number = self.next_sequence_number;
            self.next_sequence_number += 1;
            number.to_string()
        });
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
            None if fifo.content_based => digest::of_body(&message.body),
            None => {
                return Err(BrokerError::InvalidMessage(
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
                        .to_owned(),
                ));
            }
        };
        Ok(Some((fifo.per_group.then(|| group.clone()), id)))
    }

    /// Hands out ready messages; those received `max_receives` times already come back as poison.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        receive: &Receive,
        max_receives: Option<u32>,
    ) -> Result<Taken, BrokerError> {
        let until = now.plus_seconds(receive.visibility_timeout.unwrap_or(self.settings.visibility));
        let attempt = receive.attempt_id.clone().filter(|_| self.settings.fifo.is_some());
        if let Some(given) = attempt.as_ref().and_then(|id| self.attempts.get(now, id)).cloned()
            && given.iter().all(|given| self.is_untouched(given))
        {
            return Ok(Taken { messages: self.hand_out(now, until, attempt, given), poison: Vec::new() });
        }
        let wanted = usize::try_from(receive.max_messages).unwrap_or(usize::MAX);
        let room = MAX_IN_FLIGHT.saturating_sub(self.store.in_flight());
        if room == 0 && self.settings.fifo.is_none() && self.store.has_ready() {
            return Err(BrokerError::OverLimit);
        }
        let mut poison = Vec::new();
        let mut given = Vec::new();
        while given.len() < wanted.min(room) {
            let ready = self.store.ready(wanted.min(room) - given.len());
            if ready.is_empty() {
                break;
            }
            for key in ready {
                let used_up = |stored: &Stored| max_receives.is_some_and(|max| stored.receive_count >= max);
                if self.store.get(key).is_some_and(used_up) {
                    poison.extend(self.store.remove(key));
                } else {
                    given.push(self.mark_received(now, key, until));
                }
            }
        }
        Ok(Taken { messages: self.hand_out(now, until, attempt, given), poison })
    }

    fn mark_received(&mut self, now: Timestamp, key: Key, until: Timestamp) -> Given {
        let receipt = self.next_receipt;
        self.next_receipt += 1;
        if let Some(stored) = self.store.get_mut(key) {
            stored.receive_count += 1;
            stored.receipt = receipt;
            stored.last_received_at = now;
            stored.first_received_at.get_or_insert(now);
        }
        self.store.set_state(key, State::InFlight(until));
        Given { key, receipt, until }
    }

    /// Whether a remembered message is in flight as its receive left it: neither deleted nor changed nor come back.
    fn is_untouched(&self, given: &Given) -> bool {
        self.store.get(given.key).is_some_and(|stored| {
            stored.receipt == given.receipt && stored.state == State::InFlight(given.until)
        })
    }

    /// Sets the visibility of all messages of one receive together, remembers the attempt and builds the answer.
    fn hand_out(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        attempt: Option<String>,
        given: Vec<Given>,
    ) -> Vec<Received> {
        // Visibility 0 takes effect only here: earlier, the same receive would have met the message again.
        let state = if until > now { State::InFlight(until) } else { State::Visible(now) };
        for given in &given {
            self.store.set_state(given.key, state);
        }
        let messages = given.iter().filter_map(|given| self.received(given.key)).collect();
        if let Some(id) = attempt.filter(|_| !given.is_empty()) {
            let given = given.into_iter().map(|given| Given { until, ..given }).collect();
            self.attempts.remember(now, id, given);
        }
        messages
    }

    fn received(&self, key: Key) -> Option<Received> {
        let stored = self.store.get(key)?;
        Some(Received {
            message_id: stored.id.clone(),
            receipt_handle: Handle { queue_tag: self.tag, key, receipt: stored.receipt }.encode(),
            body: stored.body.clone(),
            receive_count: stored.receive_count,
            sent_at: stored.sent_at,
            first_received_at: stored.first_received_at.unwrap_or(stored.last_received_at),
            sender_id: SENDER.to_owned(),
            group_id: stored.group_id.clone(),
            deduplication_id: stored.deduplication_id.clone(),
            sequence_number: stored.sequence_number.clone(),
            trace_header: stored.trace_header.clone(),
            dead_letter_source: stored.dead_letter_source.clone(),
            attributes: stored.attributes.clone(),
        })
    }

    /// Reads a handle, which must be one of this queue.
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

    /// Takes in a message that used up its receives in the queue of ARN `source`; its receive count goes on.
    pub(super) fn bury(&mut self, now: Timestamp, mut stored: Stored, source: &str) {
        stored.dead_letter_source = Some(source.to_owned());
        stored.receipt = 0;
        stored.state = State::Visible(now);
        // Recorded behaviour: a standard queue keeps the time of sending, a FIFO queue starts it anew.
        if self.settings.fifo.is_some() {
            stored.sent_at = now;
        }
        self.store.insert(stored);
    }
}
