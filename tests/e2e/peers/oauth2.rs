//! Tokens of a token server by Authlib, at a server that checks them with Authlib.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::super::process::{PATIENCE, Queuepost, until};
use super::super::servers::QueueServer;
use super::python;

const SECRET: &str = "planted client secret: 50% + /";

/// A process of `oauth2.py`; ended when dropped.
struct Server {
    child: Child,
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(python: &Path, args: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/peers/oauth2.py");
        let mut child = Command::new(python).arg(script).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (read, told) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            BufReader::new(read)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| told.lock().unwrap().push(line));
        });
        let address = until(|| lines.lock().unwrap().first().cloned()).await.expect("an address");
        Self { child, address, lines }
    }

    fn count(&self, what: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.starts_with(what)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The files of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let folder = Self(folder);
        folder.write("tokens", "");
        folder
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(format!("{path}.new"), text).unwrap();
        fs::rename(format!("{path}.new"), &path).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

/// A configuration with the client `orders` of a token server.
fn config(queue: &str, resource: &str, token_server: &str) -> String {
    format!(
        "listeners:\n  - {{name: orders, queue: '{queue}', endpoint: api, path: /work, receive_wait: 1s}}\n\
         endpoints:\n  api:\n    url: '{resource}'\n    auth:\n      oauth2:\n        \
         token_url: '{token_server}/oauth/token'\n        client_id: orders\n        \
         client_secret: {{file: secret}}\n        scope: [jobs.read, jobs.write]\n        \
         audience: https://api.example/\n\
         admin: {{listen: '127.0.0.1:0'}}\nlog: {{format: json, level: debug}}\n"
    )
}

async fn start(config: &str) -> Queuepost {
    let mut bridge = Queuepost::start(&["run", "--config", config], &[]);
    bridge.find_admin().await;
    bridge
}

/// Nothing that the process prints and serves has the secret or a token in it.
async fn assert_silent(bridge: &Queuepost, folder: &Folder) {
    let mut all = bridge.output();
    for path in ["/metrics", "/api/v1/status", "/readyz?verbose", "/livez"] {
        all += &bridge.admin(path).await.1;
    }
    assert!(!all.contains("planted"), "{all}");
    let tokens = fs::read_to_string(folder.path("tokens")).unwrap();
    for line in tokens.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(!all.contains(line["access_token"].as_str().unwrap()), "{all}");
    }
}

#[tokio::test]
async fn tokens_are_fetched_accepted_and_renewed_before_they_end() {
    let Some(python) = python("oauth2") else { return };
    let folder = Folder::new("oauth2-renewed");
    folder.write("secret", SECRET);
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 5);
    let tokens = folder.path("tokens");
    let resource = Server::start(&python, &["resource", "0", &tokens]).await;
    let server = Server::start(&python, &["token", "0", &tokens, "4"]).await;
    for body in 0..8 {
        queues.send("orders", &body.to_string());
    }
    let config = folder.write("c.yaml", &config(&queue, &resource.address, &server.address));
    let mut bridge = start(&config).await;
    queues.until_empty("orders").await;
    assert_eq!(server.count("granted"), 1, "one token for all");
    let (mut sent, end) = (8, tokio::time::Instant::now() + PATIENCE);
    while server.count("granted") < 3 {
        sent += 1;
        queues.send("orders", &sent.to_string());
        queues.until_empty("orders").await;
        assert!(tokio::time::Instant::now() < end, "{}", bridge.output());
    }
    assert_eq!((resource.count("worked"), resource.count("refused")), (sent, 0));
    assert_silent(&bridge, &folder).await;
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_token_server_that_is_down_holds_messages_and_they_are_delivered_when_it_returns() {
    let Some(python) = python("oauth2") else { return };
    let folder = Folder::new("oauth2-down");
    folder.write("secret", SECRET);
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 5);
    let tokens = folder.path("tokens");
    let resource = Server::start(&python, &["resource", "0", &tokens]).await;
    let token_server = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for body in 0..20 {
        queues.send("orders", &body.to_string());
    }
    let config =
        folder.write("c.yaml", &config(&queue, &resource.address, &format!("http://{token_server}")));
    let mut bridge = start(&config).await;
    let line = bridge.until_line(r#""reason":"token_server""#).await;
    assert!(line.contains(&format!("token server http://{token_server} gave no answer")), "{line}");
    let unsent = || async { bridge.metric("deliveries_total", r#"outcome="unsent""#).await };
    let before = unsent().await;
    while unsent().await < before + 3.0 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let counts = queues.receive_counts("orders");
    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    assert_eq!((resource.count("worked"), resource.count("refused")), (0, 0), "the endpoint got nothing");

    let port = token_server.port().to_string();
    let server = Server::start(&python, &["token", &port, &tokens, "3600"]).await;
    queues.until_empty("orders").await;
    assert_eq!((server.count("granted"), resource.count("worked"), resource.count("refused")), (1, 20, 0));
    assert_eq!(queues.census("orders"), (0, 0, 0));
    let (_, metrics) = bridge.admin("/metrics").await;
    let received = |first: bool| {
        let labels = format!(r#"first="{first}""#);
        let lines = metrics.lines().filter(|line| line.starts_with("queuepost_messages_received_total{"));
        let of = lines.filter(|line| line.contains(&labels));
        of.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    assert!((received(true) - 20.0).abs() < f64::EPSILON, "{metrics}");
    assert!(received(false).abs() < f64::EPSILON, "no message lost a receive: {metrics}");
    assert_silent(&bridge, &folder).await;
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_client_that_the_token_server_refuses_is_named_and_its_new_secret_needs_no_restart() {
    let Some(python) = python("oauth2") else { return };
    let folder = Folder::new("oauth2-refused");
    folder.write("secret", "planted-old-secret");
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 5);
    let tokens = folder.path("tokens");
    let resource = Server::start(&python, &["resource", "0", &tokens]).await;
    let server = Server::start(&python, &["token", "0", &tokens, "3600"]).await;
    queues.send("orders", "one");
    let config = folder.write("c.yaml", &config(&queue, &resource.address, &server.address));
    let mut bridge = start(&config).await;
    let line = bridge.until_line(r#""reason":"token_client""#).await;
    assert!(line.contains("answered 401 invalid_client") && line.contains("check client_id"), "{line}");
    folder.write("secret", SECRET);
    queues.until_empty("orders").await;
    assert_eq!((resource.count("worked"), queues.census("orders")), (1, (0, 0, 0)));
    assert_silent(&bridge, &folder).await;
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_secret_in_the_body_is_accepted_too() {
    let Some(python) = python("oauth2") else { return };
    let folder = Folder::new("oauth2-body");
    folder.write("secret", "planted-body-secret\n");
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 5);
    let tokens = folder.path("tokens");
    let resource = Server::start(&python, &["resource", "0", &tokens]).await;
    let server = Server::start(&python, &["token", "0", &tokens, "3600"]).await;
    queues.send("orders", "one");
    let config = config(&queue, &resource.address, &server.address);
    let config = config.replace("client_id: orders\n", "client_id: orders-body\n        client_auth: body\n");
    let mut bridge = start(&folder.write("c.yaml", &config)).await;
    queues.until_empty("orders").await;
    assert_eq!((server.count("granted"), resource.count("worked")), (1, 1));
    assert_silent(&bridge, &folder).await;
    assert_eq!(bridge.stop().await.code, Some(0));
}
