//! The rules for every message, whatever its queue: characters, sizes, attributes, ids.
//!
//! Limits come from the SQS Developer Guide, "Amazon SQS message quotas".

use super::{AttributeData, AttributeValue, BrokerError, SendMessage};

/// Longest message, and longest batch of messages together, in bytes.
pub(super) const MAX_MESSAGE_BYTES: usize = 1_048_576;
/// Message attributes per message.
const MAX_ATTRIBUTES: usize = 10;
/// Characters of a message attribute's name, and of its type.
const MAX_NAME: usize = 256;
/// Characters of a group, deduplication or attempt id.
const MAX_ID: usize = 128;
/// Seconds a message may be delayed.
const MAX_DELAY_SECONDS: u32 = 900;

/// Checks all rules that do not depend on the queue, except the total size.
pub(super) fn message(message: &SendMessage) -> Result<(), BrokerError> {
    body(&message.body)?;
    if message.attributes.len() > MAX_ATTRIBUTES {
        return Err(BrokerError::InvalidMessage(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MAX_ATTRIBUTES}].",
            message.attributes.len()
        )));
    }
    for (name, value) in &message.attributes {
        attribute(name, value)?;
    }
    if let Some(seconds) = message.delay_seconds.filter(|seconds| *seconds > MAX_DELAY_SECONDS) {
        return Err(BrokerError::invalid("DelaySeconds", &seconds, "DelaySeconds must be >= 0 and <= 900."));
    }
    for (name, value) in
        [("MessageGroupId", &message.group_id), ("MessageDeduplicationId", &message.deduplication_id)]
    {
        if let Some(value) = value {
            id(name, value)?;
        }
    }
    Ok(())
}

/// A message with its attributes may not be longer than its queue allows.
pub(super) fn size(message: &SendMessage, limit: usize) -> Result<(), BrokerError> {
    if message.size() > limit {
        return Err(BrokerError::InvalidMessage(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
        )));
    }
    Ok(())
}

/// Group, deduplication and attempt ids: 1–128 ASCII letters, digits and punctuation marks.
pub(super) fn id(parameter: &'static str, value: &str) -> Result<(), BrokerError> {
    if value.is_empty() || value.len() > MAX_ID || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = format!(
            "{parameter} can only include alphanumeric and punctuation characters. 1 to {MAX_ID} in length."
        );
        return Err(BrokerError::invalid(parameter, value, reason));
    }
    Ok(())
}

fn body(text: &str) -> Result<(), BrokerError> {
    if text.is_empty() {
        return Err(BrokerError::MissingParameter("MessageBody"));
    }
    if text.chars().all(is_xml) { Ok(()) } else { Err(BrokerError::InvalidMessageContents) }
}

/// Characters that XML 1.0 allows. Surrogates cannot occur in a `char`.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

fn attribute(name: &str, attribute: &AttributeValue) -> Result<(), BrokerError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let reserved =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if name.is_empty()
        || name.len() > MAX_NAME
        || !name.bytes().all(legal)
        || name.starts_with('.')
        || name.ends_with('.')
        || name.contains("..")
        || reserved("AWS.")
        || reserved("Amazon.")
    {
        return Err(BrokerError::InvalidMessage(format!(
            "Message (user) attribute name '{name}' is invalid."
        )));
    }
    let data_type = attribute.data_type.as_str();
    let (base, label) =
        data_type.split_once('.').map_or((data_type, None), |(base, label)| (base, Some(label)));
    let fits = match &attribute.value {
        AttributeData::Text(_) => matches!(base, "String" | "Number"),
        AttributeData::Binary(_) => base == "Binary",
    };
    if !fits || label == Some("") || data_type.len() > MAX_NAME {
        return Err(BrokerError::InvalidMessage(format!(
            "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String."
        )));
    }
    match &attribute.value {
        value if value.as_bytes().is_empty() => Err(BrokerError::InvalidMessage(format!(
            "Message (user) attribute '{name}' must contain a non-empty value of type '{base}'."
        ))),
        AttributeData::Text(text) if base == "Number" && text.trim().parse::<f64>().is_err() => {
            Err(BrokerError::InvalidMessage(format!(
                "Can't cast the value of message (user) attribute '{name}' to a number."
            )))
        }
        AttributeData::Text(text) if !text.chars().all(is_xml) => Err(BrokerError::InvalidMessageContents),
        AttributeData::Text(_) | AttributeData::Binary(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data_type: &str, value: &str) -> AttributeValue {
        AttributeValue { data_type: data_type.into(), value: AttributeData::Text(value.into()) }
    }

    fn with_body(body: &str) -> SendMessage {
        SendMessage { body: body.into(), ..Default::default() }
    }

    #[test]
    fn a_body_is_xml_legal_text_of_at_least_one_character() {
        assert_eq!(message(&with_body("tab\t cr\r\n \u{1f600} \u{fffd}")), Ok(()));
        assert_eq!(message(&with_body("")), Err(BrokerError::MissingParameter("MessageBody")));
        for bad in ["a\u{1}b", "\u{fffe}", "\u{ffff}", "\0"] {
            assert_eq!(message(&with_body(bad)), Err(BrokerError::InvalidMessageContents), "{bad:?}");
        }
    }

    #[test]
    fn attribute_names_follow_the_rules() {
        for good in ["city", "app.kind", "a-b_c", "awsome"] {
            assert_eq!(attribute(good, &text("String", "v")), Ok(()), "{good}");
        }
        for bad in ["", ".a", "a.", "a..b", "AWS.x", "amazon.x", "sp ace", "ü"] {
            assert!(attribute(bad, &text("String", "v")).is_err(), "{bad}");
        }
    }

    #[test]
    fn attribute_types_and_values_must_fit() {
        assert_eq!(attribute("n", &text("Number.float", "-1.5e3")), Ok(()));
        for bad in [
            text("Number", "many"),
            text("String", ""),
            text("Binary", "x"),
            text("Text", "x"),
            text("String.", "x"),
        ] {
            assert!(attribute("n", &bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_eleventh_attribute_is_refused() {
        let attributes = (0..11).map(|n| (format!("a{n}"), text("String", "v"))).collect();
        assert!(message(&SendMessage { attributes, ..with_body("x") }).is_err());
    }

    #[test]
    fn ids_are_short_and_plain() {
        assert_eq!(id("MessageGroupId", "a!~9"), Ok(()));
        for bad in ["", "with space", "ü", &"x".repeat(129)] {
            assert!(id("MessageGroupId", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_message_of_exactly_the_limit_passes() {
        let full = with_body(&"x".repeat(1024));
        assert_eq!(size(&full, 1024), Ok(()));
        assert!(size(&full, 1023).is_err());
    }
}
