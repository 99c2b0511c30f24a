//! Lines of JSON with nothing in them that steers a terminal.
//!
//! JSON escapes C0 controls only. Here the whole line is escaped, so that nobody who logs has to know where a text came
//! from. The text format does the same in `text.rs`.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::escape;

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
