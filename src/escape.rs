//! Makes text from outside harmless for a terminal, a log and a line: the one place that decides how.
//!
//! These characters are escaped:
//!
//! - control characters (C0, DEL, C1), because they steer terminals;
//! - controls of text direction, because they show a line in another order than it has;
//! - line separators, because they forge lines;
//! - invisible characters, because they make two different texts look alike.
//!
//! Each becomes `\uXXXX`, and a character beyond the basic plane becomes two of these. People can read this
//! form, and within JSON it is the character itself. Everything else stays as it is.
//! Code that prints, logs or reports a text escapes it there. So no code needs to know where a text came
//! from.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line: every unsafe character is escaped, line feeds included.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// Several lines, or JSON with its layout: every unsafe character is escaped except line feeds.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_unsafe(c))
}

/// Whether a character steers a terminal, reorders or ends a line, or is invisible. Sources: Unicode UAX #9,
/// UTS #39.
pub fn is_unsafe(c: char) -> bool {
    let turns_or_hides = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || turns_or_hides
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                write!(escaped, "\\u{unit:04x}").ok();
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_directions_and_separators_are_escaped_and_nothing_else_is() {
        let cases = [
            ("plain, größe, 注文, 😀 \\u001b", "plain, größe, 注文, 😀 \\u001b"),
            ("a\x1b[31mb\x07", "a\\u001b[31mb\\u0007"),
            ("a\u{7f}\u{9b}31m\u{85}", "a\\u007f\\u009b31m\\u0085"),
            ("a\u{202e}b\u{2066}\u{200f}\u{61c}", "a\\u202eb\\u2066\\u200f\\u061c"),
            ("a\r\n\tb\u{2028}", "a\\u000d\\u000a\\u0009b\\u2028"),
            ("a\u{200b}b\u{ad}\u{feff}\u{e0041}c", "a\\u200bb\\u00ad\\ufeff\\udb40\\udc41c"),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text), expected);
        }
        assert_eq!(lines("a\r\nb"), "a\\u000d\nb");
    }

    #[test]
    fn within_json_an_escaped_character_is_still_itself() {
        let text = "\u{9b}\u{7f}\u{202e}\u{2028}\u{200b}\u{e0041}\x1b\n";
        let json = serde_json::to_string(text).expect("text is JSON");
        let shown = lines(&json).into_owned();
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
    }
}
