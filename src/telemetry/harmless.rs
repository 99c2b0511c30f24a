//! Log lines with nothing in them that steers a terminal or forges a line, in both formats.
//!
//! The formats escape what is printed as `Debug`; what is printed as `Display` (the message, fields with `%`, errors)
//! passes as it is. Here all of it is escaped, so that nobody who logs has to know where a text came from.

use std::fmt;

use tracing::field::Field;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::escape;

/// Fields of the text format as `tracing_subscriber` writes them, colours included, but escaped.
pub(super) fn fields() -> impl for<'a> FormatFields<'a> + Send + Sync + 'static {
    debug_fn(field).delimited(" ")
}

fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = escape::line(&value);
    let name = field.name();
    match name.strip_prefix("r#").unwrap_or(name) {
        "message" => writer.write_str(&value),
        // Italic name, dimmed sign.
        name if writer.has_ansi_escapes() => write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value}"),
        name => write!(writer, "{name}={value}"),
    }
}

/// A format of JSON whose lines are escaped: the characters it leaves stand within strings, where they mean the same.
#[derive(Debug, Clone)]
pub(super) struct Harmless<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Harmless<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&escape::lines(&line))
    }
}
