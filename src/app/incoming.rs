//! Keys of a listener that come in by a request: what may be there, and the name of a listener without one.
//!
//! Whoever has the token may create listeners and no more: the keys name no file and no variable of this machine.
//! Else an address of the caller's choice would get what is there.

use std::collections::HashSet;

use serde_json::Value;

use crate::admin::{Keys, NotStored, WrongKey};
use crate::config::{self, Plan};

/// Name of a listener whose queue has none that can be used.
const NAMELESS: &str = "listener";
/// Longest name that is made, so that a number fits behind it.
const STEM_MAX: usize = 56;

/// The name, if one is there, and the other keys, if they name nothing of this machine.
pub(super) fn named(mut keys: Keys) -> Result<(Option<String>, Keys), NotStored> {
    let mut wrong = Vec::new();
    let name = match keys.remove("name") {
        None => None,
        Some(Value::String(name)) if config::is_listener_name(&name) => Some(name),
        Some(_) => {
            wrong.push(WrongKey {
                key: "name".to_owned(),
                words: "this is no name of a listener".to_owned(),
                fix: Some("1 to 63 small letters, digits and hyphens".to_owned()),
            });
            None
        }
    };
    for (key, value) in &keys {
        foreign(key, value, &mut wrong);
    }
    if wrong.is_empty() { Ok((name, keys)) } else { Err(NotStored::NotValid(wrong)) }
}

/// A name for a listener without one: that of its queue, with a number behind it where it is taken.
pub(super) fn free_name(plan: &Plan, keys: &Keys) -> String {
    let queue = keys.get("queue").and_then(Value::as_str).unwrap_or_default();
    let queue = queue.rsplit(['/', ':']).next().unwrap_or_default();
    let stem: String = config::name_from_queue(queue).chars().take(STEM_MAX).collect();
    let stem = if stem.is_empty() { NAMELESS } else { stem.trim_end_matches('-') };
    let taken: HashSet<&str> = plan.listeners.iter().map(|one| one.listener.name.as_str()).collect();
    if !taken.contains(stem) {
        return stem.to_owned();
    }
    // One more number than there are names: one of them is free.
    let numbered = (2..=taken.len() + 2).map(|number| format!("{stem}-{number}"));
    numbered.into_iter().find(|name| !taken.contains(name.as_str())).unwrap_or_default()
}

/// Finds what names a variable or a file of this machine. Only a header takes its value from either.
fn foreign(key: &str, value: &Value, wrong: &mut Vec<WrongKey>) {
    let mut refuse = |words: &str| {
        wrong.push(WrongKey {
            key: key.to_owned(),
            words: words.to_owned(),
            fix: Some(
                "write this listener into the configuration file, or use an endpoint of it by name"
                    .to_owned(),
            ),
        });
    };
    match value {
        Value::String(text) if text.contains("${") => {
            refuse("a variable of the process cannot be named here");
        }
        Value::Object(parts) if key.starts_with("headers.") && !parts.is_empty() => {
            refuse("a file or variable of this machine cannot be named here");
        }
        Value::Object(parts) => {
            for (part, value) in parts {
                if part.contains("${") {
                    foreign(&format!("{key}.{part}"), &Value::String(part.clone()), wrong);
                }
                foreign(&format!("{key}.{part}"), value, wrong);
            }
        }
        Value::Array(parts) => {
            for (index, value) in parts.iter().enumerate() {
                foreign(&format!("{key}[{index}]"), value, wrong);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(value: &Value) -> Keys {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn keys_that_name_a_file_or_a_variable_of_this_machine_are_refused_one_by_one() {
        let value = json!({
            "name": "Not A Name", "queue": "${SECRET}", "workers": 3, "success": [200, "${A}"],
            "headers": { "X-Key": { "file": "/etc/passwd" }, "X-Env": { "env": "AWS_SECRET_ACCESS_KEY" }, "X": "fine" },
            "template": { "headers": { "${B}": "x" } },
        });
        let Err(NotStored::NotValid(wrong)) = named(keys(&value)) else { panic!("refused") };
        let mut named_keys: Vec<&str> = wrong.iter().map(|one| one.key.as_str()).collect();
        named_keys.sort_unstable();
        let expected =
            ["headers.X-Env", "headers.X-Key", "name", "queue", "success[1]", "template.headers.${B}"];
        assert_eq!(named_keys, expected);
    }

    #[test]
    fn a_name_is_taken_off_the_keys_and_may_be_missing() {
        let (name, rest) = named(keys(&json!({ "name": "orders", "queue": "q" }))).unwrap();
        assert_eq!((name.as_deref(), rest), (Some("orders"), keys(&json!({ "queue": "q" }))));
        assert_eq!(named(keys(&json!({ "queue": "q" }))).unwrap().0, None);
        for name in
            [json!(null), json!(7), json!("../orders"), json!("a/b"), json!(""), json!("a".repeat(64))]
        {
            assert!(named(keys(&json!({ "name": name }))).is_err(), "{name}");
        }
    }

    fn plan(names: &[&str]) -> Plan {
        let mut text = "listeners:\n".to_owned();
        for name in names {
            text += "- {region: eu-west-1, url: 'http://127.0.0.1:1/NAME', name: NAME, queue: NAME}\n"
                .replace("NAME", name)
                .as_str();
        }
        let env = move |key: &str| (key == "QUEUEPOST_CONFIG_TEXT").then(|| text.clone());
        config::load(&config::Overrides::default(), &env, false).unwrap()
    }

    #[test]
    fn a_listener_without_a_name_gets_that_of_its_queue_with_a_number_where_it_is_taken() {
        let free = |names: &[&str], queue: &str| free_name(&plan(names), &keys(&json!({ "queue": queue })));
        assert_eq!(
            free(&["other"], "https://sqs.eu-west-1.amazonaws.com/123456789012/Orders_EU.fifo"),
            "orders-eu-fifo"
        );
        assert_eq!(free(&["orders"], "arn:aws:sqs:eu-west-1:123456789012:orders"), "orders-2");
        assert_eq!(free(&["orders", "orders-2", "orders-3"], "orders"), "orders-4");
        assert_eq!(free(&["other"], "///"), "listener");
        let long = free(&["other"], &"q".repeat(80));
        assert!(config::is_listener_name(&format!("{long}-10000")), "{long}");
    }
}
