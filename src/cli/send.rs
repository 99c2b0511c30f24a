//! `queuepost send`: sends messages to a queue.
//!
//! The body comes from the argument or a file, or each line of standard input is a message. Attributes and
//! the other properties are the same for all of them. Standard output has ids only, so that it can be piped.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::line_shape::Shape;
use crate::cli::queue_options::QueueOptions;
use crate::cli::{FAILED, OK, USAGE, complain, complain_of, envelope, print_lines, send_lines, value};
use crate::escape;
use crate::hands::{attribute, resend};
use crate::message::Attribute;
use crate::sqs::Outgoing;

const EXAMPLES: &str = "\
Examples:
  queuepost send --queue orders --region eu-west-1 '{\"hello\":\"world\"}'
  queuepost send --queue http://127.0.0.1:9324/000000000000/demo 'to `dev`'
  queuepost send --queue orders --file order.json --delay 5m
  queuepost send --queue orders \\
    --attribute tenant=acme --attribute size:Number=5 'text'
  queuepost send --queue orders \\
    --attribute key:Binary=AP8= 'base64, as `receive` prints binary values'

  One message per line, in batches of ten; empty lines are left out:
    queuepost send --queue orders < orders.jsonl
    seq 1000 | queuepost send --queue orders -

  FIFO; the number of each line is added to the id, so that the same file can
  be sent again:
    queuepost send --queue orders.fifo --group-id acme \\
      --deduplication-id import-7- < orders.jsonl

  What `receive` printed, as the messages that it shows, on another queue:
    queuepost receive --queue old --max 1000 --delete > old.jsonl
    queuepost send --queue new --from-receive --file old.jsonl

Prints the id of each message on a line. What SQS does not take is sent again,
up to four times, if that may help, and else reported, lines with their number;
with a server that hangs this takes half a minute. A message whose answer was
lost is sent again too, and may then be twice on the queue.

Exit codes: 0 all sent, 1 not all sent, 2 usage, 78 bad configuration.";

/// Options of `send`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    queue: QueueOptions,
    /// Take the body from a file, as it is
    #[arg(long, value_name = "PATH", conflicts_with = "body")]
    file: Option<PathBuf>,
    /// Message attribute, at most ten: NAME=VALUE, NAME:Number=5 or NAME:Binary=BASE64
    #[arg(long = "attribute", value_name = "NAME[:TYPE]=VALUE", value_parser = value::attribute)]
    attributes: Vec<Attribute>,
    /// Message group: required by FIFO queues, the tenant of fair ones
    #[arg(long, value_name = "ID")]
    group_id: Option<String>,
    /// Deduplication id (FIFO); with lines, the number of each is added
    #[arg(long, value_name = "ID")]
    deduplication_id: Option<String>,
    /// Hide the message at first, 0s to 15m; not for FIFO queues
    #[arg(long, value_name = "DURATION", value_parser = value::delay)]
    delay: Option<Duration>,
    /// Take lines that `receive` printed, from --file or standard input, and send the messages they show
    #[arg(long, conflicts_with_all = ["body", "attributes", "group_id", "deduplication_id", "as_is"])]
    from_receive: bool,
    /// Send what looks like a line of `receive` as a body
    #[arg(long)]
    as_is: bool,
    /// Body of the message; `-`, or none, for one message per line of standard input
    #[arg(value_name = "BODY")]
    body: Option<String>,
}

/// Sends and prints ids; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    if let Err(why) = attribute::check_all(&options.attributes) {
        complain(&why);
        return USAGE;
    }
    if options.from_receive {
        return from_receive(options).await;
    }
    let body = match body(options) {
        Ok(body) => body,
        Err(why) => {
            complain(&why);
            return FAILED;
        }
    };
    if body.as_ref().is_some_and(String::is_empty) {
        complain(&"the body is empty, and SQS takes no message without one: write at least one character");
        return USAGE;
    }
    if !options.as_is && body.as_deref().is_some_and(envelope::is_printed) {
        complain(&envelope::REFUSED);
        return USAGE;
    }
    if body.is_none() && options.body.is_none() && std::io::stdin().is_terminal() {
        complain(&"no body: give one, or --file PATH, or `-` to type one message per line");
        return USAGE;
    }
    let queue = match options.queue.open().await {
        Ok(queue) => queue,
        Err(code) => return code,
    };
    let message = Outgoing {
        body: String::new(),
        attributes: options.attributes.clone(),
        delay: options.delay,
        group_id: options.group_id.clone(),
        deduplication_id: options.deduplication_id.clone(),
        trace_header: None,
    };
    let Some(body) = body else {
        let shape = Shape::Like { model: message, as_is: options.as_is };
        return send_lines::run(&queue, &shape, std::io::BufReader::new(std::io::stdin())).await;
    };
    match resend::send(&queue, &Outgoing { body, ..message }).await {
        Ok(id) => match print_lines([id.as_str()]) {
            Ok(()) => OK,
            Err(error) => {
                let id = escape::line(id.as_str());
                complain(&format!("sent as {id}, but standard output is broken: {error}"));
                FAILED
            }
        },
        Err(error) => {
            complain_of(&error);
            FAILED
        }
    }
}

/// The body that the options give; `None`: each line of standard input is one.
fn body(options: &Options) -> Result<Option<String>, String> {
    match (&options.file, options.body.as_deref()) {
        (Some(path), _) => read(path).map(Some),
        (None, None | Some("-")) => Ok(None),
        (None, Some(body)) => Ok(Some(body.to_owned())),
    }
}

/// Sends the messages that lines of `receive` show; returns the exit code.
async fn from_receive(options: &Options) -> u8 {
    let queue = match options.queue.open().await {
        Ok(queue) => queue,
        Err(code) => return code,
    };
    let shape = Shape::FromReceive { fifo: queue.is_fifo(), delay: options.delay };
    let Some(path) = &options.file else {
        return send_lines::run(&queue, &shape, std::io::BufReader::new(std::io::stdin())).await;
    };
    match std::fs::File::open(path) {
        Ok(file) => send_lines::run(&queue, &shape, std::io::BufReader::new(file)).await,
        Err(error) => {
            complain(&format!("cannot read {}: {error}", path.display()));
            FAILED
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text, and SQS carries nothing else"))
}
