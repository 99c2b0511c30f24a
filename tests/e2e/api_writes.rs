//! What the admin port does with messages for whoever shows the token: send, look at letters, redrive; and the log's level.

use std::fs;
use std::path::Path;
use std::time::Duration;

use queuepost::localqueue::MessageState;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

const TOKEN: &str = "planted-token-0123456789";

struct Scene {
    bridge: Queuepost,
    queues: QueueServer,
    endpoint: HttpEndpoint,
}

/// A process with the listener `orders` on a queue that allows so many receives.
async fn scene(name: &str, max_receives: u32) -> Scene {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("api-{name}"));
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let allow = ["--admin-allow-changes", "--admin-token-file", file.to_str().unwrap()];
    let bridge = Queuepost::run(&queues.queue("orders", max_receives), &endpoint.url, &allow).await;
    Scene { bridge, queues, endpoint }
}

impl Scene {
    async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let url = format!("http://{}/api/v1/{path}", self.bridge.admin_address());
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}")))
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, Some(TOKEN), Some(body)).await
    }

    async fn redrive_until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let (status, redrive) = self.ask("GET", "listeners/orders/redrive", None, None).await;
            assert_eq!(status, 200, "{redrive}");
            if is_so(&redrive) {
                return redrive;
            }
            assert!(Instant::now() < end, "{redrive:#}\n{}", self.bridge.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Letters that SQS itself moved to the dead-letter queue of the paused listener.
    async fn letters(&self, count: usize) {
        assert_eq!(self.post("listeners/orders/pause", json!({})).await.0, 200);
        let end = Instant::now() + PATIENCE;
        while self.ask("GET", "listeners/orders", None, None).await.1["workers"]["reserved"] != 0 {
            assert!(Instant::now() < end, "a receive goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for number in 0..count {
            self.queues.send("orders", &format!("letter {number}"));
        }
        let queue = self.queues.url("orders");
        let look = ["receive", "--queue", &queue, "--visibility", "0s", "--wait", "0s", "--max", "1000"];
        for _ in 0..2 * count.div_ceil(10) {
            Queuepost::start(&look, &[]).ended().await;
        }
        assert_eq!(self.queues.census("orders"), (0, 0, count));
    }

    fn ids(&self) -> Vec<String> {
        let all = self.queues.broker.with(|broker, now| broker.inspect(now, "orders-dlq"));
        all.into_iter().map(|message| message.message_id).collect()
    }

    /// How many letters are not visible.
    fn hidden(&self) -> usize {
        let all = self.queues.broker.with(|broker, now| broker.inspect(now, "orders-dlq"));
        all.iter().filter(|message| message.state != MessageState::Visible).count()
    }
}

#[tokio::test]
async fn a_message_is_sent_to_the_listener_s_queue_and_delivered() {
    let scene = scene("send", 10).await;
    let message = json!({"body": "{\"hello\":1}", "attributes": {"tenant": "acme"}});
    let (status, sent) = scene.post("listeners/orders/send", message.clone()).await;
    assert_eq!(
        (status, &sent["listener"], &sent["queue"]),
        (200, &json!("orders"), &json!("orders")),
        "{sent}"
    );
    scene.queues.until_empty("orders").await;
    let requests = scene.endpoint.seen.requests.lock().unwrap().clone();
    let (headers, body) = &requests[0];
    assert_eq!(
        (headers["x-queuepost-attr-tenant"].to_str().unwrap(), &body[..]),
        ("acme", &b"{\"hello\":1}"[..])
    );
    assert_eq!(headers["x-queuepost-message-id"].to_str().unwrap(), sent["message_id"].as_str().unwrap());

    assert_eq!(scene.ask("POST", "listeners/orders/send", None, Some(message)).await.0, 401);
    for (body, words) in [
        (json!({"body": ""}), "empty"),
        (json!({"text": "x"}), "right shape"),
        (json!({"body": "x", "attributes": {"AWS.x": "y"}}), "Amazon's own"),
        (json!({"body": "x", "attributes": {"x": ""}}), "without a value"),
        (json!({"body": "x", "deduplication_id": "d"}), "not valid for this queue type"),
        (json!({"body": "\u{0}"}), "characters SQS does not carry"),
        (json!({"body": "x".repeat(1024 * 1024 + 1)}), "1 MiB"),
    ] {
        let (status, problem) = scene.post("listeners/orders/send", body).await;
        assert!(status == 400 && problem["error"].as_str().unwrap().contains(words), "{status}: {problem}");
    }
    assert_eq!(scene.post("listeners/nobody/send", json!({"body": "x"})).await.0, 404);
}

#[tokio::test]
async fn letters_are_shown_to_whoever_shows_the_token_and_are_visible_again() {
    let scene = scene("peek", 10).await;
    scene.queues.send("orders-dlq", "plain");
    let copied = [("queuepost.reason", "rejected"), ("queuepost.status", "400"), ("tenant", "acme")];
    scene.queues.send_with("orders-dlq", "secret body", &copied);
    let path = "listeners/orders/dead-letters/peek";
    for token in [None, Some("not-the-token-0123")] {
        let (status, refused) = scene.ask("POST", path, token, Some(json!({"max": 10}))).await;
        assert!(status == 401 && !refused.to_string().contains("secret"), "{refused}");
    }
    let (status, peek) = scene.post(path, json!({"max": 10})).await;
    assert_eq!((status, &peek["queue"]), (200, &json!("orders-dlq")), "{peek}");
    let messages = peek["messages"].as_array().unwrap();
    let copy = messages.iter().find(|message| message["body"] == "secret body").unwrap();
    assert_eq!(
        (&copy["reason"], &copy["status"], &copy["receives"]),
        (&json!("rejected"), &json!(400), &json!(1))
    );
    assert_eq!(
        (messages.len(), &copy["attributes"]["tenant"], &copy["body_cut"]),
        (2, &json!("acme"), &json!(false))
    );
    assert!(peek["note"].as_str().unwrap().contains("receive count"), "{peek}");
    assert_eq!((scene.hidden(), scene.queues.receive_counts("orders-dlq")), (0, vec![1, 1]));
    // No body of a request: one letter.
    let (status, one) = scene.ask("POST", path, Some(TOKEN), None).await;
    assert_eq!((status, one["messages"].as_array().unwrap().len()), (200, 1), "{one}");
    assert_eq!(scene.post(path, json!({"max": 11})).await.0, 400);
    assert!(!scene.bridge.output().contains("secret body"));
}

#[tokio::test]
async fn a_redrive_moves_all_letters_back_and_each_is_delivered_once() {
    let scene = scene("redrive", 1).await;
    scene.letters(30).await;
    let (status, dry) = scene.post("listeners/orders/redrive", json!({"dry_run": true})).await;
    assert_eq!((status, &dry["way"], &dry["total"]), (200, &json!("task"), &json!(30)), "{dry}");
    assert!(dry["words"].as_str().unwrap().contains("would move about 30"), "{dry}");
    let (status, none) = scene.ask("GET", "listeners/orders/redrive", None, None).await;
    assert_eq!((status, &none["state"]), (200, &json!("none")), "a dry run is no redrive");
    assert_eq!(scene.ask("POST", "listeners/orders/redrive", None, None).await.0, 401);

    let (status, begun) = scene.ask("POST", "listeners/orders/redrive", Some(TOKEN), None).await;
    assert_eq!((status, &begun["state"]), (202, &json!("running")), "{begun}");
    let done = scene.redrive_until(|redrive| redrive["state"] != "running").await;
    assert_eq!(
        (&done["state"], &done["way"], &done["moved"]),
        (&json!("done"), &json!("task"), &json!(30)),
        "{done}"
    );
    assert!(done["ended"].is_string() && done["error"].is_null(), "{done}");
    assert_eq!(scene.post("listeners/orders/resume", json!({})).await.0, 200);
    scene.queues.until_empty("orders").await;
    assert_eq!(scene.queues.census("orders"), (0, 0, 0));
    let bodies = scene.endpoint.seen.bodies();
    assert!(bodies.len() == 30 && bodies.values().all(|times| *times == 1), "{bodies:?}");
}

#[tokio::test]
async fn a_redrive_that_is_cancelled_leaves_the_rest_visible_and_a_second_one_waits() {
    let scene = scene("cancel", 10).await;
    assert_eq!(scene.post("listeners/orders/pause", json!({})).await.0, 200);
    for number in 0..40 {
        scene.queues.send("orders-dlq", &format!("letter {number}"));
    }
    let path = "listeners/orders/redrive";
    let by_id = json!({"rate": 10, "ids": scene.ids()});
    assert_eq!(scene.post(path, by_id.clone()).await.0, 202);
    let running = scene.redrive_until(|redrive| redrive["moved"].as_u64() >= Some(3)).await;
    assert_eq!((&running["way"], &running["total"]), (&json!("by_hand"), &json!(40)), "{running}");
    let (status, refused) = scene.post(path, by_id).await;
    assert!(status == 409 && refused["fix"].as_str().unwrap().contains("cancel"), "{status}: {refused}");
    let (status, cancelled) = scene.ask("POST", "listeners/orders/redrive/cancel", Some(TOKEN), None).await;
    assert_eq!((status, &cancelled["state"]), (200, &json!("cancelled")), "{cancelled}");
    let moved = usize::try_from(cancelled["moved"].as_u64().unwrap()).unwrap();
    let (visible, in_flight, letters) = scene.queues.census("orders");
    assert!((3..40).contains(&moved), "{cancelled}");
    assert_eq!((visible + in_flight, letters, scene.hidden()), (moved, 40 - moved, 0));
    assert_eq!(scene.ask("POST", "listeners/orders/redrive/cancel", Some(TOKEN), None).await.0, 409);
    // What is left goes back by another one.
    assert_eq!(scene.post(path, json!({})).await.0, 202);
    let done = scene.redrive_until(|redrive| redrive["state"] != "running").await;
    assert_eq!((&done["state"], scene.queues.census("orders").2), (&json!("done"), 0), "{done}");
}

#[tokio::test]
async fn a_drain_ends_a_redrive_in_order_and_in_time() {
    let mut scene = scene("drain", 1).await;
    scene.letters(30).await;
    // By a task that would take half a minute.
    assert_eq!(scene.post("listeners/orders/redrive", json!({"rate": 1})).await.0, 202);
    scene.redrive_until(|redrive| redrive["moved"].as_u64() >= Some(1)).await;
    let began = Instant::now();
    let ended = scene.bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}\n{}", began.elapsed(), ended.output);
    assert!(ended.output.contains(r#""state":"cancelled""#), "{}", ended.output);
    let (visible, in_flight, letters) = scene.queues.census("orders");
    assert!(letters > 0 && visible + in_flight + letters == 30, "{visible} {in_flight} {letters}");
    // No task goes on at SQS.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!((scene.queues.census("orders").2, scene.hidden()), (letters, 0));
}

#[tokio::test]
async fn a_queue_that_refuses_is_told_with_its_fix() {
    let scene = scene("refused", 10).await;
    scene.queues.broker.with(|broker, _| broker.delete_queue("orders-dlq")).unwrap();
    let (status, problem) = scene.post("listeners/orders/dead-letters/peek", json!({})).await;
    assert!(
        status == 502 && problem["error"].as_str().unwrap().contains("orders-dlq"),
        "{status}: {problem}"
    );
    assert!(!problem["fix"].as_str().unwrap().is_empty(), "{problem}");
}

#[tokio::test]
async fn the_log_is_filtered_as_asked_until_that_is_taken_back() {
    let scene = scene("level", 10).await;
    let (status, level) = scene.ask("GET", "log-level", None, None).await;
    assert_eq!((status, level), (200, json!({"level": "info", "configured": "info"})));
    assert_eq!(scene.ask("POST", "log-level", None, Some(json!({"level": "debug"}))).await.0, 401);
    assert_eq!(
        scene.post("log-level", json!({"level": "debug"})).await,
        (200, json!({"level": "debug", "configured": "info"}))
    );
    scene.queues.send("orders", "one");
    scene.bridge.until_line(r#""level":"DEBUG""#).await;
    assert_eq!(scene.post("log-level", json!({"level": null})).await.1["level"], "info");
    let asked = scene.bridge.until_line("another log level was asked for").await;
    assert!(asked.contains(r#""level":"INFO""#), "{asked}");
    for wrong in [json!({"level": "loud"}), json!({"level": 3}), json!({}), json!({"levels": null})] {
        let (status, problem) = scene.post("log-level", wrong).await;
        assert!(status == 400 && problem["fix"].is_string(), "{status}: {problem}");
    }
}
