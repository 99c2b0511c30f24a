//! Functions made with Powertools for AWS Lambda get batches, and their answers settle each message.

use std::collections::{BTreeMap, BTreeSet};

use queuepost::localqueue::{AttributeData, AttributeValue, SendMessage};
use serde_json::{Value, json};

use super::lines::Script;
use super::{config, node, python};
use crate::e2e::process::{Queuepost, until};
use crate::e2e::servers::QueueServer;

const KEYS: &str = "preset: lambda, retry_delay: 1s, name: orders";

/// Sends `count` messages; every third fails at its first receive.
fn send(queues: &QueueServer, count: usize) -> BTreeSet<usize> {
    for n in 0..count {
        let attribute = |data_type: &str, value| AttributeValue { data_type: data_type.to_owned(), value };
        let attributes = BTreeMap::from([
            ("n".to_owned(), attribute("Number.int", AttributeData::Text(n.to_string()))),
            ("raw".to_owned(), attribute("Binary", AttributeData::Binary(vec![0, 255]))),
            ("who".to_owned(), attribute("String", AttributeData::Text("Größe".into()))),
        ]);
        let body = json!({"n": n, "fails": usize::from(n % 3 == 0)}).to_string();
        let message = SendMessage { body, attributes, ..SendMessage::default() };
        queues.broker.with(|broker, now| broker.send(now, "orders", message)).unwrap();
    }
    (0..count).filter(|n| n % 3 == 0).collect()
}

#[tokio::test]
async fn a_function_of_powertools_for_python_settles_each_record_of_a_batch() {
    let Some(python) = python("Powertools for Python") else { return };
    let mut function = Script::start(&python, "function.py", &[]).await;
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let failing = send(&queues, 30);
    let config = config("lambda-python", &[(&queue, KEYS)], &function.url);
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    bridge.find_admin().await;
    let mut receives: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut largest = 0;
    while receives.values().map(Vec::len).sum::<usize>() < 30 + failing.len() {
        let seen = function.next().await;
        assert_eq!(seen["type"], "application/json");
        let records = seen["records"].as_array().unwrap();
        largest = largest.max(records.len());
        for record in records {
            check(record);
            let n = record["json"]["n"].as_u64().unwrap();
            let count = record["receives"].as_str().unwrap().parse().unwrap();
            receives.entry(usize::try_from(n).unwrap()).or_default().push(count);
        }
    }
    queues.until_empty("orders").await;
    for (n, counts) in receives {
        let expected: &[u64] = if failing.contains(&n) { &[1, 2] } else { &[1] };
        assert_eq!(counts, expected, "message {n}");
    }
    assert!((2..=10).contains(&largest), "POSTs with several records: {largest}");
    assert_eq!(queues.census("orders"), (0, 0, 0));
    let deleted = bridge.metric("messages_deleted_total", r#"listener="orders""#).await;
    assert_eq!(deleted.to_string(), "30");
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.output.contains("batch_item_failed") || ended.output.contains("function_error"),
        "{}",
        ended.output
    );
    std::fs::remove_file(config).ok();
}

#[tokio::test]
async fn a_batch_gathers_what_several_receives_bring_and_each_message_is_handled_once() {
    let Some(python) = python("Powertools for Python, gathered batches") else { return };
    let mut function = Script::start(&python, "function.py", &[]).await;
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for n in 0..60 {
        queues.send("orders", &json!({"n": n}).to_string());
    }
    let keys = format!("{KEYS}, batch: {{size: 50, window: 2s}}");
    let config = config("lambda-gathered", &[(&queue, &keys)], &function.url);
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    bridge.find_admin().await;
    let (mut handled, mut sizes) = (BTreeMap::<u64, usize>::new(), Vec::new());
    while sizes.iter().sum::<usize>() < 60 {
        let seen = function.next().await;
        let records = seen["records"].as_array().unwrap();
        sizes.push(records.len());
        for record in records {
            *handled.entry(record["json"]["n"].as_u64().unwrap()).or_default() += 1;
        }
    }
    queues.until_empty("orders").await;
    assert!(handled.len() == 60 && handled.values().all(|count| *count == 1), "{handled:?}");
    let largest = *sizes.iter().max().unwrap();
    assert!((11..=50).contains(&largest), "one receive brings ten at most: {sizes:?}");
    assert_eq!(bridge.metric("messages_deleted_total", r#"listener="orders""#).await.to_string(), "60");
    let posts = bridge.metric("deliveries_total", r#"listener="orders""#).await;
    assert_eq!(posts.to_string(), sizes.len().to_string(), "{sizes:?}");
    assert_eq!(bridge.stop().await.code, Some(0));
    std::fs::remove_file(config).ok();
}

/// What Powertools reads of a record.
fn check(record: &Value) {
    let expected = json!({
        "n": ["Number.int", record["json"]["n"].to_string()],
        "raw": ["Binary", "AP8="],
        "who": ["String", "Größe"],
    });
    assert_eq!(record["attributes"], expected);
    assert_eq!(record["digests"], json!([true, true]), "{record}");
    assert_eq!((&record["handle"], &record["group"]), (&json!(true), &Value::Null));
    assert!(
        record["times"].as_array().unwrap().iter().all(|time| time.as_str().unwrap().len() == 13),
        "{record}"
    );
    assert!(record["sender"].as_str().is_some_and(|sender| !sender.is_empty()), "{record}");
    let arn = "arn:aws:sqs:us-east-1:000000000000:orders";
    let url = "https://sqs.us-east-1.amazonaws.com/000000000000/orders";
    assert_eq!(record["source"], json!(["aws:sqs", arn, "us-east-1", url]));
}

#[tokio::test]
async fn the_strict_schema_of_powertools_for_typescript_takes_the_event_whole() {
    let Some(packages) = node("Powertools for TypeScript") else { return };
    let env = [("PACKAGES", packages.to_str().unwrap()), ("PATH", &std::env::var("PATH").unwrap())];
    let mut function = Script::start("node".as_ref(), "function.mjs", &env).await;
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let failing = send(&queues, 30);
    let config = config("lambda-node", &[(&queue, KEYS)], &function.url);
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    let (mut seen, mut counts) = (0, BTreeMap::<String, usize>::new());
    while seen < 30 + failing.len() {
        let event = function.next().await;
        assert_eq!((&event["success"], &event["same"]), (&json!(true), &json!(true)), "{event}");
        for record in event["records"].as_array().unwrap() {
            *counts.entry(record["id"].as_str().unwrap().to_owned()).or_default() += 1;
            seen += 1;
        }
    }
    queues.until_empty("orders").await;
    let again = counts.values().filter(|count| **count == 2).count();
    assert_eq!((counts.len(), again), (30, failing.len()), "{counts:?}");
    assert_eq!(bridge.stop().await.code, Some(0));
    std::fs::remove_file(config).ok();
}

#[tokio::test]
async fn no_message_is_deleted_for_an_answer_that_cannot_be_read() {
    let Some(python) = python("Powertools for Python, malformed answers") else { return };
    for (answer, reason) in [
        ("OK", "bad_batch_answer"),
        (r#"{"batchItemFailures":[{"itemIdentifier":"unknown"}]}"#, "bad_batch_answer"),
        (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, "bad_batch_answer"),
        (&format!(r#"{{"batchItemFailures":[],"more":"{}"}}"#, "x".repeat(70_000)), "long_batch_answer"),
    ] {
        let mut function = Script::start(&python, "function.py", &[("ANSWER", answer)]).await;
        let queues = QueueServer::start().await;
        let queue = queues.queue("orders", 10);
        queues.send("orders", "{}");
        let config = config("lambda-malformed", &[(&queue, "preset: lambda, name: orders")], &function.url);
        let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
        bridge.find_admin().await;
        assert_eq!(function.next().await["thrown"], Value::Null);
        bridge.until_line(reason).await;
        let hidden = until(|| (queues.census("orders") == (0, 1, 0)).then_some(())).await;
        assert!(hidden.is_some(), "{answer}: {:?}", queues.census("orders"));
        assert_eq!(bridge.metric("messages_deleted_total", r#"listener="orders""#).await.to_string(), "0");
        assert_eq!(bridge.stop().await.code, Some(0));
        std::fs::remove_file(config).ok();
    }
}

#[tokio::test]
async fn a_function_that_throws_behind_the_invoke_api_fails_its_batch_and_the_log_says_so() {
    let Some(python) = python("Powertools for Python, function errors") else { return };
    let mut function = Script::start(&python, "function.py", &[]).await;
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", r#"{"fails": 1}"#);
    let config = config("lambda-throws", &[(&queue, KEYS)], &function.url);
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    assert_eq!(function.next().await["thrown"], "BatchProcessingError");
    let line = bridge.until_line("function_error").await;
    assert!(line.contains("errorType") && !line.contains("AQEB"), "the answer is in the log: {line}");
    assert_eq!(function.next().await["records"][0]["receives"], "2");
    queues.until_empty("orders").await;
    assert_eq!(bridge.stop().await.code, Some(0));
    std::fs::remove_file(config).ok();
}
