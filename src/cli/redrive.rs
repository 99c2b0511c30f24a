//! `queuepost redrive`: sends the messages of a dead-letter queue back to where they came from.
//!
//! What it does is in `hands/redrive/`; here are its options, its words and its end.

use std::pin::pin;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::interrupt::Interrupt;
use crate::cli::queue_options::QueueOptions;
use crate::cli::told::Told;
use crate::cli::{FAILED, INTERRUPTED, OK, complain_of, print_lines, value};
use crate::hands::redrive::{self, End, Job, Order};
use crate::ports::QueueError;

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
    let mut told = Told::default();
    if options.cancel {
        let cancelled = redrive::cancel(&queue, &mut told).await;
        return match cancelled {
            Ok(true) => OK,
            Ok(false) => FAILED,
            Err(error) => failed(&error),
        };
    }
    let to = match &options.to {
        Some(to) => match options.queue.open_other(to, &queue).await {
            Ok(to) => Some(to),
            Err(code) => return code,
        },
        None => None,
    };
    let (ids, by_hand) = (options.ids.clone(), options.by_hand);
    let order = Order { ids, rate: options.rate, by_hand };
    let job = match Job::prepare(&queue, order, to, &mut told).await {
        Ok(job) => job,
        Err(error) => return failed(&error),
    };
    if options.dry_run {
        print_lines(job.words().iter().map(String::as_str)).ok();
        return OK;
    }
    let ended = until_done(job, &mut told).await;
    told.clear();
    match ended {
        Ok(End::All) => OK,
        Ok(End::NotAll) => FAILED,
        Ok(End::Stopped) => INTERRUPTED,
        Err(error) => failed(&error),
    }
}

/// Runs to the end, which Ctrl-C brings about in order.
async fn until_done(job: Job<'_>, told: &mut Told) -> Result<End, QueueError> {
    let (mut interrupt, stop) = (Interrupt::listen(), CancellationToken::new());
    let mut moving = pin!(job.run(told, &stop));
    loop {
        tokio::select! {
            biased;
            () = interrupt.pressed(), if !stop.is_cancelled() => stop.cancel(),
            ended = &mut moving => return ended,
        }
    }
}

fn failed(error: &QueueError) -> u8 {
    complain_of(error);
    FAILED
}
