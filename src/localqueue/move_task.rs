//! Message move tasks out of dead-letter queues, and the moves they make as time passes.
//!
//! A task without a rate moves all visible messages at once. A task with a rate moves one message at its
//! start and then so many per second. There is no timer, so every operation on the broker first makes the
//! moves that are due. A task ends when its source has no visible message left. Moved messages start anew:
//! new id, receive count 0, sent now.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::moves::{MAX_LISTED, MoveStatus, MoveTask};
use super::redrive::queue_of;
use super::{Broker, BrokerError, Timestamp};

/// Highest rate of a task, in messages per second.
const MAX_RATE: u32 = 500;

impl Broker {
    /// Starts to move the messages of a dead-letter queue; returns the handle of the task.
    ///
    /// Errors: the source or the destination does not exist, or the source is no dead-letter queue. Also: the
    /// destination is of another type, the rate is out of range, or the source has a running task.
    pub fn start_move_task(
        &mut self,
        now: Timestamp,
        source_arn: &str,
        destination_arn: Option<&str>,
        max_per_second: Option<u32>,
    ) -> Result<String, BrokerError> {
        self.run_moves(now);
        let source = self.existing("SourceArn", source_arn)?;
        if self.list_dead_letter_source_queues(&source)?.is_empty() {
            let reason = "Source queue must be configured as a Dead Letter Queue.";
            return Err(BrokerError::invalid("SourceArn", source_arn, reason));
        }
        if let Some(arn) = destination_arn {
            let destination = self.existing("DestinationArn", arn)?;
            if destination == source || self.is_fifo(&destination) != self.is_fifo(&source) {
                let reason = "It must be another queue of the same type as the source.";
                return Err(BrokerError::invalid("DestinationArn", arn, reason));
            }
        }
        if let Some(rate) = max_per_second.filter(|rate| !(1..=MAX_RATE).contains(rate)) {
            return Err(BrokerError::invalid(
                "MaxNumberOfMessagesPerSecond",
                &rate,
                "Must be between 1 and 500.",
            ));
        }
        if self.moves.running.iter().any(|task| task.source_arn == source_arn) {
            return Err(BrokerError::UnsupportedOperation(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
                    .to_owned(),
            ));
        }
        let visible = self.queue_at(now, &source)?.store.visible();
        let id = json!({ "taskId": self.new_message_id(), "sourceArn": source_arn });
        let handle = STANDARD.encode(id.to_string());
        self.moves.running.push(MoveTask {
            handle: handle.clone(),
            status: MoveStatus::Running,
            source_arn: source_arn.to_owned(),
            destination_arn: destination_arn.map(str::to_owned),
            max_per_second,
            moved: 0,
            to_move: u64::try_from(visible).unwrap_or(u64::MAX),
            failure: None,
            started_at: now,
        });
        self.run_moves(now);
        // Receives that wait on a destination learn when the next move is due.
        for queue in self.list_queues("") {
            self.mark_changed(&queue);
        }
        Ok(handle)
    }

    /// The tasks of a source queue, latest first, at most 10.
    pub fn list_move_tasks(
        &mut self,
        now: Timestamp,
        source_arn: &str,
    ) -> Result<Vec<MoveTask>, BrokerError> {
        self.run_moves(now);
        self.existing("SourceArn", source_arn)?;
        let running = self.moves.running.iter().filter(|task| task.source_arn == source_arn);
        let ended = self.moves.ended.get(source_arn).into_iter().flatten();
        Ok(running.chain(ended).take(MAX_LISTED).cloned().collect())
    }

    /// Stops a running task; returns how many messages it has moved. They are not moved back.
    pub fn cancel_move_task(&mut self, now: Timestamp, handle: &str) -> Result<u64, BrokerError> {
        self.run_moves(now);
        let place = self.moves.running.iter().position(|task| task.handle == handle);
        let Some(place) = place else {
            return Err(BrokerError::ResourceNotFound(
                "The task handle belongs to no running message move task.".to_owned(),
            ));
        };
        let mut task = self.moves.running.remove(place);
        task.status = MoveStatus::Cancelled;
        let moved = task.moved;
        self.moves.end(task);
        Ok(moved)
    }

    /// Makes the moves that are due.
    pub(super) fn run_moves(&mut self, now: Timestamp) {
        for mut task in std::mem::take(&mut self.moves.running) {
            while task.status == MoveStatus::Running && task.next_move() <= now {
                match self.move_one(now, &task) {
                    Ok(true) => task.moved += 1,
                    Ok(false) => task.status = MoveStatus::Completed,
                    Err(reason) => {
                        task.status = MoveStatus::Failed;
                        task.failure = Some(reason);
                    }
                }
            }
            if task.status == MoveStatus::Running {
                self.moves.running.push(task);
            } else {
                self.moves.end(task);
            }
        }
    }

    /// Moves the first visible message, if there is one.
    fn move_one(&mut self, now: Timestamp, task: &MoveTask) -> Result<bool, &'static str> {
        const GONE: &str = "AWS.SimpleQueueService.NonExistentQueue";
        let source = queue_of(&task.source_arn).and_then(|name| self.queues.get_mut(name)).ok_or(GONE)?;
        source.advance(now);
        let Some(key) = source.store.ready(1).first().copied() else { return Ok(false) };
        let from = source.store.get(key).and_then(|stored| stored.dead_letter_source.clone());
        let destination = task.destination_arn.clone().or(from).ok_or("CouldNotDetermineMessageSource")?;
        let destination =
            queue_of(&destination).filter(|name| self.queues.contains_key(*name)).ok_or(GONE)?;
        let removed =
            queue_of(&task.source_arn).and_then(|name| self.queues.get_mut(name)?.store.remove(key));
        let id = self.new_message_id();
        if let (Some(stored), Some(queue)) = (removed, self.queues.get_mut(destination)) {
            queue.accept_redriven(now, stored, id);
        }
        self.mark_changed(destination);
        Ok(true)
    }

    fn is_fifo(&self, queue: &str) -> bool {
        self.queues.get(queue).is_some_and(|queue| queue.settings.fifo.is_some())
    }

    /// The name of an existing queue from its ARN.
    fn existing(&self, parameter: &str, arn: &str) -> Result<String, BrokerError> {
        let name = queue_of(arn).filter(|name| self.queue_exists(name)).map(str::to_owned);
        name.ok_or_else(|| {
            BrokerError::ResourceNotFound(format!(
                "The resource that you specified for the {parameter} parameter doesn't exist."
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::localqueue::redrive::arn_of;
    use crate::localqueue::{Receive, SendMessage};

    const T0: Timestamp = Timestamp(1_700_000_000_000);

    /// Queue `q` with dead-letter queue `dead`, which holds three messages.
    fn broker() -> Broker {
        let mut broker = Broker::new(1);
        broker.create_queue(T0, "dead", &BTreeMap::new()).unwrap();
        let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, arn_of("dead"));
        broker.create_queue(T0, "q", &[("RedrivePolicy".to_owned(), policy)].into()).unwrap();
        for body in ["a", "b", "c"] {
            broker.send(T0, "q", SendMessage { body: body.into(), ..Default::default() }).unwrap();
        }
        let receive = Receive { max_messages: 10, visibility_timeout: Some(0), attempt_id: None };
        for _ in 0..2 {
            broker.receive(T0, "q", &receive).unwrap();
        }
        assert_eq!(stored(&broker), (0, 3));
        broker
    }

    fn stored(broker: &Broker) -> (usize, usize) {
        (broker.inspect(T0, "q").len(), broker.inspect(T0, "dead").len())
    }

    fn latest(broker: &mut Broker, now: Timestamp) -> MoveTask {
        broker.list_move_tasks(now, &arn_of("dead")).unwrap().remove(0)
    }

    #[test]
    fn without_a_destination_messages_go_back_where_they_came_from_and_start_anew() {
        let mut broker = broker();
        let id = broker.inspect(T0, "dead")[0].message_id.clone();
        broker.start_move_task(T0, &arn_of("dead"), None, None).unwrap();
        assert_eq!(stored(&broker), (3, 0));
        let task = latest(&mut broker, T0);
        assert_eq!((task.status, task.moved, task.to_move), (MoveStatus::Completed, 3, 3));
        let first = broker.receive(T0, "q", &Receive::default()).unwrap().remove(0);
        assert_eq!((first.receive_count, first.dead_letter_source), (1, None));
        assert_ne!(first.message_id, id);
    }

    #[test]
    fn a_rate_spreads_the_moves_over_time() {
        let mut broker = broker();
        broker.start_move_task(T0, &arn_of("dead"), Some(&arn_of("q")), Some(2)).unwrap();
        assert_eq!(stored(&broker), (1, 2));
        assert_eq!(broker.next_change(T0, "q"), Some(T0.plus_millis(500)));
        assert_eq!(latest(&mut broker, T0.plus_millis(499)).moved, 1);
        assert_eq!(latest(&mut broker, T0.plus_millis(500)).moved, 2);
        assert_eq!(latest(&mut broker, T0.plus_seconds(9)).status, MoveStatus::Completed);
        assert_eq!(stored(&broker), (3, 0));
    }

    #[test]
    fn a_cancelled_task_moves_no_more() {
        let mut broker = broker();
        let handle = broker.start_move_task(T0, &arn_of("dead"), None, Some(1)).unwrap();
        let second = broker.start_move_task(T0, &arn_of("dead"), None, None);
        assert!(matches!(second, Err(BrokerError::UnsupportedOperation(_))));
        assert_eq!(broker.cancel_move_task(T0, &handle), Ok(1));
        assert!(matches!(broker.cancel_move_task(T0, &handle), Err(BrokerError::ResourceNotFound(_))));
        assert_eq!(latest(&mut broker, T0.plus_seconds(9)).status, MoveStatus::Cancelled);
        assert_eq!(stored(&broker), (1, 2));
    }

    #[test]
    fn a_message_of_unknown_origin_fails_the_task_and_stays() {
        let mut broker = broker();
        broker.purge(T0, "dead").unwrap();
        broker.send(T0, "dead", SendMessage { body: "x".into(), ..Default::default() }).unwrap();
        broker.start_move_task(T0, &arn_of("dead"), None, None).unwrap();
        let task = latest(&mut broker, T0);
        assert_eq!((task.status, task.failure), (MoveStatus::Failed, Some("CouldNotDetermineMessageSource")));
        assert_eq!(stored(&broker), (0, 1));
    }

    #[test]
    fn source_destination_and_rate_must_make_sense() {
        let mut broker = broker();
        let mut start = |source: &str, destination: Option<&str>, rate| {
            let destination = destination.map(arn_of);
            let started = broker.start_move_task(T0, &arn_of(source), destination.as_deref(), rate);
            started.map(|_| ()).map_err(|error| error.code())
        };
        assert_eq!(start("missing", None, None), Err("ResourceNotFoundException"));
        assert_eq!(start("q", None, None), Err("InvalidParameterValue"));
        assert_eq!(start("dead", Some("missing"), None), Err("ResourceNotFoundException"));
        assert_eq!(start("dead", Some("dead"), None), Err("InvalidParameterValue"));
        assert_eq!(start("dead", None, Some(501)), Err("InvalidParameterValue"));
    }
}
