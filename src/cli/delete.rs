//! `queuepost delete`: deletes messages by their receipt handles, as `receive` printed them.

use clap::Args;

use crate::cli::queue_options::QueueOptions;
use crate::cli::{FAILED, OK, complain, complain_of};
use crate::escape;
use crate::message::ReceiptHandle;
use crate::ports::{BATCH_MAX, Queue as _};

const EXAMPLES: &str = "\
Examples:
  queuepost delete --queue orders --region eu-west-1 --receipt-handle AQEB...

  One message that was looked at:
    line=$(queuepost receive --queue orders --visibility 1m)
    queuepost delete --queue orders \\
      --receipt-handle \"$(echo \"$line\" | jq -r .receipt_handle)\"

A receipt handle is good until the visibility timeout of its receive ends; on
standard queues SQS may also take an older one. Who has it may delete the
message.

Permission: sqs:DeleteMessage.

Exit codes: 0 all deleted, 1 not all, 2 usage, 78 bad configuration.";

/// Options of `delete`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    queue: QueueOptions,
    /// Handle of a message; may be given several times
    #[arg(long = "receipt-handle", value_name = "HANDLE", required = true)]
    handles: Vec<String>,
}

/// Deletes; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let queue = match options.queue.open().await {
        Ok(queue) => queue,
        Err(code) => return code,
    };
    let mut code = OK;
    let handles: Vec<ReceiptHandle> =
        options.handles.iter().map(|handle| ReceiptHandle::new(handle.as_str())).collect();
    let mut number = 0_usize;
    for some in handles.chunks(BATCH_MAX) {
        match queue.delete(some).await {
            Ok(results) => {
                for result in results {
                    number += 1;
                    if let Err(error) = result {
                        let (why, fix) = (escape::line(&error.code).into_owned(), error.kind.fix());
                        complain(&format!(
                            "handle {number} of {}: not deleted: {why}\n  fix: {fix}",
                            handles.len()
                        ));
                        code = FAILED;
                    }
                }
            }
            Err(error) => {
                complain_of(&error);
                return FAILED;
            }
        }
    }
    code
}
