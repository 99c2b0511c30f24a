//! Compiles and renders the templates of a listener.
//!
//! A failure names the template, line and column, and what stands there in the template: `json.group`. It never repeats
//! words of the message. So the engine's own words, which may quote values, are not used.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::exchange::template::filters::{self, PATH, QUERY};
use crate::exchange::template::flaw::Flaw;
use crate::exchange::template::limits::{
    BATCH_BODY_BYTES, BATCH_STEPS, BODY_BYTES, LINE_BYTES, Limited, STEPS,
};
use crate::exchange::template::syntax::{self, Purpose, Read, Sees};
use crate::exchange::template::values::{Body, Variables, Wants, Why};
use crate::message::Message;

/// Key of the template of the path.
pub(super) const PATH_KEY: &str = "template.path";
/// Key of the template of the body.
pub(super) const BODY_KEY: &str = "template.body";
/// How the keys of templates of the query begin.
pub(super) const QUERY_KEY: &str = "template.query.";
/// How the keys of templates of headers begin.
pub(super) const HEADER_KEY: &str = "template.headers.";
/// Longest text of a template that an error repeats, in characters.
const QUOTED_MAX: usize = 60;

/// The compiled templates of a listener, by key.
pub struct Engine {
    templates: Environment<'static>,
    read: BTreeMap<String, Read>,
    /// Whether the body is made of several messages.
    is_batch: bool,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("keys", &self.read.keys()).finish_non_exhaustive()
    }
}

impl Default for Engine {
    fn default() -> Self {
        let mut templates = Environment::empty();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(STEPS));
        templates.set_debug(false);
        templates.set_auto_escape_callback(|key| match key {
            PATH_KEY => PATH,
            key if key.starts_with(QUERY_KEY) => QUERY,
            _ => AutoEscape::None,
        });
        filters::add(&mut templates);
        Self { templates, read: BTreeMap::new(), is_batch: false }
    }
}

impl Engine {
    /// For requests with several messages.
    pub(super) fn of_batch() -> Self {
        let mut engine = Self { is_batch: true, ..Self::default() };
        engine.templates.set_fuel(Some(BATCH_STEPS));
        engine
    }

    /// Adds the template `key`, or says everything that is wrong with it.
    pub(super) fn add(&mut self, key: &str, source: &str) -> Result<(), Vec<Flaw>> {
        let purpose = if key == PATH_KEY { Purpose::Path } else { Purpose::Request };
        self.add_for(purpose, key, source)
    }

    /// Adds the template `key` of this purpose, likewise.
    pub(super) fn add_for(&mut self, purpose: Purpose, key: &str, source: &str) -> Result<(), Vec<Flaw>> {
        let sees = match (self.is_batch, key) {
            (false, _) => Sees::One,
            (true, BODY_KEY) => Sees::Several,
            (true, _) => Sees::None,
        };
        let read = syntax::check(source, purpose, sees)?;
        self.read.insert(key.to_owned(), read);
        self.templates.add_template_owned(key.to_owned(), source.to_owned()).map_err(|error| {
            let (line, rule) = (error.line().unwrap_or(1), "is no valid template".to_owned());
            vec![Flaw { line, column: 1, rule, fix: None, unknown: None }]
        })
    }

    /// What the templates see of a message.
    pub(super) fn variables(&self, message: &Message, listener: &str, queue: &str) -> Variables {
        Variables::new(message, listener, queue, None, self.wants())
    }

    /// What they see of several.
    pub(super) fn variables_of(&self, messages: &[&Message], listener: &str, queue: &str) -> Variables {
        Variables::of_batch(messages, listener, queue, self.wants())
    }

    /// What they see of a message, and what became of it.
    pub(super) fn variables_of_result(
        &self,
        message: &Message,
        listener: &str,
        queue: &str,
        result: Value,
    ) -> Variables {
        Variables::new(message, listener, queue, Some(result), self.wants())
    }

    fn wants(&self) -> Wants {
        let all = self.read.values().map(|read| read.wants);
        all.fold(Wants::default(), |a, b| Wants { json: a.json || b.json, body: a.body || b.body })
    }

    /// The text of the template `key`; `None` without such a template.
    pub(super) fn render(&self, key: &str, variables: &Variables) -> Option<Result<String, String>> {
        let most = match (key, self.is_batch) {
            (BODY_KEY, false) => BODY_BYTES,
            (BODY_KEY, true) => BATCH_BODY_BYTES,
            _ => LINE_BYTES,
        };
        self.render_up_to(most, key, variables)
    }

    /// The same, of at most so many bytes.
    pub(super) fn render_up_to(
        &self,
        most: usize,
        key: &str,
        variables: &Variables,
    ) -> Option<Result<String, String>> {
        let template = self.templates.get_template(key).ok()?;
        let mut out = Limited::new(most);
        let rendered = template.render_captured_to(&variables.root, &mut out).map(drop);
        let refused = variables.meter.refused();
        let (body, steps) = (variables.body, if self.is_batch { BATCH_STEPS } else { STEPS });
        let place = |error: &Error| what(key, template.source(), self.read.get(key), error);
        Some(match (rendered, refused) {
            (Ok(()), None) => Ok(String::from_utf8_lossy(&out.bytes).into_owned()),
            (Ok(()), Some(why)) => Err(format!("{key} {why}")),
            (Err(error), Some(why)) => Err(format!("{} {why}", place(&error))),
            (Err(error), None) if error.kind() == ErrorKind::WriteFailure => {
                Err(format!("{key} makes more than {most} bytes"))
            }
            (Err(error), None) => Err(worded(&place(&error), &error, body, steps)),
        })
    }
}

/// What an error is about: the template, the place in it, and what stands there.
fn what(key: &str, source: &str, read: Option<&Read>, error: &Error) -> String {
    let Some(range) = error.range() else { return key.to_owned() };
    let subject = read.and_then(|read| read.subjects.get(&(range.start, range.end)).copied());
    let (start, end) = subject.unwrap_or((range.start, range.end));
    let (line, column) = syntax::place(source, start);
    format!("{key} at {line}:{column}: `{}`", quoted(source.get(start..end).unwrap_or_default()))
}

/// A failure without words of the message.
fn worded(what: &str, error: &Error, body: Body, steps: u64) -> String {
    if let Some(Why(why)) = error.source().and_then(|source| source.downcast_ref()) {
        let why = if why == "is missing" { missing(body) } else { why };
        return format!("{what} {why}");
    }
    match error.kind() {
        ErrorKind::UndefinedError => format!("{what} {}", missing(body)),
        ErrorKind::OutOfFuel => format!("{what} takes more than {steps} steps"),
        kind => format!("{what} cannot be worked out: {kind}"),
    }
}

fn missing(body: Body) -> &'static str {
    match body {
        Body::Readable => "is missing",
        Body::NoJson => "is missing: the body is no JSON, or is nested deeper than 127 levels",
        Body::NoText => "is missing: the body is no UTF-8",
        Body::TooLong => "is missing: the body is longer than the 2 MiB that templates read",
    }
}

/// What stands in the template, on one line.
fn quoted(text: &str) -> String {
    let mut shown: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).take(QUOTED_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
