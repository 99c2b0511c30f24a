//! Digests: MD5 sums in SQS answers, and SHA-256 sums as deduplication ids of bodies.
//!
//! SDKs compute the MD5 sums too, and refuse an answer whose sums differ. Attributes are digested in the
//! order of their names. Name, type and value are length-prefixed, with one byte for the kind of value before
//! the value. Source: SQS Developer Guide, "Calculating the MD5 message digest for message attributes".

use std::collections::BTreeMap;
use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::{AttributeData, AttributeValue};

/// Marks a text value in the digest of attributes.
const TEXT: u8 = 1;
/// Marks a binary value in the digest of attributes.
const BINARY: u8 = 2;

/// The sum of a message body, in lower-case hexadecimal.
pub(super) fn of_body(body: &str) -> String {
    hex(&Md5::digest(body.as_bytes()))
}

/// The deduplication id of a body without one: its SHA-256 sum, in lower-case hexadecimal (SQS API,
/// `MessageDeduplicationId`).
pub(super) fn deduplication_id(body: &str) -> String {
    hex(&Sha256::digest(body.as_bytes()))
}

/// The sum of message attributes; `None` without attributes, because the answer then omits the field.
pub(super) fn of_attributes(attributes: &BTreeMap<String, AttributeValue>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut sum = Md5::new();
    for (name, attribute) in attributes {
        field(&mut sum, name.as_bytes());
        field(&mut sum, attribute.data_type.as_bytes());
        sum.update(match attribute.value {
            AttributeData::Text(_) => [TEXT],
            AttributeData::Binary(_) => [BINARY],
        });
        field(&mut sum, attribute.value.as_bytes());
    }
    Some(hex(&sum.finalize()))
}

fn field(sum: &mut Md5, bytes: &[u8]) {
    // Messages are limited to 1 MiB, so the length always fits.
    sum.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    sum.update(bytes);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_body_is_plain_md5() {
        assert_eq!(of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
    }

    #[test]
    fn the_deduplication_id_of_a_body_is_its_sha_256() {
        let expected = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(deduplication_id("hello"), expected);
    }

    #[test]
    fn no_attributes_have_no_sum() {
        assert_eq!(of_attributes(&BTreeMap::new()), None);
    }

    #[test]
    fn text_and_binary_attributes_of_the_same_bytes_differ() {
        let of = |data_type: &str, value| {
            let value = AttributeValue { data_type: data_type.into(), value };
            of_attributes(&[("a".to_owned(), value)].into())
        };
        let text = of("String", AttributeData::Text("x".into()));
        let binary = of("String", AttributeData::Binary(b"x".to_vec()));
        assert_eq!(text.as_deref(), Some("a512aac9938034acb0b3c3d965944bf1"));
        assert_ne!(text, binary);
    }
}
