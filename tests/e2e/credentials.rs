//! Credentials that expire while the bridge runs and are renewed at their source; and a name that does not
//! resolve.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{PATIENCE, Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};
use super::sqs_proxy::SqsProxy;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes a file atomically, so that nobody reads half of it.
fn write(path: &Path, text: &str) {
    let whole = path.with_extension("new");
    fs::write(&whole, text).unwrap();
    fs::rename(whole, path).unwrap();
}

/// Runs through an expiry; `renew` puts the new key where the old one came from.
async fn survives_an_expiry(env: &[(&str, &str)], renew: impl FnOnce()) {
    let queues = QueueServer::start().await;
    queues.queue("orders", 10);
    let sqs_proxy = SqsProxy::start(&queues, "orders").await;
    sqs_proxy.accept_only_key("OLDKEY");
    // Long enough to be running when the key expires.
    let endpoint = HttpEndpoint::start(200, Duration::from_secs(2)).await;
    let args = [
        "run",
        "--queue",
        &sqs_proxy.url,
        "--url",
        &endpoint.url,
        "--admin-listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--receive-wait",
        "1s",
        "--workers",
        "1",
    ];
    let mut bridge = Queuepost::start(&args, env);
    bridge.find_admin().await;
    queues.send("orders", "with the old key");
    assert!(until(|| (endpoint.seen.count() == 1).then_some(())).await.is_some(), "{}", bridge.output());

    sqs_proxy.accept_only_key("NEWKEY");
    queues.send("orders", "with the new key");
    let line = bridge.until_line("listener faulted").await;
    assert!(line.contains(r#""reason":"expired_token""#), "{line}");
    assert!((bridge.metric("listener_faulted", "").await - 1.0).abs() < f64::EPSILON);
    // The expired key is not valid again by itself.
    let refused = sqs_proxy.refused();
    assert!(until(|| (sqs_proxy.refused() > refused + 2).then_some(())).await.is_some());
    assert_eq!(bridge.admin("/livez").await.0, 200);
    assert_eq!(bridge.admin("/readyz").await.0, 503);

    renew();
    queues.until_empty("orders").await;
    assert_eq!(endpoint.seen.count(), 2, "what was posted is deleted with the new key, not posted again");
    let end = tokio::time::Instant::now() + PATIENCE;
    while bridge.admin("/readyz").await.0 != 200 {
        assert!(tokio::time::Instant::now() < end, "{}", bridge.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(bridge.metric("sqs_requests_total", r#"result="credentials""#).await >= 3.0);
    assert!(bridge.metric("listener_faulted", "").await.abs() < f64::EPSILON);
    assert!(!bridge.output().contains("OLDKEY") && !bridge.output().contains("NEWKEY"));
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn new_credentials_in_the_file_are_taken_without_a_restart() {
    let file = folder("credentials-file").join("credentials");
    let text = |key: &str| format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n");
    write(&file, &text("OLDKEY"));
    let env = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()), ("AWS_CONFIG_FILE", "/dev/null")];
    survives_an_expiry(&env, || write(&file, &text("NEWKEY"))).await;
}

#[tokio::test]
async fn new_credentials_of_a_process_are_taken_without_a_restart() {
    let folder = folder("credentials-process");
    let (program, answer, config) =
        (folder.join("answer.sh"), folder.join("answer.json"), folder.join("config"));
    let text =
        |key: &str| format!(r#"{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "secret"}}"#);
    write(&answer, &text("OLDKEY"));
    write(&program, &format!("#!/bin/sh\nexec cat '{}'\n", answer.display()));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    write(&config, &format!("[default]\ncredential_process = {}\n", program.display()));
    let config = config.to_str().unwrap();
    let env = [("AWS_CONFIG_FILE", config), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")];
    survives_an_expiry(&env, || write(&answer, &text("NEWKEY"))).await;
}

#[tokio::test]
async fn a_name_without_an_address_is_the_network_tried_again_and_no_fault() {
    // A label longer than DNS allows: it has no address, without asking any server.
    let queue = format!("http://{}.example:9324/000000000000/orders", "x".repeat(64));
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let args = [
        "run",
        "--queue",
        &queue,
        "--url",
        &endpoint.url,
        "--admin-listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ];
    let env = [("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")];
    let mut bridge = Queuepost::start(&args, &env);
    bridge.find_admin().await;
    let line = bridge.until_line(r#""reason":"sqs_dns""#).await;
    assert!(line.contains(r#""level":"WARN""#), "{line}");
    let labels = r#"operation="GetQueueAttributes",result="network""#;
    let end = tokio::time::Instant::now() + PATIENCE;
    while bridge.metric("sqs_requests_total", labels).await < 3.0 {
        assert!(tokio::time::Instant::now() < end, "{}", bridge.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(bridge.metric("listener_faulted", "").await.abs() < f64::EPSILON);
    assert_eq!(bridge.admin("/livez").await.0, 200);
    assert_eq!(bridge.stop().await.code, Some(0));
}
