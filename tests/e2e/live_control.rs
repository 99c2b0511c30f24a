//! Changes through the admin port of the real binary: who may make them, and what they do.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::process::{Ended, Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};

const TOKEN: &str = "planted-token-0123456789";

/// A process with the listener `orders` whose changes are allowed, and its queue and endpoint.
struct Scene {
    bridge: Queuepost,
    queues: QueueServer,
    endpoint: HttpEndpoint,
    token_file: String,
}

fn token_file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("control-{name}"));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

async fn scene(name: &str, more: &[&str]) -> Scene {
    let token_file = token_file(name);
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let queue = queues.queue("orders", 10);
    let allow = ["--admin-allow-changes", "--admin-token-file", &token_file];
    let bridge = Queuepost::run(&queue, &endpoint.url, &[&allow[..], more].concat()).await;
    Scene { bridge, queues, endpoint, token_file }
}

impl Scene {
    async fn post(&self, path: &str, token: Option<&str>, body: &str, headers: HeaderMap) -> (u16, Value) {
        let client = reqwest::Client::new();
        let mut request = client.post(format!("http://{}{path}", self.bridge.admin_address()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let json = ("content-type", "application/json");
        let answer =
            request.header(json.0, json.1).headers(headers).body(body.to_owned()).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text:?}")))
    }

    /// Runs a command against the process.
    async fn command(&self, args: &[&str]) -> Ended {
        let where_ = ["--admin-address", self.bridge.admin_address()];
        let env = [("QUEUEPOST_ADMIN_TOKEN_FILE", self.token_file.as_str())];
        Queuepost::start(&[args, &where_].concat(), &env).ended().await
    }

    async fn listener(&self) -> Value {
        let (_, text) = self.bridge.admin("/api/v1/status").await;
        serde_json::from_str::<Value>(&text).unwrap()["listeners"][0].clone()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let end = tokio::time::Instant::now() + super::process::PATIENCE;
        loop {
            let listener = self.listener().await;
            if is_so(&listener) {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "not {what}: {listener:#}\n{}", self.bridge.output());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn slow(&self, millis: usize) {
        self.endpoint.seen.delay_ms.store(millis, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_pause_stops_receives_lets_what_runs_finish_and_ends_with_resume() {
    let mut scene = scene("pause", &[]).await;
    scene.slow(3_000);
    scene.queues.send("orders", "running");
    scene.until("posting", |of| of["messages"]["delivering"] == 1).await;
    let paused = scene.command(&["pause", "orders"]).await;
    assert_eq!(paused.code, Some(0), "{}", paused.output);
    assert!(
        paused.output.contains("orders is paused") && paused.output.contains("until a restart"),
        "{}",
        paused.output
    );
    scene.queues.until_empty("orders").await;
    assert_eq!(scene.endpoint.seen.count(), 1, "what ran has finished");
    scene.until("paused", |of| of["paused"] == true && of["not_receiving"] == "paused").await;
    scene.until("with an ended receive", |of| of["workers"]["reserved"] == 0).await;
    assert!((scene.bridge.metric("listener_paused", "orders").await - 1.0).abs() < 0.1);
    assert_eq!((scene.bridge.admin("/readyz").await.0, scene.bridge.admin("/livez").await.0), (200, 200));

    scene.slow(0);
    scene.queues.send("orders", "waits");
    // A receive under way would have ended within the second that it waits.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!((scene.endpoint.seen.count(), scene.queues.census("orders").0), (1, 1), "nothing is received");
    let shown = scene.command(&["status"]).await;
    assert!(shown.output.contains("orders    paused"), "{}", shown.output);
    assert_eq!(scene.command(&["resume", "orders"]).await.code, Some(0));
    scene.queues.until_empty("orders").await;
    scene.until("receiving", |of| of["paused"] == false && of["not_receiving"] != "paused").await;
    let line = scene.bridge.until_line("changed through the admin port").await;
    for words in
        ["\"peer\":\"127.0.0.1:", "\"action\":\"pause\"", "\"listener\":\"orders\"", "not paused, 16 workers"]
    {
        assert!(line.contains(words), "{words} is missing: {line}");
    }
    assert!(
        (scene.bridge.metric("admin_writes_total", r#"action="pause",result="done""#).await - 1.0).abs()
            < 0.1
    );
    let ended = scene.bridge.stop().await;
    assert_eq!(ended.code, Some(0));
    assert!(!ended.output.contains(TOKEN), "{}", ended.output);
}

#[tokio::test]
async fn workers_changed_while_posts_run_are_the_cap_from_then_on() {
    let mut scene = scene("workers", &["--workers", "1"]).await;
    scene.slow(200);
    for number in 0..60 {
        scene.queues.send("orders", &number.to_string());
    }
    let seen = &scene.endpoint.seen;
    assert!(until(|| (seen.count() >= 3).then_some(())).await.is_some());
    assert_eq!(seen.most_running(), 1);
    let more = scene.command(&["workers", "orders", "4"]).await;
    assert!(more.output.contains("orders has 4 workers, and had 1"), "{}", more.output);
    assert!(until(|| (seen.most_running() == 4).then_some(())).await.is_some(), "{}", seen.most_running());
    let status = scene.listener().await;
    assert_eq!((&status["workers_configured"], &status["workers"]["limit"]), (&json!(1), &json!(4)));
    scene.queues.until_empty("orders").await;
    assert_eq!(seen.most_running(), 4, "never more than it was told");
    assert_eq!(scene.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn changes_are_off_by_default_and_reads_are_not() {
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let queue = queues.queue("orders", 10);
    let token_file = token_file("off");
    let bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    let mut scene = Scene { bridge, queues, endpoint, token_file };
    let (status, body) =
        scene.post("/api/v1/listeners/orders/pause", Some(TOKEN), "", HeaderMap::new()).await;
    assert_eq!(status, 403);
    assert!(body["fix"].as_str().unwrap().contains("admin.allow_changes: true"), "{body}");
    assert_eq!(scene.listener().await["paused"], false);
    let refused = scene.command(&["pause", "orders"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.output.contains("fix: set admin.allow_changes"), "{}", refused.output);
    assert_eq!(scene.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn no_token_a_wrong_one_and_a_web_page_change_nothing_and_a_renewed_token_counts_at_once() {
    let mut scene = scene("tokens", &[]).await;
    let path = "/api/v1/listeners/orders/pause";
    let none = HeaderMap::new();
    assert_eq!(scene.post(path, None, "", none.clone()).await.0, 401);
    let wrong = scene.post(path, Some("wrong-token-0123456789"), "", none.clone()).await;
    assert!(wrong.0 == 401 && wrong.1["error"].is_string() && wrong.1["fix"].is_string(), "{wrong:?}");
    let mut page = HeaderMap::new();
    page.insert("origin", HeaderValue::from_static("http://evil.example"));
    assert_eq!(scene.post(path, Some(TOKEN), "", page).await.0, 403);
    let mut foreign = HeaderMap::new();
    foreign.insert("host", HeaderValue::from_static("evil.example"));
    let client = reqwest::Client::new();
    let url = format!("http://{}{path}", scene.bridge.admin_address());
    let answer = client.post(&url).bearer_auth(TOKEN).headers(foreign).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 421);
    assert_eq!(scene.listener().await["paused"], false);

    let new = "renewed-token-9876543210";
    fs::write(&scene.token_file, new).unwrap();
    assert_eq!(scene.post(path, Some(new), "", none.clone()).await.0, 200);
    assert_eq!(scene.post(path, Some(TOKEN), "", none).await.0, 401);
    let resumed = scene.command(&["resume", "orders"]).await;
    assert_eq!(resumed.code, Some(0), "{}", resumed.output);
    let denied = scene.bridge.metric("admin_writes_total", r#"result="denied""#).await;
    assert!((denied - 4.0).abs() < 0.1, "{denied}");
    let ended = scene.bridge.stop().await;
    for secret in [TOKEN, new, "wrong-token"] {
        assert!(!ended.output.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_flood_of_changes_is_told_to_wait() {
    let mut scene = scene("flood", &[]).await;
    let url = format!("http://{}/api/v1/listeners/orders/pause", scene.bridge.admin_address());
    let client = reqwest::Client::new();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let request = client.post(&url).bearer_auth(TOKEN);
        flood.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    let answers = flood.join_all().await;
    assert!(answers.iter().filter(|status| **status == 200).count() >= 20, "{answers:?}");
    assert!(answers.contains(&429), "{answers:?}");
    let (_, body) = scene.post("/api/v1/listeners/orders/resume", Some("wrong"), "", HeaderMap::new()).await;
    assert!(body["fix"].is_string(), "{body}");
    assert_eq!(scene.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn hostile_requests_are_refused_with_words_and_the_fix() {
    let mut scene = scene("hostile", &[]).await;
    let workers = "/api/v1/listeners/orders/workers";
    let huge = "x".repeat(1024 * 1024);
    for (path, body, wanted) in [
        (workers, huge.as_str(), 413),
        (workers, "{", 400),
        (workers, r#"{"workers": 10001}"#, 400),
        (workers, r#"{"workers": 4, "more": 1}"#, 400),
        ("/api/v1/listeners/orders/pause", "[1]", 400),
        ("/api/v1/listeners/order/pause", "", 404),
        ("/api/v1/listeners/a%0ab%1b%5b2J/pause", "", 404),
        ("/api/v1/listeners/%ff/pause", "", 404),
        ("/api/v1/listeners/..%2f..%2freload/pause", "", 404),
        ("/api/v1/listeners/orders/delete", "", 404),
        ("/api/v1/status", "", 405),
    ] {
        let (status, answer) = scene.post(path, Some(TOKEN), body, HeaderMap::new()).await;
        assert_eq!(status, wanted, "{path}: {answer}");
        assert!(answer["error"].is_string() && answer["fix"].is_string(), "{path}: {answer}");
    }
    let (_, answer) = scene.post("/api/v1/listeners/order/pause", Some(TOKEN), "", HeaderMap::new()).await;
    assert_eq!(answer["fix"], "did you mean `orders`?");
    let url = format!("http://{}{workers}", scene.bridge.admin_address());
    let plain = reqwest::Client::new().post(url).bearer_auth(TOKEN).body("workers=4").send().await.unwrap();
    assert_eq!(plain.status().as_u16(), 415);
    assert_eq!(scene.listener().await["workers"]["limit"], 16);
    let ended = scene.bridge.stop().await;
    assert!(!ended.output.contains('\u{1b}'), "{}", ended.output);
}

#[tokio::test]
async fn a_configuration_that_allows_changes_needs_a_token_worth_the_name() {
    let run = async |more: &[&str]| {
        let args = ["run", "--queue", "http://127.0.0.1:9/0/q", "--url", "http://127.0.0.1:9/"];
        Queuepost::start(&[&args[..], more].concat(), &[]).ended().await
    };
    let none = run(&["--admin-allow-changes"]).await;
    assert_eq!(none.code, Some(78));
    assert!(none.output.contains("needs `admin.token_file`"), "{}", none.output);
    let file = token_file("short");
    for (content, words) in
        [("short\n", "fewer than 16 characters"), ("", "it is empty"), ("a\nb\n", "more than one line")]
    {
        fs::write(&file, content).unwrap();
        let short = run(&["--admin-allow-changes", "--admin-token-file", &file]).await;
        assert_eq!(short.code, Some(78));
        assert!(short.output.contains(words) && !short.output.contains("short\n"), "{}", short.output);
    }
}

#[tokio::test]
async fn a_listener_that_is_paused_by_its_configuration_starts_so_and_can_be_resumed() {
    let mut first = scene("configured", &[]).await;
    let folder = Path::new(&first.token_file).parent().unwrap().join("c.yaml");
    let config = format!(
        "listeners:\n- queue: {}\n  url: {}\n  paused: true\n  receive_wait: 1s\nadmin: {{listen: '127.0.0.1:0', \
         allow_changes: true, token_file: token}}\nlog: {{format: json}}\n",
        first.queues.url("orders"),
        first.endpoint.url
    );
    assert_eq!(first.bridge.stop().await.code, Some(0));
    fs::write(&folder, config).unwrap();
    let mut bridge = Queuepost::start(&["run", "--config", folder.to_str().unwrap()], &[]);
    bridge.find_admin().await;
    let mut scene = Scene { bridge, ..first };
    scene.until("paused", |of| of["state"] == "healthy" && of["not_receiving"] == "paused").await;
    scene.queues.send("orders", "waits");
    assert_eq!(scene.bridge.admin("/readyz").await.0, 200);
    assert_eq!(scene.endpoint.seen.count(), 0);
    assert_eq!(scene.command(&["resume", "orders"]).await.code, Some(0));
    scene.queues.until_empty("orders").await;
    assert_eq!(scene.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn commands_say_what_is_wrong_and_the_fix() {
    let mut scene = scene("commands", &[]).await;
    let near = scene.command(&["pause", "order"]).await;
    assert_eq!(near.code, Some(1));
    assert!(
        near.output.contains("there is no listener `order`\n  fix: did you mean `orders`?"),
        "{}",
        near.output
    );
    let wrong = token_file("wrong");
    fs::write(&wrong, "another-token-0123456789").unwrap();
    let denied = scene.command(&["pause", "orders", "--token-file", &wrong]).await;
    assert!(denied.code == Some(1) && denied.output.contains("not the token"), "{}", denied.output);
    let address = ["--admin-address", scene.bridge.admin_address()];
    let without = Queuepost::start(&[&["resume", "orders"][..], &address].concat(), &[]).ended().await;
    assert!(without.code == Some(1) && without.output.contains("--token-file FILE"), "{}", without.output);
    assert_eq!(scene.command(&["workers", "orders", "0"]).await.code, Some(2));
    let of_nobody = scene.command(&["status", "--failures", "--listener", "nobody"]).await;
    assert!(
        of_nobody.code == Some(1) && of_nobody.output.contains("no listener `nobody`"),
        "{}",
        of_nobody.output
    );
    let json = scene.command(&["status", "--format", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&json.output).unwrap()["listeners"][0]["name"], "orders");
    let told = scene.command(&["pause", "orders", "--format", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&told.output).unwrap()["paused"], true);
    let address = scene.bridge.admin_address().to_owned();
    assert_eq!(scene.bridge.stop().await.code, Some(0));
    let gone = Queuepost::start(&["status", "--admin-address", &address], &[]).ended().await;
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.output.contains("no process answers") && gone.output.contains("queuepost run"),
        "{}",
        gone.output
    );
}

#[tokio::test]
async fn a_watch_survives_the_process_and_finds_its_successor() {
    let mut first = scene("watch", &[]).await;
    let address = first.bridge.admin_address().to_owned();
    let mut watch = Queuepost::start(&["status", "--watch", "--admin-address", &address], &[]);
    watch.until_line("orders ").await;
    assert_eq!(first.bridge.stop().await.code, Some(0));
    watch.until_line("no process answers").await;
    let listen = [
        "run",
        "--queue",
        &first.queues.queue("refunds", 10),
        "--url",
        &first.endpoint.url,
        "--admin-listen",
        &address,
    ];
    let mut second =
        Queuepost::start(&[&listen[..], &["--log-format", "json", "--receive-wait", "1s"]].concat(), &[]);
    watch.until_line("refunds ").await;
    watch.signal("INT");
    assert_eq!(watch.ended().await.code, Some(130));
    assert_eq!(second.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_test_post_is_judged_as_a_message_would_be_and_touches_no_queue() {
    let it = scene("test", &[]).await;
    it.until("healthy", |listener| listener["state"] == "healthy").await;
    let test = async |name: &str| {
        let path = format!("/api/v1/listeners/{name}/test");
        it.post(&path, Some(TOKEN), r#"{"body": "{\"hello\":1}"}"#, HeaderMap::new()).await
    };
    let (status, tested) = test("orders").await;
    assert_eq!((status, &tested["status"]), (200, &json!(200)), "{tested:#}");
    assert_eq!(tested["messages"][0]["then"], "would be deleted");
    it.endpoint.seen.status.store(429, Ordering::SeqCst);
    let (_, tested) = test("orders").await;
    assert_eq!(tested["messages"][0]["then"], "would be parked for 5 min", "{tested:#}");
    assert_eq!(it.endpoint.seen.bodies(), [("{\"hello\":1}".to_owned(), 2)].into());
    assert_eq!(it.queues.census("orders"), (0, 0, 0));
    assert!(it.bridge.metric("messages_received_total", "").await < 1.0);
    assert_eq!(test("ordres").await.0, 404);
}

#[tokio::test]
async fn one_listener_is_asked_for_alone_with_what_scaling_needs() {
    let it = scene("one", &[]).await;
    it.until("healthy", |listener| listener["state"] == "healthy").await;
    let (status, text) = it.bridge.admin("/api/v1/listeners/orders").await;
    let one: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &one["scaling"]), (200, &json!({"gates_open": 1, "workers_in_use": 0})));
    assert_eq!((&one["name"], &one["recent_failures"]), (&json!("orders"), &json!(null)));
    it.endpoint.seen.status.store(401, Ordering::SeqCst);
    it.queues.send("orders", "x");
    it.until("closed", |listener| listener["scaling"]["gates_open"] == 0).await;
    let (status, text) = it.bridge.admin("/api/v1/listeners/ordres").await;
    assert!(status == 404 && text.contains("did you mean `orders`?"), "{status} {text}");
    let (_, text) = it.bridge.admin("/api/v1/listeners").await;
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(all["listeners"][0]["name"], "orders");
    let (_, text) = it.bridge.admin("/api/v1/status?failures=0").await;
    assert!(text.contains("\"recent_failures\": null"), "{text}");
}
