//! The JSON Schema of the configuration file, from the table of its keys.
//!
//! It accepts what the loader accepts, so an editor never marks a file that runs. Combinations of keys and what files and
//! variables hold are left to `check`. Every text may have a `${VAR}`, so each schema of a text lets that pass.

use serde_json::{Map, Value, json};

use crate::config::load::variables;
use crate::config::reference::{KEYS, Key, Kind, Shape};
use crate::config::value::grouped;

/// The dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A text with a variable in it, which only the process can read.
const VARIABLE: &str = r"\$\{";

/// The JSON Schema of the configuration file, with its layout and a line end.
pub fn schema() -> String {
    let mut schema = of_map(KEYS);
    for (name, value) in [
        ("$schema", DIALECT),
        ("title", "queuepost"),
        (
            "description",
            "The configuration file of queuepost. `queuepost check` knows more rules than a schema can say.",
        ),
    ] {
        schema.insert(name.to_owned(), json!(value));
    }
    format!("{:#}\n", Value::Object(schema))
}

fn of_map(keys: &[Key]) -> Map<String, Value> {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), Value::Object(of_key(key)))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    let mut schema = object(json!({"type": "object", "additionalProperties": false}));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn of_key(key: &Key) -> Map<String, Value> {
    let mut schema = match key.shape {
        Shape::One(kind) => of_kind(kind),
        Shape::OneOrMore(kind) => {
            let one = Value::Object(of_kind(kind));
            object(json!({"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}))
        }
        Shape::Texts(kind) => object(json!({"type": "object", "additionalProperties": of_kind(kind)})),
        Shape::TextsOrMaps(keys) => {
            let text = json!({"type": ["string", "number", "boolean"]});
            object(json!({"type": "object", "additionalProperties": {"anyOf": [text, one_of(keys)]}}))
        }
        Shape::Map(keys) => of_map(keys),
        Shape::OneOf(keys) => one_of(keys),
        Shape::Named(keys) => object(json!({"type": "object", "additionalProperties": of_map(keys)})),
        Shape::List(keys) => object(json!({"type": "array", "minItems": 1, "items": of_map(keys)})),
    };
    schema.insert("description".to_owned(), json!(description(key)));
    if let Some(default) = default(key) {
        schema.insert("default".to_owned(), default);
    }
    schema
}

fn one_of(keys: &[Key]) -> Map<String, Value> {
    let mut schema = of_map(keys);
    schema.insert("minProperties".to_owned(), json!(1));
    schema.insert("maxProperties".to_owned(), json!(1));
    schema
}

fn of_kind(kind: Kind) -> Map<String, Value> {
    let texts = |pattern: &str, meant: &str| json!({"type": "string", "pattern": format!("{pattern}|{VARIABLE}"), "patternErrorMessage": format!("write {meant}")});
    let words = |words: &[&str]| json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": VARIABLE}]});
    let number = |kind: &str, min: f64, max: f64, pattern: &str| {
        json!({
            "type": [kind, "string"], "minimum": plain(min), "maximum": plain(max),
            "pattern": format!("{pattern}|{VARIABLE}"), "patternErrorMessage": "write a number",
        })
    };
    object(match kind {
        Kind::Text(_) | Kind::Template => json!({"type": ["string", "number", "boolean"]}),
        Kind::Address(form) => texts("^[Hh][Tt][Tt][Pp][Ss]?://", form),
        Kind::Word(all) => words(all),
        Kind::Truth => {
            json!({"type": ["boolean", "string"], "pattern": format!("^(true|false)$|{VARIABLE}"), "patternErrorMessage": "write true or false"})
        }
        Kind::Whole(min, max) => number("integer", min.into(), max.into(), r"^\+?[0-9]+$"),
        Kind::Number(min, max) => number("number", min, max, r"^\+?[0-9.]+([eE][-+]?[0-9]+)?$"),
        Kind::Duration(..) => texts(
            r"^\s*([0-9][0-9. ]*[A-Za-zµ]+\s*)+$",
            "a number and a unit, such as 30s, 5m, 1h30m or 500ms",
        ),
        Kind::Statuses => json!({
            "type": ["integer", "string"], "minimum": 100, "maximum": 599,
            "pattern": format!("^[-0-9x, ]+$|{VARIABLE}"), "patternErrorMessage": "write 200, 200-299 or 2xx",
        }),
        Kind::Size(_) => texts("^[0-9]+ *[KMG]iB *$", "a size such as 512KiB, 64MiB or 1GiB"),
    })
}

/// What an editor shows beside a key.
fn description(key: &Key) -> String {
    let mut text = key.doc.to_owned();
    let mut more = Vec::new();
    if let Some(form) = form(key) {
        more.push(form);
    }
    if let Some(default) = key.default.or(key.otherwise) {
        more.push(format!("Default: {default}."));
    }
    if let Some(flag) = key.flag {
        let variable = variables().into_iter().find(|(other, _)| *other == flag);
        more.push(format!(
            "Also {flag}{}.",
            variable.map_or_else(String::new, |(_, name)| format!(", {name}"))
        ));
    }
    if let Some(page) = key.page {
        more.push(format!("More: docs/{page}"));
    }
    if !more.is_empty() {
        text.push_str("\n\n");
        text.push_str(&more.join(" "));
    }
    text
}

/// What is written there, where the schema itself does not say it to a reader.
fn form(key: &Key) -> Option<String> {
    let kind = match key.shape {
        Shape::One(kind) | Shape::OneOrMore(kind) | Shape::Texts(kind) => kind,
        Shape::TextsOrMaps(_) | Shape::Map(_) | Shape::OneOf(_) | Shape::Named(_) | Shape::List(_) => {
            return None;
        }
    };
    match kind {
        Kind::Word(_) | Kind::Truth | Kind::Statuses => None,
        Kind::Template => Some("A template; ${VAR} is not replaced.".to_owned()),
        Kind::Text(_)
        | Kind::Address(_)
        | Kind::Size(_)
        | Kind::Whole(..)
        | Kind::Number(..)
        | Kind::Duration(..) => Some(format!("Takes: {}.", kind.words())),
    }
}

impl Kind {
    /// What is written, in words: `1 to 10,000`.
    pub fn words(self) -> String {
        match self {
            Self::Text(form) | Self::Address(form) => form.to_owned(),
            Self::Template => "template".to_owned(),
            Self::Word(words) => words.join(", "),
            Self::Truth => "true, false".to_owned(),
            Self::Whole(min, max) => format!("{} to {}", grouped(min), grouped(max)),
            Self::Number(min, max) => format!("number, {min} to {max}"),
            Self::Duration(min, max) => {
                let [min, max] =
                    [min, max].map(|bound| humantime::format_duration(bound).to_string().replace(' ', ""));
                format!("duration, {min} to {max}")
            }
            Self::Statuses => "statuses: 200, 200-299, 2xx".to_owned(),
            Self::Size(range) => format!("size, {range}"),
        }
    }
}

/// The default in the type that people write.
fn default(key: &Key) -> Option<Value> {
    let text = key.default?;
    let typed = match key.shape {
        Shape::One(Kind::Truth | Kind::Whole(..) | Kind::Number(..)) | Shape::OneOrMore(Kind::Statuses) => {
            serde_json::from_str(text).ok()
        }
        _ => None,
    };
    Some(typed.unwrap_or_else(|| json!(text)))
}

/// A bound without `.0` where it is whole.
fn plain(bound: f64) -> Value {
    let text = bound.to_string();
    text.parse::<u64>().map_or_else(|_| json!(bound), |whole| json!(whole))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
