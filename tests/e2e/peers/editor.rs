//! The schema of the configuration file in an editor: the language server of YAML completes keys, explains them and marks mistakes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::node;

/// The language server as a child, spoken to as an editor does.
struct Server {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What the server told without being asked.
    told: Vec<Value>,
    requests: u64,
}

impl Server {
    async fn start(packages: &Path) -> Self {
        let mut command = Command::new("node");
        command
            .arg(packages.join("node_modules/yaml-language-server/bin/yaml-language-server"))
            .arg("--stdio");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut server = Self { _child: child, input, output, told: Vec::new(), requests: 0 };
        let capabilities = json!({
            "textDocument": {"hover": {"contentFormat": ["markdown"]}, "completion": {}, "publishDiagnostics": {}},
            "workspace": {"configuration": true},
        });
        server
            .ask("initialize", json!({"processId": null, "rootUri": null, "capabilities": capabilities}))
            .await;
        server.tell("initialized", json!({})).await;
        server.tell("workspace/didChangeConfiguration", json!({"settings": {"yaml": settings()}})).await;
        server
    }

    async fn write(&mut self, message: &Value) {
        let text = message.to_string();
        self.input
            .write_all(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes())
            .await
            .unwrap();
        self.input.flush().await.unwrap();
    }

    async fn tell(&mut self, method: &str, params: Value) {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    async fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_mins(2), self.output.read_line(&mut line)).await;
            assert!(read.expect("the server answers").unwrap() > 0, "the server ended");
            if let Some(number) = line.strip_prefix("Content-Length:") {
                length = number.trim().parse().unwrap();
            } else if line.trim().is_empty() {
                break;
            }
        }
        let mut text = vec![0; length];
        self.output.read_exact(&mut text).await.unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The next message that is no request to us; those are answered.
    async fn next(&mut self) -> Value {
        loop {
            let message = self.read().await;
            if message.get("method").is_none() || message.get("id").is_none() {
                return message;
            }
            let items = message["params"]["items"].as_array();
            let of_item = |item: &Value| if item["section"] == "yaml" { settings() } else { Value::Null };
            let answer = items.map_or(Value::Null, |items| items.iter().map(of_item).collect());
            self.write(&json!({"jsonrpc": "2.0", "id": message["id"], "result": answer})).await;
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        loop {
            let message = self.next().await;
            if message["id"] == json!(id) {
                return message["result"].clone();
            }
            self.told.push(message);
        }
    }

    /// Opens a file beside the examples; the messages of its diagnostics, with their lines.
    async fn open(&mut self, name: &str, text: &str) -> (String, Vec<(u64, String)>) {
        let uri = format!("file://{}/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let document = json!({"uri": uri, "languageId": "yaml", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document})).await;
        let diagnostics = loop {
            let message = self.next().await;
            if message["method"] == "textDocument/publishDiagnostics"
                && message["params"]["uri"] == json!(uri)
            {
                break message["params"]["diagnostics"].clone();
            }
        };
        let one = |one: &Value| {
            (one["range"]["start"]["line"].as_u64().unwrap(), one["message"].as_str().unwrap().to_owned())
        };
        (uri, diagnostics.as_array().unwrap().iter().map(one).collect())
    }

    async fn at(&mut self, method: &str, uri: &str, line: u64, character: u64) -> Value {
        let position = json!({"line": line, "character": character});
        self.ask(method, json!({"textDocument": {"uri": uri}, "position": position})).await
    }
}

fn settings() -> Value {
    json!({"validate": true, "hover": true, "completion": true, "schemaStore": {"enable": false}})
}

const LISTENER: &str = "# yaml-language-server: $schema=../docs/queuepost.schema.json\nlisteners:\n  - queue: orders\n    url: https://h.example\n";

#[tokio::test]
async fn an_editor_completes_explains_and_marks_keys_by_the_schema() {
    let Some(packages) = node("an_editor_completes_explains_and_marks_keys_by_the_schema") else { return };
    let mut server = Server::start(&packages).await;

    let complete = include_str!("../../../examples/complete.yaml");
    let (_, marks) = server.open("complete", complete).await;
    assert_eq!(marks, [], "the complete example is marked");

    let (uri, marks) = server
        .open(
            "wrong",
            &format!("{LISTENER}    wrokers: 3\n    timeout: 30\n    preset: sqs\n    workers: 0\n"),
        )
        .await;
    let has =
        |line: u64, words: &str| marks.iter().any(|(at, message)| *at == line && message.contains(words));
    assert!(
        has(4, "wrokers") && has(5, "Incorrect type") && has(6, "cloudevents") && has(7, "minimum"),
        "{marks:?}"
    );

    let hover = server.at("textDocument/hover", &uri, 7, 6).await.to_string();
    for words in ["Most POSTs at once", "Default: 16", "1 to 10,000", "--workers"] {
        assert!(hover.contains(words), "{words}: {hover}");
    }

    let (uri, _) = server.open("short", &format!("{LISTENER}    \n")).await;
    let keys = labels(&server.at("textDocument/completion", &uri, 4, 4).await);
    for key in ["workers", "throttle_delay", "results"] {
        assert!(keys.iter().any(|label| label == key), "{key}: {keys:?}");
    }
    assert!(!keys.iter().any(|label| label == "sessions"), "a key of endpoints: {keys:?}");

    let (uri, _) = server.open("words", &format!("{LISTENER}    preset: \n")).await;
    let words = labels(&server.at("textDocument/completion", &uri, 4, 12).await);
    assert!(words.iter().any(|label| label == "cloudevents"), "{words:?}");
}

fn labels(completion: &Value) -> Vec<String> {
    let items = completion["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
}
