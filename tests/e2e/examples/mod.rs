//! Each folder of `examples/` does what its README says, against a queue server and an HTTP server by other authors.
//!
//! The commands are read from the README. `queuepost dev --config …` stands for `queuepost run` with that file here, and the
//! messages of `queuepost send …` go to `MiniStack`. What Python's HTTP server gets is compared with `request.http`, what the
//! result queues and the dead-letter queue get with `results.json`; then the queue is empty. There `*` stands for any text, and headers that HTTP itself needs are left out.

mod lambda_pair;
mod shell;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use aws_sdk_sqs::types::QueueAttributeName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use super::process::{PATIENCE, Queuepost};
use crate::contract::server::Kind;

/// What an HTTP/1.1 client adds to every request.
const OF_HTTP: [&str; 4] = ["host", "content-length", "accept", "accept-encoding"];

/// Examples that need more than a queue and an endpoint: `peers::claim_check` and `lambda_pair` test them.
const NEED_MORE: [&str; 2] = ["claim-check", "lambda-pair"];

/// An example: what its README says to type, and what comes of it.
struct Example {
    folder: PathBuf,
    /// Variables of the bridge.
    env: Vec<(String, String)>,
    /// Arguments of each `queuepost send`.
    sends: Vec<Vec<String>>,
    /// Name of the queue that they go to.
    queue: String,
}

impl Example {
    fn read(folder: PathBuf) -> Self {
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let mut commands = shell::commands(&readme);
        let dev = ["queuepost", "dev", "--config", &format!("examples/{name}/queuepost.yaml")];
        let dev = commands.iter().position(|command| command.words == dev);
        let dev = commands.remove(dev.unwrap_or_else(|| panic!("{name}: no `queuepost dev --config …`")));
        let sends = commands.into_iter().filter(|command| command.words[1] == "send");
        let sends: Vec<Vec<String>> = sends.map(|command| command.words[1..].to_vec()).collect();
        let first = sends.first().unwrap_or_else(|| panic!("{name}: no `queuepost send`"));
        let queue = first.iter().skip_while(|word| *word != "--queue").nth(1).expect("a --queue");
        let queue = queue.rsplit('/').next().unwrap().to_owned();
        Self { folder, env: dev.env, sends, queue }
    }

    /// The requests of `request.http`, separated by lines of `###`.
    fn requests(&self) -> Vec<Request> {
        let text = std::fs::read_to_string(self.folder.join("request.http")).unwrap();
        text.split("\n###\n").map(Request::parse).collect()
    }

    /// The results of `results.json`, if there are any.
    fn results(&self) -> Results {
        let text = std::fs::read_to_string(self.folder.join("results.json")).ok();
        text.map_or_else(Results::new, |text| serde_json::from_str(&text).unwrap())
    }
}

/// By queue what its messages say: the body alone, or an object of `body` and some `attributes`.
type Results = BTreeMap<String, Vec<Value>>;

/// A request as expected, or as received.
#[derive(Debug)]
struct Request {
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let target = lines.next().unwrap().strip_prefix("POST ").expect("POST TARGET").to_owned();
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            target,
            headers: lines.filter_map(header).collect(),
            body: body.trim_end_matches('\n').to_owned(),
        }
    }

    fn received(line: &str) -> Self {
        let request: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let pair = |pair: &Value| (text(&pair[0]), text(&pair[1]));
        let headers = request["headers"].as_array().unwrap().iter().map(pair);
        let body = STANDARD.decode(text(&request["body"])).unwrap();
        Self {
            target: text(&request["target"]),
            headers: headers.filter(|(name, _)| !OF_HTTP.contains(&name.as_str())).collect(),
            body: String::from_utf8(body).unwrap(),
        }
    }

    /// Every difference, a line each.
    fn differences(&self, received: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if !matches(&self.target, &received.target) {
            found.push(format!("POST {}, not {}", received.target, self.target));
        }
        for (name, value) in &self.headers {
            match received.headers.iter().find(|(other, _)| other == name) {
                Some((_, other)) if matches(value, other) => {}
                other => found.push(format!("{name}: {:?}, not {value}", other.map(|(_, other)| other))),
            }
        }
        for (name, value) in &received.headers {
            if !self.headers.iter().any(|(expected, _)| expected == name) {
                found.push(format!("{name}: {value}, which is not expected"));
            }
        }
        if !matches(&self.body, &received.body) {
            found.push(format!("body {}, not {}", received.body, self.body));
        }
        found
    }
}

/// Whether `text` is `pattern`, whose `*` stand for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap()) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// Python's HTTP server.
struct Endpoint {
    url: String,
    requests: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Endpoint {
    async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/examples/endpoint.py");
        let mut command = Command::new("python3");
        command.arg(script).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("python3");
        let mut requests = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&requests.next_line().await.unwrap().unwrap()).unwrap();
        Self { url: format!("http://127.0.0.1:{}", first["port"]), requests, _child: child }
    }

    async fn next(&mut self) -> Option<Request> {
        let line = timeout(PATIENCE, self.requests.next_line()).await.ok()?;
        Some(Request::received(&line.unwrap().expect("the endpoint ended")))
    }
}

#[tokio::test]
async fn every_example_does_what_its_readme_says() {
    let Some(server) = (Kind::MiniStack { auth: false }).start().await else { return };
    let sqs = server.client("111111111111");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The complete configuration is no example to run.
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(!folders.is_empty(), "no examples");
    folders.retain(|folder| !NEED_MORE.iter().any(|name| folder.ends_with(name)));
    for folder in folders {
        let example = Example::read(folder);
        let fifo =
            example.queue.strip_suffix(".fifo").map(|_| (QueueAttributeName::FifoQueue, "true".to_owned()));
        let create = sqs.create_queue().queue_name(&example.queue);
        let results = example.results();
        for name in results.keys() {
            sqs.create_queue().queue_name(name).send().await.unwrap();
        }
        let dead_letters = format!("{}-dlq", example.queue);
        let redrive = results.contains_key(&dead_letters).then(|| {
            let arn = format!("arn:aws:sqs:us-east-1:111111111111:{dead_letters}");
            let policy = serde_json::json!({"deadLetterTargetArn": arn, "maxReceiveCount": 5});
            (QueueAttributeName::RedrivePolicy, policy.to_string())
        });
        let attributes: HashMap<_, _> = fifo.into_iter().chain(redrive).collect();
        let create = create.set_attributes(Some(attributes));
        let queue = create.send().await.unwrap().queue_url.unwrap();
        let mut endpoint = Endpoint::start().await;
        let env = [
            ("ENDPOINT", endpoint.url.as_str()),
            ("AWS_ENDPOINT_URL", server.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "111111111111"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_REGION", "us-east-1"),
        ];
        let own = example.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let env: Vec<(&str, &str)> = env.into_iter().chain(own).collect();
        let config = example.folder.join("queuepost.yaml");
        let args = ["run", "--config", config.to_str().unwrap(), "--admin-listen", "127.0.0.1:0"];
        let mut bridge = Queuepost::start(&args, &env);
        for send in &example.sends {
            let mut args: Vec<&str> = send.iter().map(String::as_str).collect();
            let place = args.iter().position(|word| *word == "--queue").unwrap();
            args[place + 1] = &queue;
            let ended = Queuepost::start(&args, &env).ended().await;
            assert_eq!(ended.code, Some(0), "{}: {}", example.folder.display(), ended.output);
        }
        for expected in example.requests() {
            let Some(received) = endpoint.next().await else {
                panic!("{}: no request; the log is\n{}", example.folder.display(), bridge.output());
            };
            let found = expected.differences(&received);
            assert!(found.is_empty(), "{}:\n{}", example.folder.display(), found.join("\n"));
        }
        until_empty(&sqs, &queue).await;
        for (name, expected) in results {
            let mut said = taken(&sqs, &name).await;
            said.sort_by_key(ToString::to_string);
            let is_same = said.len() == expected.len() && expected.iter().zip(&said).all(|(a, b)| says(b, a));
            assert!(is_same, "{}: {name} has {said:#?}, not {expected:#?}", example.folder.display());
        }
        assert_eq!(bridge.stop().await.code, Some(0), "{}", example.folder.display());
    }
}

/// What the messages in a queue say. A message is deleted after its result was accepted, so all results are there.
async fn taken(sqs: &aws_sdk_sqs::Client, name: &str) -> Vec<Value> {
    let queue = sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
    let receive = sqs.receive_message().queue_url(queue).max_number_of_messages(10);
    let messages = receive.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default();
    let said = |message: aws_sdk_sqs::types::Message| {
        let attributes = message.message_attributes.unwrap_or_default().into_iter();
        let attributes: BTreeMap<_, _> = attributes.map(|(name, value)| (name, value.string_value)).collect();
        serde_json::json!({"body": message.body, "attributes": attributes})
    };
    messages.into_iter().map(said).collect()
}

/// Whether a message says what is expected: its body, and those of its attributes that are named.
fn says(said: &Value, expected: &Value) -> bool {
    let is = |said: &Value, expected: &Value| {
        said.as_str().zip(expected.as_str()).is_some_and(|(said, expected)| matches(expected, said))
    };
    if expected.is_string() {
        return is(&said["body"], expected);
    }
    let attributes = expected["attributes"].as_object().unwrap();
    is(&said["body"], &expected["body"])
        && attributes.iter().all(|(name, value)| is(&said["attributes"][name.as_str()], value))
}

/// Waits until the queue has no message, visible or in flight.
async fn until_empty(sqs: &aws_sdk_sqs::Client, queue: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let all = sqs.get_queue_attributes().queue_url(queue).attribute_names(QueueAttributeName::All);
        let attributes = all.send().await.unwrap().attributes.unwrap();
        let count = |name| attributes[&name].parse::<usize>().unwrap();
        let left = count(QueueAttributeName::ApproximateNumberOfMessages)
            + count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
        if left == 0 {
            return;
        }
        assert!(Instant::now() < end, "{queue} still has {left} messages");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text) in [("*", ""), ("a*", "abc"), ("a*c", "abc"), ("*b*", "abc"), ("abc", "abc")] {
        assert!(matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("", "a"), ("a*", "ba"), ("a*c", "ab"), ("*x*", "abc"), ("ab", "abc")] {
        assert!(!matches(pattern, text), "{pattern} {text}");
    }
}
