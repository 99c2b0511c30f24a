//! `queuepost peek`: prints messages of a queue and releases them at once.
//!
//! SQS has no way of looking that is no receive. So each message shown has its receive count raised by one.
//! A message that had its last receive already is dead-lettered instead of shown. Where that can happen it is asked for.

use clap::Args;

use crate::cli::interrupt::Interrupt;
use crate::cli::queue_options::QueueOptions;
use crate::cli::{FAILED, INTERRUPTED, OK, complain, complain_of, receive, value};
use crate::hands::peek::{HIDDEN, Look};
use crate::ports::{BATCH_MAX, Queue as _, QueueError};
use crate::sqs::SqsQueue;

const EXAMPLES: &str = "\
Examples:
  Ten letters, with the reason that queuepost or SQS gives:
    queuepost peek --queue orders-dlq --region eu-west-1 --max 10

  Who they are of:
    queuepost peek --queue orders-dlq --max 100 | jq -r .body.customer

  A queue with a dead-letter queue, where a look may cost a message its last
  try:
    queuepost peek --queue orders --yes

Prints the lines of `receive` and makes the messages visible again. Each look
is a receive for SQS and counts; a message at its queue's max receives is
dead-lettered by the next one.

Permissions: sqs:ReceiveMessage, sqs:ChangeMessageVisibility and
sqs:GetQueueAttributes.

Ctrl-C ends it once it has released what it hid.

Exit codes: 0 also when nothing came, 1 failure, 2 usage, 78 bad configuration,
130 Ctrl-C.";

/// Options of `peek`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    queue: QueueOptions,
    /// Most messages, 1 or more
    #[arg(long, value_name = "N", default_value = "1", value_parser = value::at_least_one)]
    max: u64,
    /// Look even where that can dead-letter a message
    #[arg(long)]
    yes: bool,
}

/// Prints messages and releases them; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let queue = match options.queue.open().await {
        Ok(queue) => queue,
        Err(code) => return code,
    };
    let looked = look(options, &queue).await;
    looked.unwrap_or_else(|error| {
        complain_of(&error);
        FAILED
    })
}

async fn look(options: &Options, queue: &SqsQueue) -> Result<u8, QueueError> {
    if let Some(redrive) = queue.inspect().await?.redrive {
        let max = redrive.max_receives;
        let words = format!(
            "a look is a receive: it counts, and a message received {max} times already goes to the dead-letter queue"
        );
        if !options.yes {
            complain(&format!("{words}\n  fix: --yes, if that is all right"));
            return Ok(FAILED);
        }
        complain(&words);
    }
    let url = queue.address().await?;
    let mut interrupt = Interrupt::listen();
    let mut looked = Look::at(queue);
    let ended = loop {
        let left = options.max.saturating_sub(u64::try_from(looked.shown().len()).unwrap_or(u64::MAX));
        let max = usize::try_from(left).unwrap_or(BATCH_MAX).min(BATCH_MAX);
        if max == 0 {
            break Ok(OK);
        }
        let new = match looked.next(max).await {
            Ok(new) => new,
            Err(error) => break Err(error),
        };
        if interrupt.was_pressed().await {
            break Ok(INTERRUPTED);
        }
        receive::tell_left_out(queue);
        if let Err(error) = receive::print(new, &url) {
            complain(&format!("cannot write to standard output: {error}"));
            break Ok(FAILED);
        }
        if new.is_empty() {
            break Ok(OK);
        }
    };
    let kept = looked.give_back().await;
    if kept > 0 {
        complain(&format!("{kept} messages stay hidden for up to {} s", HIDDEN.as_secs()));
    }
    ended
}
