//! `queuepost check --render`: prints the request that a message would become, or several of one batch.
//!
//! A message is a line of `queuepost receive`, or a plain body. Several lines are one request. Nothing is sent: neither queue nor endpoint is called.
//! The body is printed as it is, except on a terminal, where it is escaped.

use std::collections::BTreeMap;
use std::io::{Error, IsTerminal, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::app::render::{RenderError, Rendered, render};
use crate::cli::{FAILED, OK, USAGE, complain, terminal};
use crate::config::Plan;
use crate::message::{Attribute, AttributeValue, Message, MessageId, ReceiptHandle, ReceiveCount};

/// Largest file with a message, in bytes: 1 MiB of message, escaped six times over.
const FILE_MAX: u64 = 8 * 1024 * 1024;
/// In place of receipt handles, which are never printed.
const REDACTED: &str = "REDACTED";
/// The id of a message that was given as a plain body.
const PLAIN_ID: &str = "00000000-0000-0000-0000-000000000000";

/// Prints the request of the message in `file`; returns the exit code.
pub(super) fn run(plan: &Plan, listener: Option<&str>, file: &str) -> u8 {
    let messages = match messages_in(file, plain) {
        Ok(messages) => messages,
        Err(why) => {
            complain(&format!("--render: {why}"));
            return USAGE;
        }
    };
    match render(plan, listener, &messages) {
        Ok(rendered) => match print(&rendered) {
            Ok(()) => OK,
            Err(error) => {
                complain(&format!("cannot write to standard output: {error}"));
                FAILED
            }
        },
        Err(error) => refuse(&error),
    }
}

/// Says why there is no request; returns the exit code.
pub(super) fn refuse(error: &RenderError) -> u8 {
    complain(error);
    if matches!(error, RenderError::Unshapeable(_)) { FAILED } else { USAGE }
}

/// The messages in a file, or on standard input; `plain` makes one of a body.
pub(super) fn messages_in(file: &str, plain: impl Fn(Bytes) -> Message) -> Result<Vec<Message>, String> {
    let text = read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    messages(&text, plain)
}

fn read(file: &str) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let count = if file == "-" {
        std::io::stdin().lock().take(FILE_MAX + 1).read_to_end(&mut text)?
    } else {
        std::fs::File::open(file)?.take(FILE_MAX + 1).read_to_end(&mut text)?
    };
    if u64::try_from(count).is_ok_and(|count| count > FILE_MAX) {
        return Err(Error::other("it is longer than 8 MiB"));
    }
    Ok(text)
}

/// A message as `receive` prints it; what is not needed for a request is left out.
#[derive(Deserialize)]
struct Line {
    message_id: String,
    body: String,
    receive_count: Option<u32>,
    sent_at: Option<String>,
    first_received_at: Option<String>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    sequence_number: Option<String>,
    aws_trace_header: Option<String>,
    sender_id: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, PrintedAttribute>,
}

#[derive(Deserialize)]
struct PrintedAttribute {
    data_type: String,
    value: String,
}

/// The messages that a file holds: one, unless each of its lines is one.
pub(super) fn messages(text: &[u8], plain: impl Fn(Bytes) -> Message) -> Result<Vec<Message>, String> {
    if let Ok(line) = serde_json::from_slice::<Line>(text) {
        return Ok(vec![line.message()?]);
    }
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Result<Vec<Line>, _> = lines.map(serde_json::from_slice).collect();
    match lines {
        Ok(lines) if !lines.is_empty() => lines.into_iter().map(Line::message).collect(),
        // The line feed that editors add at the end is no part of a body.
        Ok(_) | Err(_) => Ok(vec![plain(Bytes::copy_from_slice(text.strip_suffix(b"\n").unwrap_or(text)))]),
    }
}

/// A message with a body alone.
fn plain(body: Bytes) -> Message {
    Message::new(MessageId::new(PLAIN_ID), ReceiptHandle::new(REDACTED), body)
}

impl Line {
    fn message(self) -> Result<Message, String> {
        let time = |key: &str, text: Option<String>| {
            let parsed = text.map(|text| humantime::parse_rfc3339(&text)).transpose();
            parsed.map_err(|_| format!("{key} is no time such as 2026-01-31T12:00:00.000Z"))
        };
        let attribute = |(name, PrintedAttribute { data_type, value }): (String, PrintedAttribute)| {
            let value = if data_type.starts_with("Binary") {
                let decoded = STANDARD.decode(&value);
                AttributeValue::Binary(decoded.map_err(|_| format!("attribute {name} is no base64"))?.into())
            } else {
                AttributeValue::Text(value)
            };
            Ok::<_, String>(Attribute { name, data_type, value })
        };
        Ok(Message {
            id: MessageId::new(self.message_id),
            receipt: ReceiptHandle::new(REDACTED),
            body: self.body.into(),
            receive_count: ReceiveCount::new(self.receive_count.unwrap_or(1)),
            sent_at: time("sent_at", self.sent_at)?,
            first_received_at: time("first_received_at", self.first_received_at)?,
            group_id: self.message_group_id,
            deduplication_id: self.message_deduplication_id,
            sequence_number: self.sequence_number,
            trace_header: self.aws_trace_header,
            sender_id: self.sender_id,
            attributes: self.attributes.into_iter().map(attribute).collect::<Result<_, _>>()?,
        })
    }
}

/// The request line and the headers, a line each.
pub(super) fn head(rendered: &Rendered) -> String {
    let mut head = format!("POST {}\n", rendered.url);
    for (name, value) in &rendered.headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push('\n');
    }
    head
}

fn print(rendered: &Rendered) -> std::io::Result<()> {
    let head = head(rendered) + "\n";
    let on_terminal = std::io::stdout().is_terminal();
    terminal::print_request(&head, &rendered.body, on_terminal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_receive_is_a_message_and_everything_else_is_a_body() {
        let line = r#"{"message_id":"4a1b","receipt_handle":"AQEB","body":"x","receive_count":3,"sent_at":"2023-11-14T22:13:20.123Z","first_received_at":null,"message_group_id":"g","message_deduplication_id":null,"sequence_number":null,"aws_trace_header":null,"sender_id":null,"dead_letter_queue_source_arn":null,"queue_url":"http://q","attributes":{"b":{"data_type":"Binary","value":"AP8="},"t":{"data_type":"String","value":"v"}}}"#;
        let [read] = messages(line.as_bytes(), plain).unwrap().try_into().unwrap();
        assert_eq!((read.id.as_str(), &*read.body, read.receive_count.get()), ("4a1b", &b"x"[..], 3));
        assert_eq!((read.group_id.as_deref(), read.sent_at.is_some()), (Some("g"), true));
        assert_eq!(read.attributes[0].value, AttributeValue::Binary(Bytes::from_static(&[0, 255])));
        assert_eq!(read.receipt.expose(), REDACTED, "a handle is never printed");
        for body in ["plain", "{\"a\":1}", "{\"body\":\"x\"}", "", "[1]"] {
            let read = messages(format!("{body}\n").as_bytes(), plain).unwrap();
            assert_eq!((read.len(), &*read[0].body), (1, body.as_bytes()));
        }
        let two =
            messages(format!("{line}\n\n{}\n", line.replace("4a1b", "5b2c")).as_bytes(), plain).unwrap();
        assert_eq!(two.iter().map(|each| each.id.as_str()).collect::<Vec<_>>(), ["4a1b", "5b2c"]);
        assert!(
            messages(br#"{"message_id":"1","body":"x","sent_at":"today"}"#, plain)
                .unwrap_err()
                .contains("sent_at")
        );
    }
}
