//! Logs: text for people, or one JSON object per line for machines, on standard output.
//!
//! Logging never waits for standard output ([`crate::telemetry::output`]). A plain level applies to this
//! program. The AWS SDK and the HTTP stack are limited to warnings, because their `debug` would drown ours.
//! `aws_config` is limited further: it repeats as warnings what it also returns as an error. Colour is used
//! only on a terminal and never with `NO_COLOR` set.
//! Bodies, receipt handles and credentials are not logged at any level. `trace` of the libraries would print
//! whole requests, so theirs ends at `debug`, whatever the filter says. Text from outside cannot steer a
//! terminal or forge a line (`harmless.rs`).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt, reload};

use crate::telemetry::harmless::Harmless;
use crate::telemetry::output::LogLines;
use crate::telemetry::quiet::Quiet;
use crate::telemetry::text;

/// The filter of the level `info`.
pub const DEFAULT_FILTER: &str = "warn,aws_config=error,queuepost=info";

/// What stands before a level in the directives of it.
const OF_A_LEVEL: &str = "warn,aws_config=error,queuepost=";

/// Target of the lines about delivered messages: users can enable them without all of `debug`.
pub const DELIVERED: &str = "queuepost::delivered";

/// How logs are written, already valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The format.
    pub format: Format,
    /// Directives, as made by [`filter`].
    pub filter: String,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    Text,
    /// Text for people who watch deliveries: a success is one short line. No configuration asks for it.
    Watched,
    /// JSON for machines: one object a line with `timestamp` (RFC 3339, UTC), `level`, `message`, `target`
    /// and the fields.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not valid.
    #[error("{0:?} is no log filter")]
    Filter(String, #[source] Option<ParseError>),
    /// Another logger is already installed.
    #[error("logging is already set up")]
    Installed(#[source] TryInitError),
}

/// The directives for a user's text: a level for this program, or directives, used as they are.
pub fn filter(text: &str) -> Result<String, LogError> {
    let level = text.to_ascii_lowercase();
    match level.as_str() {
        // Other crates must not log more than this program.
        "off" | "error" | "warn" => return Ok(level),
        "info" | "debug" | "trace" => return Ok(format!("{OF_A_LEVEL}{level}")),
        _ => {}
    }
    // A single unknown word would enable the module of that name and silence everything else.
    if !text.contains('=') {
        return Err(LogError::Filter(text.to_owned(), None));
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(LogError::Filter(text.to_owned(), Some(error))),
    }
}

/// The level that directives of [`filter`] are made of; other directives stay as they are.
pub(super) fn level(filter: &str) -> &str {
    let level = filter.strip_prefix(OF_A_LEVEL).unwrap_or(filter);
    if level.contains(['=', ',']) { filter } else { level }
}

/// Changes the filter of the running log.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging, once per process.
pub fn init(settings: &Settings) -> Result<(), LogError> {
    let quiet = |others| Quiet { others, target: DELIVERED };
    let (filter, handle) = reload::Layer::new(parsed(&settings.filter)?);
    FILTER.set(handle).ok();
    let registry = Registry::default().with(filter).with(filter_fn(shows_no_bodies));
    match settings.format {
        Format::Text => registry.with(to_stdout(text::layer())).try_init(),
        Format::Watched => registry.with(to_stdout(text::layer()).map_event_format(quiet)).try_init(),
        Format::Json => registry.with(json().with_writer(|| LogLines)).try_init(),
    }
    .map_err(LogError::Installed)?;
    // The default hook writes to standard error, which may be the same pipe that nobody reads.
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// A layer of text that writes to standard output, with colours on a terminal alone.
fn to_stdout<S>(
    layer: fmt::Layer<S, text::Fields>,
) -> fmt::Layer<S, text::Fields, fmt::format::Format, fn() -> LogLines> {
    let writer: fn() -> LogLines = || LogLines;
    let layer = layer.with_writer(writer);
    // The layer itself obeys NO_COLOR unless colours are set explicitly.
    if std::io::stdout().is_terminal() { layer } else { layer.with_ansi(false) }
}

/// Logs by another filter from now on, made by [`filter`]; nothing happens where logging was not started.
pub fn refilter(filter: &str) -> Result<(), LogError> {
    let parsed = parsed(filter)?;
    // Only a log that is gone refuses it.
    FILTER.get().and_then(|handle| handle.reload(parsed).ok());
    Ok(())
}

fn parsed(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(filter).map_err(|error| LogError::Filter(filter.to_owned(), Some(error)))
}

/// Logs a panic, with a backtrace if `RUST_BACKTRACE` asks for it.
fn panicked(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let (thread, text) = (std::thread::current(), panic.to_string().replace('\n', " "));
    tracing::error!(thread = thread.name(), backtrace, "{text}");
}

/// Fields at the top level beside `timestamp`, not below `fields`; of the spans only the innermost.
fn json<S>() -> fmt::Layer<S, fmt::format::JsonFields, Harmless<fmt::format::Format<fmt::format::Json>>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
    layer.map_event_format(Harmless)
}

/// Whether a line cannot contain a body, handle or credential: `trace` of the AWS SDK and HTTP stack can.
fn shows_no_bodies(line: &Metadata<'_>) -> bool {
    let ours = line.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    ours || *line.level() != Level::TRACE
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_plain_level_is_about_this_program() {
        let filter = |text| filter(text).map_err(|_| ());
        assert_eq!(filter("info"), Ok(DEFAULT_FILTER.to_owned()));
        assert_eq!(filter("DEBUG"), Ok("warn,aws_config=error,queuepost=debug".to_owned()));
        assert_eq!(filter("error"), Ok("error".to_owned()));
        assert_eq!(filter("info,hyper=debug"), Ok("info,hyper=debug".to_owned()));
        for text in ["", "verbose", "hyper", "info,", "queuepost=loud", "a=b=c"] {
            assert_eq!(filter(text), Err(()), "{text:?}");
        }
    }

    /// The output for an event with hostile text in every kind of field. The layer is that of `text` or
    /// [`json`].
    fn written(is_json: bool) -> String {
        let evil = "A\x1b]0;pwn\x07\u{9b}31m\u{202e}\x7f\u{2028}\r\nWARN forged";
        let sink = Sink::default();
        let writer = sink.clone();
        let log = move || {
            tracing::warn!(shown = %evil, debugged = ?evil, plain = evil, "said {evil}");
        };
        if is_json {
            tracing::subscriber::with_default(
                Registry::default().with(json().with_writer(move || writer.clone())),
                log,
            );
        } else {
            let layer = fmt::layer().with_ansi(false).fmt_fields(text::Fields);
            let layer = layer.with_writer(move || writer.clone());
            tracing::subscriber::with_default(Registry::default().with(layer), log);
        }
        let bytes = sink.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn no_words_from_outside_steer_a_terminal_or_forge_a_line() {
        for is_json in [false, true] {
            let text = written(is_json);
            let line = text.strip_suffix('\n').expect("a whole line");
            assert!(!line.chars().any(crate::escape::is_unsafe), "{text:?}");
            assert_eq!(line.matches("forged").count(), 4, "{text:?}");
        }
        let object: serde_json::Value = serde_json::from_str(&written(true)).expect("an object");
        assert!(object["shown"].as_str().is_some_and(|text| text.contains("\u{9b}31m\u{202e}")), "{object}");
    }

    #[test]
    fn a_line_of_text_has_message_and_fields_with_a_space_between() {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = fmt::layer().with_ansi(false).with_target(false).without_time();
        let layer = layer.fmt_fields(text::Fields).with_writer(move || writer.clone());
        let subscriber = Registry::default().with(layer);
        tracing::subscriber::with_default(subscriber, || tracing::warn!(status = 429, of = "x y", "parked"));
        let bytes = sink.0.lock().expect("not poisoned").clone();
        assert_eq!(String::from_utf8(bytes).expect("text"), " WARN parked status=429 of=\"x y\"\n");
    }

    #[test]
    fn trace_of_libraries_is_not_logged_whatever_the_filter_says() {
        let sink = Sink::default();
        let writer = sink.clone();
        let filter = EnvFilter::builder().parse("trace,aws_smithy_runtime=trace").expect("a filter");
        let layers = Registry::default().with(filter).with(filter_fn(shows_no_bodies));
        tracing::subscriber::with_default(layers.with(json().with_writer(move || writer.clone())), || {
            tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", "body");
            tracing::trace!(target: "queuepost_of_another::crate_", "body");
            tracing::debug!(target: "hyper_util::client", "pooled");
            tracing::trace!("ours");
        });
        let bytes = sink.0.lock().expect("not poisoned").clone();
        let text = String::from_utf8(bytes).expect("text");
        assert!(!text.contains("body") && text.contains("pooled") && text.contains("ours"), "{text}");
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_has_its_fields_at_the_top() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = Registry::default().with(json().with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || tracing::warn!(status = 429, "parked"));
        let bytes = sink.0.lock().expect("not poisoned").clone();
        let line = String::from_utf8(bytes).expect("text");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["message"], "parked");
        assert_eq!(object["status"], 429);
        assert_eq!(object["target"], "queuepost::telemetry::log::tests");
        let timestamp = object["timestamp"].as_str().expect("a timestamp");
        assert!(humantime::parse_rfc3339(timestamp).is_ok() && timestamp.ends_with('Z'), "{timestamp}");
    }
}
