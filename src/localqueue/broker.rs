//! The broker: all queues by name, and the operations on messages.
//!
//! The broker is a pure state machine. The caller supplies the time with every call and randomness as a seed.
//! There is no task, clock or I/O. Equal calls give equal answers, message ids and receipt handles included.
//! Time should not run backwards. If it does, hidden messages stay hidden until time has caught up.
//!
//! Waiting for messages is the caller's task. [`Broker::next_change`] says until when no message can become
//! receivable by itself. [`Broker::take_changed`] names the queues that a waiting receive should check again.
//!
//! Operations on queues are in `queues`, moves out of dead-letter queues in `move_task`.

use std::collections::{BTreeMap, BTreeSet};

use super::attributes::MAX_VISIBILITY_SECONDS;
use super::moves::Moves;
use super::queue::Queue;
use super::redrive::arn_of;
use super::{BrokerError, Disturbance, Inspected, Receive, Received, SendMessage, Sent, Timestamp, checks};

/// Most messages one receive may ask for.
const MAX_RECEIVED: u32 = 10;

/// An in-memory model of SQS for one account (`000000000000`) in one region (`us-east-1`).
#[derive(Clone, Debug)]
pub struct Broker {
    pub(super) queues: BTreeMap<String, Queue>,
    pub(super) random: fastrand::Rng,
    pub(super) moves: Moves,
    changed: BTreeSet<String>,
}

impl Broker {
    /// A broker without queues; equal seeds give equal message ids and receipt handles.
    pub fn new(seed: u64) -> Self {
        Self {
            queues: BTreeMap::new(),
            random: fastrand::Rng::with_seed(seed),
            moves: Moves::default(),
            changed: BTreeSet::new(),
        }
    }

    /// Puts a message into a queue.
    ///
    /// On a FIFO queue a duplicate within 5 minutes is answered like the first message and dropped.
    pub fn send(&mut self, now: Timestamp, queue: &str, message: SendMessage) -> Result<Sent, BrokerError> {
        let id = self.new_message_id();
        let sent = self.queue_at(now, queue)?.send(now, message, id)?;
        self.mark_changed(queue);
        Ok(sent)
    }

    /// Hands out messages that are receivable now, and hides them; returns at once.
    ///
    /// A message that used up the receives of the redrive policy goes to the dead-letter queue instead. If
    /// that queue is gone, the message is handed out as before.
    pub fn receive(
        &mut self,
        now: Timestamp,
        queue: &str,
        receive: &Receive,
    ) -> Result<Vec<Received>, BrokerError> {
        check_receive(receive)?;
        let policy = self.queue_at(now, queue)?.settings.redrive.clone();
        let policy = policy.filter(|policy| self.queues.contains_key(&policy.target));
        let max_receives = policy.as_ref().map(|policy| policy.max_receives);
        let taken = self.queue_at(now, queue)?.take(now, receive, max_receives)?;
        if let Some(policy) = policy.filter(|_| !taken.poison.is_empty()) {
            let source = arn_of(queue);
            let target = self.queue_at(now, &policy.target)?;
            for stored in taken.poison {
                target.accept_dead_letter(now, stored, &source);
            }
            self.mark_changed(&policy.target);
        }
        Ok(taken.messages)
    }

    /// Deletes the message of a receipt handle.
    ///
    /// On a standard queue this succeeds for a deleted message. It also succeeds for the handle of an earlier
    /// receive, but then deletes nothing. On a FIFO queue the handle is refused once the visibility timeout
    /// has ended.
    pub fn delete(&mut self, now: Timestamp, queue: &str, receipt_handle: &str) -> Result<(), BrokerError> {
        self.queue_at(now, queue)?.delete(receipt_handle)?;
        // On a FIFO queue this may make the next message of the group receivable.
        self.mark_changed(queue);
        Ok(())
    }

    /// Hides the message of a receipt handle for so many seconds from now. The limit is 12 hours after its
    /// receive.
    pub fn change_visibility(
        &mut self,
        now: Timestamp,
        queue: &str,
        receipt_handle: &str,
        seconds: u32,
    ) -> Result<(), BrokerError> {
        self.queue_at(now, queue)?.change_visibility(now, receipt_handle, seconds)?;
        self.mark_changed(queue);
        Ok(())
    }

    /// Disturbs the message of a receipt handle; without effect if the message is gone.
    pub(super) fn disturb(
        &mut self,
        now: Timestamp,
        queue: &str,
        receipt_handle: &str,
        disturbance: Disturbance,
    ) {
        if let Ok(state) = self.queue_at(now, queue) {
            state.disturb(now, receipt_handle, disturbance);
            self.mark_changed(queue);
        }
    }

    /// The earliest time after `now` at which a message may become receivable by itself.
    ///
    /// `None` while no message is hidden or being moved. The time may be too early, never too late. It is too
    /// early when the group is blocked, or the message is moved to another queue.
    pub fn next_change(&self, now: Timestamp, queue: &str) -> Option<Timestamp> {
        let hidden = self.queues.get(queue)?.store.next_return(now);
        [hidden, self.moves.next_move(now)].into_iter().flatten().min()
    }

    /// The queues that a waiting receive should check again: those changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.changed)
    }

    /// Every stored message in the order of arrival, for tests; changes nothing. Empty for a missing queue.
    pub fn inspect(&self, now: Timestamp, queue: &str) -> Vec<Inspected> {
        let look = |queue: &Queue| queue.store.inspect(now, queue.settings.retention);
        self.queues.get(queue).map(look).unwrap_or_default()
    }

    /// A queue, advanced to the time `now`.
    pub(super) fn queue_at(&mut self, now: Timestamp, name: &str) -> Result<&mut Queue, BrokerError> {
        self.run_moves(now);
        let queue = self.queues.get_mut(name).ok_or(BrokerError::QueueDoesNotExist)?;
        queue.advance(now);
        Ok(queue)
    }

    pub(super) fn mark_changed(&mut self, queue: &str) {
        if !self.changed.contains(queue) {
            self.changed.insert(queue.to_owned());
        }
    }

    /// A random id in the form of a version 4 UUID.
    pub(super) fn new_message_id(&mut self) -> String {
        let bits = self.random.u128(..);
        let bits = (bits & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
        let text = format!("{bits:032x}");
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| text.get(part).unwrap_or_default()).join("-")
    }
}

fn check_receive(receive: &Receive) -> Result<(), BrokerError> {
    if !(1..=MAX_RECEIVED).contains(&receive.max_messages) {
        let reason = "Must be between 1 and 10, if provided.";
        return Err(BrokerError::invalid("MaxNumberOfMessages", &receive.max_messages, reason));
    }
    if let Some(seconds) = receive.visibility_timeout.filter(|seconds| *seconds > MAX_VISIBILITY_SECONDS) {
        let reason = "Must be >= 0 and <= 43200, if provided.";
        return Err(BrokerError::invalid("VisibilityTimeout", &seconds, reason));
    }
    receive.attempt_id.as_deref().map_or(Ok(()), |id| checks::id("ReceiveRequestAttemptId", id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localqueue::MessageState;
    use crate::localqueue::take::MAX_IN_FLIGHT;

    const T0: Timestamp = Timestamp(1_700_000_000_000);

    fn broker(attributes: &[(&str, &str)]) -> Broker {
        let mut broker = Broker::new(1);
        let attributes = attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        broker.create_queue(T0, "q", &attributes).unwrap();
        broker
    }

    fn with_dead_letters(max_receives: u32) -> Broker {
        let mut broker = broker(&[]);
        broker.create_queue(T0, "dead", &BTreeMap::new()).unwrap();
        let policy =
            format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{max_receives}}}"#, arn_of("dead"));
        broker.set_attributes(T0, "q", &[("RedrivePolicy".to_owned(), policy)].into()).unwrap();
        broker
    }

    fn send(broker: &mut Broker, body: &str) {
        broker.send(T0, "q", SendMessage { body: body.into(), ..Default::default() }).unwrap();
    }

    fn receive(broker: &mut Broker, now: Timestamp, queue: &str, seconds: u32) -> Vec<Received> {
        let receive = Receive { max_messages: 10, visibility_timeout: Some(seconds), attempt_id: None };
        broker.receive(now, queue, &receive).unwrap()
    }

    fn bodies(messages: &[Received]) -> Vec<&str> {
        messages.iter().map(|message| message.body.as_str()).collect()
    }

    #[test]
    fn a_received_message_is_hidden_and_comes_back_at_the_millisecond() {
        let mut broker = broker(&[]);
        send(&mut broker, "x");
        let first = receive(&mut broker, T0, "q", 30);
        assert_eq!(first[0].receive_count, 1);
        assert!(receive(&mut broker, T0.plus_millis(29_999), "q", 30).is_empty());
        assert_eq!(broker.next_change(T0, "q"), Some(T0.plus_seconds(30)));
        let again = receive(&mut broker, T0.plus_seconds(30), "q", 30);
        assert_eq!((again[0].receive_count, again[0].first_received_at), (2, T0));
        assert_ne!(first[0].receipt_handle, again[0].receipt_handle);
    }

    #[test]
    fn a_delayed_message_waits_for_its_time() {
        let mut broker = broker(&[("DelaySeconds", "5")]);
        send(&mut broker, "queue's delay");
        let message = SendMessage { body: "own".into(), delay_seconds: Some(2), ..Default::default() };
        broker.send(T0, "q", message).unwrap();
        assert_eq!(broker.inspect(T0, "q")[1].state, MessageState::Delayed { until: T0.plus_seconds(2) });
        assert_eq!(bodies(&receive(&mut broker, T0.plus_seconds(2), "q", 60)), ["own"]);
        assert_eq!(bodies(&receive(&mut broker, T0.plus_seconds(5), "q", 60)), ["queue's delay"]);
    }

    #[test]
    fn a_deleted_message_stays_away_and_deleting_it_again_succeeds() {
        let mut broker = broker(&[]);
        send(&mut broker, "x");
        let handle = receive(&mut broker, T0, "q", 1)[0].receipt_handle.clone();
        assert_eq!(broker.delete(T0, "q", &handle), Ok(()));
        assert_eq!(broker.delete(T0, "q", &handle), Ok(()));
        assert!(broker.inspect(T0, "q").is_empty());
        assert_eq!(broker.delete(T0, "q", "garbage"), Err(BrokerError::ReceiptHandleIsInvalid));
    }

    #[test]
    fn the_handle_of_an_earlier_receive_deletes_nothing_and_hides_nothing() {
        let mut broker = broker(&[]);
        send(&mut broker, "x");
        let old = receive(&mut broker, T0, "q", 1)[0].receipt_handle.clone();
        let later = T0.plus_seconds(1);
        receive(&mut broker, later, "q", 10);
        assert_eq!(broker.delete(later, "q", &old), Ok(()));
        let refused = broker.change_visibility(later, "q", &old, 100).unwrap_err();
        assert_eq!(refused.code(), "InvalidParameterValue");
        let until = later.plus_seconds(10);
        assert_eq!(broker.inspect(later, "q")[0].state, MessageState::InFlight { until });
    }

    #[test]
    fn visibility_counts_from_the_change_and_ends_twelve_hours_after_the_receive() {
        let mut broker = broker(&[]);
        send(&mut broker, "x");
        let handle = receive(&mut broker, T0, "q", 10)[0].receipt_handle.clone();
        let later = T0.plus_seconds(5);
        assert_eq!(broker.change_visibility(later, "q", &handle, 43_195), Ok(()));
        assert!(broker.change_visibility(later, "q", &handle, 43_196).is_err());
        assert!(broker.change_visibility(later, "q", &handle, 43_201).is_err());
        assert_eq!(broker.change_visibility(later, "q", &handle, 0), Ok(()));
        assert_eq!(receive(&mut broker, later, "q", 0)[0].receive_count, 2);
    }

    #[test]
    fn after_its_last_receive_a_message_moves_to_the_dead_letter_queue_and_counts_on() {
        let mut broker = with_dead_letters(2);
        send(&mut broker, "poison");
        for count in 1..=2 {
            assert_eq!(receive(&mut broker, T0, "q", 0)[0].receive_count, count);
        }
        send(&mut broker, "good");
        assert_eq!(bodies(&receive(&mut broker, T0.plus_seconds(1), "q", 9)), ["good"]);
        let dead = receive(&mut broker, T0.plus_seconds(1), "dead", 9);
        assert_eq!((bodies(&dead), dead[0].receive_count, dead[0].sent_at), (vec!["poison"], 3, T0));
        assert_eq!(dead[0].dead_letter_source, Some(arn_of("q")));
    }

    #[test]
    fn without_its_dead_letter_queue_a_message_is_handed_out_as_before() {
        let mut broker = with_dead_letters(1);
        broker.delete_queue("dead").unwrap();
        send(&mut broker, "x");
        for count in 1..=3 {
            assert_eq!(receive(&mut broker, T0, "q", 0)[0].receive_count, count);
        }
    }

    #[test]
    fn retention_drops_messages_and_inspection_knows_it() {
        let mut broker = broker(&[("MessageRetentionPeriod", "60")]);
        send(&mut broker, "x");
        assert_eq!(broker.inspect(T0.plus_millis(59_999), "q").len(), 1);
        assert!(broker.inspect(T0.plus_seconds(60), "q").is_empty());
        assert!(receive(&mut broker, T0.plus_seconds(60), "q", 1).is_empty());
    }

    #[test]
    fn past_the_in_flight_limit_a_standard_queue_answers_over_limit() {
        let mut broker = broker(&[]);
        for _ in 0..=MAX_IN_FLIGHT {
            send(&mut broker, "x");
        }
        for _ in 0..MAX_IN_FLIGHT / 10 {
            assert_eq!(receive(&mut broker, T0, "q", 60).len(), 10);
        }
        assert_eq!(broker.receive(T0, "q", &Receive::default()), Err(BrokerError::OverLimit));
    }

    #[test]
    fn requests_out_of_range_are_refused() {
        let mut broker = broker(&[]);
        for receive in [
            Receive { max_messages: 0, ..Default::default() },
            Receive { max_messages: 11, ..Default::default() },
            Receive { visibility_timeout: Some(43_201), ..Default::default() },
        ] {
            assert!(broker.receive(T0, "q", &receive).is_err(), "{receive:?}");
        }
        assert_eq!(broker.receive(T0, "no", &Receive::default()), Err(BrokerError::QueueDoesNotExist));
    }

    #[test]
    fn equal_seeds_and_calls_give_equal_answers() {
        let run = || {
            let mut broker = broker(&[]);
            send(&mut broker, "a");
            send(&mut broker, "b");
            receive(&mut broker, T0, "q", 5)
        };
        assert_eq!(run(), run());
        assert_eq!(run()[0].message_id.len(), 36);
    }

    #[test]
    fn what_happens_in_a_queue_marks_it_changed_and_a_move_marks_the_dead_letter_queue() {
        let mut broker = with_dead_letters(1);
        send(&mut broker, "x");
        assert_eq!(broker.take_changed(), ["q".to_owned()].into());
        receive(&mut broker, T0, "q", 0);
        receive(&mut broker, T0, "q", 0);
        assert_eq!(broker.take_changed(), ["dead".to_owned()].into());
    }
}
