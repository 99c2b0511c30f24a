//! The filters and tests of templates, and how a value is printed.
//!
//! Only these exist: each makes at most [`BODY_BYTES`] of text. `text`, `number`, `list` and `object` let only a value of
//! their kind pass. So a mistyped field is named.
//! In a path or a query every value is percent-encoded, `/` included, unless `urlencode` has done so.

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, Output, State, Value, filters, tests};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::exchange::template::limits::{BODY_BYTES, Limited};
use crate::exchange::template::values::{Node, Why};

/// The filters.
pub(super) const FILTERS: [&str; 19] = [
    "default",
    "first",
    "float",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "number",
    "object",
    "replace",
    "round",
    "text",
    "tojson",
    "trim",
    "upper",
    "urlencode",
];
/// The filters that a loop may go through.
pub(super) const LOOPS: [&str; 2] = ["items", "list"];
/// The tests, `is …`.
pub(super) const TESTS: [&str; 13] = [
    "boolean",
    "defined",
    "endingwith",
    "false",
    "integer",
    "mapping",
    "none",
    "number",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];
/// How values are printed into a path.
pub(super) const PATH: AutoEscape = AutoEscape::Custom("path");
/// How values are printed into a query.
pub(super) const QUERY: AutoEscape = AutoEscape::Custom("query");
/// RFC 3986, section 2.3: everything but unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Adds all of them to an engine that has none.
pub(super) fn add(engine: &mut Environment<'static>) {
    engine.add_filter("default", default);
    engine.add_filter("first", filters::first);
    engine.add_filter("float", filters::float);
    engine.add_filter("int", filters::int);
    engine.add_filter("items", items);
    engine.add_filter("join", join);
    engine.add_filter("last", filters::last);
    engine.add_filter("length", filters::length);
    engine.add_filter("list", list);
    engine.add_filter("lower", filters::lower);
    engine.add_filter("number", |value: Value| of_kind(value, ValueKind::Number));
    engine.add_filter("object", |value: Value| of_kind(value, ValueKind::Map));
    engine.add_filter("replace", replace);
    engine.add_filter("round", filters::round);
    engine.add_filter("text", |value: Value| of_kind(value, ValueKind::String));
    engine.add_filter("tojson", tojson);
    engine.add_filter("trim", filters::trim);
    engine.add_filter("upper", filters::upper);
    engine.add_filter("urlencode", urlencode);
    engine.add_test("boolean", tests::is_boolean);
    engine.add_test("defined", tests::is_defined);
    engine.add_test("endingwith", tests::is_endingwith);
    engine.add_test("false", tests::is_false);
    engine.add_test("integer", tests::is_integer);
    engine.add_test("mapping", tests::is_mapping);
    engine.add_test("none", tests::is_none);
    engine.add_test("number", tests::is_number);
    engine.add_test("sequence", tests::is_sequence);
    engine.add_test("startingwith", tests::is_startingwith);
    engine.add_test("string", tests::is_string);
    engine.add_test("true", tests::is_true);
    engine.add_test("undefined", tests::is_undefined);
    engine.set_formatter(print);
}

/// Prints a text, a number or a truth value.
fn print(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = printed(value)?;
    let escape = state.auto_escape();
    if escape == PATH {
        fits_a_path(&text)?;
    }
    if escape == AutoEscape::None || value.is_safe() {
        return out.write_str(&text).map_err(Error::from);
    }
    for part in utf8_percent_encode(&text, ENCODED) {
        out.write_str(part)?;
    }
    Ok(())
}

fn printed(value: &Value) -> Result<String, Why> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number | ValueKind::Bool => {
            serde_json::to_string(value).map_err(|_| Why("cannot be printed".to_owned()))
        }
        // What an `if` without `else` leaves.
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::None => Err(Why("is null: write `| default(…)` or `| tojson`".to_owned())),
        kind => Err(Why(format!("is {}: write `| tojson`", name(kind)))),
    }
}

/// A value is one part of a path between slashes, or of one.
fn fits_a_path(text: &str) -> Result<(), Why> {
    if text.is_empty() {
        return Err(Why("is empty, which a path cannot be in part".to_owned()));
    }
    if text.contains(['/', '\\']) {
        return Err(Why("has a slash or backslash, which a value in a path must not have".to_owned()));
    }
    if text.contains(char::is_control) {
        return Err(Why("has a control character, which a value in a path must not have".to_owned()));
    }
    Ok(())
}

/// What a value is, for people.
fn name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Undefined => "missing",
        ValueKind::None => "null",
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        ValueKind::String => "a text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "an object",
        _ => "no JSON value",
    }
}

fn of_kind(value: Value, wanted: ValueKind) -> Result<Value, Error> {
    let why = match value.kind() {
        kind if kind == wanted => return Ok(value),
        ValueKind::Undefined => "is missing".to_owned(),
        kind => format!("is {}, and {} is needed", name(kind), name(wanted)),
    };
    Err(Why(why).into())
}

/// The value, or another one where it is missing or null.
fn default(value: Value, other: Value) -> Value {
    if value.is_undefined() || value.is_none() { other } else { value }
}

fn list(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    let value = of_kind(value, ValueKind::Seq)?;
    Ok(Node::of_loop(&value, state).unwrap_or_default())
}

/// The members of an object as pairs.
fn items(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    let value = of_kind(value, ValueKind::Map)?;
    let mut pairs = Vec::new();
    for key in value.try_iter()? {
        let member = value.get_item(&key)?;
        pairs.push(Value::from(vec![key, member]));
    }
    Ok(Node::of_loop(&Value::from(pairs), state).unwrap_or_default())
}

fn join(value: Value, between: Option<&Value>) -> Result<Value, Error> {
    let between = between.map(printed).transpose()?.unwrap_or_default();
    let mut text = String::new();
    for (index, item) in Node::of_value(&of_kind(value, ValueKind::Seq)?).try_iter()?.enumerate() {
        if index > 0 {
            text.push_str(&between);
        }
        text.push_str(&printed(&item)?);
        fits(text.len())?;
    }
    Ok(Value::from(text))
}

fn replace(value: &Value, from: &Value, to: &Value) -> Result<Value, Error> {
    let (text, from, to) = (printed(value)?, printed(from)?, printed(to)?);
    let times = if from.is_empty() { text.len() + 1 } else { text.len() / from.len() };
    fits(times.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(Value::from(text.replace(&from, &to)))
}

fn tojson(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Why("is missing".to_owned()).into());
    }
    let mut out = Limited::new(BODY_BYTES);
    serde_json::to_writer(&mut out, &Node::of_value(value))
        .map_err(|_| Why(format!("is longer than {} MiB as JSON", BODY_BYTES >> 20)))?;
    Ok(Value::from(String::from_utf8_lossy(&out.bytes)))
}

/// Percent-encodes everything but unreserved characters.
fn urlencode(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Why("is missing".to_owned()).into());
    }
    let text = printed(value)?;
    fits(text.len().saturating_mul(3))?;
    Ok(Value::from_safe_string(utf8_percent_encode(&text, ENCODED).to_string()))
}

fn fits(bytes: usize) -> Result<(), Why> {
    if bytes <= BODY_BYTES { Ok(()) } else { Err(Why(format!("is longer than {} MiB", BODY_BYTES >> 20))) }
}
