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

/// Each of these variables may hold the collector's address.
const ADDRESSES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The variable that asks for traces, unless another turns them off.
fn asked_for_by(variable: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    ADDRESSES.into_iter().find(|name| !disabled && set(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_asked_for_by_an_address_unless_the_sdk_is_off() {
        let asked = |pairs: &[(&str, &str)]| {
            let value =
                |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            asked_for_by(value)
        };
        let [for_traces, for_all] = ADDRESSES;
        assert_eq!(asked(&[(for_all, "http://c:4318")]), Some(for_all));
        assert_eq!(asked(&[(for_traces, "http://c:4318")]), Some(for_traces));
        assert_eq!(asked(&[(for_all, "")]), None);
        assert_eq!(asked(&[(for_all, "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")]), None);
        assert_eq!(asked(&[]), None);
    }
}
