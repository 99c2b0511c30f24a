//! The environment of the real binary: proxy variables, terminal escapes in texts from outside, session
//! tokens in clear text, and limits of file descriptors.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::process::{Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};

/// An address without a listener.
const NOWHERE: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn a_queue_on_this_machine_is_called_directly_whatever_the_proxy_variables_say() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let ended =
            Queuepost::start(&["send", "--queue", &queue, "hello"], &[(variable, NOWHERE)]).ended().await;
        assert_eq!(ended.code, Some(0), "{variable}: {}", ended.output);
    }
    assert_eq!(queues.census("orders"), (3, 0, 0));
}

#[tokio::test]
async fn what_receive_prints_cannot_steer_a_terminal_and_is_still_the_message() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let evil = "A\u{9b}31mB\u{202e}C\u{7f}D\u{2028}E\nF 😀";
    queues.send("orders", evil);
    let ended = Queuepost::start(&["receive", "--queue", &queue, "--delete"], &[]).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(!ended.output.chars().any(queuepost::escape::is_unsafe), "{:?}", ended.output);
    let line: Value = serde_json::from_str(&ended.output).unwrap();
    assert_eq!(line["body"], evil);
}

#[tokio::test]
async fn a_session_token_over_plain_http_and_amazons_addresses_without_tls_are_warned_of() {
    let credentials =
        [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")];
    let check = async |queue: &str, env: &[(&str, &str)], more: &[&str]| {
        let mut args =
            vec!["check", "--queue", queue, "--region", "eu-west-1", "--url", NOWHERE, "--timeout", "10s"];
        args.extend(more);
        Queuepost::start(&args, env).ended().await.output
    };
    let elsewhere = "http://queue.invalid/000000000000/orders";
    let warning = "a session token of AWS travels over plain http";
    let output = check(elsewhere, &credentials, &[]).await;
    assert!(output.contains(warning), "{output}");
    let output = check(elsewhere, &credentials[..2], &[]).await;
    assert!(!output.contains(warning), "{output}");
    let output = check("http://sqs.eu-west-1.amazonaws.com/123456789012/orders", &[], &["--offline"]).await;
    assert!(output.contains("! ") && output.contains("starts with http://"), "{output}");
}

/// The binary with a soft and a hard limit of file descriptors.
fn limited(soft: u32, hard: u32, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"ulimit -Sn "$0" && ulimit -Hn "$1" && shift && exec "$@""#])
        .args([&soft.to_string(), &hard.to_string()])
        .arg(env!("CARGO_BIN_EXE_queuepost"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn too_few_file_descriptors_for_the_workers_are_warned_of() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let check = async |workers: &str| {
        let args = [
            "check",
            "--offline",
            "--queue",
            &queue,
            "--url",
            NOWHERE,
            "--timeout",
            "10s",
            "--workers",
            workers,
        ];
        let ended = limited(128, 256, &args).output().await.unwrap();
        (ended.status.code(), String::from_utf8(ended.stdout).unwrap())
    };
    let (code, output) = check("157").await;
    assert_eq!(code, Some(0), "{output}");
    assert!(
        output.contains("157 workers may need 257 file descriptors, and this process may have 256"),
        "{output}"
    );
    let (_, output) = check("156").await;
    assert!(!output.contains("file descriptors"), "{output}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_run_raises_its_limit_of_file_descriptors_as_far_as_it_may() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let args = ["run", "--queue", &queue, "--url", &endpoint.url, "--admin-listen", "127.0.0.1:0"];
    let mut process = limited(128, 512, &args).spawn().unwrap();
    let limits = format!("/proc/{}/limits", process.id().unwrap());
    let raised = || {
        let limits = std::fs::read_to_string(&limits).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        (numbers == ["512", "512"]).then_some(())
    };
    assert!(until(raised).await.is_some(), "{}", std::fs::read_to_string(&limits).unwrap());
    process.start_kill().unwrap();
    process.wait().await.unwrap();
}
