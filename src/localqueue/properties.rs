//! Properties that hold after any sequence of operations, checked with random sequences.
//!
//! - Nothing is lost: a message sent and not deleted is in the queue or in its dead-letter queue.
//! - The counts match the messages.
//! - A FIFO receive returns no message behind a hidden one of its group, and keeps the group's order.
//! - After an empty receive no message is receivable before `next_change`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::redrive::arn_of;
use super::{Broker, MessageState, Receive, Received, SendMessage, Timestamp};

const T0: Timestamp = Timestamp(1_700_000_000_000);

#[derive(Clone, Debug)]
enum Step {
    Send {
        group: u8,
        delay: Option<u32>,
    },
    Receive {
        max: u32,
        seconds: u32,
    },
    /// Uses a handle that was issued earlier, counted from the end.
    Delete {
        handle: usize,
    },
    Change {
        handle: usize,
        seconds: u32,
    },
    Wait {
        millis: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_u8, prop::option::of(0..4_u32)).prop_map(|(group, delay)| Step::Send { group, delay }),
        3 => (1..=10_u32, 0..6_u32).prop_map(|(max, seconds)| Step::Receive { max, seconds }),
        2 => (0..4_usize).prop_map(|handle| Step::Delete { handle }),
        2 => (0..4_usize, 0..6_u32).prop_map(|(handle, seconds)| Step::Change { handle, seconds }),
        2 => (0..4_000_u64).prop_map(|millis| Step::Wait { millis }),
    ]
}

struct Run {
    broker: Broker,
    fifo: bool,
    now: Timestamp,
    handles: Vec<String>,
    sent: usize,
    deleted: usize,
}

impl Run {
    fn new(fifo: bool) -> Self {
        let mut broker = Broker::new(7);
        let fifo_queue = fifo.then(|| ("FifoQueue".to_owned(), "true".to_owned()));
        let attributes: BTreeMap<_, _> = fifo_queue.into_iter().collect();
        let mut run =
            Self { broker: Broker::new(7), fifo, now: T0, handles: Vec::new(), sent: 0, deleted: 0 };
        broker.create_queue(T0, &run.name("dead"), &attributes).unwrap();
        let policy =
            format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":3}}"#, arn_of(&run.name("dead")));
        let mut attributes = attributes;
        attributes.insert("RedrivePolicy".to_owned(), policy);
        broker.create_queue(T0, &run.name("q"), &attributes).unwrap();
        run.broker = broker;
        run
    }

    fn name(&self, stem: &str) -> String {
        if self.fifo { format!("{stem}.fifo") } else { stem.to_owned() }
    }

    fn stored(&self) -> usize {
        ["q", "dead"].map(|stem| self.broker.inspect(self.now, &self.name(stem)).len()).iter().sum()
    }

    fn take(&mut self, max_messages: u32, seconds: u32) -> Vec<Received> {
        let receive = Receive { max_messages, visibility_timeout: Some(seconds), attempt_id: None };
        self.broker.receive(self.now, &self.name("q"), &receive).unwrap()
    }

    fn apply(&mut self, step: &Step) {
        let queue = self.name("q");
        match *step {
            Step::Send { group, delay } => {
                self.sent += 1;
                let message = SendMessage {
                    // The group and the position within it, so that a body shows both.
                    body: format!("{group}:{:06}", self.sent),
                    group_id: Some(group.to_string()),
                    deduplication_id: self.fifo.then(|| self.sent.to_string()),
                    delay_seconds: delay.filter(|_| !self.fifo),
                    ..Default::default()
                };
                self.broker.send(self.now, &queue, message).unwrap();
            }
            Step::Receive { max, seconds } => self.receive(max, seconds),
            Step::Delete { handle } => {
                if let Some(handle) = self.handles.iter().rev().nth(handle) {
                    let before = self.stored();
                    // Refused for an expired handle on a FIFO queue.
                    self.broker.delete(self.now, &queue, handle).unwrap_or_default();
                    self.deleted += before - self.stored();
                }
            }
            Step::Change { handle, seconds } => {
                if let Some(handle) = self.handles.iter().rev().nth(handle) {
                    self.broker.change_visibility(self.now, &queue, handle, seconds).unwrap_or_default();
                }
            }
            Step::Wait { millis } => self.now = self.now.plus_millis(millis),
        }
    }

    fn receive(&mut self, max: u32, seconds: u32) {
        let hidden: Vec<_> = self
            .broker
            .inspect(self.now, &self.name("q"))
            .into_iter()
            .filter(|message| message.state != MessageState::Visible)
            .map(|message| message.body)
            .collect();
        let given = self.take(max, seconds);
        if self.fifo {
            for (place, message) in given.iter().enumerate() {
                let group = &message.body[..1];
                let earlier = |body: &String| body.starts_with(group) && *body < message.body;
                assert!(!hidden.iter().any(earlier), "{} is behind a hidden message", message.body);
                let later = |other: &Received| other.body.starts_with(group) && other.body > message.body;
                assert!(!given[..place].iter().any(later), "{} comes too late", message.body);
            }
        }
        if given.is_empty() {
            let change = self.broker.next_change(self.now, &self.name("q"));
            let before = change.map_or(self.now.plus_seconds(100), |at| Timestamp(at.0 - 1));
            let mut later = self.broker.clone();
            let receive = Receive { max_messages: 10, ..Default::default() };
            assert_eq!(later.receive(before, &self.name("q"), &receive), Ok(Vec::new()));
        }
        self.handles.extend(given.into_iter().map(|message| message.receipt_handle));
    }

    fn check(&mut self) {
        assert_eq!(self.stored(), self.sent - self.deleted);
        let queue = self.name("q");
        let attributes = self.broker.attributes(self.now, &queue).unwrap();
        let messages = self.broker.inspect(self.now, &queue);
        let count = |is: fn(&MessageState) -> bool| {
            messages.iter().filter(|message| is(&message.state)).count().to_string()
        };
        let read = |name: &str| attributes[&format!("ApproximateNumberOfMessages{name}")].clone();
        assert_eq!(read(""), count(|state| *state == MessageState::Visible));
        assert_eq!(read("Delayed"), count(|state| matches!(state, MessageState::Delayed { .. })));
        assert_eq!(read("NotVisible"), count(|state| matches!(state, MessageState::InFlight { .. })));
    }
}

proptest! {
    #[test]
    fn any_sequence_of_operations_keeps_the_promises(
        fifo in any::<bool>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut run = Run::new(fifo);
        for step in &steps {
            run.apply(step);
            run.check();
        }
        // At the end every message can be received and deleted, from one queue or the other.
        run.now = run.now.plus_seconds(3600);
        for stem in ["q", "dead"] {
            let queue = run.name(stem);
            loop {
                let receive = Receive { max_messages: 10, ..Default::default() };
                let given = run.broker.receive(run.now, &queue, &receive).unwrap();
                if given.is_empty() {
                    break;
                }
                for message in given {
                    run.broker.delete(run.now, &queue, &message.receipt_handle).unwrap();
                }
            }
        }
        prop_assert_eq!(run.stored(), 0);
    }
}
