//! Results with the real binary: on the right queue, with the right words, and the message gone after them.
//!
//! The endpoint is Python's HTTP server. The queues are those of the embedded server and of an independent one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as System, QueueAttributeName as Attribute};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dev::addresses;
use super::process::{PATIENCE, Queuepost, until};
use crate::contract::server::{Kind, Server};

const ACCOUNT: &str = "111111111111";
const ENV: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", ACCOUNT), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_REGION", "us-east-1")];

/// Python's HTTP server, and the bodies that it got.
struct Endpoint {
    url: String,
    bodies: Arc<Mutex<Vec<String>>>,
    _reader: JoinSet<()>,
    _child: Child,
}

impl Endpoint {
    async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/results/endpoint.py");
        let mut command = Command::new("python3");
        command.arg(script).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("python3");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
        let (mut reader, got) = (JoinSet::new(), Arc::clone(&bodies));
        reader.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                got.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { url: format!("http://127.0.0.1:{port}/work"), bodies, _reader: reader, _child: child }
    }

    fn times(&self, body: &str) -> usize {
        self.bodies.lock().unwrap().iter().filter(|got| *got == body).count()
    }
}

/// A configuration file, removed at its end.
struct Config(PathBuf);

impl Config {
    fn new(name: &str, queue: &str, url: &str, results: &str) -> Self {
        let path = std::env::temp_dir().join(format!("queuepost-results-{}-{name}.yaml", std::process::id()));
        let text = format!(
            "listeners:\n  - queue: {queue}\n    name: orders\n    url: {url}\n    receive_wait: 1s\n    timeout: 5s\n    \
             retry_delay: 1s\n    results: {results}\nadmin: {{listen: \"127.0.0.1:0\"}}\nlog: {{format: json}}\n"
        );
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    async fn run(&self) -> Queuepost {
        let mut bridge = Queuepost::start(&["run", "--config", self.path()], &ENV);
        bridge.find_admin().await;
        bridge
    }

    /// Exit code and output of `check`.
    async fn check(&self) -> (Option<i32>, String) {
        let ended = Queuepost::start(&["check", "--config", self.path()], &ENV).ended().await;
        (ended.code, ended.output)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Queues of a server, by name.
struct Queues {
    sqs: Client,
}

impl Queues {
    fn of(server: &Server) -> Self {
        Self { sqs: server.client(ACCOUNT) }
    }

    /// Makes a queue; returns its URL.
    async fn make(&self, name: &str, attributes: &[(Attribute, &str)]) -> String {
        let fifo = name.strip_suffix(".fifo").map(|_| (Attribute::FifoQueue, "true"));
        let all: HashMap<_, _> =
            attributes.iter().cloned().chain(fifo).map(|(name, value)| (name, value.to_owned())).collect();
        let create = self.sqs.create_queue().queue_name(name).set_attributes(Some(all));
        create.send().await.unwrap().queue_url.unwrap()
    }

    /// Makes a queue whose messages are dead letters after this many receives.
    async fn make_with_dead_letters(&self, name: &str, most: u32) -> String {
        let dlq = self.make(&format!("{name}-dlq"), &[]).await;
        let arn = self.attribute(&dlq, Attribute::QueueArn).await;
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": most}).to_string();
        self.make(name, &[(Attribute::RedrivePolicy, &policy)]).await
    }

    async fn attribute(&self, queue: &str, name: Attribute) -> String {
        let all = self.sqs.get_queue_attributes().queue_url(queue).attribute_names(Attribute::All);
        all.send().await.unwrap().attributes.unwrap().remove(&name).unwrap_or_default()
    }

    async fn send(&self, queue: &str, body: &str) {
        self.sqs.send_message().queue_url(queue).message_body(body).send().await.unwrap();
    }

    async fn send_in_group(&self, queue: &str, group: &str, body: &str) {
        let send = self.sqs.send_message().queue_url(queue).message_body(body);
        send.message_group_id(group).message_deduplication_id(body).send().await.unwrap();
    }

    /// Takes the next messages off a queue, this many.
    async fn take(&self, queue: &str, count: usize, bridge: &Queuepost) -> Vec<Message> {
        let (mut taken, end) = (Vec::new(), Instant::now() + PATIENCE);
        while taken.len() < count {
            assert!(
                Instant::now() < end,
                "{} of {count} results in {queue}\n{}",
                taken.len(),
                bridge.output()
            );
            let receive = self.sqs.receive_message().queue_url(queue).wait_time_seconds(1);
            let receive = receive.message_attribute_names("All").message_system_attribute_names(System::All);
            for message in receive.send().await.unwrap().messages.unwrap_or_default() {
                let handle = message.receipt_handle.clone().unwrap();
                self.sqs.delete_message().queue_url(queue).receipt_handle(handle).send().await.unwrap();
                taken.push(message);
            }
        }
        taken
    }

    /// Waits until the queue has no message, visible or in flight.
    async fn until_empty(&self, queue: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let (visible, hidden) =
                (Attribute::ApproximateNumberOfMessages, Attribute::ApproximateNumberOfMessagesNotVisible);
            let left = (self.attribute(queue, visible).await, self.attribute(queue, hidden).await);
            if left == ("0".to_owned(), "0".to_owned()) {
                return;
            }
            assert!(Instant::now() < end, "{queue} still has {left:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

fn attribute<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.message_attributes.as_ref()?.get(name)?.string_value.as_deref()
}

fn read(message: &Message) -> Value {
    serde_json::from_str(message.body.as_deref().unwrap()).unwrap()
}

/// A compressed body, read by Python's own gzip and base64.
async fn unpacked(body: &str) -> Value {
    let program = "import base64,gzip,sys; sys.stdout.buffer.write(gzip.decompress(base64.b64decode(sys.stdin.read(), validate=True)))";
    let mut command = Command::new("python3");
    command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut python = command.spawn().expect("python3");
    python.stdin.take().unwrap().write_all(body.as_bytes()).await.unwrap();
    let output = python.wait_with_output().await.unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A success and a failure, each on its queue.
async fn both_kinds_of_results_arrive(kind: Kind, name: &str) {
    let Some(server) = kind.start().await else { return };
    let (queues, endpoint) = (Queues::of(&server), Endpoint::start().await);
    let orders = queues.make_with_dead_letters("orders", 2).await;
    let (done, failed) = (queues.make("done", &[]).await, queues.make("failed", &[]).await);
    let results = "{success: {queue: done}, failure: {queue: failed, compress: true}}";
    let config = Config::new(name, &orders, &endpoint.url, results);
    queues.send(&orders, "good").await;
    queues.send(&orders, "bad").await;
    let mut bridge = config.run().await;

    let [good] = &queues.take(&done, 1, &bridge).await[..] else { panic!("one result") };
    let said = read(good);
    let expected = json!({"listener": "orders", "messageId": said["messageId"], "state": "SUCCESS", "outcome": "success",
        "enqueuedTime": said["enqueuedTime"], "startTime": said["startTime"], "endTime": said["endTime"], "status": 200,
        "body": "done: good", "bodyTruncated": false, "receive": 1});
    assert_eq!(said, expected);
    let time = |key: &str| said[key].as_u64().unwrap();
    assert!(time("startTime") <= time("endTime") && time("enqueuedTime") > 1_700_000_000_000, "{said}");
    assert_eq!(attribute(good, "queuepost.listener"), Some("orders"));
    assert_eq!(attribute(good, "queuepost.state"), Some("SUCCESS"));
    assert_eq!(attribute(good, "queuepost.source-message-id"), said["messageId"].as_str());

    let [bad] = &queues.take(&failed, 1, &bridge).await[..] else { panic!("one result") };
    assert_eq!(attribute(bad, "Content-Encoding"), Some("gzip"));
    assert_eq!(attribute(bad, "Content-Transfer-Encoding"), Some("base64"));
    let said = unpacked(bad.body.as_deref().unwrap()).await;
    assert_eq!((&said["state"], &said["outcome"]), (&json!("FAILED"), &json!("failed")));
    assert_eq!((&said["status"], &said["body"]), (&json!(500), &json!("broken: bad")));
    assert_eq!(said["receive"], 2, "the final receive, and none before");

    queues.until_empty(&orders).await;
    for queue in [&done, &failed] {
        queues.until_empty(queue).await;
    }
    assert_eq!((endpoint.times("good"), endpoint.times("bad")), (1, 2));
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_success_and_a_final_failure_each_have_a_result_on_their_queue() {
    both_kinds_of_results_arrive(Kind::Embedded, "embedded").await;
}

#[tokio::test]
async fn results_arrive_on_an_independent_server_too() {
    both_kinds_of_results_arrive(Kind::MiniStack { auth: false }, "ministack").await;
}

#[tokio::test]
async fn results_in_a_fifo_queue_keep_the_group_of_their_messages_and_have_ids() {
    let server = Kind::Embedded.start().await.unwrap();
    let (queues, endpoint) = (Queues::of(&server), Endpoint::start().await);
    let orders = queues.make("orders.fifo", &[]).await;
    let done = queues.make("done.fifo", &[]).await;
    let results = "{success: {queue: done.fifo, template: '{{ body }}', deduplication_id: 'x-{{ body }}'}}";
    let config = Config::new("fifo", &orders, &endpoint.url, results);
    let mut bridge = config.run().await;
    for body in ["a1", "a2", "a3"] {
        queues.send_in_group(&orders, "a", body).await;
    }
    let taken = queues.take(&done, 3, &bridge).await;
    let of = |message: &Message, name: System| message.attributes.as_ref().unwrap()[&name].clone();
    let said: Vec<(String, String, String)> = taken
        .iter()
        .map(|message| {
            let ids = (of(message, System::MessageGroupId), of(message, System::MessageDeduplicationId));
            (message.body.clone().unwrap(), ids.0, ids.1)
        })
        .collect();
    let row = |body: &str| (body.to_owned(), "a".to_owned(), format!("x-{body}"));
    assert_eq!(said, [row("a1"), row("a2"), row("a3")]);
    queues.until_empty(&orders).await;
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn with_every_try_each_failed_post_has_a_result_with_a_deduplication_id_of_its_own() {
    let server = Kind::Embedded.start().await.unwrap();
    let (queues, endpoint) = (Queues::of(&server), Endpoint::start().await);
    let orders = queues.make_with_dead_letters("orders", 2).await;
    let failed = queues.make("failed.fifo", &[]).await;
    let results = "{failure: {queue: failed.fifo, every_try: true}}";
    let config = Config::new("every-try", &orders, &endpoint.url, results);
    queues.send(&orders, "bad").await;
    queues.send(&orders, "good").await;
    let mut bridge = config.run().await;
    let taken = queues.take(&failed, 2, &bridge).await;
    let said: Vec<Value> = taken.iter().map(read).collect();
    assert_eq!((&said[0]["receive"], &said[1]["receive"]), (&json!(1), &json!(2)));
    for (said, message) in said.iter().zip(&taken) {
        let id = format!("{}-FAILED-{}", said["messageId"].as_str().unwrap(), said["receive"]);
        assert_eq!(message.attributes.as_ref().unwrap()[&System::MessageDeduplicationId], id);
        assert_eq!(
            message.attributes.as_ref().unwrap()[&System::MessageGroupId],
            said["messageId"].as_str().unwrap()
        );
    }
    queues.until_empty(&orders).await;
    queues.until_empty(&failed).await;
    assert_eq!((endpoint.times("good"), endpoint.times("bad")), (1, 2));
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn without_its_result_queue_a_listener_is_faulted_and_once_it_is_made_results_flow_without_a_second_post()
 {
    let server = Kind::Embedded.start().await.unwrap();
    let (queues, endpoint) = (Queues::of(&server), Endpoint::start().await);
    let orders = queues.make("orders", &[]).await;
    let config = Config::new("missing", &orders, &endpoint.url, "{success: {queue: done}}");
    let (code, said) = config.check().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("results.success: ") && said.contains("needs sqs:SendMessage as well"), "{said}");

    queues.send(&orders, "good").await;
    let mut bridge = config.run().await;
    assert!(until(|| (endpoint.times("good") == 1).then_some(())).await.is_some(), "{}", bridge.output());
    let end = Instant::now() + PATIENCE;
    while bridge.metric("listener_faulted", r#"listener="orders""#).await < 1.0 {
        assert!(Instant::now() < end, "{}", bridge.output());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let done = queues.make("done", &[]).await;
    let taken = queues.take(&done, 1, &bridge).await;
    assert_eq!(read(&taken[0])["body"], "done: good");
    queues.until_empty(&orders).await;
    assert_eq!(endpoint.times("good"), 1);
    assert_eq!(bridge.stop().await.code, Some(0));
    let (code, said) = config.check().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("results.success: done can be read; sending needs sqs:SendMessage, which is not tried"),
        "{said}"
    );
}

#[tokio::test]
async fn a_template_that_fails_makes_the_default_result_and_is_logged_once() {
    let server = Kind::Embedded.start().await.unwrap();
    let (queues, endpoint) = (Queues::of(&server), Endpoint::start().await);
    let orders = queues.make("orders", &[]).await;
    let done = queues.make("done", &[]).await;
    let results = "{success: {queue: done, template: '{{ json.id }} {{ result.status }}'}}";
    let config = Config::new("template", &orders, &endpoint.url, results);
    let mut bridge = config.run().await;
    for body in ["pr1v4te", "pr1v4te too", r#"{"id":7}"#] {
        queues.send(&orders, body).await;
    }
    let mut taken = queues.take(&done, 3, &bridge).await;
    taken.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(taken.remove(0).body.as_deref(), Some("7 200"));
    for message in &taken {
        let said = read(message);
        let why = "results.success.template at 1:4: `json.id` is missing: the body is no JSON";
        assert!(said["error"].as_str().unwrap().starts_with(why), "{said}");
        assert_eq!(said["status"], 200);
    }
    queues.until_empty(&orders).await;
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.output.matches("cannot be worded as configured").count(), 1, "{}", ended.output);
    assert!(!ended.output.contains("pr1v4te"), "{}", ended.output);
}

#[tokio::test]
async fn dev_makes_the_result_queues_of_a_file_and_says_how_to_read_them() {
    let [queue, endpoint, admin] = addresses();
    let own = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
    let results =
        "{success: {queue: orders-done}, failure: {queue: 'arn:aws:sqs:us-east-1:123456789012:failed.fifo'}}";
    let config = Config::new("dev", own, "https://orders.internal/events", results);
    let mut args = vec!["dev", "--queue-listen", &queue, "--endpoint-listen", &endpoint];
    args.extend(["--admin-listen", &admin, "--config", config.path()]);
    let mut dev = Queuepost::start(&args, &[]);
    dev.until_line("embedded queue listening").await;
    let url = |name: &str| format!("http://{queue}/000000000000/{name}");
    for (key, name) in [("success", "orders-done"), ("failure", "failed.fifo")] {
        dev.until_line(&format!("results.{key}: ")).await;
        dev.until_line(&format!("receive --queue {} --delete", url(name))).await;
    }
    let sent = Queuepost::start(&["send", "--queue", &url("orders"), "hello"], &[]).ended().await;
    assert_eq!(sent.code, Some(0), "{}", sent.output);
    let done = url("orders-done");
    let args = ["receive", "--queue", &done, "--max", "1", "--delete"];
    let end = Instant::now() + PATIENCE;
    let line = loop {
        let ended = Queuepost::start(&args, &[]).ended().await;
        if ended.output.contains("SUCCESS") {
            break ended.output;
        }
        assert!(Instant::now() < end, "{}\n{}", ended.output, dev.output());
    };
    assert!(line.contains("queuepost.source-message-id"), "{line}");
    dev.signal("INT");
    assert_eq!(dev.ended().await.code, Some(0));
}
