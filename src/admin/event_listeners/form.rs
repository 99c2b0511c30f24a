//! What a client of the original event-listener API sends: read, with everything that is wrong at once.
//!
//! Checked here are the fields; what they mean is checked as the configuration is. `id` and `listenerOwner` may repeat the path.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::problem::Problem;
use super::super::store::{EventListener, Keys, WrongKey};
use super::answer;

/// Longest text of a field, in characters.
const TEXT_MAX: usize = 255;
/// How long an algorithm may take, in seconds.
const TIMEOUT: (u64, u64) = (1, 3000);
/// How much later than the algorithm's server we give up, in seconds.
const MARGIN: u64 = 15;
/// Most listeners of a page.
const PAGE_MAX: usize = 2_000;

/// An event listener as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    queue: String,
    algorithm: String,
    timeout: Option<u64>,
    role: Option<String>,
}

/// Which listeners of a list are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: usize,
    /// Those behind this id.
    pub(super) marker: Option<String>,
}

impl Form {
    /// Writes it into the keys of a listener. Keys that the original does not know stay.
    pub(super) fn write_into(self, keys: &mut Keys) {
        let timeout = self.timeout.map(|seconds| json!(format!("{}s", seconds + MARGIN)));
        for (key, value) in [
            ("queue", Some(json!(self.queue))),
            ("algorithm", Some(json!(self.algorithm))),
            ("timeout", timeout),
            ("role_arn", self.role.map(Value::String)),
        ] {
            match value {
                Some(value) => keys.insert(key.to_owned(), value),
                None => keys.remove(key),
            };
        }
        if !keys.contains_key("role_arn") {
            keys.remove("external_id");
        }
    }
}

/// Reads a body for this user; `id` is that of the path, if it has one.
pub(super) fn read(body: &[u8], user: &str, id: Option<&str>) -> Result<Form, Problem> {
    let sent: Map<String, Value> = serde_json::from_slice(body).map_err(|error: serde_json::Error| {
        let error =
            format!("the body is no object of JSON: line {}, column {}", error.line(), error.column());
        Problem::new(StatusCode::BAD_REQUEST, error, "send the fields of an event listener")
    })?;
    let mut fields = Fields { sent, wrong: Vec::new() };
    let source = fields.text("sourceType");
    if source.is_some_and(|source| source != EventListener::AMAZON_SQS) {
        fields.refuse("sourceType", "this source is not possible here", Some("write AmazonSQS"));
    }
    let queue = fields.needed("sourceURI", "the URL of the queue");
    let (owner, name) = (fields.part("algoOwner"), fields.part("algoName"));
    let version = fields.text("algoVersion");
    let timeout = fields.seconds("algoTimeoutSeconds");
    let role = fields.text("credentials");
    // Not repeated: by the field's name, whoever sends something else may well send a secret.
    if role.as_ref().is_some_and(|role| !role.starts_with("arn:")) {
        fields.refuse(
            "credentials",
            "this is no ARN of a role",
            Some("write arn:aws:iam::123456789012:role/NAME"),
        );
    }
    if fields.text("listenerOwner").is_some_and(|owner| owner != user) {
        fields.refuse("listenerOwner", "this is not the user of the path", Some("leave it out"));
    }
    let sent_id = fields.text("id");
    if id.is_some_and(|id| sent_id.is_some_and(|sent| sent != id)) {
        fields.refuse("id", "this is not the id of the path", Some("leave it out"));
    }
    let unknown: Vec<String> = fields.sent.keys().cloned().collect();
    for field in unknown {
        fields.refuse(&field, "an event listener has no such field", None);
    }
    if !fields.wrong.is_empty() {
        return Err(answer::invalid(fields.wrong));
    }
    let version = version.map(|version| format!("/{version}")).unwrap_or_default();
    Ok(Form { queue, algorithm: format!("{owner}/{name}{version}"), timeout, role })
}

/// Reads the query of a list. Keys that are not known are passed over, as the original does.
pub(super) fn page(query: &str) -> Result<Page, Problem> {
    let mut page = Page { limit: PAGE_MAX, marker: None };
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "marker" if !value.is_empty() => page.marker = Some(value.into_owned()),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                page.limit = limit.ok_or_else(|| {
                    let error = format!("limit: this is no number from 1 to {PAGE_MAX}");
                    Problem::new(StatusCode::BAD_REQUEST, error, "leave it out for all")
                })?;
            }
            _ => {}
        }
    }
    Ok(page)
}

/// The fields that are still to be read, and what is wrong with the others.
struct Fields {
    sent: Map<String, Value>,
    wrong: Vec<WrongKey>,
}

impl Fields {
    fn refuse(&mut self, field: &str, words: &str, fix: Option<&str>) {
        // A field's name may be anything, as long as a body.
        let key = field.chars().take(TEXT_MAX).collect();
        self.wrong.push(WrongKey { key, words: words.to_owned(), fix: fix.map(str::to_owned) });
    }

    /// A text; null and the empty one are none.
    fn text(&mut self, field: &str) -> Option<String> {
        match self.sent.remove(field)? {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) if text.chars().count() > TEXT_MAX => {
                self.refuse(field, "this text is too long", Some("255 characters at most"));
                None
            }
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.refuse(field, "this is no text", None);
                None
            }
        }
    }

    /// A text that must be there.
    fn needed(&mut self, field: &str, fix: &str) -> String {
        let before = self.wrong.len();
        let text = self.text(field);
        if text.is_none() && self.wrong.len() == before {
            self.refuse(field, "this field is required", Some(fix));
        }
        text.unwrap_or_default()
    }

    /// A part of the algorithm.
    fn part(&mut self, field: &str) -> String {
        let part = self.needed(field, "the algorithm is algoOwner/algoName");
        if part.contains('/') {
            self.refuse(field, "this has a `/`", Some("owner, name and version have a field each"));
        }
        part
    }

    /// A number of seconds, as a number or as its text.
    fn seconds(&mut self, field: &str) -> Option<u64> {
        let seconds = match self.sent.remove(field)? {
            Value::Null => return None,
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => text.parse().ok(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let seconds = seconds.filter(|seconds| (TIMEOUT.0..=TIMEOUT.1).contains(seconds));
        if seconds.is_none() {
            self.refuse(field, "this is no number of seconds", Some("1 to 3000; left out it is 420"));
        }
        seconds
    }
}
