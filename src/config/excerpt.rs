//! The line of the file that a problem is about, with a caret under the position, and without secrets.
//!
//! A line holds more than its problem: another key's password in `{…}`, a comment, a token under an unknown
//! key. So only parts known to be harmless are shown. These are indentation, keys, values of keys that cannot
//! hold a secret, and the value that the problem repeats anyway. Everything else becomes `…`.
//! Unknown parts are hidden. So a key that is missing from [`HARMLESS`] hides too much, never too little.

use std::fmt;

use crate::escape;

/// Widest excerpt, in terminal columns.
const WIDTH_MAX: usize = 120;
/// Longest value of a harmless key.
const VALUE_MAX: usize = 40;
/// Longest text that counts as a key.
const KEY_MAX: usize = 40;
/// Keys whose values are numbers, words or durations; nobody pastes a secret there.
const HARMLESS: [&str; 30] = [
    "action",
    "algorithm",
    "burst",
    "connect_timeout",
    "deadline",
    "delay",
    "endpoint",
    "error_in_body",
    "format",
    "latency_budget",
    "level",
    "listen",
    "listener_owner",
    "listeners",
    "mode",
    "name",
    "output",
    "paused",
    "per_second",
    "pool_idle_timeout",
    "queue",
    "receive_wait",
    "region",
    "retry_after_scope",
    "sessions",
    "status",
    "success",
    "throttle_delay",
    "timeout",
    "workers",
];

/// One line of the file with hidden parts removed, and where its problem starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Line, from 1.
    pub line: u64,
    /// The line; `…` replaces hidden parts.
    pub text: String,
    /// Terminal columns before the caret.
    pub caret: usize,
}

impl fmt::Display for Excerpt {
    /// Two lines, without a line feed at the end: the excerpt and its caret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>5} | {}", self.line, self.text)?;
        write!(f, "{:>5} | {:caret$}^", "", "", caret = self.caret)
    }
}

/// The kind of text at the position of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At<'a> {
    /// A value that the problem repeats.
    Value(&'a str),
    /// A key, or a value that must stay hidden.
    Node,
    /// The position where the YAML parser failed: anywhere, even within a value.
    Syntax,
}

/// The text of the file, split into lines once, however many problems there are.
#[derive(Debug, Default)]
pub(super) struct Source(Vec<String>);

impl Source {
    /// The lines of `text`.
    pub(super) fn new(text: &str) -> Self {
        Self(text.trim_start_matches('\u{feff}').split('\n').map(|line| line.trim_end().to_owned()).collect())
    }
}

/// The line `line` of `source` around its column `column`, both from 1; `None` when there is no such line.
pub(super) fn excerpt(source: &Source, line: u64, column: u64, at: At<'_>) -> Option<Excerpt> {
    let index = usize::try_from(line.checked_sub(1)?).ok()?;
    let text = source.0.get(index)?.as_str();
    if text.is_empty() {
        return None;
    }
    let column = usize::try_from(column.checked_sub(1)?).ok()?;
    let split = text.char_indices().nth(column).map_or(text.len(), |(at, _)| at);
    let (head, tail) = text.split_at(split);
    let (head, tail) =
        if is_plain(text) { (head.to_owned(), tail.to_owned()) } else { masked(head, tail, at) };
    Some(cut(line, &head, &tail))
}

/// Both parts of a line, with hidden parts replaced by `…`.
fn masked(head: &str, tail: &str, at: At<'_>) -> (String, String) {
    let line = format!("{head}{tail}");
    let skeleton = skeleton(&line);
    let value = line.get(skeleton.len()..).unwrap_or_default();
    match skeleton.get(head.len()..) {
        // The caret is within indentation or key.
        Some(rest) if !rest.is_empty() => {
            let more = if value.trim().is_empty() { "" } else { " …" };
            return (head.to_owned(), format!("{rest}{more}"));
        }
        Some(_) | None => {}
    }
    let gap = head.get(skeleton.len()..).is_some_and(|gap| gap.trim().is_empty());
    if gap || is_plain(head) {
        return (head.to_owned(), own(tail, at));
    }
    if at == At::Syntax {
        let space = if skeleton.ends_with(':') { " " } else { "" };
        return (format!("{skeleton}{space}"), "…".to_owned());
    }
    // The caret is within `{…}` or `[…]`: the text before its own key belongs to other keys.
    let indentation: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let last = head.rsplit(['{', '[', ',']).next().unwrap_or_default().trim_start();
    if at == At::Node && last.is_empty() {
        let shown = match key(tail) {
            Some(key) => format!("{key}: …"),
            None => "…".to_owned(),
        };
        return (format!("{indentation}… "), shown);
    }
    let is_key = key(last).is_some_and(|key| last.trim_end().len() == key.len() + 1);
    (format!("{indentation}… {}", if is_key { last } else { "" }), own(tail, at))
}

/// The value at the caret, if the problem repeats it, and whether more text follows.
fn own(tail: &str, at: At<'_>) -> String {
    let ends = |rest: &&str| rest.is_empty() || rest.starts_with([' ', '\t', ',', ']', '}']);
    let forms = match at {
        At::Value(raw) if !raw.is_empty() => vec![format!("'{raw}'"), format!("\"{raw}\""), raw.to_owned()],
        At::Value(_) | At::Node | At::Syntax => Vec::new(),
    };
    let found = forms.into_iter().find_map(|form| {
        let rest = tail.strip_prefix(form.as_str()).filter(ends)?;
        Some(if rest.trim().is_empty() { form } else { format!("{form} …") })
    });
    found.unwrap_or_else(|| if tail.trim().is_empty() { String::new() } else { "…".to_owned() })
}

/// Indentation, dashes and the key with its colon, where present.
fn skeleton(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(item) =
        rest.strip_prefix('-').filter(|item| item.is_empty() || item.starts_with([' ', '\t']))
    {
        rest = item.trim_start();
    }
    let key = key(rest).map_or(0, |key| key.len() + 1);
    line.get(..line.len() - rest.len() + key).unwrap_or_default()
}

/// The key at the beginning of a text, if a colon and a gap follow.
fn key(text: &str) -> Option<&str> {
    let (key, rest) = text.split_once(':')?;
    let word = key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let apart = rest.is_empty() || rest.starts_with([' ', '\t']);
    (word && apart && (1..=KEY_MAX).contains(&key.chars().count())).then_some(key)
}

/// Whether a line holds only a harmless key and a harmless value. A misspelt key is not harmless: `session`.
fn is_plain(line: &str) -> bool {
    let item = line.trim_start().trim_start_matches("- ").trim_start();
    let end = item.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(item.len());
    let (key, value) = item.split_at(end);
    let gap = value.is_empty() || value.starts_with([' ', '\t']);
    let value = value.strip_prefix(':').or(gap.then_some(value));
    let Some(value) = value.map(str::trim) else { return false };
    let simple = |c: char| c.is_ascii_alphanumeric() || "_-.,[] %".contains(c);
    value.chars().count() <= VALUE_MAX && value.chars().all(simple) && HARMLESS.contains(&key)
}

/// The part of the line around the caret that fits. Tabs and unsafe characters take one column.
fn cut(line: u64, head: &str, tail: &str) -> Excerpt {
    let drawn = |c: char| {
        if c == '\t' {
            '→'
        } else if escape::is_unsafe(c) {
            '�'
        } else {
            c
        }
    };
    let mut text: String = head.chars().map(drawn).collect();
    if width_of(&text) > WIDTH_MAX / 2 {
        let mut kept = 0;
        let end: Vec<char> = text
            .chars()
            .rev()
            .take_while(|&c| {
                kept += width(c);
                kept < WIDTH_MAX / 2
            })
            .collect();
        text = std::iter::once('…').chain(end.into_iter().rev()).collect();
    }
    let caret = width_of(&text);
    let mut used = caret;
    for c in tail.chars().map(drawn) {
        used += width(c);
        if used >= WIDTH_MAX {
            text.push('…');
            break;
        }
        text.push(c);
    }
    Excerpt { line, text: text.trim_end().to_owned(), caret }
}

fn width_of(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Terminal columns of a character, approximately. Wide East Asian characters and emoji take two, combining
/// ones none.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36F | 0x200B..=0x200F | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F900..=0x1F9FF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, column: u64, at: At<'_>) -> (String, usize) {
        let excerpt = excerpt(&Source::new(line), 1, column, at).expect("a line");
        (excerpt.text, excerpt.caret)
    }

    #[test]
    fn the_line_stands_under_its_number_and_the_caret_under_the_value() {
        let source = Source::new("listeners:\n  - queue: a\n    workers: 0\n");
        let text = excerpt(&source, 3, 14, At::Value("0")).expect("a line").to_string();
        assert_eq!(text, "    3 |     workers: 0\n      |              ^");
        assert_eq!(excerpt(&source, 9, 1, At::Node), None);
        assert_eq!(excerpt(&source, 0, 0, At::Node), None);
    }

    #[test]
    fn only_the_value_of_the_problem_is_shown() {
        let cases = [
            ("    path: run # s3cr3t", 11, At::Value("run"), "    path: run …", 10),
            ("    path: 'run'", 11, At::Value("run"), "    path: 'run'", 10),
            ("    url: https://u:s3cr3t@h/", 10, At::Node, "    url: …", 9),
            ("    auth: s3cr3t", 11, At::Node, "    auth: …", 10),
            ("    token: s3cr3t", 5, At::Node, "    token: …", 4),
            ("    workers: 3", 5, At::Node, "    workers: 3", 4),
            ("    session: s3cr3t", 5, At::Node, "    session: …", 4),
            ("  - {a: s3cr3t, path: run, b: s3cr3t}", 23, At::Value("run"), "  … path: run …", 10),
            ("  - {a: s3cr3t, token: s3cr3t}", 17, At::Node, "  … token: …", 4),
            ("  - {a: 's3cr3t', b: 's3,cr3t', path: x}", 39, At::Value("x"), "  … path: x …", 10),
            ("    success: [200, 299-200]", 20, At::Value("299-200"), "    success: [200, 299-200]", 19),
            ("  - name: a", 5, At::Node, "  - name: a", 4),
            ("s3cr3t", 1, At::Node, "…", 0),
            ("  auth: {bearer: s3cr3t: s3cr3t}", 18, At::Node, "  … bearer: …", 12),
            ("  auth: s3cr3t: s3cr3t", 9, At::Node, "  auth: …", 8),
        ];
        for (line, column, at, text, caret) in cases {
            assert_eq!(shown(line, column, at), (text.to_owned(), caret), "{line}");
        }
    }

    #[test]
    fn where_the_parser_gave_up_no_value_of_a_doubtful_key_is_shown() {
        let cases = [
            ("    success: [200, 201", 18, "    success: [200, 201", 17),
            ("    workers 3", 5, "    workers 3", 4),
            ("    bearer s3cr3t", 5, "    …", 4),
            ("    url: https://u:s3cr3t@h/: x", 20, "    url: …", 9),
            ("    url: https://u:s3cr3t@h/", 8, "    url: …", 7),
            ("  s3cr3t: s3cr3t, s3cr3t", 20, "  s3cr3t: …", 10),
            ("MIIs3cr3t==", 4, "…", 0),
            ("    token:s3cr3t", 5, "    …", 4),
        ];
        for (line, column, text, caret) in cases {
            assert_eq!(shown(line, column, At::Syntax), (text.to_owned(), caret), "{line}");
        }
    }

    #[test]
    fn the_caret_fits_after_tabs_wide_characters_and_in_long_lines() {
        assert_eq!(shown("\tpath: 0", 8, At::Value("0")), ("→path: 0".to_owned(), 7));
        assert_eq!(shown("  größe: 0", 10, At::Value("0")), ("  größe: 0".to_owned(), 9));
        assert_eq!(shown("  注文: 0", 7, At::Value("0")), ("  注文: 0".to_owned(), 8));
        assert_eq!(shown("path: a\u{202e}b", 7, At::Value("a\u{202e}b")), ("path: a�b".to_owned(), 6));
        let long = format!("{}path: {}", " ".repeat(100), "x".repeat(100));
        let (text, caret) = shown(&long, 107, At::Value(&"x".repeat(100)));
        assert!(text.starts_with("… ") && text.ends_with("x…") && width_of(&text) <= WIDTH_MAX, "{text}");
        assert_eq!(text.chars().nth(caret), Some('x'));
        assert!(text.chars().nth(caret - 1) == Some(' '));
    }
}
