//! Traces: what a collector gets from the real binary, built with the feature `otlp`.

use std::time::Duration;

use axum::body::Bytes;

use super::process::{Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A span in the protocol's form (`opentelemetry.proto.trace.v1.Span`), with the fields these tests read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    /// Trace and span id of each link.
    links: Vec<(String, String)>,
    /// Attributes with text values.
    attributes: Vec<(String, String)>,
}

/// The fields of a protobuf message: number and, for texts, bytes and messages, the content.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let (value, length) = match tag & 7 {
            0 => (varint(&mut bytes), 0),
            1 => (0, 8),
            2 => (0, usize::try_from(varint(&mut bytes)).unwrap()),
            5 => (0, 4),
            other => panic!("no wire type {other}"),
        };
        let (content, rest) = bytes.split_at(length);
        bytes = rest;
        found.push((tag >> 3, value, content));
    }
    found
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn within(bytes: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes).into_iter().filter(move |field| field.0 == number).map(|field| field.2)
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, value, content) in fields(bytes) {
        match number {
            1 => span.trace = hex(content),
            2 => span.id = hex(content),
            4 => span.parent = hex(content),
            5 => span.name = text(content),
            6 => span.kind = value,
            9 => {
                let key = within(content, 1).map(text).next().unwrap();
                let value =
                    within(content, 2).flat_map(|value| within(value, 1).map(text).collect::<Vec<_>>());
                span.attributes.push((key, value.collect()));
            }
            13 => {
                let id = |number| within(content, number).map(hex).next().unwrap();
                span.links.push((id(1), id(2)));
            }
            _ => {}
        }
    }
    span
}

/// Every span that arrived at the collector.
fn spans(collector: &HttpEndpoint) -> Vec<Span> {
    let bodies: Vec<Bytes> =
        collector.seen.requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    let mut found = Vec::new();
    for body in &bodies {
        for resource in within(body, 1) {
            for scope in within(resource, 2) {
                found.extend(within(scope, 2).map(span));
            }
        }
    }
    found
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

async fn traced(status: u16, env: &[(&str, &str)]) -> (HttpEndpoint, Vec<Span>) {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    queues.send_with("orders", "{}", &[("traceparent", &parent), ("tracestate", "vendor=1")]);
    let endpoint = HttpEndpoint::start(status, Duration::ZERO).await;
    let collector = HttpEndpoint::start(200, Duration::ZERO).await;
    let base = collector.url.trim_end_matches("/work").to_owned();
    let mut variables = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", base.as_str())];
    variables.extend(env);
    let arguments = ["run", "--queue", &queue, "--url", &endpoint.url, "--admin-listen", "127.0.0.1:0"];
    let more = ["--log-format", "json", "--receive-wait", "1s"];
    let mut bridge = Queuepost::start(&[&arguments[..], &more[..]].concat(), &variables);
    bridge.find_admin().await;
    let settled = || (queues.census("orders").0 == 0 && endpoint.seen.count() == 1).then_some(());
    assert!(until(settled).await.is_some(), "{}", bridge.output());
    // The remaining spans are sent at the exit.
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let found = spans(&collector);
    (endpoint, found)
}

#[tokio::test]
async fn a_message_is_one_trace_linked_to_its_senders_and_the_endpoint_gets_its_context() {
    let (endpoint, spans) = traced(200, &[]).await;
    let sender = (TRACE.to_owned(), PARENT.to_owned());
    let [process] = named(&spans, "process orders")[..] else { panic!("{spans:#?}") };
    let [post] = named(&spans, "POST")[..] else { panic!("{spans:#?}") };
    let [receive] = named(&spans, "receive orders")[..] else { panic!("{spans:#?}") };
    let [delete] = named(&spans, "delete orders")[..] else { panic!("{spans:#?}") };
    assert_eq!((process.kind, &process.links, process.parent.as_str()), (5, &vec![sender.clone()], ""));
    assert_ne!(process.trace, TRACE);
    assert_eq!((post.kind, &post.trace, &post.parent), (3, &process.trace, &process.id));
    assert_eq!((receive.kind, &receive.links), (3, &vec![sender]));
    assert_eq!(delete.kind, 3);
    for span in [process, receive, delete] {
        assert!(span.attributes.contains(&("messaging.system".to_owned(), "aws_sqs".to_owned())));
        assert!(span.attributes.contains(&("messaging.destination.name".to_owned(), "orders".to_owned())));
    }
    let (headers, _) = endpoint.seen.requests.lock().unwrap()[0].clone();
    let out = format!("00-{}-{}-01", post.trace, post.id);
    assert_eq!(headers.get_all("traceparent").iter().collect::<Vec<_>>(), [out.as_str()]);
    assert!(headers.get("tracestate").is_none());
}

#[tokio::test]
async fn a_failure_is_named_on_the_post_and_on_the_message() {
    let (_, spans) = traced(429, &[]).await;
    let error = |name: &str| {
        let attributes = &named(&spans, name)[0].attributes;
        attributes.iter().find(|(key, _)| key == "error.type").map(|(_, value)| value.clone())
    };
    assert_eq!(error("POST").as_deref(), Some("429"));
    assert_eq!(error("process orders").as_deref(), Some("throttled"));
    assert_eq!(named(&spans, "change_visibility orders").len(), 1);
    assert_eq!(named(&spans, "delete orders").len(), 0);
}

#[tokio::test]
async fn without_a_wish_for_traces_the_senders_context_passes_through() {
    let (endpoint, spans) = traced(200, &[("OTEL_SDK_DISABLED", "true")]).await;
    assert_eq!(spans, []);
    let (headers, _) = endpoint.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(headers.get("traceparent").unwrap(), format!("00-{TRACE}-{PARENT}-01").as_str());
    assert_eq!(headers.get("tracestate").unwrap(), "vendor=1");
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_up_nothing() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", "{}");
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let collector = format!("http://{nobody}");
    let arguments = ["run", "--queue", &queue, "--url", &endpoint.url, "--admin-listen", "127.0.0.1:0"];
    let more = ["--log-format", "json", "--receive-wait", "1s"];
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str())];
    let mut bridge = Queuepost::start(&[&arguments[..], &more[..]].concat(), &variables);
    bridge.find_admin().await;
    queues.until_empty("orders").await;
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains("traces go to the collector"), "{}", ended.output);
}
