//! `StartMessageMoveTask`, `ListMessageMoveTasks` and `CancelMessageMoveTask`.

use serde::{Deserialize, Serialize};

use super::{Call, json, parse, required, unsigned};
use crate::localqueue::moves::MAX_LISTED;
use crate::localqueue::{BrokerError, MoveStatus, MoveTask};

/// The fields of all three requests; each operation reads the fields it knows.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
    max_results: Option<i64>,
    task_handle: Option<String>,
}

/// `StartMessageMoveTask`.
pub(super) fn start(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        task_handle: String,
    }
    let request: Request = parse(body)?;
    let source = required("SourceArn", request.source_arn)?;
    let rate = unsigned(
        "MaxNumberOfMessagesPerSecond",
        request.max_number_of_messages_per_second,
        "Must be between 1 and 500.",
    )?;
    let destination = request.destination_arn.as_deref();
    let task_handle = call.broker.start_move_task(call.now, &source, destination, rate)?;
    json(&Answer { task_handle })
}

/// `ListMessageMoveTasks`: the latest one unless asked for more.
pub(super) fn list(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        results: Vec<Entry>,
    }
    let request: Request = parse(body)?;
    let source = required("SourceArn", request.source_arn)?;
    let given = request.max_results.unwrap_or(1);
    let count = usize::try_from(given)
        .ok()
        .filter(|count| (1..=MAX_LISTED).contains(count))
        .ok_or_else(|| BrokerError::invalid("MaxResults", &given, "Must be between 1 and 10."))?;
    let tasks = call.broker.list_move_tasks(call.now, &source)?;
    json(&Answer { results: tasks.into_iter().take(count).map(Entry::from).collect() })
}

/// `CancelMessageMoveTask`.
pub(super) fn cancel(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        approximate_number_of_messages_moved: u64,
    }
    let request: Request = parse(body)?;
    let handle = required("TaskHandle", request.task_handle)?;
    let approximate_number_of_messages_moved = call.broker.cancel_move_task(call.now, &handle)?;
    json(&Answer { approximate_number_of_messages_moved })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    /// Present for a running task only: no other task can be cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_handle: Option<String>,
    status: &'static str,
    source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_number_of_messages_per_second: Option<u32>,
    approximate_number_of_messages_moved: u64,
    approximate_number_of_messages_to_move: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
    started_timestamp: u64,
}

impl From<MoveTask> for Entry {
    fn from(task: MoveTask) -> Self {
        Self {
            task_handle: (task.status == MoveStatus::Running).then_some(task.handle),
            status: match task.status {
                MoveStatus::Running => "RUNNING",
                MoveStatus::Completed => "COMPLETED",
                MoveStatus::Cancelled => "CANCELLED",
                MoveStatus::Failed => "FAILED",
            },
            source_arn: task.source_arn,
            destination_arn: task.destination_arn,
            max_number_of_messages_per_second: task.max_per_second,
            approximate_number_of_messages_moved: task.moved,
            approximate_number_of_messages_to_move: task.to_move,
            failure_reason: task.failure,
            started_timestamp: task.started_at.0,
        }
    }
}
