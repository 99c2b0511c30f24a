//! What a person does with the messages of a listener's queues, by request: send one, look at letters, move them back.
//!
//! Each works with the listener's credentials: on its queue, or on the dead-letter queue that SQS names for that. The pipeline does not learn of it. What is shown of letters is bounded, and for whoever showed the token.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::admin::{ByHand, Redriving, Refused, Sending};
use crate::app::redrives::Redrives;
use crate::hands::peek::{HIDDEN, Look};
use crate::hands::redrive::Order;
use crate::hands::{attribute, resend};
use crate::message::{AttributeValue, Outgoing};
use crate::ports::{Queue as _, QueueError};
use crate::sqs::{Received, SqsQueue, source_of};
use crate::telemetry::Chain;

/// Bytes of a body, and of each attribute, that are shown.
const SHOWN_MAX: usize = 4 * 1024;
const COSTS: &str =
    "a look is a receive: the receive count of each went up by one, and all are visible again";

/// Does what was asked with a listener and its queue.
pub(super) async fn by_hand(
    redrives: &Arc<Redrives>,
    listener: &str,
    queue: SqsQueue,
    what: ByHand,
) -> Result<Value, Refused> {
    match what {
        ByHand::Send(sending) => send(listener, &queue, sending).await,
        ByHand::Peek(max) => peek(listener, &letters(listener, &queue).await?, max).await,
        ByHand::Redrive(Redriving { rate, ids, dry_run }) => {
            let letters = letters(listener, &queue).await?;
            let order = Order { ids, rate, by_hand: false };
            if dry_run {
                redrives.words(listener, &letters, order).await.map_err(|error| of_queue(&error))
            } else {
                redrives.begin(listener, letters, order)
            }
        }
        ByHand::CancelRedrive => redrives.cancel(listener).await,
    }
}

/// A call to a queue that failed.
fn of_queue(error: &QueueError) -> Refused {
    Refused::OfQueue { why: Chain(error).to_string(), fix: error.advice.fix.clone() }
}

/// The dead-letter queue of a listener's queue.
async fn letters(listener: &str, queue: &SqsQueue) -> Result<SqsQueue, Refused> {
    let found = queue.dead_letter_queue().await.map_err(|error| of_queue(&error))?;
    found.ok_or_else(|| Refused::Invalid {
        why: format!("the queue of {listener} has no dead-letter queue"),
        fix: format!("give {} a redrive policy", queue.own_name()),
    })
}

async fn send(listener: &str, queue: &SqsQueue, sending: Sending) -> Result<Value, Refused> {
    let wrong = |why: String, fix: &str| Refused::Wrong { why, fix: fix.to_owned() };
    let Sending { body, group, deduplication_id, attributes } = sending;
    let attributes = attributes.into_iter().map(|(name, value)| attribute::of_text(name, value));
    let attributes = attributes.collect::<Result<Vec<_>, _>>().and_then(|attributes| {
        attribute::check_all(&attributes)?;
        Ok(attributes)
    });
    let attributes = attributes.map_err(|why| wrong(why, "change `attributes`"))?;
    if queue.is_fifo() && group.is_none() {
        return Err(wrong("a message of a FIFO queue needs a group".to_owned(), "send `group` too"));
    }
    let message =
        Outgoing { body, attributes, group_id: group, deduplication_id, delay: None, trace_header: None };
    if message.bytes() > Outgoing::MAX_BYTES {
        return Err(wrong("the message is longer than 1 MiB".to_owned(), "send a shorter one"));
    }
    let id = resend::send(queue, &message).await.map_err(|error| {
        let fix = "see what SQS says; `group` and `deduplication_id` are for FIFO queues";
        if error.is_of_the_message() { wrong(Chain(&error).to_string(), fix) } else { of_queue(&error) }
    })?;
    Ok(json!({ "listener": listener, "queue": queue.own_name(), "message_id": id.as_str() }))
}

async fn peek(listener: &str, letters: &SqsQueue, max: usize) -> Result<Value, Refused> {
    let facts = letters.inspect().await.map_err(|error| of_queue(&error))?;
    if facts.redrive.is_some() {
        let name = letters.own_name();
        return Err(Refused::Invalid {
            why: format!(
                "{name} has a dead-letter queue of its own, and a look is a receive that counts there"
            ),
            fix: format!("queuepost peek --queue {name} --yes, if that is all right"),
        });
    }
    let mut look = Look::at(letters);
    let mut ended = Ok(());
    while ended.is_ok() && look.shown().len() < max {
        match look.next(max - look.shown().len()).await {
            Ok([]) => break,
            Ok(_) => {}
            Err(error) => ended = Err(of_queue(&error)),
        }
    }
    let kept = look.give_back().await;
    ended?;
    let note = match kept {
        0 => COSTS.to_owned(),
        kept => {
            format!("a look is a receive that counts; {kept} stay hidden for up to {} s", HIDDEN.as_secs())
        }
    };
    let messages: Vec<Value> = look.shown().iter().map(letter).collect();
    Ok(json!({ "listener": listener, "queue": letters.own_name(), "messages": messages, "note": note }))
}

/// A letter, as far as it is shown.
fn letter(received: &Received) -> Value {
    let message = &received.message;
    let body = String::from_utf8_lossy(&message.body);
    let attributes: Map<String, Value> = message
        .attributes
        .iter()
        .map(|attribute| {
            let value = match &attribute.value {
                AttributeValue::Text(text) => beginning(text).to_owned(),
                AttributeValue::Binary(bytes) => STANDARD.encode(bytes.get(..SHOWN_MAX / 2).unwrap_or(bytes)),
            };
            (attribute.name.clone(), json!(value))
        })
        .collect();
    let status = source_of(message, "status").and_then(|status| status.parse::<u16>().ok());
    json!({
        "id": message.id.as_str(),
        "sent_at": message.sent_at.map(|at| humantime::format_rfc3339_millis(at).to_string()),
        "receives": message.receive_count.get(),
        "body": beginning(&body),
        "body_cut": body.len() > SHOWN_MAX,
        "attributes": attributes,
        "reason": source_of(message, "reason"),
        "status": status,
    })
}

fn beginning(text: &str) -> &str {
    text.split_at(text.floor_char_boundary(SHOWN_MAX)).0
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Attribute, Message, MessageId, ReceiptHandle};

    fn text(name: &str, value: &str) -> Attribute {
        let value = AttributeValue::Text(value.to_owned());
        Attribute { name: name.to_owned(), data_type: "String".to_owned(), value }
    }

    #[test]
    fn a_letter_shows_why_it_is_one_and_the_beginning_of_its_texts() {
        let long = "ä".repeat(SHOWN_MAX);
        let mut message = Message::new(MessageId::new("m-1"), ReceiptHandle::new("secret"), long.clone());
        let binary = Attribute {
            name: "key".to_owned(),
            data_type: "Binary".to_owned(),
            value: AttributeValue::Binary(Bytes::from(vec![255; 10 * SHOWN_MAX])),
        };
        message.attributes = vec![
            text("queuepost.reason", "rejected"),
            text("queuepost.status", "400"),
            text("long", &long),
            binary,
        ];
        let shown = letter(&Received { message, sender_id: None, dead_letter_queue_source_arn: None });
        assert_eq!(
            (&shown["reason"], &shown["status"], &shown["body_cut"]),
            (&json!("rejected"), &json!(400), &json!(true))
        );
        let length = |value: &Value| value.as_str().unwrap().len();
        assert_eq!((length(&shown["body"]), length(&shown["attributes"]["long"])), (SHOWN_MAX, SHOWN_MAX));
        assert!(length(&shown["attributes"]["key"]) < SHOWN_MAX && !shown.to_string().contains("secret"));
    }
}
