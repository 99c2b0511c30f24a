//! Claim checks: a message that only says where in S3 its body is, as the SQS extended client sends them.
//!
//! Such a message has one of two reserved attributes. Its body is a list: the name of a class, then an object with the names
//! of bucket and key (`amazon-sqs-java-extended-client-lib`, `payload-offloading-java-common-lib`). Without the attribute no
//! message is a claim check, whatever its body looks like. Nothing is fetched here.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;

use crate::message::Message;

/// The attributes that say that a message is a claim check; the second is that of clients before 2020.
const RESERVED: [&str; 2] = ["ExtendedPayloadSize", "SQSLargePayloadSize"];
/// The classes of the pointer, of the same clients.
const CLASSES: [&str; 2] =
    ["software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"];

/// Where the body of a message is.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Pointer {
    /// Name of the bucket, as the message has it.
    #[serde(rename = "s3BucketName")]
    pub bucket: String,
    /// Key of the object, as the message has it.
    #[serde(rename = "s3Key")]
    pub key: String,
}

impl fmt::Debug for Pointer {
    /// Sizes alone: what a message says is in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pointer(bucket of {} bytes, key of {} bytes)", self.bucket.len(), self.key.len())
    }
}

impl Pointer {
    /// The pointer of a message; `None` if it is no claim check.
    ///
    /// # Errors
    /// What is wrong with the pointer, without words of the message.
    pub fn of(message: &Message) -> Result<Option<Self>, &'static str> {
        if !message.attributes.iter().any(|attribute| RESERVED.contains(&attribute.name.as_str())) {
            return Ok(None);
        }
        let (class, pointer): (String, Self) = serde_json::from_slice(&message.body)
            .map_err(|_| "the body is not a list of a class and an object with `s3BucketName` and `s3Key`")?;
        if !CLASSES.contains(&class.as_str()) {
            return Err("the body names another class than that of a pointer");
        }
        if pointer.bucket.is_empty() || pointer.key.is_empty() {
            return Err("`s3BucketName` or `s3Key` is empty");
        }
        Ok(Some(pointer))
    }

    /// The message as its sender gave it to the extended client: with `body`, and without the reserved attributes.
    pub fn redeemed(message: &Message, body: Bytes) -> Message {
        let mut message = message.clone();
        message.body = body;
        message.attributes.retain(|attribute| !RESERVED.contains(&attribute.name.as_str()));
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Attribute, AttributeValue, MessageId, ReceiptHandle};

    fn message(attribute: &str, body: &str) -> Message {
        let number = |name: &str| Attribute {
            name: name.to_owned(),
            data_type: "Number".to_owned(),
            value: AttributeValue::Text("300000".to_owned()),
        };
        Message {
            attributes: vec![number(attribute), number("size")],
            ..Message::new(
                MessageId::new("m-1"),
                ReceiptHandle::new("handle"),
                Bytes::copy_from_slice(body.as_bytes()),
            )
        }
    }

    fn pointer(class: &str) -> String {
        format!(r#"["{class}",{{"s3BucketName":"payloads","s3Key":"a/b c"}}]"#)
    }

    #[test]
    fn both_attributes_and_both_classes_are_those_of_a_claim_check() {
        let there = Pointer { bucket: "payloads".to_owned(), key: "a/b c".to_owned() };
        for attribute in RESERVED {
            for class in CLASSES {
                assert_eq!(Pointer::of(&message(attribute, &pointer(class))), Ok(Some(there.clone())));
            }
        }
    }

    #[test]
    fn without_the_attribute_no_body_is_a_claim_check() {
        assert_eq!(Pointer::of(&message("extendedpayloadsize", &pointer(CLASSES[0]))), Ok(None));
    }

    #[test]
    fn a_malformed_pointer_is_refused_without_its_words() {
        let deep = "[".repeat(500_000);
        let bodies = [
            "",
            "s3cr3t",
            "{}",
            "[]",
            "[7,{}]",
            r#"["s3cr3t"]"#,
            r#"["s3cr3t",{"s3BucketName":"b","s3Key":"k"}]"#,
            r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"s3cr3t"}]"#,
            r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"s3cr3t","s3Key":""}]"#,
            r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":["s3cr3t"],"s3Key":"k"}]"#,
            deep.as_str(),
        ];
        for body in bodies {
            let why = Pointer::of(&message(RESERVED[0], body)).expect_err(body);
            assert!(!why.contains("s3cr3t"), "{why}");
        }
        let hidden = Pointer { bucket: "s3cr3t".to_owned(), key: "s3cr3t".to_owned() };
        assert!(!format!("{hidden:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_redeemed_message_has_its_body_and_no_reserved_attribute() {
        let redeemed = Pointer::redeemed(&message(RESERVED[1], "pointer"), Bytes::from_static(b"body"));
        let names: Vec<&str> = redeemed.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
        assert_eq!((redeemed.body.as_ref(), names), (b"body".as_slice(), vec!["size"]));
    }
}
