//! What the admin port tells of listeners while they run: events, failures, history, and what a session may do.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

const TOKEN: &str = "planted-token-0123456789";

async fn bridge(more: &[&str]) -> (Queuepost, QueueServer, HttpEndpoint) {
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let bridge = Queuepost::run(&queues.queue("orders", 10), &endpoint.url, more).await;
    (bridge, queues, endpoint)
}

/// The events of a process, as one client reads them.
struct Events {
    answer: Response,
    text: String,
}

impl Events {
    async fn of(bridge: &Queuepost) -> Self {
        let url = format!("http://{}/api/v1/events", bridge.admin_address());
        Self { answer: reqwest::Client::new().get(url).send().await.unwrap(), text: String::new() }
    }

    /// The next document; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                let event = std::mem::replace(&mut self.text, rest);
                let data = event.strip_prefix("event: status\ndata: ").map(|data| data.trim_end().to_owned());
                match data {
                    Some(data) => return Some(serde_json::from_str(&data).unwrap()),
                    None => continue,
                }
            }
            let chunk = timeout(PATIENCE, self.answer.chunk()).await.expect("it says something");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.next().await.expect("it goes on");
            if is_so(&status) {
                return status;
            }
            assert!(Instant::now() < end, "not {what}: {status:#}");
        }
    }
}

async fn document(bridge: &Queuepost, path: &str) -> Value {
    let (status, text) = bridge.admin(path).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn events_tell_the_status_at_once_and_when_it_has_changed() {
    let (bridge, queues, _endpoint) = bridge(&[]).await;
    let mut events = Events::of(&bridge).await;
    let header = |name: &str| events.answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!([header("content-type"), header("cache-control")], ["text/event-stream", "no-cache"]);
    let first = events.next().await.unwrap();
    assert_eq!((&first["phase"], &first["listeners"][0]["name"]), (&json!("running"), &json!("orders")));
    assert!(first["listeners"][0]["recent_failures"].is_null());
    queues.send("orders", "hello");
    events.until("delivered", |status| status["listeners"][0]["totals"]["deleted"] == 1).await;
}

#[tokio::test]
async fn a_thirty_third_client_is_refused_until_one_of_the_others_goes_away() {
    let (bridge, _queues, _endpoint) = bridge(&[]).await;
    let mut all = Vec::new();
    for _ in 0..32 {
        let mut events = Events::of(&bridge).await;
        assert!(events.next().await.is_some());
        all.push(events);
    }
    let refused = Events::of(&bridge).await.answer;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "16"));
    let refused: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert!(refused["error"].as_str().unwrap().contains("32 clients"), "{refused}");
    // Probes and scrapes are answered meanwhile.
    assert_eq!(bridge.admin("/livez").await.0, 200);
    drop(all.pop());
    let end = Instant::now() + PATIENCE;
    loop {
        let mut events = Events::of(&bridge).await;
        if events.answer.status() == 200 {
            assert!(events.next().await.is_some());
            break;
        }
        assert!(Instant::now() < end, "the place of a client that went away is never free");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_drain_is_told_and_open_streams_do_not_hold_it_up() {
    let (mut bridge, queues, endpoint) = bridge(&["--log-level", "debug"]).await;
    endpoint.seen.delay_ms.store(3_000, Ordering::SeqCst);
    let mut all = Vec::new();
    for _ in 0..8 {
        all.push(Events::of(&bridge).await);
    }
    queues.send("orders", "slow");
    let delivering = |status: &Value| status["listeners"][0]["messages"]["delivering"] == 1;
    all[0].until("delivering", delivering).await;
    bridge.signal("TERM");
    all[0].until("draining", |status| status["phase"] == "draining").await;
    let ended = bridge.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    while all[0].next().await.is_some() {}
    // Without the end of the streams the port would wait a second for its connections, and then cut them.
    let lines = ended.output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let times: Vec<_> =
        lines.map(|line| humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap()).collect();
    let [.., before, stopped] = times.as_slice() else { panic!("{}", ended.output) };
    let took = stopped.duration_since(*before).unwrap();
    assert!(took < Duration::from_millis(700), "{took:?}\n{}", ended.output);
}

#[tokio::test]
async fn a_session_says_whether_changes_are_off_need_the_token_or_are_allowed() {
    let (off, _queues, _endpoint) = bridge(&[]).await;
    let session = document(&off, "/api/v1/session").await;
    assert_eq!((&session["changes"], &session["writable_listeners"]), (&json!("off"), &json!(false)));
    assert!(session["note"].as_str().unwrap().contains("admin.allow_changes"), "{session}");
    assert!(humantime::parse_rfc3339(session["process"]["started"].as_str().unwrap()).is_ok(), "{session}");

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("session-token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let allow = ["--admin-allow-changes", "--admin-token-file", file.to_str().unwrap()];
    let (on, _queues, _endpoint) = bridge(&allow).await;
    assert_eq!(document(&on, "/api/v1/session").await["changes"], "token_needed");
    let ask = async |token: &str, site: &str| {
        let url = format!("http://{}/api/v1/session", on.admin_address());
        let request = reqwest::Client::new().get(url).bearer_auth(token).header("sec-fetch-site", site);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    let (status, session) = ask(TOKEN, "same-origin").await;
    assert_eq!((status, &session["changes"], &session["note"]), (200, &json!("allowed"), &Value::Null));
    assert_eq!(ask(TOKEN, "cross-site").await.0, 403);
    let (status, wrong) = ask("not-the-token-0123", "none").await;
    assert_eq!((status, wrong["error"].is_string()), (401, true));
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(ask("not-the-token-0123", "none").await.0);
    }
    assert!(statuses.contains(&429), "guesses are limited: {statuses:?}");
    assert_eq!(ask(TOKEN, "none").await.0, 200, "the right token is never locked out");
}

#[tokio::test]
async fn failures_and_history_of_one_listener_are_told_by_themselves() {
    let (bridge, queues, endpoint) = bridge(&[]).await;
    endpoint.seen.status.store(429, Ordering::SeqCst);
    queues.send("orders", "no room");
    let end = Instant::now() + PATIENCE;
    let failures = loop {
        let failures = document(&bridge, "/api/v1/listeners/orders/failures").await;
        if failures["recent_failures"][0].is_object() {
            break failures;
        }
        assert!(Instant::now() < end, "{failures}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (&failures["listener"], &failures["recent_failures"][0]["status"]),
        (&json!("orders"), &json!(429))
    );
    let history = loop {
        let history = document(&bridge, "/api/v1/listeners/orders/history").await;
        if history["points"][0].is_object() {
            break history;
        }
        assert!(Instant::now() < end, "{history}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let point = &history["points"][0];
    assert_eq!((&point["received"], &point["parked"], &point["deleted"]), (&json!(1), &json!(1), &json!(0)));
    for path in ["failures", "history"] {
        let (status, text) = bridge.admin(&format!("/api/v1/listeners/order/{path}")).await;
        assert!(status == 404 && text.contains("did you mean `orders`?"), "{status}: {text}");
    }
}

#[tokio::test]
async fn a_port_for_metrics_has_metrics_and_probes_alone() {
    let (bridge, _queues, _endpoint) = bridge(&["--admin-metrics-listen", "127.0.0.1:0"]).await;
    let line: Value = serde_json::from_str(&bridge.until_line("\"started\"").await).unwrap();
    let metrics = line["metrics"].as_str().unwrap().to_owned();
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{metrics}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = get("/metrics").await;
    assert!(status == 200 && text.contains("queuepost_build_info"), "{status}: {text}");
    for path in ["/livez", "/healthz", "/readyz"] {
        assert_eq!(get(path).await.0, 200, "{path}");
        assert_eq!(bridge.admin(path).await.0, 200, "{path}");
    }
    for path in ["/", "/version", "/api/v1/status", "/api/v1/session", "/api/v1/listeners/orders/pause"] {
        let (status, text) = get(path).await;
        assert!(status == 404 && text.contains("admin.listen"), "{path}: {status} {text}");
    }
    let host =
        reqwest::Client::new().get(format!("http://{metrics}/metrics")).header("host", "attacker.example");
    assert_eq!(host.send().await.unwrap().status(), 421);
}

#[tokio::test]
async fn no_route_answers_to_the_name_of_another_site_on_loopback() {
    let (bridge, _queues, _endpoint) = bridge(&[]).await;
    for path in [
        "/",
        "/console.js",
        "/metrics",
        "/livez",
        "/readyz",
        "/version",
        "/api/v1/status",
        "/api/v1/events",
        "/api/v1/session",
        "/api/v1/log-level",
        "/api/v1/openapi.json",
        "/api/v1/listeners/orders/failures",
        "/api/v1/listeners/orders/history",
    ] {
        let url = format!("http://{}{path}", bridge.admin_address());
        let request = reqwest::Client::new().get(url).header("host", "attacker.example");
        assert_eq!(request.send().await.unwrap().status(), 421, "{path}");
    }
}
