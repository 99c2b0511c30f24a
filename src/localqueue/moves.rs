//! Message move tasks as data: their state, their progress, and when each may move its next message.

use std::collections::{BTreeMap, VecDeque};

use super::Timestamp;

/// Ended tasks kept per source queue: as many as a listing may ask for.
pub(super) const MAX_LISTED: usize = 10;
/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveStatus {
    /// The task still moves messages.
    Running,
    /// The task moved all messages.
    Completed,
    /// The task was stopped on request.
    Cancelled,
    /// The task failed at a message that it could not move.
    Failed,
}

/// A task that moves messages out of a dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveTask {
    /// The handle that cancels the task.
    pub handle: String,
    /// The state of the task.
    pub status: MoveStatus,
    /// ARN of the dead-letter queue.
    pub source_arn: String,
    /// ARN of the queue to move to; each message's own source queue when absent.
    pub destination_arn: Option<String>,
    /// Messages per second, 1–500; as fast as possible when absent.
    pub max_per_second: Option<u32>,
    /// Messages moved so far.
    pub moved: u64,
    /// Messages that were visible when the task started.
    pub to_move: u64,
    /// Why the task failed.
    pub failure: Option<&'static str>,
    /// When the task started.
    pub started_at: Timestamp,
}

/// The tasks of a broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    /// The running tasks, oldest first; at most one per source.
    pub(super) running: Vec<MoveTask>,
    /// The latest ended tasks by source ARN, latest first.
    pub(super) ended: BTreeMap<String, VecDeque<MoveTask>>,
}

impl Moves {
    /// Moves a running task to the ended ones.
    pub(super) fn end(&mut self, task: MoveTask) {
        let ended = self.ended.entry(task.source_arn.clone()).or_default();
        ended.push_front(task);
        ended.truncate(MAX_LISTED);
    }

    /// The first time after `now` at which a running task may move a message.
    pub(super) fn next_move(&self, now: Timestamp) -> Option<Timestamp> {
        let soonest = now.plus_millis(1);
        self.running.iter().map(|task| task.next_move().max(soonest)).min()
    }
}

impl MoveTask {
    /// When the task may move its next message.
    pub(super) fn next_move(&self) -> Timestamp {
        let millis = self.max_per_second.map_or(0, |rate| (self.moved * 1000).div_ceil(u64::from(rate)));
        self.started_at.plus_millis(millis)
    }
}
