//! What SQS demands of the attributes of a message, so that a mistake costs no call and gets our words.

use crate::message::{Attribute, AttributeValue, Outgoing};

/// Longest name of an attribute (AWS limit).
const NAME_MAX: usize = 256;

/// An attribute of text.
pub fn of_text(name: String, value: String) -> Result<Attribute, String> {
    check_name(&name)?;
    if value.is_empty() {
        return Err("SQS takes no attribute without a value".to_owned());
    }
    Ok(Attribute { name, data_type: "String".to_owned(), value: AttributeValue::Text(value) })
}

/// What SQS demands of a name.
pub fn check_name(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    let valid = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !(1..=NAME_MAX).contains(&name.len()) || !name.chars().all(valid) {
        return Err("a name has 1 to 256 letters, digits and _-.".to_owned());
    }
    if lower.starts_with("aws.") || lower.starts_with("amazon.") {
        return Err("names that start with AWS. or Amazon. are Amazon's own".to_owned());
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Err("a name does not start or end with a dot, nor has it two in a row".to_owned());
    }
    Ok(())
}

/// The rule for all attributes together.
pub fn check_all(given: &[Attribute]) -> Result<(), String> {
    if given.len() > Outgoing::ATTRIBUTES_MAX {
        return Err(format!(
            "a message has at most {} attributes, and these are {}",
            Outgoing::ATTRIBUTES_MAX,
            given.len()
        ));
    }
    let mut names: Vec<&str> = given.iter().map(|attribute| attribute.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()).and_then(<[&str]>::first) {
        Some(twice) => Err(format!("the attribute {twice} is given twice")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, data_type: &str, value: &str) -> Attribute {
        let value = AttributeValue::Text(value.to_owned());
        Attribute { name: name.to_owned(), data_type: data_type.to_owned(), value }
    }

    #[test]
    fn ten_attributes_of_different_names_fit_on_a_message() {
        let ten: Vec<Attribute> = (0..10).map(|index| text(&index.to_string(), "String", "v")).collect();
        assert_eq!(check_all(&ten), Ok(()));
        let eleven: Vec<Attribute> = (0..11).map(|index| text(&index.to_string(), "String", "v")).collect();
        assert!(check_all(&eleven).is_err_and(|why| why.contains("11")));
        let twice = [text("a", "String", "v"), text("b", "String", "v"), text("a", "Number", "1")];
        assert!(check_all(&twice).is_err_and(|why| why.contains("attribute a")));
    }

    #[test]
    fn an_attribute_of_text_has_a_name_that_sqs_takes_and_a_value() {
        let made = |name: &str, value: &str| of_text(name.to_owned(), value.to_owned());
        assert_eq!(made("tenant", "acme"), Ok(text("tenant", "String", "acme")));
        for (name, value) in [("", "v"), ("a b", "v"), ("AWS.x", "v"), ("tenant", "")] {
            assert!(made(name, value).is_err(), "{name}={value}");
        }
    }
}
