//! Parses one text into one value, or names the rule it breaks and what to write instead.
//!
//! Pure functions, one for each kind of value in the configuration. They know no keys and positions; the
//! report adds those. Rules read as the end of a sentence that starts with the value.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use url::{ParseError, Url};

use crate::config::problem::Fault;
use crate::config::shown::did_you_mean;

/// SQS hides a message for at most 12 hours (`ChangeMessageVisibility`).
pub(super) const TWELVE_HOURS: Duration = Duration::from_hours(12);
/// Longest external id (`AssumeRole`, `ExternalId`: 2 to 1,224 characters).
const EXTERNAL_ID_MAX: usize = 1_224;
/// Fewest starts per second, one a day: the range of a `Rate` that does not round to nothing.
pub(super) const PER_SECOND_MIN: f64 = 0.000_01;
/// Most starts per second, one a microsecond.
pub(super) const PER_SECOND_MAX: f64 = 1_000_000.0;
/// Longest header that a user writes, beside that of credentials.
const HEADER_MAX: usize = 256;
/// Longest name of a listener or an endpoint, a DNS label's length.
const NAME_MAX: usize = 63;
/// Longest name of a user; the original API cuts all its texts there.
const USER_MAX: usize = 255;

/// A duration in the notation for people, within `min..=max`.
pub(super) fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, Fault> {
    if text.parse::<f64>().is_ok() {
        return Err(Fault::new("has no unit").fix("write 30s, 5m or 500ms"));
    }
    let value = humantime::parse_duration(text)
        .map_err(|_| Fault::new("is not a duration").fix("write 30s, 5m, 1h30m or 500ms"))?;
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    let (min, max) = (humantime::format_duration(min), humantime::format_duration(max));
    Err(Fault::new(format!("is out of range: {min} to {max}")))
}

/// A whole number within `min..=max`.
pub(super) fn whole(text: &str, min: u32, max: u32) -> Result<u32, Fault> {
    let range = || format!("{} to {}", grouped(min), grouped(max));
    match text.parse::<u32>() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        Ok(_) => Err(Fault::new(format!("is out of range: {}", range()))),
        Err(_) if text.parse::<f64>().is_ok() => {
            Err(Fault::new(format!("is not a whole number in the range {}", range())))
        }
        Err(_) => Err(Fault::new(format!("is not a number: {}", range()))),
    }
}

/// A checked number as a size.
pub(super) fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Starts per second: a number above 0.
pub(super) fn per_second(text: &str) -> Result<f64, Fault> {
    let value = text.parse::<f64>().map_err(|_| Fault::new("is not a number of starts per second"))?;
    if (PER_SECOND_MIN..=PER_SECOND_MAX).contains(&value) {
        return Ok(value);
    }
    Err(Fault::new("is out of range: more than 0 (at least 0.00001), at most 1,000,000"))
}

/// `true` or `false`.
pub(super) fn truth(text: &str) -> Result<bool, Fault> {
    one_of(text, &[("true", true), ("false", false)])
}

/// One of several words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, Fault> {
    if let Some(&(_, value)) = words.iter().find(|&&(word, _)| word == text) {
        return Ok(value);
    }
    let names: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
    let fault = Fault::new(format!("is none of: {}", names.join(", ")));
    Err(match did_you_mean(text, names) {
        Some(near) => fault.fix(near),
        None => fault,
    })
}

/// HTTP statuses separated by commas: `200`, `200-299` or `2xx`; `example` is the fix of anything else.
pub(super) fn statuses(text: &str, example: &str) -> Result<Vec<(u16, u16)>, Fault> {
    text.split(',').map(|part| status_range(part.trim(), example)).collect()
}

fn status_range(text: &str, example: &str) -> Result<(u16, u16), Fault> {
    let class = text.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
    let range = match class {
        Some(class) => Some((class.saturating_mul(100), class.saturating_mul(100).saturating_add(99))),
        None => match text.split_once('-') {
            Some((low, high)) => low.trim().parse().ok().zip(high.trim().parse().ok()),
            None => text.parse().ok().map(|code| (code, code)),
        },
    };
    match range {
        None => Err(Fault::new("is not a status or a range of statuses").fix(example)),
        Some((low, high)) if low > high => Err(Fault::new("is a range whose end is below its start")),
        Some((low, high)) if low < 100 || high > 599 => Err(Fault::new("is out of range: 100 to 599")),
        Some(range) => Ok(range),
    }
}

/// The address of an HTTP server or a resource on it, without credentials.
pub(super) fn http_url(text: &str) -> Result<Url, Fault> {
    const EXAMPLE: &str = "write https://HOST/PATH";
    let url = address(text, EXAMPLE)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Fault::new("is neither http:// nor https://").fix(EXAMPLE));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("must not contain credentials").fix(
            "put the header line into a file and name it in `endpoints.NAME.auth.header_file` \
             or --auth-header-file",
        ));
    }
    if url.fragment().is_some() {
        return Err(Fault::new("must not have a fragment").fix("remove the part after `#`"));
    }
    Ok(url)
}

/// An address with a scheme; `example` is the fix where no better one is known.
pub(super) fn address(text: &str, example: &str) -> Result<Url, Fault> {
    if !text.contains("://") {
        return Err(Fault::new("has no http:// or https:// in front").fix(example));
    }
    Url::parse(text).map_err(|error| {
        let fix = if error == ParseError::InvalidPort { "a port is 1 to 65535" } else { example };
        Fault::new(format!("is not valid: {error}")).fix(fix)
    })
}

/// The base address of an endpoint; paths are appended to it.
pub(super) fn base_url(text: &str) -> Result<Url, Fault> {
    let url = http_url(text)?;
    if url.query().is_some() {
        return Err(Fault::new("must not have a query").fix("put it into the listener's `path`"));
    }
    Ok(url)
}

/// `base` with `path_and_query` appended.
pub(super) fn below(base: &Url, path_and_query: &str) -> Result<Url, Fault> {
    if !path_and_query.starts_with('/') {
        return Err(Fault::new("must start with `/`"));
    }
    if path_and_query.contains('#') {
        return Err(Fault::new("must not have a fragment").fix("remove the part after `#`"));
    }
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    Ok(url)
}

/// The value of a header that is the same in every request.
pub(super) fn header_value(text: &str) -> Result<HeaderValue, Fault> {
    if (1..=HEADER_MAX).contains(&text.len())
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.trim() == text
    {
        return HeaderValue::from_str(text).map_err(|_| Fault::new("is not the value of a header"));
    }
    Err(Fault::new("is not the value of a header: 1 to 256 visible ASCII characters and spaces between"))
}

/// A media type: `application/json`, `text/plain; charset=utf-8`.
pub(super) fn media_type(text: &str) -> Result<HeaderValue, Fault> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c);
    let is_name = |name: &str| !name.is_empty() && name.chars().all(token);
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    match essence.split_once('/') {
        Some((kind, subtype)) if is_name(kind) && is_name(subtype) => header_value(text),
        Some(_) | None => {
            Err(Fault::new("is neither a media type nor one of: auto, algorithmia")
                .fix("write application/json"))
        }
    }
}

/// `host:port` to listen on.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::new("is no IP address and port to listen on")
            .fix("write 127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464")
    })
}

/// Whether this may be the name of a listener or an endpoint.
pub fn is_name(text: &str) -> bool {
    name(text).is_ok()
}

/// Name of a listener or an endpoint.
pub(super) fn name(text: &str) -> Result<String, Fault> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=NAME_MAX).contains(&text.len()) && text.chars().all(valid) {
        return Ok(text.to_owned());
    }
    Err(Fault::new("is not a name: 1 to 63 lower-case letters, digits and `-`"))
}

/// The user whose event listener it is.
pub(super) fn user(text: &str) -> Result<String, Fault> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (1..=USER_MAX).contains(&text.len()) && text.chars().all(valid) {
        return Ok(text.to_owned());
    }
    Err(Fault::new("is no user: 1 to 255 letters, digits, `_`, `-` and `.`"))
}

/// The listener name derived from a queue: lower case, `-` for other characters; empty when nothing is left.
pub fn name_from_queue(queue: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = queue.chars().map(letter).collect();
    name.trim_matches('-').chars().take(NAME_MAX).collect::<String>().trim_end_matches('-').to_owned()
}

/// `arn:aws:iam::ACCOUNT:role/NAME`.
pub(super) fn role_arn(text: &str) -> Result<String, Fault> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let valid = match parts.as_slice() {
        ["arn", partition, "iam", "", account, role] => {
            is_partition(partition)
                && is_account(account)
                && role
                    .strip_prefix("role/")
                    .is_some_and(|name| !name.is_empty() && name.chars().all(|c| is_iam(c, "/")))
        }
        _ => false,
    };
    if valid {
        return Ok(text.to_owned());
    }
    Err(Fault::new("is no role ARN").fix("write arn:aws:iam::123456789012:role/NAME"))
}

/// The external id of a role.
pub(super) fn external_id(text: &str) -> Result<String, Fault> {
    if (2..=EXTERNAL_ID_MAX).contains(&text.len()) && text.chars().all(|c| is_iam(c, ":/")) {
        return Ok(text.to_owned());
    }
    Err(Fault::new("is no external id: 2 to 1,224 letters, digits and _+=,.@:/-"))
}

/// The name of an AWS region.
pub(super) fn region(text: &str) -> Result<String, Fault> {
    if is_region(text) {
        return Ok(text.to_owned());
    }
    Err(Fault::new("is no region").fix("write eu-west-1"))
}

/// The name of a profile in the shared AWS configuration files.
pub(super) fn profile(text: &str) -> Result<String, Fault> {
    if !text.is_empty() && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Fault::new("is no name of a profile"))
}

/// `aws`, `aws-cn`, `aws-us-gov` and future partitions.
pub(super) fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws").is_some_and(|rest| {
        rest.is_empty() || (rest.starts_with('-') && rest.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    })
}

/// Twelve digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Lower-case letters, digits and `-`.
pub(super) fn is_region(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// `[\w+=,.@-]` of the IAM documentation, and `more`.
fn is_iam(c: char, more: &str) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) || more.contains(c)
}

/// `10000` → `10,000`.
pub(super) fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
