//! Events as the official SDK of another language reads them.

use serde_json::{Value, json};

use super::lines::Script;
use super::python;
use crate::e2e::process::Queuepost;
use crate::e2e::servers::QueueServer;

const EVENT: &str = r#"{"specversion":"1.0","id":"made-1","source":"/mine","type":"com.example.made","time":"2020-01-02T03:04:05Z","datacontenttype":"application/json","zone":"eu","data":{"n":1}}"#;
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What the SDK reads of one message sent by a listener in `mode`.
async fn read(mode: &str, body: &str, attributes: &[(&str, &str)]) -> Option<Value> {
    let python = python(&format!("CloudEvents, {mode}"))?;
    let mut receiver = Script::start(&python, "cloudevents_receiver.py", &[]).await;
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send_with("orders", body, attributes);
    let config = format!(
        "listeners:\n  - queue: '{queue}'\n    url: {}/events\n    cloudevents: {{mode: {mode}, subject: 'Größe \"7\" %'}}\n\
         admin: {{listen: 127.0.0.1:0}}\nlog: {{format: json}}\n",
        receiver.url
    );
    let path = format!("{}/cloudevents-{mode}-{}.yaml", env!("CARGO_TARGET_TMPDIR"), queues.address.port());
    std::fs::write(&path, config).unwrap();
    let mut bridge = Queuepost::start(&["run", "--config", &path], &[]);
    let read = receiver.next().await;
    queues.until_empty("orders").await;
    assert_eq!(bridge.stop().await.code, Some(0));
    std::fs::remove_file(path).ok();
    assert_eq!((&read["mode"], &read["path"]), (&json!(mode), &json!("/events")), "{read}");
    assert_eq!(read["events"].as_array().map(Vec::len), Some(1), "{read}");
    Some(read["events"][0].clone())
}

#[tokio::test]
async fn the_python_sdk_reads_a_message_as_the_same_event_in_each_mode() {
    for mode in ["binary", "structured", "batched"] {
        for (body, content_type, data) in [
            (r#"{"a":[1,"ü"]}"#, "application/json", json!({"a": [1, "ü"]})),
            ("héllo\n\"world\"", "text/plain; charset=utf-8", json!("héllo\n\"world\"")),
        ] {
            let sent = [("Tenant-Id", "a b%"), ("traceparent", PARENT)];
            let Some(event) = read(mode, body, &sent).await else { return };
            let attributes = &event["attributes"];
            assert_eq!(event["data"], data, "{mode}");
            for (name, value) in [
                ("specversion", "1.0"),
                ("source", "urn:queuepost:queue:orders"),
                ("type", "com.amazon.sqs.message"),
                ("subject", "Größe \"7\" %"),
                ("datacontenttype", content_type),
                ("tenantid", "a b%"),
                ("traceparent", PARENT),
            ] {
                assert_eq!(attributes[name], value, "{mode}: {name} of {event}");
            }
            assert_eq!(attributes["id"].as_str().map(str::len), Some(36), "{event}");
            // The SDK parsed the time, so it prints it its own way.
            assert!(attributes["time"].as_str().unwrap().ends_with("+00:00"), "{event}");
        }
    }
}

#[tokio::test]
async fn the_python_sdk_reads_an_event_that_was_sent_to_the_queue_as_that_event() {
    for mode in ["binary", "structured", "batched"] {
        let as_body = read(mode, EVENT, &[]).await;
        let Some(as_body) = as_body else { return };
        let attributes = [
            ("ce-specversion", "1.0"),
            ("ce-id", "made-1"),
            ("ce-source", "/mine"),
            ("ce-type", "com.example.made"),
            ("ce-time", "2020-01-02T03:04:05Z"),
            ("ce-zone", "eu"),
            ("content-type", "application/json"),
        ];
        let as_attributes = read(mode, r#"{"n":1}"#, &attributes).await.unwrap();
        assert_eq!(as_body, as_attributes, "{mode}");
        let expected: Value = serde_json::from_str(EVENT).unwrap();
        for name in ["specversion", "id", "source", "type", "zone", "datacontenttype"] {
            assert_eq!(as_body["attributes"][name], expected[name], "{mode}: {name}");
        }
        assert_eq!(as_body["data"], expected["data"], "{mode}");
    }
}

#[tokio::test]
async fn the_python_sdk_reads_every_event_of_a_batch() {
    let Some(python) = python("CloudEvents, batches of several") else { return };
    let mut receiver = Script::start(&python, "cloudevents_receiver.py", &[]).await;
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for n in 0..30 {
        queues.send("orders", &json!({ "n": n }).to_string());
    }
    let keys = "cloudevents: {mode: batched}, batch: {size: 10}";
    let config = super::config("cloudevents-batch", &[(&queue, keys)], &receiver.url);
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    let (mut seen, mut largest) = (Vec::new(), 0);
    while seen.len() < 30 {
        let read = receiver.next().await;
        assert_eq!(read["mode"], "batched", "{read}");
        let events = read["events"].as_array().unwrap();
        largest = largest.max(events.len());
        seen.extend(events.iter().map(|event| event["data"]["n"].as_u64().unwrap()));
    }
    queues.until_empty("orders").await;
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<u64>>(), "each message once");
    assert!((2..=10).contains(&largest), "events of a POST: {largest}");
    assert_eq!(bridge.stop().await.code, Some(0));
    std::fs::remove_file(config).ok();
}
