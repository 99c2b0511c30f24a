//! YAML text → a tree in which every key and every scalar has its position and its text as written.
//!
//! Derived structs would stop at the first unknown key or wrong type, but a person wants to see every
//! problem. Scalars stay text: an external id `0123` must not become a number. Invalid YAML, a duplicate key
//! and several documents in one file are one problem each, with line and column.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};

use crate::config::problem::{Fault, Place, Report};
use crate::config::shown::shown_key;
use crate::escape;

/// One value and its position.
#[derive(Debug)]
pub(super) struct Node {
    /// Where the value starts; for an alias, where its anchor is.
    pub(super) place: Place,
    /// The value itself.
    pub(super) value: Value,
}

/// The kinds of values.
#[derive(Debug)]
pub(super) enum Value {
    /// An empty value, `~` or `null`.
    Nothing,
    /// Text, number or boolean, as written.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key and its position.
#[derive(Debug)]
pub(super) struct Key {
    /// Its text.
    pub(super) name: String,
    /// Where the key starts.
    pub(super) place: Place,
}

/// Parses `source`. `None` when it is not YAML; the report then says so.
pub(super) fn parse(source: &str, path: &Arc<str>, report: &mut Report) -> Option<Node> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        // One anchor may serve thousands of listeners. How much aliases expand to stays bounded.
        budget: serde_saphyr::budget! { enforce_alias_anchor_ratio: false },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(source, options) {
        Ok(raw) => Some(Builder { source, path }.node(raw)),
        Err(error) => {
            let place = place(path, error.location());
            // Checked first, because the parser's message quotes the key, which may contain the words of all
            // other errors.
            if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error.without_snippet() {
                report.refuse_syntax(&place, duplicate(key.as_deref()));
                return None;
            }
            let message = UserMessageFormatter.format_message(&error);
            let message = escape::line(&message);
            let place = if is_about_a_tab(&message) { tab(source, path, &place) } else { place };
            report.refuse_syntax(&place, explained(&message));
            None
        }
    }
}

/// The parser's message in plain terms, where the message is known.
fn explained(message: &str) -> Fault {
    const FIXES: [(&str, &str); 10] = [
        ("<document start>", "write YAML, `key: value`; TOML is not read"),
        ("placement of ':'", "look for a bracket that is not closed above"),
        (
            "mapping values are not allowed",
            "put a space after the colon of a key, and quotes around a value that has one",
        ),
        ("expected ':'", "write `key: value`, with a colon and a space after the key"),
        ("unexpected character", "put quotes around the value"),
        (
            "multiple found",
            "keep one document: all listeners stand under one `listeners`, and no `---` between them",
        ),
        ("block collection", "indent it as far as the key above"),
        ("block mapping", "indent it as far as the key above"),
        ("quoted scalar", "look for a quote that is not closed above"),
        ("flow", "look for a bracket that is not closed above"),
    ];
    if is_about_a_tab(message) {
        return Fault::new("not valid YAML: tabs are not allowed for indentation").fix("use spaces");
    }
    let fault = Fault::new(format!("not valid YAML: {message}"));
    let fix = FIXES.into_iter().find(|(words, _)| message.contains(words));
    fix.into_iter().fold(fault, |fault, (_, fix)| fault.fix(fix))
}

/// A duplicate key of a map.
fn duplicate(key: Option<&str>) -> Fault {
    let key = key.map_or_else(String::new, |key| format!(": {}", shown_key(key)));
    Fault::new(format!("not valid YAML: duplicate mapping key{key}")).fix("keep one of them")
}

/// Whether the parser reports a tab. Matched by whole phrases, because a message may quote the file: `table`.
fn is_about_a_tab(message: &str) -> bool {
    ["tabs disallowed", "tab cannot be used as indentation", "scalar, found a tab"]
        .iter()
        .any(|words| message.contains(words))
}

/// The first tab in an indentation, from the line of `found` on: the parser may report the value before it.
fn tab(source: &str, path: &Arc<str>, found: &Place) -> Place {
    let Place::File { line: start, .. } = found else { return found.clone() };
    let indentation = |text: &str| text.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t');
    let lines = (1_u64..).zip(source.split('\n')).skip_while(|(line, _)| line < start);
    let mut tabs = lines.filter_map(|(line, text)| Some((line, indentation(text)?)));
    match tabs.next() {
        Some((line, before)) => {
            let column = u64::try_from(before).unwrap_or_default().saturating_add(1);
            Place::File { path: Arc::clone(path), line, column }
        }
        None => found.clone(),
    }
}

fn place(path: &Arc<str>, location: Option<Location>) -> Place {
    let (line, column) = location.map_or((0, 0), |location| (location.line(), location.column()));
    Place::File { path: Arc::clone(path), line, column }
}

/// What the parser reports before scalars are looked up in the source.
enum Raw {
    Nothing,
    Text(String),
    /// A number or boolean; its text is in the source.
    Typed(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

struct Builder<'a> {
    source: &'a str,
    path: &'a Arc<str>,
}

impl Builder<'_> {
    fn node(&self, raw: Spanned<Raw>) -> Node {
        let value = match raw.value {
            Raw::Nothing => Value::Nothing,
            Raw::Text(text) => Value::Scalar(text),
            Raw::Typed(parsed) => Value::Scalar(self.written(raw.defined).unwrap_or(parsed)),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Value::Map(
                entries.into_iter().map(|(key, value)| (self.key(key), self.node(value))).collect(),
            ),
        };
        Node { place: place(self.path, Some(raw.defined)), value }
    }

    fn key(&self, key: Spanned<String>) -> Key {
        Key { place: place(self.path, Some(key.defined)), name: key.value }
    }

    /// The characters of a plain scalar.
    fn written(&self, location: Location) -> Option<String> {
        let start = usize::try_from(location.span().byte_offset()?).ok()?;
        let length = usize::try_from(location.span().byte_len()?).ok()?;
        let text = self.source.get(start..start.checked_add(length)?)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn dump(node: &Node) -> String {
        match &node.value {
            Value::Nothing => "~".to_owned(),
            Value::Scalar(text) => format!("{text:?}@{}", node.place),
            Value::List(items) => format!("[{}]", items.iter().map(dump).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entry =
                    |(key, value): &(Key, Node)| format!("{}@{}={}", key.name, key.place, dump(value));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
            }
        }
    }

    fn parsed(source: &str) -> Result<String, String> {
        let mut report = Report::default();
        let node = parse(source, &"f".into(), &mut report);
        report.finish().map(|_| dump(&node.expect("parsed"))).map_err(|errors| errors.to_string())
    }

    #[test]
    fn keys_and_scalars_know_their_place_and_their_text() {
        let source = "a: 0123\nb:\n  - 1e3\n  - {c: yes, d: \"x: y\"}\ne:\nf: 007 # bond\n";
        let expected = "{a@f:1:1=\"0123\"@f:1:4 b@f:2:1=[\"1e3\"@f:3:5 \
                        {c@f:4:6=\"yes\"@f:4:9 d@f:4:14=\"x: y\"@f:4:17}] e@f:5:1=~ f@f:6:1=\"007\"@f:6:4}";
        assert_eq!(parsed(source), Ok(expected.to_owned()));
        assert_eq!(
            parsed("'ü': &a 0x1F\nb: *a\n"),
            Ok("{ü@f:1:1=\"0x1F\"@f:1:9 b@f:2:1=\"0x1F\"@f:1:9}".to_owned())
        );
        assert_eq!(parsed(""), Ok("~".to_owned()));
        assert_eq!(
            parsed("\u{feff}a: 01\r\nb: 02\r\n"),
            Ok("{a@f:1:1=\"01\"@f:1:4 b@f:2:1=\"02\"@f:2:4}".to_owned())
        );
        let merged =
            "{a@f:1:1={x@f:1:8=\"01\"@f:1:11} b@f:2:1={y@f:2:13=\"2\"@f:2:16 x@f:1:8=\"01\"@f:1:11}}";
        assert_eq!(parsed("a: &a {x: 01}\nb: {<<: *a, y: 2}\n"), Ok(merged.to_owned()));
    }

    #[test]
    fn what_is_no_yaml_is_one_problem_with_its_place() {
        for (source, place) in [("a: [1\nb: 2\n", "f:2:"), ("a: 1\na: 2\n", "f:2:1: "), ("a: *b\n", "f:1:")] {
            let error = parsed(source).expect_err(source);
            assert!(error.starts_with(place) && error.contains("not valid YAML: "), "{error}");
            assert_eq!(error.matches("not valid").count(), 1, "{error}");
        }
    }

    #[test]
    fn aliases_that_multiply_and_nesting_without_end_are_one_problem_soon() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            writeln!(bomb, "a{level}: &a{level} [{}]", [below.as_str(); 10].join(", ")).unwrap();
        }
        for source in [bomb, format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000))] {
            let refused = parsed(&source).expect_err("it is not read");
            assert_eq!(refused.lines().count(), 1, "{refused}");
        }
    }

    #[test]
    fn a_tab_that_indents_is_named_with_its_own_place() {
        for (source, place) in [
            ("a:\n\tb: 1\n", "f:2:1: "),
            ("a:\n  - b: 1\n\tc: 1\n", "f:3:1: "),
            ("a:\n  - b: x\n  \tc: 1\n", "f:3:3: "),
        ] {
            let rule = "not valid YAML: tabs are not allowed for indentation; use spaces";
            assert_eq!(parsed(source), Err(format!("{place}{rule}")), "{source:?}");
        }
    }

    #[test]
    fn a_duplicate_key_is_told_as_such_whatever_its_name_and_shown_only_if_it_is_a_word() {
        for (key, shown) in [
            ("stable", "stable"),
            ("tabs disallowed", "…"),
            ("flow", "flow"),
            ("'https://u:s3cr3t@h/'", "…"),
            ("'s3cr3t!'", "…"),
        ] {
            let error = parsed(&format!("a:\n\t# table\n{key}: 1\n{key}: 2\n")).expect_err(key);
            let rule = format!("not valid YAML: duplicate mapping key: {shown}; keep one of them");
            assert_eq!(error, format!("f:4:1: {rule}"));
        }
    }

    #[test]
    fn common_slips_are_explained() {
        let cases = [
            ("a:b\nc: d\n", "a space after the colon"),
            ("[listeners]\nqueue = 'a'\n", "TOML is not read"),
            ("a: 1\nb 2\n", "write `key: value`"),
            ("a: @b\n", "put quotes around the value"),
            ("a: 1\na: 2\n", "keep one of them"),
            ("a: 1\n---\na: 2\n", "keep one document"),
            ("a:\n  - b: 1\n   c: 1\n", "indent it as far"),
            ("a: [1\nb: 2\n", "a bracket that is not closed"),
            ("a:\n  b: 'x\nc: y\n", "a quote that is not closed"),
        ];
        for (source, fix) in cases {
            let error = parsed(source).expect_err(source);
            assert!(error.contains(fix), "{source:?}: {error}");
        }
    }
}
