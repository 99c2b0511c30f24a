//! Receiving: which messages a queue hands out, and how a receive changes them.
//!
//! A message that used up its receives is not handed out but removed as *poison*. The broker puts it into the
//! dead-letter queue. The same receive continues with the messages behind it.
//!
//! A FIFO receive may carry an attempt id. The same id within 5 minutes returns the same messages again, with
//! the same handles and a new visibility timeout. It does so only while none of them was deleted, changed or
//! became visible.

use super::handle::Handle;
use super::queue::Queue;
use super::recent::Given;
use super::stored::{Key, State, Stored};
use super::{BrokerError, Receive, Received, Timestamp};

/// Most messages of one queue in flight (SQS quotas). Above it standard queues answer `OverLimit`, FIFO
/// queues nothing.
pub(super) const MAX_IN_FLIGHT: usize = 120_000;
/// The sender of every message: the broker's one account.
const SENDER: &str = "000000000000";

/// The messages that a receive removed from the queue's ready messages.
pub(super) struct Taken {
    /// Messages for the consumer.
    pub(super) messages: Vec<Received>,
    /// Messages removed because their receives are used up.
    pub(super) poison: Vec<Stored>,
}

impl Queue {
    /// Hands out ready messages; those with `max_receives` receives are returned as poison.
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

    /// Whether a remembered message is still in flight since its receive: neither deleted, changed nor
    /// visible again.
    fn is_untouched(&self, given: &Given) -> bool {
        self.store.get(given.key).is_some_and(|stored| {
            stored.receipt == given.receipt && stored.state == State::InFlight(given.until)
        })
    }

    /// Sets the visibility of one receive's messages, remembers the attempt id and builds the answer.
    fn hand_out(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        attempt: Option<String>,
        given: Vec<Given>,
    ) -> Vec<Received> {
        // Visibility 0 takes effect only here; otherwise this receive would return the message twice.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localqueue::SendMessage;
    use crate::localqueue::attributes::Settings;

    const T0: Timestamp = Timestamp(1_700_000_000_000);

    /// A FIFO queue with messages as texts of group and body: `a1` is message `a1` of group `a`.
    fn fifo(messages: &[&str]) -> Queue {
        let attributes = [("FifoQueue", "true"), ("ContentBasedDeduplication", "true")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut queue = Queue::new(T0, Settings::create("q.fifo", &attributes).unwrap(), 1);
        for text in messages {
            let group_id = text.get(..1).map(str::to_owned);
            let message = SendMessage { body: (*text).to_owned(), group_id, ..Default::default() };
            queue.send(T0, message, (*text).to_owned()).unwrap();
        }
        queue
    }

    fn take(queue: &mut Queue, now: Timestamp, max_messages: u32) -> Vec<Received> {
        queue.advance(now);
        let receive = Receive { max_messages, visibility_timeout: Some(60), attempt_id: None };
        queue.take(now, &receive, None).unwrap().messages
    }

    fn bodies(messages: &[Received]) -> Vec<&str> {
        messages.iter().map(|message| message.body.as_str()).collect()
    }

    #[test]
    fn a_group_is_given_in_order_and_blocked_while_its_head_is_in_flight() {
        let mut queue = fifo(&["a1", "a2", "b1"]);
        let first = take(&mut queue, T0, 1);
        assert_eq!(bodies(&first), ["a1"]);
        assert_eq!(bodies(&take(&mut queue, T0, 10)), ["b1"]);
        assert!(take(&mut queue, T0, 10).is_empty());
        queue.delete(&first[0].receipt_handle).unwrap();
        assert_eq!(bodies(&take(&mut queue, T0, 10)), ["a2"]);
    }

    #[test]
    fn a_consumer_sees_the_sha_256_of_the_body_as_its_deduplication_id() {
        let message = take(&mut fifo(&["a1"]), T0, 1).remove(0);
        let expected = "f55ff16f66f43360266b95db6f8fec01d76031054306ae4a4b380598f6cfd114";
        assert_eq!(message.deduplication_id.as_deref(), Some(expected));
    }

    #[test]
    fn after_the_timeout_a_group_comes_again_in_the_same_order() {
        let mut queue = fifo(&["a1", "a2", "a3"]);
        for seconds in [0, 60, 120] {
            assert_eq!(bodies(&take(&mut queue, T0.plus_seconds(seconds), 10)), ["a1", "a2", "a3"]);
        }
    }

    #[test]
    fn a_freed_head_comes_back_alone_while_its_successor_is_in_flight() {
        let mut queue = fifo(&["a1", "a2", "a3"]);
        let given = take(&mut queue, T0, 2);
        queue.change_visibility(T0, &given[0].receipt_handle, 0).unwrap();
        assert_eq!(bodies(&take(&mut queue, T0, 10)), ["a1"]);
    }

    #[test]
    fn what_stands_behind_an_extended_message_stays_hidden() {
        let mut queue = fifo(&["a1", "a2", "a3"]);
        let given = take(&mut queue, T0, 10);
        queue.change_visibility(T0, &given[1].receipt_handle, 300).unwrap();
        assert_eq!(bodies(&take(&mut queue, T0.plus_seconds(60), 10)), ["a1"]);
    }

    #[test]
    fn a_poison_head_is_removed_and_its_group_goes_on() {
        let mut queue = fifo(&["a1", "a2"]);
        let given = take(&mut queue, T0, 1);
        queue.change_visibility(T0, &given[0].receipt_handle, 0).unwrap();
        let taken = queue.take(T0, &Receive::default(), Some(1)).unwrap();
        assert_eq!(bodies(&taken.messages), ["a2"]);
        assert_eq!(taken.poison.len(), 1);
    }

    #[test]
    fn the_same_attempt_gives_the_same_messages_with_a_new_timeout() {
        let mut queue = fifo(&["a1", "a2", "b1"]);
        let receive =
            Receive { max_messages: 2, visibility_timeout: Some(60), attempt_id: Some("attempt".to_owned()) };
        let again = |queue: &mut Queue, now| {
            queue.advance(now);
            queue.take(now, &receive, None).unwrap().messages
        };
        let first = again(&mut queue, T0);
        assert_eq!(again(&mut queue, T0.plus_seconds(59)), first);
        assert_eq!(again(&mut queue, T0.plus_seconds(118)), first);
        queue.delete(&first[0].receipt_handle).unwrap();
        assert_eq!(bodies(&again(&mut queue, T0.plus_seconds(119))), ["b1"]);
    }

    #[test]
    fn visibility_zero_gives_each_message_once_per_receive() {
        let mut queue = fifo(&["a1", "b1"]);
        let receive = Receive { max_messages: 10, visibility_timeout: Some(0), attempt_id: None };
        for count in 1..=2 {
            let given = queue.take(T0, &receive, None).unwrap().messages;
            assert_eq!((bodies(&given), given[0].receive_count), (vec!["a1", "b1"], count));
        }
    }
}
