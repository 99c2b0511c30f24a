//! One quiet line for each delivered message: for people who watch `queuepost dev`.
//!
//! Every other event is formatted as usual, so that failures stand out. On a terminal the line is dim.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::escape;

/// A format with short lines for the events of one target.
#[derive(Debug, Clone)]
pub(super) struct Quiet<F> {
    /// The format of all others.
    pub(super) others: F,
    /// The target of delivered messages.
    pub(super) target: &'static str,
}

impl<S, N, F> FormatEvent<S, N> for Quiet<F>
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
        if event.metadata().target() != self.target {
            return self.others.format_event(context, writer, event);
        }
        let mut delivered = Delivered::default();
        event.record(&mut delivered);
        let (dim, plain) = if writer.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        writer.write_str(dim)?;
        SystemTime.format_time(&mut writer)?;
        // As wide as the names of levels.
        writeln!(writer, "    ok {delivered}{plain}")
    }
}

/// What the line says.
#[derive(Default)]
struct Delivered {
    id: String,
    listener: String,
    receives: String,
    status: String,
    took: String,
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, listener, receives, status, took } = self;
        write!(f, "{} by {}: {status} in {took} ms", escape::line(id), escape::line(listener))?;
        if receives == "1" { Ok(()) } else { write!(f, ", at receive {receives}") }
    }
}

impl Visit for Delivered {
    fn record_str(&mut self, field: &Field, value: &str) {
        let known = match field.name() {
            "message_id" => &mut self.id,
            "listener" => &mut self.listener,
            "receive_count" => &mut self.receives,
            "status" => &mut self.status,
            "duration_ms" => &mut self.took,
            _ => return,
        };
        value.clone_into(known);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::text;

    const DELIVERED: &str = "queuepost::delivered";

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(ansi: bool, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer =
            text::layer().with_ansi(ansi).map_event_format(|others| Quiet { others, target: DELIVERED });
        let layer = layer.with_writer(move || writer.clone());
        tracing::subscriber::with_default(Registry::default().with(layer), log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn deliver(id: &str, receive_count: u32) {
        let (listener, status, duration_ms) = ("demo", Some(200_u16), Some(3_u64));
        let more = (id, receive_count);
        tracing::debug!(target: DELIVERED, listener, message_id = more.0, receive_count = more.1, status, duration_ms, "delivered");
    }

    #[test]
    fn a_success_is_one_short_line_and_dim_on_a_terminal() {
        let text = printed(false, || deliver("4a1b", 1));
        assert!(text.ends_with("Z    ok 4a1b by demo: 200 in 3 ms\n"), "{text:?}");
        let text = printed(false, || deliver("4a1b", 2));
        assert!(text.ends_with(" in 3 ms, at receive 2\n"), "{text:?}");
        let text = printed(true, || deliver("4a1b", 1));
        assert!(text.starts_with("\x1b[2m") && text.ends_with("3 ms\x1b[0m\n"), "{text:?}");
        let text = printed(true, || deliver("a\x1b[2J\nb", 1));
        assert!(text.contains("a\\u001b[2J\\u000ab by demo"), "{text:?}");
    }

    #[test]
    fn every_other_line_is_as_loud_as_ever() {
        let text = printed(false, || tracing::warn!(status = 429, "parked"));
        assert!(text.ends_with(" WARN parked status=429\n"), "{text:?}");
    }
}
