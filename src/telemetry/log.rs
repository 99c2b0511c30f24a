//! Logs: text for people, one JSON object a line for machines; always to standard output.
//!
//! A plain level is about this program; the AWS SDK and the HTTP stack keep to warnings, or `debug` would drown
//! what it is meant to show (and `aws_config` repeats as warnings what comes back as an error). Colour only on a terminal and never with `NO_COLOR` set. Bodies, receipt handles and
//! credentials are not logged at any level.

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt};

use crate::telemetry::text;

/// Filter of the level `info`.
pub const DEFAULT_FILTER: &str = "warn,aws_config=error,queuepost=info";

/// Target of the lines that say that a message was delivered: they can be asked for without all of `debug`.
pub const DELIVERED: &str = "queuepost::delivered";

/// How logs are written, already valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For whom.
    pub format: Format,
    /// Directives, as [`filter`] makes them.
    pub filter: String,
}

/// For whom logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// People.
    Text,
    /// Machines: one object a line with `timestamp` (RFC 3339, UTC), `level`, `message`, `target` and the fields.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("{0:?} is no log filter")]
    Filter(String, #[source] Option<ParseError>),
    /// Something else logs already.
    #[error("logging is already set up")]
    Installed(#[source] TryInitError),
}

/// The directives of what a person writes: a level for this program, or directives, taken as they are.
pub fn filter(text: &str) -> Result<String, LogError> {
    let level = text.to_ascii_lowercase();
    match level.as_str() {
        // Nothing else may be louder than this program.
        "off" | "error" | "warn" => return Ok(level),
        "info" | "debug" | "trace" => return Ok(format!("warn,aws_config=error,queuepost={level}")),
        _ => {}
    }
    // A lone word would be taken for a module to trace, and everything else would be silent.
    if !text.contains('=') {
        return Err(LogError::Filter(text.to_owned(), None));
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(LogError::Filter(text.to_owned(), Some(error))),
    }
}

/// Starts logging, once in a process.
pub fn init(settings: &Settings) -> Result<(), LogError> {
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|error| LogError::Filter(settings.filter.clone(), Some(error)))?;
    let registry = Registry::default().with(filter);
    match settings.format {
        Format::Text => {
            let layer = text::layer();
            // The layer itself heeds NO_COLOR as long as it is not told.
            let layer = if std::io::stdout().is_terminal() { layer } else { layer.with_ansi(false) };
            registry.with(layer).try_init()
        }
        Format::Json => registry.with(json()).try_init(),
    }
    .map_err(LogError::Installed)
}

/// Fields beside `timestamp` and not below `fields`; of the spans only the innermost.
fn json<S>() -> fmt::Layer<S, fmt::format::JsonFields, fmt::format::Format<fmt::format::Json>> {
    fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false)
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
