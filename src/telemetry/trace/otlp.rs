//! Traces by OTLP: protobuf over HTTP, in batches, from a thread of their own.
//!
//! The exporter reads OpenTelemetry's standard variables. It is off without an address in
//! `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`), and with `OTEL_SDK_DISABLED=true`. Then spans cost
//! next to nothing. Spans that the collector refuses are lost; deliveries never wait for it. An empty receive
//! has no span.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::global::{self, BoxedSpan, BoxedTracer};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Link, Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::message::{AttributeValue, Message};
use crate::policy::outcome::Outcome;
use crate::ports::{Operation, QueueErrorKind};
use crate::telemetry::Chain;

/// The exporter of the process's spans.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sets the exporter up as the variables say, once per process.
    pub fn start(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if super::asked_for_by(&variable).is_none() {
            return Self(None);
        }
        let exporter = match SpanExporter::builder().with_http().build() {
            Ok(exporter) => exporter,
            Err(error) => {
                tracing::error!(error = %Chain(&error), "no traces: the exporter could not be set up");
                return Self(None);
            }
        };
        let resource = Resource::builder();
        let named = set("OTEL_SERVICE_NAME").is_some();
        let resource = if named { resource } else { resource.with_service_name("queuepost") };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        global::set_tracer_provider(provider.clone());
        tracing::info!("traces go to the collector");
        Self(Some(provider))
    }

    /// Sends the remaining spans, and waits for that.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        match tokio::task::spawn_blocking(move || provider.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "the last traces were not sent"),
            Err(error) => tracing::warn!(%error, "the last traces were not sent"),
        }
    }
}

fn tracer() -> BoxedTracer {
    global::tracer("queuepost")
}

/// One message, from its receive until its disposition is decided: the span `process QUEUE`.
#[derive(Debug)]
pub struct Journey(Context);

impl Journey {
    /// The message was received.
    pub fn begin(queue: &str, message: &Message) -> Self {
        let tracer = tracer();
        let span = tracer
            .span_builder(format!("process {queue}"))
            .with_kind(SpanKind::Consumer)
            .with_links(vec![Link::with_context(sender(message))])
            .with_attributes(
                messaging(queue, "process", "process")
                    .into_iter()
                    .chain([KeyValue::new("messaging.message.id", message.id.as_str().to_owned())]),
            )
            .start_with_context(&tracer, &Context::new());
        Self(Context::new().with_span(span))
    }

    /// A POST of the message begins: the span `POST`, whose context goes out in the headers.
    pub fn post(&self, endpoint: &str, headers: &mut HeaderMap) -> Post {
        let tracer = tracer();
        let span = tracer
            .span_builder("POST")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("queuepost.endpoint", endpoint.to_owned()),
            ])
            .start_with_context(&tracer, &self.0);
        let context = Context::new().with_span(span);
        if context.span().span_context().is_valid() {
            // The trace of the sender, which ours is only linked to.
            headers.remove("tracestate");
            TraceContextPropagator::new().inject_context(&context, &mut Headers(headers));
        }
        Post(context)
    }
}

/// One running POST. Dropped, it ends without a result.
#[derive(Debug)]
pub struct Post(Context);

impl Post {
    /// The result of the POST, for the spans of POST and message.
    pub fn ended(self, journey: &Journey, outcome: Outcome, status: Option<u16>) {
        let span = self.0.span();
        if let Some(status) = status {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if outcome != Outcome::Success {
            let error = status.map_or_else(|| outcome.label().to_owned(), |status| status.to_string());
            span.set_attribute(KeyValue::new("error.type", error));
            span.set_status(Status::error(""));
            journey.0.span().set_attribute(KeyValue::new("error.type", outcome.label()));
            journey.0.span().set_status(Status::error(""));
        }
        span.end();
    }
}

/// One call to SQS.
#[derive(Debug)]
pub struct Call(SystemTime);

impl Call {
    /// The call begins; whether it gets a span is decided at its end.
    pub fn begin() -> Self {
        Self(opentelemetry::time::now())
    }

    /// A receive returned messages: the span `receive QUEUE`, linked to their senders.
    pub fn received(self, queue: &str, messages: &[Message]) {
        if messages.is_empty() {
            return;
        }
        let links = messages.iter().map(|message| Link::with_context(sender(message))).collect();
        self.span(queue, "receive", "receive", messages.len(), links).end();
    }

    /// A call ended: the span `delete QUEUE`, `change_visibility QUEUE` or `send QUEUE`; `receive QUEUE` if a
    /// receive failed.
    pub fn ended(self, queue: &str, operation: Operation, messages: usize, error: Option<QueueErrorKind>) {
        let (name, kind) = match operation {
            Operation::Receive if error.is_some() => ("receive", "receive"),
            Operation::Delete => ("delete", "settle"),
            Operation::ChangeVisibility => ("change_visibility", "settle"),
            Operation::Send => ("send", "send"),
            // These calls concern no message, or are of no listener.
            Operation::Receive
            | Operation::QueueUrl
            | Operation::Attributes
            | Operation::Queues
            | Operation::Sources
            | Operation::StartMove
            | Operation::Moves
            | Operation::CancelMove
            | Operation::Purge => return,
        };
        let mut span = self.span(queue, name, kind, messages, Vec::new());
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error.label()));
            span.set_status(Status::error(""));
        }
        span.end();
    }

    fn span(
        self,
        queue: &str,
        name: &'static str,
        kind: &'static str,
        messages: usize,
        links: Vec<Link>,
    ) -> BoxedSpan {
        let tracer = tracer();
        let count =
            KeyValue::new("messaging.batch.message_count", i64::try_from(messages).unwrap_or(i64::MAX));
        tracer
            .span_builder(format!("{name} {queue}"))
            .with_kind(SpanKind::Client)
            .with_start_time(self.0)
            .with_links(links)
            .with_attributes(messaging(queue, name, kind).into_iter().chain([count]))
            .start_with_context(&tracer, &Context::new())
    }
}

fn messaging(queue: &str, name: &'static str, kind: &'static str) -> [KeyValue; 4] {
    [
        KeyValue::new("messaging.system", "aws_sqs"),
        KeyValue::new("messaging.operation.name", name),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.name", queue.to_owned()),
    ]
}

/// The context that the sender wrote into the message; an invalid context is ignored, and no span is linked
/// to it.
fn sender(message: &Message) -> SpanContext {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Attributes(message));
    context.span().span_context().clone()
}

struct Attributes<'a>(&'a Message);

impl Extractor for Attributes<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let attribute = self.0.attributes.iter().find(|attribute| attribute.name == key)?;
        match &attribute.value {
            AttributeValue::Text(text) => Some(text),
            AttributeValue::Binary(_) => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.attributes.iter().map(|attribute| attribute.name.as_str()).collect()
    }
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}
