//! Traces: a span for each receive with messages, each message, each POST and each settling call.
//!
//! Traces need the feature `otlp` and a collector in `OTEL_EXPORTER_OTLP_ENDPOINT`. Without the feature every
//! type here is empty and every method does nothing. The compiler removes them, so callers need no check.
//! Names and attributes follow OpenTelemetry's conventions for messaging and HTTP clients. A message is
//! *linked* to the context in its `traceparent`, and the endpoint gets the context of its POST.

#[cfg(not(feature = "otlp"))]
mod none;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use none::{Call, Journey, Post, Traces};
#[cfg(feature = "otlp")]
pub use otlp::{Call, Journey, Post, Traces};
