//! django-eb-sqs-worker in Django, as a receiver that Elastic Beanstalk's daemon feeds.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::python;
use crate::contract::server::free_port;
use crate::e2e::process::{PATIENCE, Queuepost, until};
use crate::e2e::servers::QueueServer;

const TASK: &str = r#"{"task": "echo", "arguments": {"order": 7}}"#;

/// The application; it ends with this value.
struct Worker {
    _process: Child,
    url: String,
    printed: Arc<Mutex<String>>,
}

impl Worker {
    /// Starts it; `None` where its packages are not installed.
    async fn start(test: &str) -> Option<Self> {
        let python = python(test)?;
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/peers/django_worker.py");
        let mut process = Command::new(python)
            .arg(script)
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("python");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let printed = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&printed);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.expect("the application listens");
        Some(Self { _process: process, url: format!("http://127.0.0.1:{port}/sqs/"), printed })
    }

    async fn until_printed(&self, text: &str) {
        let found = until(|| self.printed.lock().unwrap().contains(text).then_some(())).await;
        assert!(found.is_some(), "{text:?} is not in: {}", self.printed.lock().unwrap());
    }
}

#[tokio::test]
async fn a_message_runs_its_task_in_django_and_is_deleted() {
    let Some(worker) = Worker::start("a_message_runs_its_task_in_django_and_is_deleted").await else {
        return;
    };
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", TASK);
    let mut bridge = Queuepost::run(&queue, &worker.url, &["--preset", "sqsd"]).await;
    worker.until_printed(r#"ran echo with {"order": 7}"#).await;
    queues.until_empty("orders").await;
    let periodic =
        [("beanstalk.sqsd.task_name", "echo"), ("beanstalk.sqsd.scheduled_time", "2026-01-02T03:04:05Z")];
    queues.send_with("orders", "elasticbeanstalk scheduled job", &periodic);
    worker.until_printed("ran echo with {}").await;
    worker.until_printed("scheduled at 2026-01-02T03:04:05Z").await;
    queues.until_empty("orders").await;
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}

#[tokio::test]
async fn django_refuses_a_request_without_the_agent_of_the_preset() {
    let Some(worker) = Worker::start("django_refuses_a_request_without_the_agent_of_the_preset").await else {
        return;
    };
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", TASK);
    let mut bridge = Queuepost::run(&queue, &worker.url, &[]).await;
    bridge.until_line("the endpoint answered 400").await;
    assert_eq!(queues.census("orders").0 + queues.census("orders").1, 1, "it stays in the queue");
    assert!(!worker.printed.lock().unwrap().contains("ran echo"));
    bridge.stop().await;
}
