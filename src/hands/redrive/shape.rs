//! What a message from a dead-letter queue becomes when it is sent back: what it was at first.
//!
//! Pure. Body, attributes, trace header and group stay; what queuepost added when it dead-lettered the message goes. The
//! deduplication id is a new one ([`resend::deduplication_id`]).

use crate::hands::resend;
use crate::sqs::{Outgoing, Received, is_copy, is_ours, source_of};

/// Where a message came from, as far as it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The ARN of the queue that SQS moved it from.
    Arn(String),
    /// The name of the queue that queuepost copied it from.
    Name(String),
    /// It names this queue, which has another dead-letter queue or none.
    Foreign(String),
    /// It does not say.
    Unknown,
}

/// Where `received` came from. What queuepost wrote is newer than what SQS knows: it copied the message last. Whoever sends
/// messages can write the same. So where the `sources` are known the name has to be among them.
pub(super) fn origin(received: &Received, sources: Option<&[String]>) -> Origin {
    let written = source_of(&received.message, "source-queue");
    let is_source = |name: &&str| sources.is_none_or(|sources| sources.iter().any(|source| source == name));
    if let Some(name) = written.filter(is_source) {
        return Origin::Name(name.to_owned());
    }
    let foreign = || written.map_or(Origin::Unknown, |name| Origin::Foreign(name.to_owned()));
    received.dead_letter_queue_source_arn.clone().map_or_else(foreign, Origin::Arn)
}

/// The message to send; an error when its body is no text, which SQS never hands out.
pub(super) fn outgoing(received: &Received, fifo: bool) -> Result<Outgoing, String> {
    let message = &received.message;
    let body = std::str::from_utf8(&message.body).map_err(|_| "its body is no text".to_owned())?;
    let group = source_of(message, "source-group-id").map(str::to_owned).or_else(|| message.group_id.clone());
    let is_copy = is_copy(message);
    let id = message.id.as_str();
    Ok(Outgoing {
        body: body.to_owned(),
        attributes: message
            .attributes
            .iter()
            .filter(|attribute| !is_copy || !is_ours(attribute))
            .cloned()
            .collect(),
        delay: None,
        // The tenant of a fair standard queue is a group too. A FIFO queue needs one.
        group_id: group.or_else(|| fifo.then(|| id.to_owned())),
        deduplication_id: fifo.then(|| resend::deduplication_id(id)),
        trace_header: message.trace_header.clone(),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Attribute, AttributeValue, Message, MessageId, ReceiptHandle};

    fn text(name: &str, value: &str) -> Attribute {
        let value = AttributeValue::Text(value.to_owned());
        Attribute { name: name.to_owned(), data_type: "String".to_owned(), value }
    }

    fn letter(attributes: Vec<Attribute>) -> Received {
        let mut message = Message::new(MessageId::new("m-1"), ReceiptHandle::new("r"), Bytes::from("{}"));
        message.attributes = attributes;
        Received { message, sender_id: None, dead_letter_queue_source_arn: None }
    }

    #[test]
    fn what_queuepost_added_goes_and_everything_else_stays() {
        let binary = Attribute {
            name: "key".to_owned(),
            data_type: "Binary.png".to_owned(),
            value: AttributeValue::Binary(Bytes::from_static(&[0, 255])),
        };
        let mut letter = letter(vec![text("tenant", "acme"), binary, text("queuepost.reason", "rejected")]);
        letter.message.trace_header = Some("Root=1".to_owned());
        let sent = outgoing(&letter, false).unwrap();
        let names: Vec<_> = sent.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
        assert_eq!(names, ["tenant", "key"]);
        assert_eq!(sent.attributes[1], letter.message.attributes[1]);
        assert_eq!(
            (sent.trace_header.as_deref(), sent.group_id, sent.deduplication_id),
            (Some("Root=1"), None, None)
        );
    }

    #[test]
    fn a_result_keeps_its_attributes_for_it_is_no_copy() {
        let result =
            letter(vec![text("queuepost.state", "success"), text("queuepost.source-queue", "orders")]);
        assert_eq!(outgoing(&result, false).unwrap().attributes, result.message.attributes);
        assert_eq!(origin(&result, None), Origin::Unknown);
    }

    #[test]
    fn the_group_is_that_of_the_original() {
        let reason = text("queuepost.reason", "rejected");
        let mut letter = letter(vec![reason, text("queuepost.source-group-id", "acme")]);
        letter.message.group_id = Some("m-1".to_owned());
        assert_eq!(outgoing(&letter, true).unwrap().group_id.as_deref(), Some("acme"));
    }

    #[test]
    fn the_deduplication_id_is_a_new_one_or_of_two_letters_with_the_same_one_would_be_dropped() {
        let letters = ["m-1", "m-2"].map(|id| {
            let mut letter = letter(vec![
                text("queuepost.reason", "rejected"),
                text("queuepost.source-deduplication-id", "d-7"),
            ]);
            letter.message.id = MessageId::new(id);
            letter.message.sent_at = Some(std::time::SystemTime::UNIX_EPOCH);
            letter.message.deduplication_id = Some("d-7".to_owned());
            letter
        });
        let ids = letters.map(|letter| outgoing(&letter, true).unwrap().deduplication_id);
        assert_eq!(ids, [Some("again-m-1".to_owned()), Some("again-m-2".to_owned())]);
    }

    #[test]
    fn the_origin_is_what_queuepost_wrote_or_else_what_sqs_knows() {
        let reason = text("queuepost.reason", "rejected");
        let mut letter = letter(vec![reason, text("queuepost.source-queue", "orders")]);
        let sources = ["orders".to_owned(), "refunds".to_owned()];
        let origin = |letter: &Received| origin(letter, Some(&sources));
        assert_eq!(origin(&letter), Origin::Name("orders".to_owned()));
        letter.dead_letter_queue_source_arn = Some("arn:aws:sqs:r:1:refunds".to_owned());
        assert_eq!(origin(&letter), Origin::Name("orders".to_owned()));
        letter.message.attributes.clear();
        assert_eq!(origin(&letter), Origin::Arn("arn:aws:sqs:r:1:refunds".to_owned()));
        letter.dead_letter_queue_source_arn = None;
        assert_eq!(origin(&letter), Origin::Unknown);
    }

    #[test]
    fn a_sender_who_writes_the_name_of_another_queue_sends_nothing_there() {
        let mut letter =
            letter(vec![text("queuepost.reason", "x"), text("queuepost.source-queue", "payments")]);
        letter.dead_letter_queue_source_arn = Some("arn:aws:sqs:r:1:orders".to_owned());
        let sources = ["orders".to_owned()];
        assert_eq!(origin(&letter, Some(&sources)), Origin::Arn("arn:aws:sqs:r:1:orders".to_owned()));
        letter.dead_letter_queue_source_arn = None;
        assert_eq!(origin(&letter, Some(&sources)), Origin::Foreign("payments".to_owned()));
    }
}
