//! A move task of SQS: started, watched until it ends, and cancelled.
//!
//! The task runs at SQS, whether or not somebody watches. A look that fails is repeated; when looks fail for long the
//! work ends and says how to look again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::escape;
use crate::hands::Report;
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
    /// It was to stop, and is cancelled.
    Stopped,
}

/// Starts a task and watches it. Errors: it cannot be started.
pub(super) async fn run(
    queue: &SqsQueue,
    source: &str,
    destination: Option<&str>,
    rate: Option<u32>,
    (report, stop): (&mut dyn Report, &CancellationToken),
) -> Result<End, QueueError> {
    let latest = queue.latest_move(source).await?;
    if let Some(running) = latest.filter(|task| task.status == MoveStatus::Running) {
        report.say(&format!(
            "a move task runs on this queue already and has moved {}\n  fix: wait for it, or end it with --cancel",
            progress(&running)
        ));
        return Ok(End::Failed);
    }
    if stop.is_cancelled() {
        return Ok(End::Stopped);
    }
    let handle = queue.start_move(source, destination, rate).await?;
    let mut failed = 0_u32;
    loop {
        let asked = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            asked = queue.latest_move(source) => Some(asked),
        };
        let Some(asked) = asked else {
            match &handle {
                Some(handle) => cancel_own(queue, source, handle, report).await?,
                None => drop(cancel_latest(queue, source, report).await?),
            }
            return Ok(End::Stopped);
        };
        let task = match asked {
            Ok(Some(task)) => task,
            Ok(None) => {
                report.say("SQS lists no move task of this queue any more");
                return Ok(End::Failed);
            }
            Err(error) if failed < LOOKS_MAX && !error.kind.is_fault() => {
                failed += 1;
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(error) => {
                report.say("the task was started and may still run; the same command says how it stands");
                return Err(error);
            }
        };
        failed = 0;
        report.count(task.moved, 0);
        if task.status != MoveStatus::Running {
            return Ok(ended(&task, report));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn ended(task: &Move, report: &mut dyn Report) -> End {
    match (task.status, task.failure.as_deref()) {
        (MoveStatus::Completed, _) => {
            report.say(&format!("moved {}", progress(task)));
            End::Completed
        }
        (MoveStatus::Failed, Some(why)) if why.contains(UNKNOWN_SOURCE) => {
            report.say(&format!(
                "the task moved {}, then met a message whose source SQS does not know",
                progress(task)
            ));
            End::UnknownSource
        }
        (MoveStatus::Failed, why) => {
            let why = escape::line(why.unwrap_or("SQS does not say why"));
            report.say(&format!("the task failed after it moved {}: {why}", progress(task)));
            End::Failed
        }
        (MoveStatus::Cancelled | MoveStatus::Running, _) => {
            report.say(&format!("somebody cancelled the task after it moved {}", progress(task)));
            End::Failed
        }
    }
}

/// Cancels the task that runs on `queue`; whether there was one.
pub async fn cancel(queue: &SqsQueue, report: &mut dyn Report) -> Result<bool, QueueError> {
    let Some(arn) = queue.inspect().await?.arn else {
        report.say("this server names no ARN of the queue, so no move task can run on it");
        return Ok(false);
    };
    cancel_latest(queue, &arn, report).await
}

/// Cancels the task of this handle: the latest one may be somebody else's.
async fn cancel_own(
    queue: &SqsQueue,
    source: &str,
    handle: &str,
    report: &mut dyn Report,
) -> Result<(), QueueError> {
    match queue.cancel_move(handle).await {
        Ok(moved) => say_cancelled(moved, report),
        Err(error) => match queue.latest_move(source).await? {
            Some(task) if task.status == MoveStatus::Running => return Err(error),
            Some(_) | None => report.say("the task had ended already"),
        },
    }
    Ok(())
}

fn say_cancelled(moved: u64, report: &mut dyn Report) {
    report
        .say(&format!("cancelled; {moved} messages were moved and stay where they are, the rest stays here"));
}

/// Cancels the running task; whether there was one.
async fn cancel_latest(queue: &SqsQueue, source: &str, report: &mut dyn Report) -> Result<bool, QueueError> {
    let latest = queue.latest_move(source).await?;
    let Some(handle) = latest.and_then(|task| task.handle) else {
        report.say("no move task runs on this queue");
        return Ok(false);
    };
    let moved = queue.cancel_move(&handle).await?;
    say_cancelled(moved, report);
    Ok(true)
}

fn progress(task: &Move) -> String {
    match task.to_move {
        Some(total) => format!("{} of about {total} messages", task.moved),
        None => format!("{} messages", task.moved),
    }
}
