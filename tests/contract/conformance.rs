//! The embedded queue under the conformance script, which checks any server that speaks SQS.
//!
//! The script is beside the checkout (`../shared/conformance`) or at `QUEUEPOST_CONFORMANCE`. Without it, or
//! without the private Python of `.ci/run`, the test reports that it is skipped. In CI, or with
//! `QUEUEPOST_CONFORMANCE_SLOW=1`, it also runs the checks that take 20 s and more each. That takes about a
//! minute.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::server::{skipped, tools};
use crate::e2e::servers::QueueServer;

/// Checks the embedded queue fails on purpose: it speaks the JSON protocol only.
const FAILS: [&str; 1] = ["protocol.query-xml"];
/// Least number of checks that pass: a script without checks proves nothing.
const PASSES_MIN: usize = 110;
/// The slow checks take about a minute on two idle cores.
const LIMIT: Duration = Duration::from_secs(480);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_queue_conforms_but_for_the_query_protocol() {
    let named = std::env::var_os("QUEUEPOST_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/sqs_conformance.py");
    let script = named.unwrap_or(beside);
    if !script.exists() {
        skipped("the conformance script is not there (QUEUEPOST_CONFORMANCE names it)");
        return;
    }
    let python = tools().join("bin/python");
    if !python.exists() {
        assert!(std::env::var_os("CI").is_none(), "the Python of the conformance script is missing in CI");
        skipped("boto3 is not installed (.ci/run installs it into target/test-tools)");
        return;
    }
    let server = QueueServer::start().await;
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(["--endpoint-url", &format!("http://{}", server.address)])
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let slow = std::env::var("QUEUEPOST_CONFORMANCE_SLOW").is_ok_and(|slow| slow == "1");
    if slow || std::env::var_os("CI").is_some() {
        command.arg("--slow");
    }
    let output =
        tokio::time::timeout(LIMIT, command.output()).await.expect("the script takes too long").unwrap();
    let lines = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let of = |verdict: &str| -> Vec<&str> {
        let judged = lines.lines().filter_map(|line| line.split_once(' '));
        let named = judged.filter(|(word, _)| *word == verdict);
        named.filter_map(|(_, rest)| rest.split_whitespace().next()).collect()
    };
    assert_eq!(of("FAIL"), FAILS, "\n{lines}\n{complaint}");
    assert!(of("ok").len() >= PASSES_MIN, "only {} checks passed:\n{lines}\n{complaint}", of("ok").len());
}
