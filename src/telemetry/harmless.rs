//! JSON log lines that cannot steer a terminal.
//!
//! JSON escapes C0 controls only. Here the whole line is escaped, so that no caller needs to know where a
//! text came from. The text format does the same in `text.rs`.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::escape;

/// A JSON format whose lines are escaped. Escaped characters are always within strings, where they mean the
/// same.
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
