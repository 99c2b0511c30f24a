//! Listeners that are created, changed and removed by request, and by files of `listeners_dir`, with the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

const TOKEN: &str = "planted-token-0123456789";

/// A process without a listener, a directory for some, a queue server and an endpoint.
struct Scene {
    bridge: Queuepost,
    queues: QueueServer,
    endpoint: HttpEndpoint,
    folder: PathBuf,
    args: Vec<String>,
}

impl Scene {
    async fn new(name: &str) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kept-{name}"));
        drop(fs::remove_dir_all(&base));
        let folder = base.join("listeners");
        fs::create_dir_all(&folder).unwrap();
        let token = base.join("token");
        fs::write(&token, TOKEN).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let args = ["run", "--listeners-dir", &text(&folder), "--admin-listen", "127.0.0.1:0"];
        let allow = ["--admin-allow-changes", "--admin-token-file", &text(&token)];
        let args = args.into_iter().chain(allow).map(str::to_owned).collect::<Vec<_>>();
        let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
        Self { bridge: start(&args).await, queues, endpoint, folder, args }
    }

    fn keys(&self, queue: &str) -> Value {
        let url = self.queues.queue(queue, 3);
        json!({ "name": queue, "queue": url, "url": self.endpoint.url, "receive_wait": "1s" })
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let address = format!("http://{}{path}", self.bridge.admin_address());
        let request = reqwest::Client::new().request(method, address).bearer_auth(TOKEN);
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text:?}")))
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, &body.to_string()).await
    }

    /// Waits until the listeners are these, each healthy.
    async fn until_listeners(&self, names: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let (_, text) = self.bridge.admin("/api/v1/listeners").await;
            let all: Value = serde_json::from_str(&text).unwrap();
            let known: Vec<_> = all["listeners"].as_array().unwrap().iter().collect();
            let is_so = known.iter().all(|one| one["state"] == "healthy");
            if is_so && known.iter().map(|one| one["name"].as_str().unwrap()).eq(names.iter().copied()) {
                return;
            }
            assert!(Instant::now() < end, "{all}\n{}", self.bridge.output());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

async fn start(args: &[String]) -> Queuepost {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut bridge = Queuepost::start(&args, &[]);
    bridge.find_admin().await;
    bridge
}

#[tokio::test]
async fn a_listener_is_created_delivers_survives_a_restart_is_changed_and_removed() {
    let mut scene = Scene::new("life").await;
    assert_eq!(
        scene.bridge.admin("/readyz").await.0,
        200,
        "nothing is wrong with a process without a listener"
    );
    scene.bridge.until_line("there is no listener yet").await;
    let mut keys = scene.keys("orders");
    let (status, created) = scene.post("/api/v1/listeners", &keys).await;
    assert_eq!(
        (status, &created["listener"], &created["state"]),
        (201, &json!("orders"), &json!("added")),
        "{created}"
    );
    assert_eq!(scene.files(), ["orders.json"]);
    scene.queues.send("orders", "one");
    scene.queues.until_empty("orders").await;
    assert_eq!(scene.endpoint.seen.count(), 1);
    assert_eq!(scene.post("/api/v1/listeners", &keys).await.0, 409, "it is there");

    assert_eq!(scene.bridge.stop().await.code, Some(0));
    scene.bridge = start(&scene.args).await;
    scene.until_listeners(&["orders"]).await;
    scene.queues.send("orders", "two");
    scene.queues.until_empty("orders").await;

    let (_, shown) = scene.ask(Method::GET, "/api/v1/listeners/orders/configuration", "").await;
    assert_eq!((&shown["origin"], &shown["editable"]), (&json!("directory"), &json!(true)));
    keys.as_object_mut().unwrap().remove("name");
    assert_eq!(shown["object"], keys, "what is shown is what was sent");
    keys["workers"] = json!(3);
    let (status, changed) = scene.ask(Method::PUT, "/api/v1/listeners/orders", &keys.to_string()).await;
    assert_eq!((status, &changed["state"]), (200, &json!("adjusted")), "{changed}");
    let (_, text) = scene.bridge.admin("/api/v1/listeners/orders").await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["workers_configured"], json!(3));

    let (status, removed) = scene.ask(Method::DELETE, "/api/v1/listeners/orders", "").await;
    assert_eq!((status, &removed["state"]), (200, &json!("removed")), "{removed}");
    assert!(scene.files().is_empty());
    scene.until_listeners(&[]).await;
    assert_eq!(scene.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_listener_that_is_not_valid_changes_nothing_and_each_mistake_is_named() {
    let mut scene = Scene::new("wrong").await;
    let keys = scene.keys("orders");
    assert_eq!(scene.post("/api/v1/listeners", &keys).await.0, 201);
    let mut wrong = scene.keys("refunds");
    (wrong["workers"], wrong["colour"]) = (json!("many"), json!("red"));
    for (method, path) in [(Method::POST, "/api/v1/listeners"), (Method::PUT, "/api/v1/listeners/orders")] {
        if method == Method::PUT {
            wrong["name"] = json!("orders");
        }
        let (status, said) = scene.ask(method, path, &wrong.to_string()).await;
        let keys: Vec<_> =
            said["problems"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
        assert_eq!((status, keys), (422, vec!["colour", "workers"]), "{said}");
    }
    // Nothing of this machine can be named by request.
    for (key, value) in [
        ("url", json!("http://127.0.0.1:1/${HOME}")),
        ("headers", json!({"X-Key": {"file": "/etc/passwd"}})),
        ("headers", json!({"X-Key": {"env": "AWS_SECRET_ACCESS_KEY"}})),
        ("template", json!({"body": ["${HOME}"]})),
        ("name", json!("../evil")),
        ("name", json!(null)),
    ] {
        let mut wrong = scene.keys("refunds");
        wrong[key] = value;
        let (status, said) = scene.post("/api/v1/listeners", &wrong).await;
        assert_eq!((status, scene.files()), (422, vec!["orders.json".to_owned()]), "{key}: {said}");
    }
    assert_eq!(scene.ask(Method::DELETE, "/api/v1/listeners/refunds", "").await.0, 404);
    assert_eq!(scene.post("/api/v1/listeners", &json!(["no map"])).await.0, 400);
    scene.queues.send("orders", "goes on");
    scene.queues.until_empty("orders").await;
    assert_eq!(scene.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_listener_is_tried_out_before_it_is_created_and_nothing_is_kept_of_that() {
    let mut scene = Scene::new("tried").await;
    let keys = scene.keys("orders");
    let (status, tried) = scene.post("/api/v1/check", &json!({ "listener": keys, "post": "hello" })).await;
    assert_eq!(
        (status, &tried["valid"], &tried["queue"]["ok"]),
        (200, &json!(true), &json!(true)),
        "{tried}"
    );
    assert_eq!((&tried["post"]["status"], scene.endpoint.seen.count()), (&json!(200), 1), "{tried}");
    let mut wrong = keys.clone();
    (wrong["workers"], wrong["queue"]) = (json!(0), json!(scene.queues.queue("gone", 3)));
    let (_, tried) = scene.post("/api/v1/check", &json!({ "listener": wrong })).await;
    assert_eq!(
        (&tried["valid"], &tried["problems"][0]["key"]),
        (&json!(false), &json!("workers")),
        "{tried}"
    );
    let mut nowhere = keys;
    nowhere["queue"] = json!(nowhere["queue"].as_str().unwrap().replace("orders", "nowhere"));
    let (_, tried) = scene.post("/api/v1/check", &json!({ "listener": nowhere })).await;
    assert_eq!((&tried["valid"], &tried["queue"]["ok"]), (&json!(true), &json!(false)), "{tried}");
    assert!(scene.files().is_empty());
    assert_eq!(scene.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_file_that_comes_into_the_directory_changes_or_goes_is_followed() {
    let mut scene = Scene::new("followed").await;
    let mut keys = scene.keys("orders");
    keys.as_object_mut().unwrap().remove("name");
    let file = scene.folder.join("orders.yaml");
    fs::write(&file, keys.to_string()).unwrap();
    scene.until_listeners(&["orders"]).await;
    scene.queues.send("orders", "one");
    scene.queues.until_empty("orders").await;
    // One that is not valid is said with its place, and what ran goes on.
    fs::write(&file, "queue: orders\nurl: nowhere\n").unwrap();
    let line = scene.bridge.until_line("not reloaded").await;
    assert!(line.contains("orders.yaml:2:6: url"), "{line}");
    let (status, said) = scene.post("/api/v1/listeners", &scene.keys("refunds")).await;
    assert!(status == 409 && said["error"].as_str().unwrap().contains("orders.yaml:2:6"), "{said}");
    scene.queues.send("orders", "two");
    scene.queues.until_empty("orders").await;
    fs::remove_file(&file).unwrap();
    scene.until_listeners(&[]).await;
    assert_eq!(scene.bridge.stop().await.code, Some(0));
}
