//! Credentials and fixed headers as an endpoint gets them: renewed without a restart, and never printed or
//! served, even when the endpoint repeats them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::process::{PATIENCE, Queuepost, until};
use super::servers::QueueServer;

/// An endpoint that keeps the headers it got, and repeats all of them in its answer.
struct Mirror {
    url: String,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    _server: JoinSet<()>,
}

impl Mirror {
    async fn start(status: StatusCode) -> Self {
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let answer = async move |headers: HeaderMap| {
            let text: Vec<String> = headers
                .iter()
                .filter(|(name, _)| !name.as_str().starts_with("x-queuepost"))
                .map(|(_, value)| value.to_str().unwrap().to_owned())
                .collect();
            kept.lock().unwrap().push(headers);
            (status, text.join(" | "))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        let router = Router::new().fallback(answer);
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, _server: tasks }
    }

    /// The values of a header in all requests, in order.
    fn values(&self, name: &str) -> Vec<String> {
        let text = |headers: &HeaderMap| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        self.seen.lock().unwrap().iter().filter_map(text).collect()
    }
}

fn folder(name: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder.to_str().unwrap().to_owned()
}

async fn start(folder: &str, config: &str, env: &[(&str, &str)]) -> Queuepost {
    let path = format!("{folder}/c.yaml");
    let more = "admin: {listen: '127.0.0.1:0'}\nlog: {format: json, level: debug}\n";
    fs::write(&path, format!("{config}{more}")).unwrap();
    let mut bridge = Queuepost::start(&["run", "--config", &path], env);
    bridge.find_admin().await;
    bridge
}

#[tokio::test]
async fn a_bearer_file_and_a_header_file_that_are_replaced_are_used_without_a_restart() {
    for (key, content, header) in [
        ("bearer: {file: token}", "", "Bearer "),
        ("header_file: token", "Authorization: Simple ", "Simple "),
    ] {
        let folder = folder(&format!("renewed-{}", header.trim()));
        let write = |secret: &str| {
            fs::write(format!("{folder}/new"), format!("{content}{secret}\n")).unwrap();
            fs::rename(format!("{folder}/new"), format!("{folder}/token")).unwrap();
        };
        write("planted-one");
        let (queues, mirror) = (QueueServer::start().await, Mirror::start(StatusCode::OK).await);
        let queue = queues.queue("orders", 5);
        let config = format!(
            "listeners: [{{queue: '{queue}', endpoint: api, path: /x, receive_wait: 1s}}]\n\
             endpoints: {{api: {{url: '{}', auth: {{{key}}}}}}}\n",
            mirror.url
        );
        let mut bridge = start(&folder, &config, &[]).await;
        queues.send("orders", "first");
        queues.until_empty("orders").await;
        assert_eq!(mirror.values("authorization"), [format!("{header}planted-one")]);
        write("planted-two");
        let renewed = format!("{header}planted-two");
        let end = tokio::time::Instant::now() + PATIENCE;
        while mirror.values("authorization").last() != Some(&renewed) {
            queues.send("orders", "next");
            queues.until_empty("orders").await;
            assert!(tokio::time::Instant::now() < end, "{}", bridge.output());
        }
        let line = bridge.until_line("the secret in a file has changed").await;
        assert!(line.contains("renewed-") && !bridge.output().contains("planted"), "{}", bridge.output());
        assert_eq!(bridge.stop().await.code, Some(0));
    }
}

#[tokio::test]
async fn fixed_headers_replace_those_of_the_shape_and_the_listeners_those_of_its_endpoint() {
    let folder = folder("fixed-headers");
    fs::write(format!("{folder}/tenant"), "planted-tenant\n").unwrap();
    let (queues, mirror) = (QueueServer::start().await, Mirror::start(StatusCode::OK).await);
    let queue = queues.queue("orders", 5);
    let config = format!(
        "listeners:\n  - queue: '{queue}'\n    endpoint: api\n    path: /x\n    receive_wait: 1s\n    headers:\n      \
         X-Region: ${{REGION}}\n      x-shared: of the listener\n\
         endpoints:\n  api:\n    url: '{}'\n    headers:\n      Content-Type: application/vnd.orders+json\n      \
         User-Agent: ours/1\n      X-Shared: of the endpoint\n      X-Tenant: {{file: tenant}}\n      \
         X-Key: {{env: A_KEY}}\n",
        mirror.url
    );
    let mut bridge = start(&folder, &config, &[("REGION", "eu-1"), ("A_KEY", "planted-key")]).await;
    queues.send_with("orders", "{}", &[("x-tenant", "of the sender")]);
    queues.until_empty("orders").await;
    for (name, value) in [
        ("content-type", "application/vnd.orders+json"),
        ("user-agent", "ours/1"),
        ("x-shared", "of the listener"),
        ("x-region", "eu-1"),
        ("x-tenant", "planted-tenant"),
        ("x-key", "planted-key"),
    ] {
        assert_eq!(mirror.values(name), [value], "{name}");
    }
    assert!(!bridge.output().contains("planted"), "{}", bridge.output());
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn no_planted_secret_is_printed_or_served_even_when_the_endpoint_repeats_it() {
    let folder = folder("planted");
    for name in ["bearer", "password", "line", "fixed"] {
        let prefix = if name == "line" { "X-Line: " } else { "" };
        fs::write(format!("{folder}/{name}"), format!("{prefix}planted-{name}")).unwrap();
    }
    let kinds = [
        ("bearer", "bearer: {file: bearer}"),
        ("basic", "basic: {username: ops, password: {file: password}}"),
        ("line", "header_file: line"),
        ("key", "api_key: {header: X-Api-Key, env: A_KEY, prefix: 'Simple '}"),
    ];
    let queues = QueueServer::start().await;
    let (mut listeners, mut endpoints, mut mirrors) = (String::new(), String::new(), Vec::new());
    for (name, auth) in kinds {
        let (queue, mirror) = (queues.queue(name, 5), Mirror::start(StatusCode::BAD_REQUEST).await);
        let url = &mirror.url;
        let fixed = "headers: {X-Fixed: {file: fixed}}";
        writeln!(
            listeners,
            "  - {{queue: '{queue}', endpoint: {name}, path: /x, receive_wait: 1s, {fixed}}}"
        )
        .unwrap();
        writeln!(endpoints, "  {name}: {{url: '{url}', auth: {{{auth}}}}}").unwrap();
        mirrors.push(mirror);
        queues.send(name, "a message");
    }
    let config = format!("listeners:\n{listeners}endpoints:\n{endpoints}");
    let mut bridge = start(&folder, &config, &[("A_KEY", "planted-key")]).await;
    for mirror in &mirrors {
        let posted = until(|| (!mirror.seen.lock().unwrap().is_empty()).then_some(()));
        assert!(posted.await.is_some(), "{}", bridge.output());
    }
    let repeated = || {
        let output = bridge.output();
        let answers =
            output.lines().filter(|line| line.contains(r#""answer":"#) && line.contains("REDACTED"));
        (answers.count() >= kinds.len()).then_some(())
    };
    assert!(until(repeated).await.is_some(), "{}", bridge.output());
    let mut all = bridge.output();
    for path in ["/metrics", "/api/v1/status", "/readyz?verbose", "/livez"] {
        all += &bridge.admin(path).await.1;
    }
    // The last one is `ops:planted-password` in Base64.
    for secret in ["planted-", "b3BzOnBsYW50ZWQtcGFzc3dvcmQ"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    let sent = mirrors.iter().flat_map(|mirror| mirror.values("x-fixed"));
    assert!(sent.count() >= kinds.len(), "the secrets were sent");
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn check_tells_which_secret_cannot_be_read_and_shows_none() {
    let folder = folder("unreadable");
    let path = format!("{folder}/c.yaml");
    let config = "listeners: [{queue: a, endpoint: api, path: /}]\nendpoints:\n  api:\n    url: https://api.example\n    \
                  auth:\n      basic: {username: ops, password: {file: ./missing}}\n    \
                  headers:\n      Host: planted\n      X-Key: {env: NO_SUCH_KEY}\n      X-List: [planted]\n";
    fs::write(&path, config).unwrap();
    let ended = Queuepost::start(&["check", "--config", &path, "--offline"], &[]).ended().await;
    assert_eq!(ended.code, Some(78), "{}", ended.output);
    for told in [
        "endpoints.api.auth.basic.password.file: ./missing names a file that cannot be read: there is no such file",
        "endpoints.api.headers.Host: Host is a header that the HTTP client sets itself",
        "endpoints.api.headers.X-Key.env: NO_SUCH_KEY names a variable that is not set",
        "endpoints.api.headers.X-List must be a text, or `{file: …}` or `{env: …}` for a secret",
    ] {
        assert!(ended.output.contains(told), "{told}\n{}", ended.output);
    }
    assert!(!ended.output.contains("planted"), "{}", ended.output);
}
