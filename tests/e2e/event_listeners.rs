//! The routes of the original event-listener API with the real binary, asked as its clients ask.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::process::Queuepost;
use super::servers::QueueServer;

const TOKEN: &str = "planted-token-0123456789";
const ALL: &str = "/v1/users/demo/event-listeners";

/// What a server of algorithms was asked: path with query, and the key.
type Calls = Arc<Mutex<Vec<(String, String)>>>;

/// A process with an endpoint for algorithms and no listener; its queues, and the server of algorithms.
struct Scene {
    bridge: Queuepost,
    queues: QueueServer,
    calls: Calls,
    folder: PathBuf,
    config: String,
    _server: JoinSet<()>,
}

impl Scene {
    async fn new(name: &str, endpoint: &str) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("event-listeners-{name}"));
        drop(fs::remove_dir_all(&base));
        let folder = base.join("listeners");
        fs::create_dir_all(&folder).unwrap();
        fs::write(base.join("token"), TOKEN).unwrap();
        fs::write(base.join("key"), "algorithm-key").unwrap();
        let calls = Calls::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(call).with_state(Arc::clone(&calls));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let config = base.join("queuepost.yaml");
        let yaml = format!(
            "listeners_dir: listeners\nadmin: {{listen: '127.0.0.1:0', allow_changes: true, token_file: token}}\n\
             log: {{format: json}}\nendpoints:\n  {endpoint}:\n    url: http://{address}\n    \
             auth: {{api_key: {{header: Authorization, prefix: 'Simple ', file: key}}}}\n"
        );
        fs::write(&config, yaml).unwrap();
        let config = config.to_str().unwrap().to_owned();
        let (queues, bridge) = (QueueServer::start().await, start(&config).await);
        Self { bridge, queues, calls, folder, config, _server: server }
    }

    /// Asks with this `Authorization`; status and answer, null where that is empty.
    async fn ask_as(&self, key: Option<&str>, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let address = format!("http://{}{path}", self.bridge.admin_address());
        let mut request = reqwest::Client::new().request(method, address);
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        if text.is_empty() {
            return (status, Value::Null);
        }
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text:?}")))
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        self.ask_as(Some(&format!("Simple {TOKEN}")), method, path, body).await
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn form(&self, queue: &str) -> Value {
        json!({
            "sourceType": "AmazonSQS", "sourceURI": self.queues.queue(queue, 3), "algoOwner": "demo",
            "algoName": "Hello", "algoVersion": "0.1.3", "algoTimeoutSeconds": 60, "listenerOwner": "demo",
        })
    }
}

async fn start(config: &str) -> Queuepost {
    let mut bridge = Queuepost::start(&["run", "--config", config], &[]);
    bridge.find_admin().await;
    bridge
}

async fn call(State(calls): State<Calls>, uri: Uri, headers: HeaderMap) -> &'static str {
    let key = headers.get("authorization").and_then(|key| key.to_str().ok()).unwrap_or_default();
    calls.lock().unwrap().push((uri.to_string(), key.to_owned()));
    "{\"result\": 1}"
}

#[tokio::test]
async fn a_client_of_the_original_creates_an_event_listener_that_calls_its_algorithm_and_survives() {
    let mut scene = Scene::new("life", "algorithmia").await;
    let none = json!({ "marker": null, "next_link": null, "results": [] });
    assert_eq!(scene.ask(Method::GET, ALL, &Value::Null).await, (200, none));
    let form = scene.form("orders");
    let (status, created) = scene.ask(Method::POST, ALL, &form).await;
    let mut expected = form.clone();
    (expected["id"], expected["credentials"]) = (json!("orders"), Value::Null);
    assert_eq!((status, &created), (201, &expected), "{}", scene.bridge.output());
    assert_eq!(scene.files(), ["orders.json"]);
    scene.queues.send("orders", "{\"a\": 1}");
    scene.queues.until_empty("orders").await;
    let called = ("/v1/algo/demo/Hello/0.1.3?timeout=60".to_owned(), "Simple algorithm-key".to_owned());
    assert_eq!(*scene.calls.lock().unwrap(), [called]);

    scene.bridge.kill().await;
    scene.bridge = start(&scene.config).await;
    let one = format!("{ALL}/orders");
    assert_eq!(scene.ask(Method::GET, &one, &Value::Null).await, (200, expected.clone()));

    // What a person added to the file stays when a client of the original changes what it knows.
    let file = scene.folder.join("orders.json");
    let mut keys: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    keys["workers"] = json!(3);
    fs::write(&file, keys.to_string()).unwrap();
    (expected["algoVersion"], expected["algoTimeoutSeconds"]) = (Value::Null, json!(420));
    let mut sent = expected.clone();
    sent["algoTimeoutSeconds"] = Value::Null;
    assert_eq!(scene.ask(Method::PUT, &one, &sent).await, (200, expected.clone()));
    let keys: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&keys["workers"], keys.get("timeout")), (&json!(3), None));
    scene.queues.send("orders", "again");
    scene.queues.until_empty("orders").await;
    let last = scene.calls.lock().unwrap().last().unwrap().0.clone();
    assert_eq!(last, "/v1/algo/demo/Hello?timeout=420");

    assert_eq!(scene.ask(Method::DELETE, &one, &Value::Null).await, (204, Value::Null));
    assert!(scene.files().is_empty());
    assert_eq!(scene.ask(Method::DELETE, &one, &Value::Null).await.0, 404);
    let ended = scene.bridge.stop().await;
    assert!(ended.code == Some(0) && !ended.output.contains(TOKEN), "{}", ended.output);
}

#[tokio::test]
async fn only_the_right_key_is_let_in_in_each_form_and_only_here_as_simple() {
    let scene = Scene::new("keys", "algorithmia").await;
    for key in [format!("Simple {TOKEN}"), format!("Bearer {TOKEN}"), TOKEN.to_owned()] {
        assert_eq!(scene.ask_as(Some(&key), Method::GET, ALL, &Value::Null).await.0, 200);
    }
    let form = scene.form("orders");
    for (method, body) in [(Method::GET, &Value::Null), (Method::POST, &form)] {
        let (status, said) = scene.ask_as(None, method.clone(), ALL, body).await;
        assert_eq!(
            (status, &said["code"], &said["error"]["code"]),
            (401, &json!(2002), &json!(2002)),
            "{said}"
        );
        let (status, said) = scene.ask_as(Some("Simple another-key-0123456789"), method, ALL, body).await;
        assert!(
            status == 401 && said["error"]["message"].as_str().unwrap().contains("not the token"),
            "{said}"
        );
    }
    let simple = format!("Simple {TOKEN}");
    let (status, _) = scene.ask_as(Some(&simple), Method::POST, "/api/v1/reload", &json!({})).await;
    assert_eq!(status, 401);
    assert!(scene.files().is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_said_by_field_and_nothing_is_kept() {
    let scene = Scene::new("wrong", "algorithmia").await;
    let form = scene.form("orders");
    assert_eq!(scene.ask(Method::POST, ALL, &form).await.0, 201);
    for (field, value) in [
        ("sourceType", json!("Kafka")),
        ("sourceURI", json!("no queue")),
        ("sourceURI", json!("${HOME}")),
        ("sourceURI", form["sourceURI"].clone()),
        ("algoName", json!("Hello/0.1.3")),
        ("algoName", json!("x".repeat(256))),
        ("algoTimeoutSeconds", json!(3001)),
        ("credentials", json!("arn:aws:iam::1:user/me")),
        ("credentials", json!("planted-secret")),
        ("listenerOwner", json!("somebody")),
        ("colour", json!("red")),
    ] {
        let mut wrong = scene.form("refunds");
        wrong[field] = value;
        let (status, said) = scene.ask(Method::POST, ALL, &wrong).await;
        let named = said["problems"][0]["key"].as_str().unwrap_or_default();
        assert_eq!((status, named, scene.files()), (400, field, vec!["orders.json".to_owned()]), "{said}");
        assert_eq!((&said["code"], &said["error"]["message"]), (&json!(2015), &said["message"]), "{said}");
        assert!(!said.to_string().contains("planted-secret"), "{said}");
    }
    assert!(!scene.bridge.output().contains("planted-secret"), "{}", scene.bridge.output());
    // Another user's listener is not there; a user's name is checked as the file's keys are.
    let other = "/v1/users/somebody/event-listeners";
    assert_eq!(scene.ask(Method::GET, other, &Value::Null).await.1["results"], json!([]));
    let mut free = scene.form("refunds");
    free["listenerOwner"] = Value::Null;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let body = if method == Method::PUT { &free } else { &Value::Null };
        assert_eq!(scene.ask(method, &format!("{other}/orders"), body).await.0, 404);
    }
    let (status, said) = scene.ask(Method::POST, "/v1/users/a%20b/event-listeners", &free).await;
    assert_eq!((status, &said["problems"][0]["key"]), (400, &json!("listenerOwner")), "{said}");
    assert_eq!(scene.ask(Method::GET, &format!("{ALL}?limit=0"), &Value::Null).await.0, 400);
    assert_eq!(scene.files(), ["orders.json"]);
}

#[tokio::test]
async fn a_list_is_paged_by_markers_and_queues_of_one_name_get_ids_of_their_own() {
    let scene = Scene::new("pages", "algorithmia").await;
    for (queue, algorithm) in [("orders", "Hello"), ("orders", "Other"), ("a-first", "Hello")] {
        let mut form = scene.form(queue);
        form["algoName"] = json!(algorithm);
        let (status, created) = scene.ask(Method::POST, ALL, &form).await;
        assert_eq!(status, 201, "{created}");
    }
    let ids = |page: &Value| -> Vec<String> {
        let all = page["results"].as_array().unwrap();
        all.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = scene.ask(Method::GET, &format!("{ALL}?limit=2"), &Value::Null).await;
    assert_eq!(
        (ids(&first), &first["marker"]),
        (vec!["a-first".to_owned(), "orders".to_owned()], &json!("orders"))
    );
    let next = first["next_link"].as_str().unwrap();
    let (_, second) = scene.ask(Method::GET, next, &Value::Null).await;
    assert_eq!((ids(&second), &second["marker"]), (vec!["orders-2".to_owned()], &Value::Null));
}

#[tokio::test]
async fn without_an_endpoint_for_algorithms_the_answer_says_which_to_add() {
    let scene = Scene::new("endpoint", "another").await;
    let form = scene.form("orders");
    let (status, said) = scene.ask(Method::POST, ALL, &form).await;
    assert!(status == 409 && said["message"].as_str().unwrap().contains("`algorithmia`"), "{status} {said}");
    assert!(scene.files().is_empty());
}

#[tokio::test]
async fn an_event_listener_of_the_configuration_file_is_shown_and_changed_in_the_file_alone() {
    let mut scene = Scene::new("file", "algorithmia").await;
    let queue = scene.queues.queue("orders", 3);
    let listener = format!(
        "listeners:\n- {{queue: '{queue}', endpoint: algorithmia, algorithm: demo/Hello, listener_owner: demo}}\n"
    );
    let yaml = fs::read_to_string(&scene.config).unwrap() + &listener;
    fs::write(&scene.config, yaml).unwrap();
    scene.bridge.kill().await;
    scene.bridge = start(&scene.config).await;
    let one = format!("{ALL}/orders");
    let (status, shown) = scene.ask(Method::GET, &one, &Value::Null).await;
    assert_eq!((status, &shown["algoTimeoutSeconds"]), (200, &json!(420)), "{shown}");
    for (method, body) in [(Method::PUT, &shown), (Method::DELETE, &Value::Null)] {
        let (status, said) = scene.ask(method, &one, body).await;
        assert!(status == 409 && said["message"].as_str().unwrap().contains("queuepost.yaml:"), "{said}");
    }
}

#[tokio::test]
async fn a_session_tells_of_the_directory_that_is_followed_now() {
    let scene = Scene::new("session", "algorithmia").await;
    let other = scene.folder.with_file_name("others");
    fs::create_dir_all(&other).unwrap();
    let yaml = fs::read_to_string(&scene.config).unwrap();
    fs::write(&scene.config, yaml.replace("listeners_dir: listeners", "listeners_dir: others")).unwrap();
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(scene.ask_as(Some(&bearer), Method::POST, "/api/v1/reload", &json!({})).await.0, 200);
    let (_, session) = scene.ask_as(None, Method::GET, "/api/v1/session", &Value::Null).await;
    assert_eq!(session["listeners_dir"], json!(other.to_str().unwrap()), "{session}");
}
