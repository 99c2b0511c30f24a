//! A move task of SQS: started, watched until it ends, and cancelled.
//!
//! The task runs at SQS, whether or not somebody watches. A look that fails is repeated; when looks fail for long the
//! command ends and says how to look again.

use std::time::Duration;

use super::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::Progress;
use crate::cli::{FAILED, OK, complain};
use crate::escape;
use crate::ports::{Queue as _, QueueError};
use crate::sqs::{Move, MoveStatus, SqsQueue};

/// Time between two looks at a task.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks in a row that may fail.
const LOOKS_MAX: u32 = 10;
/// SQS's word for a message whose source it does not know.
const UNKNOWN_SOURCE: &str = "CouldNotDetermineMessageSource";

/// How a task ended.
pub(super) enum End {
    /// All were moved.
    Completed,
    /// It stopped at a message whose source SQS does not know.
    UnknownSource,
    /// Something else ended it, which was said.
    Failed,
    /// Ctrl-C; it is cancelled.
    Interrupted,
}

/// Starts a task and watches it. Errors: it cannot be started.
pub(super) async fn run(
    queue: &SqsQueue,
    source: &str,
    destination: Option<&str>,
    rate: Option<u32>,
    visible: u64,
) -> Result<End, QueueError> {
    let latest = queue.latest_move(source).await?;
    if let Some(running) = latest.filter(|task| task.status == MoveStatus::Running) {
        complain(&format!(
            "a move task runs on this queue already and has moved {}\n  fix: wait for it, or end it with --cancel",
            progress(&running)
        ));
        return Ok(End::Failed);
    }
    let mut interrupt = Interrupt::listen();
    queue.start_move(source, destination, rate).await?;
    let mut shown = Progress::new("moved", Some(visible));
    let mut failed = 0_u32;
    loop {
        let asked = tokio::select! {
            biased;
            () = interrupt.pressed() => None,
            asked = queue.latest_move(source) => Some(asked),
        };
        let Some(asked) = asked else {
            shown.clear();
            stop(queue, source).await?;
            return Ok(End::Interrupted);
        };
        let task = match asked {
            Ok(Some(task)) => task,
            Ok(None) => {
                complain(&"SQS lists no move task of this queue any more");
                return Ok(End::Failed);
            }
            Err(error) if failed < LOOKS_MAX && !error.kind.is_fault() => {
                failed += 1;
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(error) => {
                complain(&"the task was started and may still run; the same command says how it stands");
                return Err(error);
            }
        };
        failed = 0;
        shown.show(task.moved);
        if task.status != MoveStatus::Running {
            shown.clear();
            return Ok(ended(&task));
        }
        // Ctrl-C meanwhile is met by the next look.
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn ended(task: &Move) -> End {
    match (task.status, task.failure.as_deref()) {
        (MoveStatus::Completed, _) => {
            complain(&format!("moved {}", progress(task)));
            End::Completed
        }
        (MoveStatus::Failed, Some(why)) if why.contains(UNKNOWN_SOURCE) => {
            complain(&format!(
                "the task moved {}, then met a message whose source SQS does not know",
                progress(task)
            ));
            End::UnknownSource
        }
        (MoveStatus::Failed, why) => {
            let why = escape::line(why.unwrap_or("SQS does not say why"));
            complain(&format!("the task failed after it moved {}: {why}", progress(task)));
            End::Failed
        }
        (MoveStatus::Cancelled | MoveStatus::Running, _) => {
            complain(&format!("somebody cancelled the task after it moved {}", progress(task)));
            End::Failed
        }
    }
}

/// Cancels the task that runs on `queue`; returns the exit code.
pub(super) async fn cancel(queue: &SqsQueue) -> Result<u8, Failure> {
    let Some(arn) = queue.inspect().await?.arn else {
        complain(&"this server names no ARN of the queue, so no move task can run on it");
        return Ok(FAILED);
    };
    Ok(if stop(queue, &arn).await? { OK } else { FAILED })
}

/// Cancels the running task; whether there was one.
async fn stop(queue: &SqsQueue, source: &str) -> Result<bool, QueueError> {
    let latest = queue.latest_move(source).await?;
    let Some(handle) = latest.and_then(|task| task.handle) else {
        complain(&"no move task runs on this queue");
        return Ok(false);
    };
    let moved = queue.cancel_move(&handle).await?;
    complain(&format!("cancelled; {moved} messages were moved and stay where they are, the rest stays here"));
    Ok(true)
}

fn progress(task: &Move) -> String {
    match task.to_move {
        Some(total) => format!("{} of about {total} messages", task.moved),
        None => format!("{} messages", task.moved),
    }
}
