//! `queuepost receive`: reads messages from a queue and prints one JSON object per line.
//!
//! Every message is printed before it is deleted, so no message is deleted unseen. When standard output
//! breaks, the messages that were not printed are not deleted. Without `--delete` the messages return after
//! their visibility timeout, with a receive count one higher.
//! The command ends in one of three cases: it has the requested number, a receive returns nothing, or a
//! message comes a second time. Continuing after that would use up receives and dead-letter messages.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde::Serialize;

use crate::cli::queue_options::QueueOptions;
use crate::cli::told::Told;
use crate::cli::{FAILED, INTERRUPTED, OK, USAGE, complain, complain_of, print_lines, value};
use crate::hands::delete::delete;
use crate::message::{Attribute, AttributeValue, MessageId};
use crate::ports::{BATCH_MAX, Queue as _, QueueError};
use crate::sqs::{ReceiveRequest, Received, SqsQueue};

const EXAMPLES: &str = "\
Examples:
  Up to ten messages, hidden for 5 s only:
    queuepost receive --queue orders --region eu-west-1 --max 10 --visibility 5s

  Empty a dead-letter queue into a file:
    queuepost receive --queue orders-dlq --max 100000 --delete > letters.jsonl

  The same messages again after a receive whose answer was lost (FIFO):
    queuepost receive --queue orders.fifo --max 10 --request-attempt-id 7f3a

Each line has message_id, receipt_handle, body, receive_count, sent_at,
first_received_at, message_group_id, message_deduplication_id, sequence_number,
aws_trace_header, sender_id, dead_letter_queue_source_arn, queue_url and
attributes: NAME to data_type and value, binary values in base64. What a message
lacks is null. Control characters are written \\uXXXX. Whoever has a receipt
handle may delete the message.

Each receive counts: at max receives the queue dead-letters the message.

Without --delete it also ends when a message comes a second time; with
--visibility 0s, after one receive. Messages are deleted once they are written,
whether or not their reader read them. Ctrl-C gives up the wait; what SQS handed
out in that moment comes back after its visibility time-out.

Exit codes: 0 also when nothing came, 1 failure, 2 usage, 78 bad configuration,
130 Ctrl-C.";

/// Options of `receive`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    queue: QueueOptions,
    /// Most messages, 1 or more; fewer come when the queue has no more
    #[arg(long, value_name = "N", default_value = "1", value_parser = value::at_least_one)]
    max: u64,
    /// How long an empty queue is waited at, 0s to 20s; 0s may overlook messages
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = value::wait)]
    wait: Duration,
    /// Delete each message once it is printed
    #[arg(long)]
    delete: bool,
    /// How long the messages stay hidden from others, 0s to 12h [default: the queue's]
    #[arg(long, value_name = "DURATION", value_parser = value::visibility)]
    visibility: Option<Duration>,
    /// Receive request attempt id (FIFO): the same one brings the same messages; with --max up to 10
    #[arg(long = "request-attempt-id", alias = "attempt-id", value_name = "ID")]
    attempt_id: Option<String>,
}

/// Receives, prints and deletes; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let batch_max = u64::try_from(BATCH_MAX).unwrap_or(u64::MAX);
    if options.attempt_id.is_some() && options.max > batch_max {
        // A second receive with the same attempt id would return the same messages.
        complain(&format!("--request-attempt-id is for one receive: --max is at most {BATCH_MAX} with it"));
        return USAGE;
    }
    let queue = match options.queue.open().await {
        Ok(queue) => queue,
        Err(code) => return code,
    };
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let mut missing = options.max;
    let mut all_deleted = true;
    let mut seen: HashSet<MessageId> = HashSet::new();
    while missing > 0 {
        let request = ReceiveRequest {
            max: usize::try_from(missing.min(batch_max)).unwrap_or(BATCH_MAX),
            wait: options.wait,
            visibility: options.visibility,
            attempt_id: options.attempt_id.clone(),
        };
        // Only the wait is cancelled: printed messages are also deleted.
        let received = tokio::select! {
            biased;
            _ = &mut interrupt => return INTERRUPTED,
            received = receive(&queue, &request) => received,
        };
        let (mut messages, url) = match received {
            Ok(received) => received,
            Err(error) => {
                complain_of(&error);
                return FAILED;
            }
        };
        tell_left_out(&queue);
        let came = messages.len();
        if !options.delete {
            messages.retain(|received| seen.insert(received.message.id.clone()));
        }
        if let Err(error) = print(&messages, &url) {
            complain(&format!("cannot write to standard output, nothing more is deleted: {error}"));
            return FAILED;
        }
        if options.delete {
            all_deleted &= delete(&queue, &messages, &mut Told::default()).await.is_empty();
        }
        let been_round =
            messages.len() < came || (!options.delete && options.visibility == Some(Duration::ZERO));
        if came == 0 || been_round {
            break;
        }
        missing = missing.saturating_sub(u64::try_from(came).unwrap_or(u64::MAX));
    }
    if all_deleted { OK } else { FAILED }
}

type Answer = (Vec<Received>, Arc<str>);

async fn receive(queue: &SqsQueue, request: &ReceiveRequest) -> Result<Answer, QueueError> {
    let url = queue.address().await?;
    Ok((queue.receive_by_hand(request).await?, url))
}

/// Writes one line per message, all lines or an error.
pub(super) fn print(messages: &[Received], url: &str) -> std::io::Result<()> {
    let lines: Vec<String> = messages
        .iter()
        .map(|received| serde_json::to_string(&Line::of(received, url)))
        .collect::<Result<_, _>>()?;
    print_lines(lines.iter().map(String::as_str))
}

/// Reports how many messages a receive left out, because no other output shows it.
pub(super) fn tell_left_out(queue: &SqsQueue) {
    for (why, messages) in queue.left_out() {
        let messages = if messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") };
        complain(&format!("{messages} left out: {}; SQS hands them out again", why.words()));
    }
}

/// A message as printed; users rely on these names, so they never change.
#[derive(Serialize)]
struct Line<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    body: Cow<'a, str>,
    receive_count: u32,
    sent_at: Option<String>,
    first_received_at: Option<String>,
    message_group_id: Option<&'a str>,
    message_deduplication_id: Option<&'a str>,
    sequence_number: Option<&'a str>,
    aws_trace_header: Option<&'a str>,
    sender_id: Option<&'a str>,
    dead_letter_queue_source_arn: Option<&'a str>,
    queue_url: &'a str,
    attributes: BTreeMap<&'a str, PrintedAttribute<'a>>,
}

#[derive(Serialize)]
struct PrintedAttribute<'a> {
    data_type: &'a str,
    value: Cow<'a, str>,
}

impl<'a> Line<'a> {
    fn of(received: &'a Received, queue_url: &'a str) -> Self {
        let message = &received.message;
        let attribute = |attribute: &'a Attribute| {
            let value = match &attribute.value {
                AttributeValue::Text(text) => text.as_str().into(),
                AttributeValue::Binary(bytes) => STANDARD.encode(bytes).into(),
            };
            (attribute.name.as_str(), PrintedAttribute { data_type: &attribute.data_type, value })
        };
        Self {
            message_id: message.id.as_str(),
            receipt_handle: message.receipt.expose(),
            body: String::from_utf8_lossy(&message.body),
            receive_count: message.receive_count.get(),
            sent_at: message.sent_at.and_then(instant),
            first_received_at: message.first_received_at.and_then(instant),
            message_group_id: message.group_id.as_deref(),
            message_deduplication_id: message.deduplication_id.as_deref(),
            sequence_number: message.sequence_number.as_deref(),
            aws_trace_header: message.trace_header.as_deref(),
            sender_id: received.sender_id.as_deref(),
            dead_letter_queue_source_arn: received.dead_letter_queue_source_arn.as_deref(),
            queue_url,
            attributes: message.attributes.iter().map(attribute).collect(),
        }
    }
}

/// RFC 3339 in UTC with milliseconds; `None` for a time outside that format's range.
fn instant(at: SystemTime) -> Option<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    write!(text, "{}", humantime::format_rfc3339_millis(at)).ok().map(|()| text)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Message, ReceiptHandle, ReceiveCount};

    fn bare() -> Received {
        Received {
            message: Message {
                id: MessageId::new("4a1b"),
                receipt: ReceiptHandle::new("AQEB"),
                body: Bytes::from("a \"b\"\n😀"),
                receive_count: ReceiveCount::new(3),
                sent_at: None,
                first_received_at: None,
                group_id: None,
                deduplication_id: None,
                sequence_number: None,
                trace_header: None,
                sender_id: None,
                attributes: Vec::new(),
            },
            sender_id: None,
            dead_letter_queue_source_arn: None,
        }
    }

    #[test]
    fn a_line_has_every_property_also_those_a_message_lacks() {
        let line = serde_json::to_string(&Line::of(&bare(), "http://q")).unwrap();
        let expected = concat!(
            r#"{"message_id":"4a1b","receipt_handle":"AQEB","body":"a \"b\"\n😀","receive_count":3,"#,
            r#""sent_at":null,"first_received_at":null,"message_group_id":null,"message_deduplication_id":null,"#,
            r#""sequence_number":null,"aws_trace_header":null,"sender_id":null,"#,
            r#""dead_letter_queue_source_arn":null,"queue_url":"http://q","attributes":{}}"#
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn times_are_in_utc_with_milliseconds_and_binary_values_in_base64() {
        let mut received = bare();
        received.message.sent_at =
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(1_700_000_000_123));
        received.message.first_received_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1 << 40));
        received.message.attributes = vec![Attribute {
            name: "b".to_owned(),
            data_type: "Binary".to_owned(),
            value: AttributeValue::Binary(Bytes::from_static(&[0, 255])),
        }];
        let line = serde_json::to_value(Line::of(&received, "http://q")).unwrap();
        assert_eq!(line["sent_at"], "2023-11-14T22:13:20.123Z");
        assert!(line["first_received_at"].is_null());
        assert_eq!(line["attributes"]["b"], serde_json::json!({"data_type": "Binary", "value": "AP8="}));
    }
}
