//! `queuepost redrive`: sends the messages of a dead-letter queue back to where they came from.
//!
//! By a move task of SQS where SQS can, by hand where it cannot (`way.rs`). Both leave each message in one of the two
//! queues at any time. By hand a message is deleted only after its copy was accepted. So it may be there twice, and
//! never in neither.

mod batch;
mod by_hand;
mod shape;
mod task;
mod way;

use std::sync::Arc;

use clap::Args;

use crate::cli::queue_options::QueueOptions;
use crate::cli::{FAILED, INTERRUPTED, OK, complain, complain_of, print_lines, value};
use crate::escape;
use crate::ports::{BATCH_MAX, Queue as _, QueueError, QueueFacts, QueueReason};
use crate::sqs::{ReceiveRequest, SqsQueue, is_copy};
use batch::Target;
use by_hand::ByHand;
use way::{Asked, Way};

const EXAMPLES: &str = "\
Examples:
  What would happen; nothing is received or moved:
    queuepost redrive --queue orders-dlq --region eu-west-1 --dry-run

  All, ten a second:
    queuepost redrive --queue orders-dlq --rate 10

  Two of them, as `receive`, `peek` and the log name them:
    queuepost redrive --queue orders-dlq --id 4a1b-22 --id 4a1b-23

  To another queue; end a move task that still runs:
    queuepost redrive --queue orders-dlq --to orders-v2
    queuepost redrive --queue orders-dlq --cancel

Where SQS can, a move task of its own moves the messages. By hand they are
received, sent and deleted: by --id, on FIFO queues, where queuepost put
messages there itself, and on servers without tasks. What queuepost added when
it dead-lettered a message is taken off, and the group is that of the
original. The deduplication id is a new one: SQS would drop the second of two
messages with the same. By hand the new and the old id of each message are
printed on a line. A message has a new id and a receive count of 0 either way.

Without --to each message goes where it says it came from. One that does not
say goes to the only queue whose dead-letter queue this is, or stays.

Ctrl-C ends it: a task is cancelled, by hand what is under way is finished,
and what was received is released. A call without an answer may leave a
message in both queues, never in neither.

Permissions on the dead-letter queue: sqs:GetQueueAttributes,
sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ListDeadLetterSourceQueues; for
tasks also sqs:StartMessageMoveTask, sqs:ListMessageMoveTasks,
sqs:CancelMessageMoveTask; by hand sqs:ChangeMessageVisibility. On the queue
they go to: sqs:SendMessage.

Exit codes: 0 all moved, 1 not all, 2 usage, 78 bad configuration, 130 Ctrl-C.";

/// Options of `redrive`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    queue: QueueOptions,
    /// Where the messages go [default: where each came from]
    #[arg(long, value_name = "URL|ARN|NAME")]
    to: Option<String>,
    /// Only the message of this id; may be given several times
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Most messages a second, 1 to 500
    #[arg(long, value_name = "N", value_parser = value::moves_per_second)]
    rate: Option<u32>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Receive, send and delete each message, also where SQS could move them itself
    #[arg(long)]
    by_hand: bool,
    /// End the move task that runs on this queue
    #[arg(long, conflicts_with_all = ["to", "ids", "rate", "dry_run", "by_hand"])]
    cancel: bool,
}

/// Moves messages back; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let queue = match options.queue.open().await {
        Ok(queue) => queue,
        Err(code) => return code,
    };
    let ended = if options.cancel { task::cancel(&queue).await } else { redrive(options, &queue).await };
    match ended {
        Ok(code) | Err(Failure::Exit(code)) => code,
        Err(Failure::Queue(error)) => {
            complain_of(&error);
            FAILED
        }
    }
}

/// Why it ended early.
enum Failure {
    /// What went wrong was said already.
    Exit(u8),
    /// A call to SQS failed.
    Queue(QueueError),
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

async fn redrive(options: &Options, queue: &SqsQueue) -> Result<u8, Failure> {
    let facts = queue.inspect().await?;
    let name = queue.own_name().to_owned();
    let target = target(options, queue, &name).await?;
    let has_own = facts.redrive.is_some();
    if has_own {
        complain(&format!(
            "{name} has a dead-letter queue of its own: each receive of this command counts there; is it the right queue?"
        ));
    }
    let asked = Asked {
        by_hand: options.by_hand,
        chosen: !options.ids.is_empty(),
        fifo: facts.fifo,
        ours: false,
        has_arn: facts.arn.is_some(),
    };
    if options.dry_run {
        dry_run(options, &name, &facts, &target, way::way(asked));
        return Ok(OK);
    }
    if facts.depth.visible == 0 && facts.depth.not_visible == 0 && facts.depth.delayed == 0 {
        // Depths are approximate, so it is looked all the same.
        complain(&format!("{name} seems to be empty"));
    }
    let looks = way::way(asked) == Way::Task && !has_own;
    let asked = Asked { ours: looks && has_copies(queue).await?, ..asked };
    let ended = match (way::way(asked), &facts.arn) {
        (Way::Task, Some(arn)) => by_task(options, queue, arn, target, &facts).await,
        (Way::ByHand(why), _) => {
            complain(&format!("by hand: {why}"));
            by_hand(options, queue, target, &facts).await
        }
        (Way::Task, None) => by_hand(options, queue, target, &facts).await,
    };
    if !matches!(ended, Ok(OK)) {
        tell_rest(queue, &name).await;
    }
    ended
}

/// Says how many messages remain, where SQS says so.
async fn tell_rest(queue: &SqsQueue, name: &str) {
    if let Ok(QueueFacts { depth, .. }) = queue.inspect().await {
        let rest = depth.visible.saturating_add(depth.not_visible).saturating_add(depth.delayed);
        complain(&format!("about {rest} messages remain in {}", escape::line(name)));
    }
}

/// By a task; by hand where the server has no tasks, and for what no task can place.
async fn by_task(
    options: &Options,
    queue: &SqsQueue,
    arn: &str,
    target: Target,
    facts: &QueueFacts,
) -> Result<u8, Failure> {
    let destination = match &target {
        Target::Fixed(to) => to.inspect().await?.arn,
        Target::Each { .. } => None,
    };
    match task::run(queue, arn, destination.as_deref(), options.rate, facts.depth.visible).await {
        Ok(task::End::Completed) => Ok(OK),
        Ok(task::End::Interrupted) => Ok(INTERRUPTED),
        Ok(task::End::Failed) => Ok(FAILED),
        Ok(task::End::UnknownSource) => {
            complain(&"by hand: SQS does not know where some messages came from");
            by_hand(options, queue, target, facts).await
        }
        Err(error) if is_unsupported(&error) => {
            complain(&"by hand: this server has no move tasks");
            by_hand(options, queue, target, facts).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn by_hand(
    options: &Options,
    queue: &SqsQueue,
    target: Target,
    facts: &QueueFacts,
) -> Result<u8, Failure> {
    let total = if options.ids.is_empty() { facts.depth.visible } else { count(options.ids.len()) };
    ByHand::new(queue, target, &options.ids, options.rate, facts.fifo, total)
        .run()
        .await
        .map_err(Failure::from)
}

/// Where messages go: to the queue asked for, or each to its own. One that does not say goes to the only queue whose
/// dead-letter queue this is.
async fn target(options: &Options, queue: &SqsQueue, name: &str) -> Result<Target, Failure> {
    if let Some(to) = &options.to {
        let to = options.queue.open_other(to, queue).await.map_err(Failure::Exit)?;
        return Ok(Target::Fixed(Arc::new(to)));
    }
    match queue.sources().await {
        Ok(sources) => match sources.as_slice() {
            [only] => {
                let to = options.queue.open_other(only, queue).await.map_err(Failure::Exit)?;
                Ok(Target::Each { otherwise: Some(Arc::new(to)) })
            }
            [] => {
                complain(&format!(
                    "no queue has {name} as its dead-letter queue: only messages that say where they came from can go \
                     back\n  fix: name the queue they go to with --to"
                ));
                Ok(Target::Each { otherwise: None })
            }
            _ => Ok(Target::Each { otherwise: None }),
        },
        Err(error) if is_unsupported(&error) || error.kind == crate::ports::QueueErrorKind::Denied => {
            let why = escape::line(&error.to_string()).into_owned();
            complain(&format!(
                "it is not known which queue {name} belongs to ({why}): each message goes where it says it came from, \
                 or name the queue with --to"
            ));
            Ok(Target::Each { otherwise: None })
        }
        Err(error) => Err(error.into()),
    }
}

fn dry_run(options: &Options, name: &str, facts: &QueueFacts, target: &Target, way: Way) {
    let depth = facts.depth;
    let what = match options.ids.len() {
        0 => format!("about {} messages of {name}", depth.visible),
        1 => format!(
            "1 message, by its id, among about {} of {name}, which costs them a receive each,",
            depth.visible
        ),
        ids => format!(
            "{ids} messages, by id, among about {} of {name}, which costs them a receive each,",
            depth.visible
        ),
    };
    let to = match target {
        Target::Fixed(to) => format!("to {}", to.own_name()),
        Target::Each { otherwise: Some(to) } => {
            format!("each to the queue it came from, or to {} where it does not say,", to.own_name())
        }
        Target::Each { otherwise: None } => "each to the queue it came from".to_owned(),
    };
    let how = match way {
        Way::Task => {
            "by a move task of SQS, or by hand if the first ones show that queuepost put them there itself"
                .to_owned()
        }
        Way::ByHand(why) => format!("by hand ({why})"),
    };
    let rate = options.rate.map_or_else(String::new, |rate| format!(", {rate} a second at most"));
    let mut lines = vec![format!("would move {} {} {how}{rate}", escape::line(&what), escape::line(&to))];
    let hidden = depth.not_visible + depth.delayed;
    if hidden > 0 {
        lines.push(format!(
            "{hidden} more are in flight or delayed and would stay, unless they become visible meanwhile"
        ));
    }
    print_lines(lines.iter().map(String::as_str)).ok();
}

/// Whether one of the first messages was dead-lettered by queuepost itself. They stay visible.
async fn has_copies(queue: &SqsQueue) -> Result<bool, QueueError> {
    let look = ReceiveRequest {
        max: BATCH_MAX,
        wait: std::time::Duration::from_secs(1),
        visibility: Some(std::time::Duration::ZERO),
        attempt_id: None,
    };
    let first = queue.receive_by_hand(&look).await?;
    Ok(first.iter().any(|received| is_copy(&received.message)))
}

fn is_unsupported(error: &QueueError) -> bool {
    matches!(error.reason, QueueReason::Unsupported | QueueReason::UnexpectedAnswer | QueueReason::NotSqs)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
