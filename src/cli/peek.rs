//! `queuepost peek`: prints messages of a queue and releases them at once.
//!
//! SQS has no way of looking that is no receive. So each message shown has its receive count raised by one.
//! A message that had its last receive already is dead-lettered instead of shown. Where that can happen it is asked for.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;

use crate::cli::interrupt::Interrupt;
use crate::cli::queue_options::QueueOptions;
use crate::cli::{FAILED, INTERRUPTED, OK, complain, complain_of, receive, value};
use crate::ports::{BATCH_MAX, Queue as _, QueueError, VisibilityChange};
use crate::sqs::{ReceiveRequest, Received, SqsQueue};

/// How long messages are hidden while others are looked for.
const HIDDEN: Duration = Duration::from_secs(30);

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
    let mut shown: Vec<Received> = Vec::new();
    let mut seen = HashSet::new();
    let ended = loop {
        let left = options.max.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX));
        let max = usize::try_from(left).unwrap_or(BATCH_MAX).min(BATCH_MAX);
        let request =
            ReceiveRequest { max, wait: Duration::from_secs(1), visibility: Some(HIDDEN), attempt_id: None };
        if max == 0 {
            break Ok(OK);
        }
        let came = match queue.receive_by_hand(&request).await {
            Ok(came) => came,
            Err(error) => break Err(error),
        };
        if interrupt.was_pressed().await {
            shown.extend(came);
            break Ok(INTERRUPTED);
        }
        receive::tell_left_out(queue);
        let nothing_new = came.iter().all(|received| seen.contains(&received.message.id));
        let new: Vec<_> =
            came.into_iter().filter(|received| seen.insert(received.message.id.clone())).collect();
        if let Err(error) = receive::print(&new, &url) {
            complain(&format!("cannot write to standard output: {error}"));
            shown.extend(new);
            break Ok(FAILED);
        }
        shown.extend(new);
        if nothing_new {
            break Ok(OK);
        }
    };
    give_back(queue, &shown).await;
    ended
}

/// Makes messages visible again.
async fn give_back(queue: &SqsQueue, messages: &[Received]) {
    let mut kept = 0_usize;
    for some in messages.chunks(BATCH_MAX) {
        let visible =
            |received: &Received| VisibilityChange { receipt: received.message.receipt.clone(), seconds: 0 };
        let changes: Vec<VisibilityChange> = some.iter().map(visible).collect();
        kept += match queue.change_visibility(&changes).await {
            Ok(results) => results.iter().filter(|result| result.is_err()).count(),
            Err(_) => some.len(),
        };
    }
    if kept > 0 {
        complain(&format!("{kept} messages stay hidden for up to {} s", HIDDEN.as_secs()));
    }
}
