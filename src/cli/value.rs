//! Parses the values of options: durations in whole seconds, message attributes, counts.
//!
//! Pure. The rules are SQS's own. They are checked here so that a mistake costs no call and gets our error
//! text. An attribute is written `NAME=VALUE` or `NAME:TYPE=VALUE`. Names contain neither `:` nor `=`, so the
//! first `=` ends name and type, and the rest is the value.

use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hands::attribute;
use crate::hands::redrive::RATE_MAX;
use crate::message::{Attribute, AttributeValue};

/// Longest delay of a message (AWS limit).
const DELAY: RangeInclusive<u64> = 0..=900;
/// Longest long poll (AWS limit).
const WAIT: RangeInclusive<u64> = 0..=20;
/// Longest visibility timeout (AWS limit).
const VISIBILITY: RangeInclusive<u64> = 0..=43_200;
/// Longest type with its suffix (AWS limit).
const TYPE_MAX: usize = 256;

/// How long a new message stays hidden.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    whole_seconds(text, &DELAY)
}

/// How long to wait at an empty queue.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    whole_seconds(text, &WAIT)
}

/// How long received messages stay hidden.
pub(super) fn visibility(text: &str) -> Result<Duration, String> {
    whole_seconds(text, &VISIBILITY)
}

/// A number of messages.
pub(super) fn at_least_one(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "write a whole number, 1 or more".to_owned())
}

/// Messages a second of a redrive.
pub(super) fn moves_per_second(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| (1..=RATE_MAX).contains(rate));
    rate.ok_or_else(|| format!("write a whole number, 1 to {RATE_MAX}"))
}

fn whole_seconds(text: &str, range: &RangeInclusive<u64>) -> Result<Duration, String> {
    let value = humantime::parse_duration(text).map_err(|_| "write a duration: 30s, 5m or 1h30m")?;
    if value.subsec_nanos() > 0 {
        return Err("SQS counts in whole seconds".to_owned());
    }
    if range.contains(&value.as_secs()) {
        return Ok(value);
    }
    let end = humantime::format_duration(Duration::from_secs(*range.end()));
    Err(format!("out of range: {}s to {end}", range.start()))
}

/// A message attribute: `NAME=VALUE`, `NAME:Number=5`, `NAME:Binary=BASE64`, types with a suffix of their own.
pub(super) fn attribute(text: &str) -> Result<Attribute, String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE or NAME:TYPE=VALUE")?;
    let (name, data_type) = name.split_once(':').unwrap_or((name, "String"));
    attribute::check_name(name)?;
    if value.is_empty() {
        return Err("SQS takes no attribute without a value".to_owned());
    }
    let (kind, suffix) =
        data_type.split_once('.').map_or((data_type, None), |(kind, rest)| (kind, Some(rest)));
    if suffix.is_some_and(str::is_empty) || data_type.len() > TYPE_MAX {
        return Err("the suffix of a type is at least one character, type and suffix at most 256".to_owned());
    }
    let value = match kind {
        "String" => AttributeValue::Text(value.to_owned()),
        "Number" if value.parse::<f64>().is_ok_and(f64::is_finite) => AttributeValue::Text(value.to_owned()),
        "Number" => return Err("the value is no number".to_owned()),
        "Binary" => {
            let bytes = STANDARD.decode(value).map_err(|_| "the value of a Binary attribute is base64")?;
            AttributeValue::Binary(bytes.into())
        }
        _ => {
            return Err("a type is String, Number or Binary, with a suffix if need be: Number.int".to_owned());
        }
    };
    Ok(Attribute { name: name.to_owned(), data_type: data_type.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, data_type: &str, value: &str) -> Attribute {
        let value = AttributeValue::Text(value.to_owned());
        Attribute { name: name.to_owned(), data_type: data_type.to_owned(), value }
    }

    #[test]
    fn a_duration_is_in_whole_seconds_and_within_what_sqs_takes() {
        assert_eq!(delay("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(wait("0s"), Ok(Duration::ZERO));
        assert_eq!(visibility("12h"), Ok(Duration::from_secs(43_200)));
        for refused in [delay("901s"), wait("21s"), visibility("13h"), wait("500ms"), wait("5"), delay("-1s")]
        {
            assert!(refused.is_err(), "{refused:?}");
        }
        assert_eq!(wait("1m"), Err("out of range: 0s to 20s".to_owned()));
    }

    #[test]
    fn a_number_of_messages_is_one_or_more() {
        assert_eq!(at_least_one("1"), Ok(1));
        for refused in ["0", "-1", "ten", "1.5", ""] {
            assert_eq!(at_least_one(refused), Err("write a whole number, 1 or more".to_owned()), "{refused}");
        }
    }

    #[test]
    fn an_attribute_has_a_name_a_type_and_a_value() {
        let cases = [
            ("tenant=acme", text("tenant", "String", "acme")),
            ("q=a=b:c", text("q", "String", "a=b:c")),
            ("a.b-c_d=😀 ", text("a.b-c_d", "String", "😀 ")),
            ("n:Number=-5.5e3", text("n", "Number", "-5.5e3")),
            ("n:Number.int=5", text("n", "Number.int", "5")),
        ];
        for (written, expected) in cases {
            assert_eq!(attribute(written), Ok(expected), "{written}");
        }
        let binary = attribute("b:Binary.png=AP8=").unwrap();
        assert_eq!(binary.data_type, "Binary.png");
        assert_eq!(binary.value, AttributeValue::Binary(vec![0, 255].into()));
    }

    #[test]
    fn what_sqs_would_refuse_is_refused() {
        let long = format!("{}=v", "n".repeat(257));
        for written in [
            "",
            "name",
            "=v",
            "name=",
            "a b=c",
            "ä=c",
            "AWS.x=1",
            "amazon.x=1",
            ".a=1",
            "a.=1",
            "a..b=1",
            "n:Number=five",
            "n:Number=inf",
            "n:number=5",
            "n:=5",
            "b:Binary=?",
            "n:Number.=5",
            "a:b:c=1",
            &long,
        ] {
            assert!(attribute(written).is_err(), "{written}");
        }
    }
}
