//! Message attributes on the wire: text as it is, binary as base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::localqueue::{AttributeData, AttributeValue, BrokerError};

/// A message attribute or message system attribute.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attribute {
    #[serde(default)]
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

impl Attribute {
    fn read(self, name: &str) -> Result<AttributeValue, BrokerError> {
        let value = match (self.string_value, self.binary_value) {
            (Some(text), None) => AttributeData::Text(text),
            (None, Some(base64)) => {
                let bytes = STANDARD.decode(base64);
                AttributeData::Binary(bytes.map_err(|error| BrokerError::Serialization(error.to_string()))?)
            }
            _ => {
                return Err(BrokerError::InvalidMessage(format!(
                    "Message (user) attribute '{name}' must contain a non-empty value of type '{}'.",
                    self.data_type
                )));
            }
        };
        Ok(AttributeValue { data_type: self.data_type, value })
    }

    /// The attribute as it goes out.
    pub(super) fn write(attribute: &AttributeValue) -> Self {
        let (string_value, binary_value) = match &attribute.value {
            AttributeData::Text(text) => (Some(text.clone()), None),
            AttributeData::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        Self { data_type: attribute.data_type.clone(), string_value, binary_value }
    }
}

/// Reads the attributes that came with a message.
pub(super) fn read_all(
    attributes: Option<BTreeMap<String, Attribute>>,
) -> Result<BTreeMap<String, AttributeValue>, BrokerError> {
    let read = |(name, attribute): (String, Attribute)| {
        let value = attribute.read(&name)?;
        Ok((name, value))
    };
    attributes.unwrap_or_default().into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AttributeValue, BrokerError> {
        serde_json::from_str::<Attribute>(text).unwrap().read("a")
    }

    #[test]
    fn an_attribute_goes_out_as_it_came_in() {
        for text in [
            r#"{"DataType":"String","StringValue":"x"}"#,
            r#"{"DataType":"Binary.png","BinaryValue":"AP8Q"}"#,
        ] {
            let value = read(text).unwrap();
            assert_eq!(serde_json::to_string(&Attribute::write(&value)).unwrap(), text);
        }
    }

    #[test]
    fn an_attribute_has_exactly_one_value() {
        assert!(read(r#"{"DataType":"String"}"#).is_err());
        assert!(read(r#"{"DataType":"String","StringValue":"x","BinaryValue":"AA=="}"#).is_err());
        assert!(read(r#"{"DataType":"Binary","BinaryValue":"?"}"#).is_err());
    }
}
