//! Traces: a span for each receive that brought something, each message, each POST and each settling call.
//!
//! Real with the feature `otlp` and a collector in `OTEL_EXPORTER_OTLP_ENDPOINT`. Without the feature every type here
//! is empty and every method does nothing, so that the compiler leaves nothing of them: who calls these need not ask.
//! Names and attributes are OpenTelemetry's for messaging and HTTP clients. A message is *linked* to the context its
//! sender wrote into `traceparent`, and the endpoint gets that of its POST.

#[cfg(not(feature = "otlp"))]
mod none;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use none::{Call, Journey, Post, Traces};
#[cfg(feature = "otlp")]
pub use otlp::{Call, Journey, Post, Traces};
