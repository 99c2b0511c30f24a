//! A whole night: an endpoint fails for one customer, the alert's runbook is followed command by command, and nothing is lost.
//!
//! The commands are read from the runbook, so that it stays true. What the runbook says must be enough to find the
//! messages, to stop the listener, to send the letters back and to go on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::process::{Ended, PATIENCE, Queuepost, until};
use super::servers::QueueServer;

const RUNBOOK: &str = "docs/runbooks/QueuepostDeadLetterQueueNotEmpty.md";
const TOKEN: &str = "the-token-of-tonight-0123456789";
const RULES: &str = "deploy/prometheus/queuepost.rules.yaml";

/// An endpoint that answers 422 for one customer until it is mended, and keeps what it did.
#[derive(Default)]
struct Endpoint {
    mended: Mutex<bool>,
    /// How often each body was answered 200.
    done: Mutex<BTreeMap<String, usize>>,
}

async fn take(State(endpoint): State<Arc<Endpoint>>, body: Bytes) -> (StatusCode, &'static str) {
    let body = String::from_utf8(body.to_vec()).unwrap();
    if body.starts_with("globex") && !*endpoint.mended.lock().unwrap() {
        return (StatusCode::UNPROCESSABLE_ENTITY, "no account of that name");
    }
    *endpoint.done.lock().unwrap().entry(body).or_default() += 1;
    (StatusCode::OK, "")
}

/// The commands of the runbook, in order.
fn commands() -> Vec<Vec<String>> {
    let page = fs::read_to_string(RUNBOOK).unwrap();
    let (_, rest) = page.split_once("```sh\n").expect("a block of commands");
    let (block, _) = rest.split_once("```").unwrap();
    let commands = block.lines().filter(|line| !line.starts_with('#'));
    commands.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

struct Night {
    bridge: Queuepost,
    queues: QueueServer,
    token_file: String,
}

impl Night {
    /// Runs a command of the runbook, its placeholders replaced.
    async fn follow(&self, command: &[String]) -> Ended {
        let (queue, dead) = (self.queues.url("orders"), self.queues.url("orders-dlq"));
        let fill = |word: &String| match word.as_str() {
            "LISTENER" => "orders".to_owned(),
            "QUEUE" => queue.clone(),
            "DLQ" => dead.clone(),
            word => word.to_owned(),
        };
        let words: Vec<String> = command.iter().skip(1).map(fill).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let env = [
            ("QUEUEPOST_ADMIN_LISTEN", self.bridge.admin_address()),
            ("QUEUEPOST_ADMIN_TOKEN_FILE", self.token_file.as_str()),
        ];
        let ended = Queuepost::start(&words, &env).ended().await;
        assert_eq!(ended.code, Some(0), "{words:?}\n{}\n{}", ended.output, self.bridge.output());
        ended
    }

    /// Waits until the receive that was under way has ended.
    async fn until_nothing_is_received(&self) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (_, text) = self.bridge.admin("/api/v1/listeners/orders").await;
            if serde_json::from_str::<Value>(&text).unwrap()["not_receiving"] == "paused" {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "not paused: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the alert's condition is true.
    async fn until_alert(&self) {
        let rules = fs::read_to_string(RULES).unwrap();
        assert!(rules.contains(r#"(queuepost_queue_messages_visible{role="dead_letter"}) > 0"#), "the alert");
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.bridge.metric("queue_messages_visible", r#"role="dead_letter""#).await < 20.0 {
            assert!(tokio::time::Instant::now() < end, "no alert:\n{}", self.bridge.output());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn evening() -> (Night, Arc<Endpoint>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let endpoint = Arc::new(Endpoint::default());
    let router = Router::new().fallback(take).with_state(Arc::clone(&endpoint));
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("night");
    fs::create_dir_all(&folder).unwrap();
    let (token, config) = (folder.join("token"), folder.join("queuepost.yaml"));
    fs::write(&token, TOKEN).unwrap();
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 2);
    let text = format!(
        "admin: {{listen: '127.0.0.1:0', allow_changes: true, token_file: '{}'}}\nlog: {{format: json}}\nlisteners:\n\
         - {{queue: '{queue}', url: '{url}', workers: 8, receive_wait: 1s,\n   on_response: [{{status: 422, action: defer, delay: 1s}}]}}\n",
        token.display()
    );
    fs::write(&config, text).unwrap();
    let mut bridge = Queuepost::start(&["run", "--config", config.to_str().unwrap()], &[]);
    bridge.find_admin().await;
    (Night { bridge, queues, token_file: token.to_str().unwrap().to_owned() }, endpoint, server)
}

#[tokio::test]
async fn the_runbook_brings_every_letter_of_a_bad_night_home_and_posts_nothing_twice() {
    let (night, endpoint, _server) = evening().await;
    for number in 0..20 {
        for customer in ["acme", "globex", "initech"] {
            night.queues.send("orders", &format!("{customer}-{number}"));
        }
    }
    // SQS dead-letters a message when it would be received once too often.
    let letters = || night.queues.broker.with(|broker, now| broker.inspect(now, "orders-dlq"));
    assert!(until(|| (letters().len() == 20).then_some(())).await.is_some(), "{} letters", letters().len());
    let ids: Vec<String> = letters().into_iter().map(|letter| letter.message_id).collect();
    night.until_alert().await;

    let mut paused = false;
    for command in commands() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let ended = match words.as_slice() {
            ["queuepost", "redrive", rest @ ..] if !rest.contains(&"--dry-run") => {
                assert!(paused, "letters go back to a listener that rests");
                *endpoint.mended.lock().unwrap() = true;
                night.follow(&command).await
            }
            _ => night.follow(&command).await,
        };
        match words.get(1) {
            Some(&"status") => {
                for id in &ids {
                    assert!(ended.output.contains(id.as_str()), "{id} is not named in:\n{}", ended.output);
                }
                assert!(ended.output.contains("422") && ended.output.contains("no account of that name"));
            }
            Some(&"peek") => {
                let shown = ended.output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                assert_eq!(shown.filter(|line| ids.iter().any(|id| *id == line["message_id"])).count(), 10);
            }
            Some(&"pause") => {
                paused = true;
                night.until_nothing_is_received().await;
                night.queues.send("orders", "acme-late");
            }
            Some(&"redrive") if words.contains(&"--dry-run") => assert_eq!(letters().len(), 20),
            Some(&"redrive") => {
                assert_eq!(letters().len(), 0, "{}", ended.output);
                assert_eq!(night.queues.census("orders").0, 21, "nothing is received while it is paused");
            }
            Some(&"resume") => {}
            _ => panic!("a command that this story does not know: {command:?}"),
        }
    }

    let all = || (endpoint.done.lock().unwrap().len() == 61).then_some(());
    assert!(until(all).await.is_some(), "{:?}\n{}", endpoint.done.lock().unwrap(), night.bridge.output());
    night.queues.until_empty("orders").await;
    assert_eq!(night.queues.census("orders"), (0, 0, 0));
    let done = endpoint.done.lock().unwrap().clone();
    assert!(done.values().all(|times| *times == 1), "posted twice: {done:?}");
}
