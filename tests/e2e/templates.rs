//! Templates with the real binary: what the endpoint gets, and what becomes of a message that does not fit.

use std::time::Duration;

use serde_json::json;

use super::process::Queuepost;
use super::servers::{HttpEndpoint, QueueServer};

/// A configuration file in a folder of its own.
struct Config {
    folder: std::path::PathBuf,
}

impl Config {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("queuepost-templates-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = Self { folder };
        config.write("queuepost.yaml", text);
        config
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self) -> String {
        self.folder.join("queuepost.yaml").to_str().unwrap().to_owned()
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

const TEMPLATE: &str = r#"
    template:
      path: /tenants/{{ attributes.tenant }}/orders/{{ json.id }}
      query: { kind: "{{ json.kind | default('new') }}" }
      headers: { X-Order: "{{ json.id }}", X-Queuepost-Queue: "" }
      body: '{"order": {{ json.id | number }}, "note": {{ json.note | text | tojson }}}'
"#;

fn listener(queue: &str, endpoint: &str, auth: &str) -> String {
    let base = endpoint.trim_end_matches("/work");
    format!(
        "endpoints:\n  api:\n    url: {base}/api\n    auth: {{ header_file: {auth} }}\nlisteners:\n  - queue: {queue}\n    endpoint: api\n    timeout: 5s\n    receive_wait: 1s{TEMPLATE}admin: {{ listen: \"127.0.0.1:0\" }}\nlog: {{ format: json }}\n"
    )
}

#[tokio::test]
async fn a_message_becomes_the_request_that_the_templates_make_and_render_shows_the_same() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let config = Config::new("whole", "");
    let auth = config.write("auth", "Authorization: Bearer s3cr3t-t0ken");
    config.write("queuepost.yaml", &listener(&queue, &endpoint.url, &auth));
    let body = json!({"id": 7, "note": "a \"b\"\u{1b}[31m"}).to_string();

    let line = json!({"message_id": "4a1b", "receipt_handle": "AQEB", "body": body, "receive_count": 1,
        "attributes": {"tenant": {"data_type": "String", "value": "acme & co"}}});
    let file = config.write("message.json", &line.to_string());
    let rendered =
        Queuepost::start(&["check", "--config", &config.path(), "--render", &file], &[]).ended().await;
    assert_eq!(rendered.code, Some(0), "{}", rendered.output);
    let base = endpoint.url.trim_end_matches("/work");
    let first = format!("POST {base}/api/tenants/acme%20%26%20co/orders/7?kind=new");
    let sent = r#"{"order": 7, "note": "a \"b\"\u001b[31m"}"#;
    assert!(rendered.output.starts_with(&first), "{}", rendered.output);
    for words in ["\nauthorization: REDACTED\n", "\nx-order: 7\n", "\ncontent-type: application/json\n", sent]
    {
        assert!(rendered.output.contains(words), "{words:?} is not in {}", rendered.output);
    }
    for words in ["s3cr3t", "x-queuepost-queue:"] {
        assert!(!rendered.output.contains(words), "{}", rendered.output);
    }

    let mut process = Queuepost::start(&["run", "--config", &config.path()], &[]);
    process.find_admin().await;
    queues.send_with("orders", &body, &[("tenant", "acme & co")]);
    queues.until_empty("orders").await;
    let (headers, got) = endpoint.seen.requests.lock().unwrap().first().cloned().unwrap();
    assert_eq!(got, sent);
    assert_eq!((&headers["x-order"], headers.get("x-queuepost-queue")), (&"7".parse().unwrap(), None));
    assert_eq!(headers["authorization"], "Bearer s3cr3t-t0ken");
    process.stop().await;
}

#[tokio::test]
async fn a_message_that_does_not_fit_is_named_left_to_redrive_and_its_words_are_not_logged() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let config = Config::new("misfit", "");
    let auth = config.write("auth", "Authorization: Bearer s3cr3t-t0ken");
    config.write("queuepost.yaml", &listener(&queue, &endpoint.url, &auth));
    let body = r#"{"id":"pr1v4te","note":"pr1v4te"}"#;

    let mut process = Queuepost::start(&["run", "--config", &config.path()], &[]);
    process.find_admin().await;
    queues.send_with("orders", body, &[("tenant", "acme")]);
    let line = process.until_line("is a text, and a number is needed").await;
    assert!(line.contains("template.body at 1:14: `json.id`"), "{line}");
    assert_eq!(queues.census("orders").0, 0, "it is hidden");
    let ended = process.stop().await;
    assert!(!ended.output.contains("pr1v4te"), "{}", ended.output);
    assert_eq!(endpoint.seen.count(), 0);
    assert_eq!(queues.census("orders"), (0, 1, 0), "nothing is lost");

    let file = config.write("message", body);
    let args = ["check", "--config", &config.path(), "--render", &file];
    let rendered = Queuepost::start(&args, &[]).ended().await;
    assert_eq!(rendered.code, Some(1), "{}", rendered.output);
    assert!(
        rendered.output.contains("template.path at 1:13: `attributes.tenant` is missing"),
        "{}",
        rendered.output
    );
}

/// The code blocks of a page in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = page.split(&fence).skip(1);
    parts.map(|part| part.split("\n```").next().unwrap().to_owned() + "\n").collect()
}

#[tokio::test]
async fn the_example_of_the_page_renders_what_the_page_says() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/templates.md");
    let page = std::fs::read_to_string(page).unwrap();
    let [yaml, json, http] = ["yaml", "json", "http"].map(|language| blocks(&page, language));
    assert_eq!((yaml.len(), json.len(), http.len()), (1, 1, 1));
    let config = Config::new("page", &yaml[0]);
    let file = config.write("message.json", &json[0]);
    let ended =
        Queuepost::start(&["check", "--config", &config.path(), "--render", &file], &[]).ended().await;
    assert_eq!(ended.output, http[0].replace("VERSION", env!("CARGO_PKG_VERSION")).trim_end());
}

#[tokio::test]
async fn the_example_of_matillion_makes_the_call_of_its_documentation() {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/matillion");
    let readme = std::fs::read_to_string(example.join("README.md")).unwrap();
    let message = readme.split('\'').find(|part| part.starts_with('{')).unwrap();
    let expected = std::fs::read_to_string(example.join("request.http")).unwrap();
    let (head, body) = expected.split_once("\n\n").unwrap();
    let path = head.lines().next().unwrap().strip_prefix("POST ").unwrap();
    let config = example.join("queuepost.yaml");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("matillion.json");
    std::fs::write(&file, message).unwrap();
    let args = ["check", "--config", config.to_str().unwrap(), "--render", file.to_str().unwrap()];
    let env = [("MATILLION_PASSWORD", "s3cr3t")];
    let rendered = Queuepost::start(&args, &env).ended().await;
    let first = format!("POST https://matillion.internal{path}\n");
    assert!(rendered.output.starts_with(&first), "{}", rendered.output);
    assert!(rendered.output.ends_with(&format!("\n\n{}", body.trim_end())), "{}", rendered.output);

    std::fs::write(&file, r#"{"group":"Sales","project":7}"#).unwrap();
    let bad = Queuepost::start(&args, &env).ended().await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(bad.code, Some(1), "{}", bad.output);
    assert!(bad.output.contains("`json.project` is a number, and a text is needed"), "{}", bad.output);
}

#[tokio::test]
async fn render_works_for_every_shape_reads_standard_input_and_needs_a_name_among_several() {
    let shape = ["check", "--queue", "http://127.0.0.1:1/000000000000/q", "--url", "http://127.0.0.1:1"];
    let raw = [&shape[..], &["--render", "-"]].concat();
    let rendered = Queuepost::with_input(&raw, b"hello\n").ended().await;
    assert_eq!(rendered.code, Some(0), "{}", rendered.output);
    assert!(rendered.output.starts_with("POST http://127.0.0.1:1/\n"), "{}", rendered.output);
    assert!(rendered.output.ends_with("\n\nhello"), "{}", rendered.output);
    let algorithm = [&shape[..], &["--algorithm", "demo/Hello", "--render", "-"]].concat();
    let rendered = Queuepost::with_input(&algorithm, b"hello\n").ended().await;
    assert!(rendered.output.contains("/v1/algo/demo/Hello?timeout=420\n"), "{}", rendered.output);

    let two = "listeners:\n  - { queue: 'http://h/000000000000/a', url: 'http://h/a' }\n  - { queue: 'http://h/000000000000/b', url: 'http://h/b' }\n";
    let config = Config::new("two", two);
    let path = config.path();
    let args = ["check", "--config", &path, "--render", "-"];
    let ended = Queuepost::with_input(&args, b"x").ended().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("--listener is required, for there are several: a, b"), "{}", ended.output);
    let ended = Queuepost::with_input(&[&args[..], &["--listener", "b"]].concat(), b"x").ended().await;
    assert!(ended.output.starts_with("POST http://h/b\n"), "{}", ended.output);
}

const BATCH: &str = r"
    batch: { size: 10 }
    template:
      path: /bulk/{{ queue }}
      body: '[{% for each in messages | list %}{% if not loop.first %},{% endif %}{{ each.json.id | number }}{% endfor %}]'
";

fn bulk(queue: &str, url: &str) -> String {
    format!(
        "listeners:\n  - queue: {queue}\n    url: {url}\n    receive_wait: 1s{BATCH}admin: {{ listen: \"127.0.0.1:0\" }}\nlog: {{ format: json }}\n"
    )
}

#[tokio::test]
async fn several_messages_become_one_body_and_one_that_does_not_fit_leaves_alone() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for id in 0..20 {
        queues.send("orders", &json!({ "id": id }).to_string());
    }
    queues.send("orders", r#"{"id": "s3cr3t"}"#);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let config = Config::new("bulk", &bulk(&queue, &endpoint.url));
    let mut bridge = Queuepost::start(&["run", "--config", &config.path()], &[]);
    let line = bridge.until_line("unshapeable").await;
    assert!(
        line.contains("`each.json.id` is a text, and a number is needed") && !line.contains("s3cr3t"),
        "{line}"
    );
    let hidden = super::process::until(|| (queues.census("orders") == (0, 1, 0)).then_some(())).await;
    assert!(hidden.is_some(), "{:?}", queues.census("orders"));
    let lists =
        endpoint.seen.requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect::<Vec<_>>();
    let lists: Vec<Vec<u64>> = lists.iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    let mut all = lists.concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<u64>>(), "{lists:?}");
    assert!(lists.iter().any(|list| list.len() > 1), "{lists:?}");
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn render_takes_the_lines_of_a_batch_and_no_more_than_a_request_carries() {
    let lines = |count: usize| -> String {
        let line = |n: usize| json!({"message_id": format!("m{n}"), "receipt_handle": "AQEB", "body": json!({"id": n}).to_string()});
        (0..count).map(|n| line(n).to_string()).collect::<Vec<_>>().join("\n")
    };
    let config = Config::new("bulk-render", &bulk("orders", "http://127.0.0.1:9/work"));
    let (three, eleven) = (config.write("three", &lines(3)), config.write("eleven", &lines(11)));
    let render = async |file: &str, config: &str| {
        Queuepost::start(&["check", "--config", config, "--render", file], &[]).ended().await
    };
    let rendered = render(&three, &config.path()).await;
    assert_eq!(rendered.code, Some(0), "{}", rendered.output);
    assert!(rendered.output.starts_with("POST http://127.0.0.1:9/work/bulk/orders"), "{}", rendered.output);
    assert!(rendered.output.contains("[0,1,2]"), "{}", rendered.output);
    let too_many = render(&eleven, &config.path()).await;
    assert_eq!(too_many.code, Some(2), "{}", too_many.output);
    assert!(
        too_many.output.contains("there are 11 messages, and a request of this listener carries 10"),
        "{}",
        too_many.output
    );
    let function =
        config.write("lambda.yaml", "listeners: [{queue: orders, url: 'https://h.example', preset: lambda}]");
    let event = render(&three, &function).await;
    assert!(
        event.output.contains(r#""receiptHandle":"REDACTED""#) && !event.output.contains("AQEB"),
        "{}",
        event.output
    );
    assert_eq!(event.output.matches("\"messageId\"").count(), 3, "{}", event.output);
}
