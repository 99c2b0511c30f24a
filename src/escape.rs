//! Text from outside made harmless for a terminal, a log and a line: the one place where that is decided.
//!
//! Escaped are control characters (C0, DEL, C1: they steer terminals), controls of text direction (they show a line
//! in another order than it has) and line separators (they forge lines). Each becomes `\uXXXX`, which people can read
//! and which within JSON is the character itself. Everything else stays as it is. Whoever prints, complains or logs
//! escapes at that place, whatever the text is; nobody has to know where a text came from.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line: every unsafe character is escaped, line feeds too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// Several lines, or JSON with its layout: every unsafe character is escaped except line feeds.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_unsafe(c))
}

/// Whether a character may steer a terminal, reorder a line or end one.
pub fn is_unsafe(c: char) -> bool {
    let is_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_direction || matches!(c, '\u{2028}' | '\u{2029}')
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            // All of them are in the basic plane; writing to a string does not fail.
            write!(escaped, "\\u{:04x}", u32::from(c)).ok();
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
        ];
        for (text, expected) in cases {
            assert_eq!(line(text), expected);
        }
        assert_eq!(lines("a\r\nb"), "a\\u000d\nb");
    }

    #[test]
    fn within_json_an_escaped_character_is_still_itself() {
        let text = "\u{9b}\u{7f}\u{202e}\u{2028}\x1b\n";
        let json = serde_json::to_string(text).expect("text is JSON");
        let shown = lines(&json).into_owned();
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
    }
}
