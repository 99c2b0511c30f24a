//! Error messages: the log of `run` and the commands `send`, `receive` and `check` use the same text. Each
//! names principal, action, resource and fix.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::process::{Ended, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

/// Starts a server that gives this answer to every request; returns its origin.
async fn answering(status: u16, body: &Value) -> String {
    let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let answer = move || async move { (StatusCode::from_u16(status).unwrap(), text) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    origin
}

/// The first log line with this reason.
async fn line(bridge: &Queuepost, reason: &str) -> Value {
    let line = bridge.until_line(&format!(r#""reason":"{reason}""#)).await;
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
}

async fn ran(args: &[&str]) -> Ended {
    Queuepost::start(args, &[]).ended().await
}

#[tokio::test]
async fn a_denial_names_who_what_and_on_what_everywhere() {
    let (role, arn) = ("arn:aws:sts::1:assumed-role/consumer/i-1", "arn:aws:sqs:eu-west-1:1:orders");
    let message = format!(
        "User: {role} is not authorized to perform: sqs:getqueueattributes on resource: {arn} because no \
         identity-based policy allows the sqs:getqueueattributes action"
    );
    let denied = json!({"__type": "com.amazonaws.sqs#AccessDeniedException", "message": message});
    let queue = format!("{}/1/orders", answering(400, &denied).await);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    let line = line(&bridge, "access_denied").await;
    let meaning = format!("access denied: {role} may not do sqs:GetQueueAttributes on {arn}");
    let fix = format!("allow sqs:GetQueueAttributes on {arn}");
    assert!(
        line["message"].as_str().unwrap().ends_with(&format!("GetQueueAttributes on {queue}: {meaning}")),
        "{line}"
    );
    assert!(line["fix"].as_str().unwrap().starts_with(&fix), "{line}");
    assert!(line["error"].as_str().unwrap().contains("AccessDeniedException: User: "), "{line}");
    let (_, ready) = bridge.admin("/readyz").await;
    assert!(ready.contains("[-]listener/orders failed"), "{ready}");
    assert_eq!(bridge.stop().await.code, Some(0));

    let checked = ran(&["check", "--queue", &queue, "--url", &endpoint.url, "--timeout", "10s"]).await;
    let received = ran(&["receive", "--queue", &queue]).await;
    let sent = ran(&["send", "--queue", &queue, "x"]).await;
    let lines = Queuepost::with_input(&["send", "--queue", &queue, "-"], b"x\ny\n").ended().await;
    for ended in [&checked, &received, &sent, &lines] {
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        // This server names one action whatever the request is, in lower case as AWS does.
        let output = ended.output.to_ascii_lowercase();
        for words in ["access denied: ", role, "fix: allow sqs:getqueueattributes"] {
            assert!(output.contains(words), "{words:?} is not in {}", ended.output);
        }
    }
    assert_eq!(lines.output.matches("fix: ").count(), 1, "one fix for two lines: {}", lines.output);
}

#[tokio::test]
async fn a_receiver_that_accepts_only_local_callers_is_distinguished_from_a_key_without_rights() {
    for (body, reason, fix) in [
        ("RBAC: access denied", "sidecar_only", "run queuepost as a sidecar"),
        ("no", "forbidden", "check what the key of the endpoint's auth may do"),
    ] {
        let queues = QueueServer::start().await;
        let queue = queues.queue("orders", 10);
        queues.send("orders", "x");
        let url = format!("{}/work?token=swordfish", answering(403, &json!(body)).await);
        let mut bridge = Queuepost::run(&queue, &url, &[]).await;
        let line = line(&bridge, reason).await;
        assert!(
            line["message"].as_str().unwrap().starts_with("deferred for 30 s: the endpoint answered 403"),
            "{line}"
        );
        assert!(line["fix"].as_str().unwrap().starts_with(fix), "{line}");
        assert_eq!((&line["status"], &line["outcome"]), (&json!(403), &json!("unauthorized")));
        let ended = bridge.stop().await;
        assert!(!ended.output.contains("swordfish"), "{}", ended.output);
    }
}

#[tokio::test]
async fn what_the_endpoint_says_is_in_the_line_without_credentials_and_not_when_it_repeats_the_message() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let body = r#"{"customer": 42, "card": "4111 1111 1111 1111"}"#;
    queues.send("orders", body);
    let said = json!("{\"error\":\"customer 42\u{202e} is unknown\",\n\"key\":\"swordfish\"}");
    let url = format!("{}/work?token=swordfish", answering(422, &said).await);
    let mut bridge = Queuepost::run(&queue, &url, &[]).await;
    let told = line(&bridge, "rejected").await;
    assert_eq!(told["answer"], r#"{"error":"customer 42\u202e is unknown",\u000a"key":"REDACTED"}"#);
    let ended = bridge.stop().await;
    assert!(!ended.output.contains("swordfish") && !ended.output.contains("4111 1111"), "{}", ended.output);

    let queue = queues.queue("echo", 10);
    queues.send("echo", body);
    let url = answering(422, &json!(format!("no order: {body}"))).await;
    let mut bridge = Queuepost::run(&queue, &url, &["--log-level", "debug"]).await;
    assert_eq!(line(&bridge, "rejected").await["answer"], "withheld: the answer repeats the message");
    let ended = bridge.stop().await;
    assert!(!ended.output.contains("4111 1111"), "{}", ended.output);
}

#[tokio::test]
async fn a_command_that_gives_up_says_to_try_again() {
    let queue = format!("{}/1/orders", answering(500, &json!("no")).await);
    for args in [vec!["receive", "--queue", &queue], vec!["send", "--queue", &queue, "x"]] {
        let ended = ran(&args).await;
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains("fix: try again (`run` does so by itself)"), "{}", ended.output);
    }
}

#[tokio::test]
async fn a_proxy_that_fails_is_not_taken_for_the_endpoint() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}", reserved.local_addr().unwrap());
    drop(reserved);
    let wants_credentials = answering(407, &json!("who are you?")).await;
    let unconnected = "the proxy before the endpoint did not connect to it";
    for (variable, proxy, url, words) in [
        ("HTTP_PROXY", dead.as_str(), "http://orders.example/", "it may be the proxy that is not there"),
        ("HTTPS_PROXY", &dead, "https://orders.example/", unconnected),
        ("HTTPS_PROXY", "http://no-such-proxy.invalid:3128", "https://orders.example/", unconnected),
        ("HTTPS_PROXY", &wants_credentials, "https://orders.example/", unconnected),
        ("HTTPS_PROXY", &wants_credentials, "https://orders.example/", "http://USER:PASSWORD@HOST:PORT"),
    ] {
        let args = ["check", "--queue", &queue, "--url", url, "--timeout", "10s"];
        let env = [(variable, proxy), ("NO_PROXY", "127.0.0.1")];
        let ended = Queuepost::start(&args, &env).ended().await;
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains(words), "{proxy}: {words:?} is not in {}", ended.output);
    }
}

#[tokio::test]
async fn run_and_check_say_the_same_of_an_endpoint_nobody_listens_at() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", "x");
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/work", reserved.local_addr().unwrap());
    drop(reserved);
    let mut bridge = Queuepost::run(&queue, &url, &[]).await;
    let line = line(&bridge, "connection_refused").await;
    assert_eq!(line["message"], "held: nothing could be sent: nobody listens at the endpoint's address");
    let fix = line["fix"].as_str().unwrap();
    assert_eq!(bridge.stop().await.code, Some(0));
    let checked = ran(&["check", "--queue", &queue, "--url", &url, "--timeout", "10s"]).await;
    for words in ["nobody listens at the endpoint's address: ", fix] {
        assert!(checked.output.contains(words), "{words:?} is not in {}", checked.output);
    }
}
