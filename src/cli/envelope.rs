//! What `receive` printed, as input of `send`.
//!
//! A line of `receive` is a message with everything it had. With `--from-receive` it is sent as that message. Without,
//! it is refused as a body: nobody wants a receipt handle posted to an endpoint.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::hands::resend;
use crate::message::{Attribute, AttributeValue};
use crate::sqs::Outgoing;

/// A line of `receive`, as far as a message can be made of it.
#[derive(Debug, Deserialize)]
struct Line {
    message_id: String,
    body: String,
    message_group_id: Option<String>,
    aws_trace_header: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Written>,
}

#[derive(Debug, Deserialize)]
struct Written {
    data_type: String,
    value: String,
}

/// The message that a line of `receive` is; `fifo`: for a FIFO queue.
pub(super) fn message(line: &str, fifo: bool) -> Result<Outgoing, String> {
    let line: Line =
        serde_json::from_str(line).map_err(|error| format!("is no line of `queuepost receive`: {error}"))?;
    let attributes = line.attributes.into_iter().map(|(name, written)| attribute(name, written));
    let id = line.message_id.as_str();
    Ok(Outgoing {
        body: line.body,
        attributes: attributes.collect::<Result<_, _>>()?,
        delay: None,
        group_id: line.message_group_id.or_else(|| fifo.then(|| id.to_owned())),
        deduplication_id: fifo.then(|| resend::deduplication_id(id)),
        trace_header: line.aws_trace_header,
    })
}

fn attribute(name: String, written: Written) -> Result<Attribute, String> {
    let Written { data_type, value } = written;
    let value = if data_type == "Binary" || data_type.starts_with("Binary.") {
        let bytes =
            STANDARD.decode(&value).map_err(|_| format!("attribute {name}: its value is no base64"))?;
        AttributeValue::Binary(bytes.into())
    } else {
        AttributeValue::Text(value)
    };
    Ok(Attribute { name, data_type, value })
}

/// Whether `body` is obviously what `receive` printed, one line or several.
pub(super) fn is_printed(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Telling {
        #[serde(rename = "message_id")]
        _message_id: String,
        #[serde(rename = "receipt_handle")]
        _receipt_handle: String,
        #[serde(rename = "body")]
        _body: String,
        #[serde(rename = "receive_count")]
        _receive_count: u64,
    }
    let first = body.trim_start().lines().next().unwrap_or_default();
    first.starts_with('{') && serde_json::from_str::<Telling>(first).is_ok()
}

/// Why such a body is refused.
pub(super) const REFUSED: &str = "this is a line of `queuepost receive`, receipt handle and all, and no message's body\n  \
    fix: --from-receive sends the message that it shows; --as-is sends the line itself";

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"message_id":"m-1","receipt_handle":"r","body":"{\"a\":1}","receive_count":3,
        "sent_at":"2023-11-14T22:13:20.123Z","message_group_id":"acme","message_deduplication_id":"d-7",
        "aws_trace_header":"Root=1","dead_letter_queue_source_arn":null,"attributes":{
        "key":{"data_type":"Binary.png","value":"AP8="},"tenant":{"data_type":"String","value":"acme"}}}"#;

    fn line() -> String {
        LINE.replace('\n', "")
    }

    #[test]
    fn a_line_is_sent_with_everything_that_the_message_had() {
        let sent = message(&line(), true).unwrap();
        assert_eq!((sent.body.as_str(), sent.trace_header.as_deref()), (r#"{"a":1}"#, Some("Root=1")));
        assert_eq!(
            (sent.group_id.as_deref(), sent.deduplication_id.as_deref()),
            (Some("acme"), Some("again-m-1"))
        );
        let [key, tenant] = sent.attributes.as_slice() else { panic!("{:?}", sent.attributes) };
        assert_eq!(
            (key.data_type.as_str(), &key.value),
            ("Binary.png", &AttributeValue::Binary(vec![0, 255].into()))
        );
        assert_eq!(
            (tenant.name.as_str(), &tenant.value),
            ("tenant", &AttributeValue::Text("acme".to_owned()))
        );
        assert_eq!(message(&line(), false).unwrap().deduplication_id, None);
    }

    #[test]
    fn what_is_no_such_line_is_told() {
        for (line, word) in [("{}", "message_id"), ("x", "no line"), ("", "no line")] {
            let why = message(line, false).unwrap_err();
            assert!(why.contains(word), "{line}: {why}");
        }
        let bad = line().replace("AP8=", "!");
        assert!(message(&bad, false).unwrap_err().contains("key"));
    }

    #[test]
    fn only_what_receive_prints_is_taken_for_it() {
        assert!(is_printed(&line()) && is_printed(&format!("{}\n{}", line(), line())));
        for body in ["", "text", "{}", r#"{"message_id":"m","body":"b"}"#, r#"["message_id"]"#] {
            assert!(!is_printed(body), "{body}");
        }
    }
}
