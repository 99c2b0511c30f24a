//! The body of a message as SQS takes it: its characters, its length, and gzip.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};

/// `text` as gzip in base64. The same text makes the same bytes: no time, no name, no system.
pub(super) fn gzip(text: &str) -> Option<String> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).ok()?;
    Some(STANDARD.encode(encoder.finish().ok()?))
}

/// Whether SQS takes a character in a body (`SendMessage`, `MessageBody`).
pub(super) fn is_taken(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// JSON whose two characters beyond U+FFFD are escaped: its parser reads the same, and SQS takes it.
pub(super) fn without_what_sqs_refuses(json: String) -> String {
    if json.chars().all(is_taken) {
        return json;
    }
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

/// The beginning of a text that takes at most `most` bytes between the quotes of JSON.
pub(super) fn escaped(text: &str, most: usize) -> &str {
    let mut left = most;
    let end = text.char_indices().find(|&(_, c)| match left.checked_sub(cost(c)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// What a character takes in JSON.
fn cost(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => 6,
        other => other.len_utf8(),
    }
}
