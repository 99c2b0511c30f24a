//! Standard output and standard error that nobody reads: a stuck log driver, a hung sidecar, Ctrl-S.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

use super::process::{PATIENCE, until};
use super::servers::{HttpEndpoint, QueueServer};

/// More lines than the pipe and the process's own buffer hold.
const MESSAGES: usize = 3_000;

/// The binary with both outputs on one pipe.
struct UnreadProcess {
    child: Child,
    pipe: ChildStdout,
    admin: String,
}

impl UnreadProcess {
    async fn run(queue: &str, url: &str) -> Self {
        let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = reserved.local_addr().unwrap().to_string();
        drop(reserved);
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 2>&1"#, env!("CARGO_BIN_EXE_queuepost"), "run", "--queue", queue])
            .args(["--url", url, "--admin-listen", &admin, "--log-format", "json", "--log-level", "debug"])
            .args(["--workers", "64", "--receive-wait", "1s"])
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pipe = child.stdout.take().unwrap();
        Self { child, pipe, admin }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let answer = client.get(format!("http://{}{path}", self.admin)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
}

/// A process that has delivered more messages than the log can hold.
async fn with_a_full_pipe() -> (QueueServer, HttpEndpoint, UnreadProcess) {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for number in 0..MESSAGES {
        queues.send("orders", &number.to_string());
    }
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let bridge = UnreadProcess::run(&queue, &endpoint.url).await;
    queues.until_empty("orders").await;
    (queues, endpoint, bridge)
}

#[tokio::test]
async fn a_standard_output_nobody_reads_holds_up_neither_deliveries_nor_probes_nor_the_end() {
    let (queues, endpoint, mut bridge) = with_a_full_pipe().await;
    assert_eq!((endpoint.seen.bodies().len(), endpoint.seen.count()), (MESSAGES, MESSAGES));
    assert_eq!(bridge.get("/livez").await.0, 200);
    let (_, metrics) = bridge.get("/metrics").await;
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("queuepost_log_lines_dropped_total "));
    assert!(dropped.is_some_and(|count| count.parse::<u64>().unwrap() > 0), "{dropped:?} lines dropped");
    bridge.terminate();
    let ended = tokio::time::timeout(PATIENCE, bridge.child.wait()).await;
    assert_eq!(ended.expect("the process ends").unwrap().code(), Some(0));
    assert_eq!(queues.census("orders"), (0, 0, 0));
}

#[tokio::test]
async fn once_standard_output_is_read_again_the_log_says_how_many_lines_are_missing() {
    let (_queues, _endpoint, mut bridge) = with_a_full_pipe().await;
    let mut lines = BufReader::new(bridge.pipe).lines();
    let mut found = 0;
    let read = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let line: serde_json::Value = serde_json::from_str(&line).expect("whole lines");
            if let Some(count) = line["lines"].as_u64() {
                let words = format!("{count} log lines were dropped: standard output was not read");
                assert_eq!((&line["message"], &line["level"]), (&words.into(), &"WARN".into()));
                found += 1;
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the lines come to an end");
    assert_eq!(found, 1);
    bridge.child.kill().await.unwrap();
    assert!(until(|| bridge.child.try_wait().unwrap()).await.is_some());
}
