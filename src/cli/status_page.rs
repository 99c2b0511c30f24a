//! The status of a process as a page for people: its listeners, its endpoints, and the failures it remembers.
//!
//! It reads the document of `/api/v1/status`. No field has to be there: an older or newer process may have others.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::table::{Cell, Colour, Row, spoken, table, wrap};
use crate::escape;

const LISTENERS: [&str; 9] =
    ["LISTENER", "STATE", " WORKERS", " IN FLIGHT", " VISIBLE", " PARKED", " DLQ", " READ", "RECEIVES"];
const ENDPOINTS: [&str; 6] = ["ENDPOINT", " POSTS", " LIMIT", " LEARNED", " RATE/S", "GATE"];
/// What stands where a number is not known.
const UNKNOWN: &str = "-";

/// All listeners and endpoints.
pub(super) fn page(document: &Value, address: &str, coloured: bool) -> String {
    let mut text = String::new();
    let head = format!(
        "queuepost {} at {address}: {}",
        words(document, "/version").unwrap_or(UNKNOWN),
        words(document, "/phase").unwrap_or("running"),
    );
    // Writing into a String cannot fail.
    writeln!(text, "{}\n", escape::line(&head)).ok();
    let listeners: Vec<Row> = list(document, "/listeners").iter().map(listener).collect();
    text.push_str(&table(&LISTENERS, &listeners, coloured));
    text.push('\n');
    let endpoints: Vec<Row> = list(document, "/endpoints").iter().map(endpoint).collect();
    text.push_str(&table(&ENDPOINTS, &endpoints, coloured));
    text
}

fn listener(of: &Value) -> Row {
    let (state, colour) = state(of);
    let in_flight: i64 = match of.pointer("/messages") {
        Some(Value::Object(stages)) => stages.values().filter_map(Value::as_i64).sum(),
        _ => 0,
    };
    let depth_age = of.pointer("/queue_depth/age_seconds").and_then(Value::as_u64);
    let dead = number(of, "/dead_letter_queue/depth/visible");
    let has_letters = dead != "0" && dead != UNKNOWN;
    let cells = vec![
        Cell::plain(words(of, "/name").unwrap_or(UNKNOWN)),
        Cell::of(state, colour),
        Cell::plain(format!("{}/{}", number(of, "/workers/in_use"), number(of, "/workers/limit"))),
        Cell::plain(in_flight.to_string()),
        Cell::plain(number(of, "/queue_depth/visible")),
        Cell::plain(number(of, "/parked")),
        Cell::of(dead, if has_letters { Colour::Notable } else { Colour::Plain }),
        Cell::plain(depth_age.map_or_else(|| UNKNOWN.to_owned(), |age| format!("{} ago", spoken(age)))),
        Cell::plain(receives(of)),
    ];
    Row { cells, words: notes(of) }
}

/// The state in a word, with its colour.
fn state(of: &Value) -> (&str, Colour) {
    let state = words(of, "/state").unwrap_or(UNKNOWN);
    let told = if words(of, "/not_receiving") == Some("draining") {
        Some("draining")
    } else {
        is_paused(of).then_some("paused")
    };
    match (state, told) {
        ("healthy" | "pending", Some(told)) => (told, Colour::Notable),
        ("healthy", None) => (state, Colour::Good),
        ("pending", None) => (state, Colour::Plain),
        _ => (state, Colour::Bad),
    }
}

fn is_paused(of: &Value) -> bool {
    of.pointer("/paused").and_then(Value::as_bool).unwrap_or_default()
}

/// Whether it receives, and if not why, in two words.
fn receives(of: &Value) -> &str {
    match words(of, "/not_receiving") {
        // The long poll that was under way still runs.
        None if is_paused(of) => "one last time",
        // Messages gather for a moment, by its latency budget.
        None | Some("gathering") => "yes",
        Some("paused") => "paused",
        Some("draining") => "draining",
        Some("standing_by") => "stands by",
        Some("settle_fault") => "deletes fail",
        Some("back_off") => "backs off",
        Some("gate_closed") => "gate closed",
        Some("no_slot") => "workers busy",
        Some("no_room") => "endpoint full",
        Some(other) => other,
    }
}

/// What else to say of a listener.
fn notes(of: &Value) -> Vec<String> {
    let mut notes: Vec<String> = words(of, "/why").into_iter().map(str::to_owned).collect();
    let count = |at: &str| of.pointer(at).and_then(Value::as_u64);
    if let (Some(limit), Some(configured)) = (count("/workers/limit"), count("/workers_configured"))
        && limit != configured
    {
        notes.push(format!("workers: {limit} now, {configured} by its configuration"));
    }
    for (gate, whose) in [("/gate", "its own gate"), ("/endpoint_gate", "gate of its endpoint")] {
        notes.extend(of.pointer(gate).and_then(closed).map(|words| format!("{whose}: {words}")));
    }
    notes
}

/// A gate that is not open, in words.
fn closed(gate: &Value) -> Option<String> {
    let state = words(gate, "/state").filter(|state| *state != "open")?;
    let mut text = state.to_owned();
    let seconds = |at: &str| gate.pointer(at).and_then(Value::as_u64).map(spoken);
    if let Some(time) = seconds("/closed_seconds") {
        text = format!("{text} for {time}");
    }
    if let Some(why) = words(gate, "/words") {
        text = format!("{text}: {why}");
    }
    if let Some(time) = seconds("/next_probe_seconds") {
        text = format!("{text}; next probe in {time}");
    }
    Some(text)
}

fn endpoint(of: &Value) -> Row {
    let gate = words(of, "/gate/state").unwrap_or(UNKNOWN);
    let learns = of.pointer("/adaptive/enabled").and_then(Value::as_bool).unwrap_or_default();
    let learned = |at: &str| if learns { number(of, at) } else { UNKNOWN.to_owned() };
    let colour = if gate == "open" { Colour::Good } else { Colour::Bad };
    let cells = vec![
        Cell::plain(words(of, "/name").unwrap_or(UNKNOWN)),
        Cell::plain(number(of, "/sessions/in_use")),
        Cell::plain(number(of, "/sessions/limit")),
        Cell::plain(learned("/adaptive/limit")),
        Cell::plain(learned("/adaptive/rate")),
        Cell::of(gate, colour),
    ];
    let refusal = words(of, "/adaptive/last_refusal/words").map(|words| format!("last refusal: {words}"));
    let gate = of.pointer("/gate").and_then(closed).map(|words| format!("gate: {words}"));
    Row { cells, words: gate.into_iter().chain(refusal).collect() }
}

/// The failures of all listeners, or of one; newest first. `None` if there is no such listener.
pub(super) fn failures(document: &Value, only: Option<&str>) -> Option<String> {
    let listeners = list(document, "/listeners");
    let name = |of: &Value| words(of, "/name").unwrap_or(UNKNOWN).to_owned();
    if only.is_some_and(|only| listeners.iter().all(|of| name(of) != only)) {
        return None;
    }
    let chosen = listeners.iter().filter(|of| only.is_none_or(|only| name(of) == only));
    let of_one = |of: &Value| -> Vec<(String, Value)> {
        list(of, "/recent_failures").iter().map(|failure| (name(of), failure.clone())).collect()
    };
    let mut all: Vec<(String, Value)> = chosen.flat_map(of_one).collect();
    // Times are of one length and zone, so their texts sort as they do.
    all.sort_by(|(_, a), (_, b)| words(b, "/time").cmp(&words(a, "/time")));
    let mut text = String::new();
    for (listener, failure) in &all {
        text.push_str(&one_failure(listener, failure));
    }
    if text.is_empty() {
        text.push_str("no delivery has failed since the start\n");
    }
    Some(text)
}

fn one_failure(listener: &str, failure: &Value) -> String {
    let is_final = failure.pointer("/final").and_then(Value::as_bool).unwrap_or_default();
    let of_most = failure.pointer("/max_receives").and_then(Value::as_u64).map(|most| format!(" of {most}"));
    let line = format!(
        "{}  {listener}  receive {}{}{}  {}  {}",
        words(failure, "/time").unwrap_or(UNKNOWN),
        number(failure, "/receive"),
        of_most.unwrap_or_default(),
        if is_final { " (the last)" } else { "" },
        number(failure, "/status"),
        words(failure, "/outcome").unwrap_or(UNKNOWN),
    );
    let mut text = escape::line(&line).into_owned() + "\n";
    for (label, at) in [("id", "/id"), ("why", "/reason"), ("answer", "/answer")] {
        if let Some(said) = words(failure, at) {
            wrap(&mut text, &escape::line(&format!("{label}: {said}")));
        }
    }
    text
}

fn list<'a>(of: &'a Value, at: &str) -> &'a [Value] {
    of.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn words<'a>(of: &'a Value, at: &str) -> Option<&'a str> {
    of.pointer(at).and_then(Value::as_str)
}

fn number(of: &Value, at: &str) -> String {
    match of.pointer(at) {
        Some(Value::Number(number)) => number.to_string(),
        _ => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
#[path = "status_page_tests.rs"]
mod tests;
