//! `examples/lambda-pair` as a whole in `MiniStack`, which runs both functions, verifies signatures, and applies roles and policies.
//!
//! `MiniStack` has the function URL at a path of its own address. What else it does not do as AWS is in `adapt` of `lambda_pair.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{shell, until_empty};
use crate::contract::server::{Kind, Server};
use crate::e2e::peers::python;
use crate::e2e::process::Queuepost;

const ACCOUNT: &str = "111111111111";

/// The pair, deployed by the example's own script.
struct Pair {
    folder: PathBuf,
    python: PathBuf,
    /// Credentials and address of the account, and what the script printed.
    env: BTreeMap<String, String>,
    server: Server,
}

impl Pair {
    async fn deploy() -> Option<Self> {
        let python = python("the pair of functions")?;
        let server = Kind::MiniStack { auth: true }.start().await?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/lambda-pair");
        let env = [
            ("AWS_ENDPOINT_URL", server.url.as_str()),
            ("AWS_ACCESS_KEY_ID", ACCOUNT),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut pair = Self { folder, python, env, server };
        let printed = pair.script(&pair.folder.join("deploy.py"), &[]).await;
        let variables = printed.lines().map(|line| line.split_once('=').expect("NAME=VALUE"));
        pair.env.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let url = pair.env["FUNCTION_URL"].clone();
        let id =
            url.strip_prefix("https://").and_then(|url| url.strip_suffix(".lambda-url.us-east-1.on.aws"));
        let path = format!("/_aws/lambda-url/{}/", id.unwrap_or_else(|| panic!("{url}")));
        pair.env.insert("FUNCTION_URL".to_owned(), pair.server.url.clone());
        pair.env.insert("FUNCTION_PATH".to_owned(), path);
        Some(pair)
    }

    /// Runs a script to its end; what it printed.
    async fn script(&self, file: &Path, args: &[&str]) -> String {
        let mut command = Command::new(&self.python);
        command.arg(file).args(args).env_clear().envs(&self.env).kill_on_drop(true);
        let ran = command.output().await.unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// What `lambda_pair.py` says of the account.
    async fn asked(&self, args: &[&str]) -> Value {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/examples/lambda_pair.py");
        serde_json::from_str(&self.script(&file, args).await).unwrap()
    }

    /// Starts the bridge as the README says.
    fn bridge(&self) -> Queuepost {
        let readme = std::fs::read_to_string(self.folder.join("README.md")).unwrap();
        let command = shell::commands(&readme).remove(0);
        assert_eq!(command.words[1..], ["run", "--config", "examples/lambda-pair/queuepost.yaml"]);
        let config = self.folder.join("queuepost.yaml");
        let args = ["run", "--config", config.to_str().unwrap(), "--admin-listen", "127.0.0.1:0"];
        let env: Vec<(&str, &str)> = self.env.iter().map(|(name, value)| (&**name, &**value)).collect();
        Queuepost::start(&args, &[&env[..], &[("QUEUEPOST_RECEIVE_WAIT", "1s")]].concat())
    }

    /// Nobody but the two roles comes to the messages, and nobody but the receiver to the function.
    async fn check_who_is_admitted(&self) {
        let written = std::fs::read_to_string(self.folder.join("policy.json")).unwrap();
        let written = written.replace("123456789012", ACCOUNT).replace("eu-west-1", "us-east-1");
        let written: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(self.asked(&["policy"]).await, written);
        self.asked(&["adapt"]).await;
        let url = format!("{}{}", self.env["FUNCTION_URL"], self.env["FUNCTION_PATH"]);
        let (denied, not_allowed) = ("AccessDenied", "AccessDeniedException");
        let expected = json!({
            "unsigned": 403,
            "signed by outsider": 403,
            "signed by orders-receive": 200,
            "signed by orders-receive, then altered": 403,
            "orders-receive": {"look": "done", "receive": "done", "send": denied, "invoke": not_allowed},
            "outsider": {"look": "done", "receive": denied, "send": denied, "invoke": not_allowed},
        });
        assert_eq!(self.asked(&["admitted", &url]).await, expected);
    }
}

#[tokio::test]
async fn the_pair_of_functions_handles_each_order_once_and_in_the_order_of_its_customer() {
    let Some(pair) = Pair::deploy().await else { return };
    pair.check_who_is_admitted().await;
    let mut orders: Vec<Value> = (1..=6)
        .flat_map(|number| ["acme", "globex"].map(|customer| json!({"customer": customer, "number": number})))
        .collect();
    orders[4]["fails"] = json!(1);
    orders.push(orders[0].clone());
    let ids = pair.asked(&["send", &Value::from(orders.clone()).to_string()]).await;
    let ids: Vec<&str> = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids[12], ids[0], "an order that is sent again is the message that was sent before");

    let mut bridge = pair.bridge();
    until_empty(&pair.server.client(ACCOUNT), &pair.env["QUEUE_URL"]).await;
    assert_eq!(bridge.stop().await.code, Some(0), "{}", bridge.output());
    let runs = pair.asked(&["printed"]).await;
    let runs: Vec<&Vec<Value>> = runs.as_array().unwrap().iter().map(|run| run.as_array().unwrap()).collect();
    assert!(runs.iter().any(|run| run.len() > 1), "no POST had several messages: {runs:?}");
    let failed = json!({"failed": ids[4], "why": "not yet"});
    for (customer, failure) in [("acme", Some(&failed)), ("globex", None)] {
        let lines = runs.iter().copied().flatten();
        let is_own = |line: &&Value| line["handled"]["customer"] == customer || Some(*line) == failure;
        let seen: Vec<&Value> = lines.filter(is_own).collect();
        let own = orders[..12].iter().filter(|order| order["customer"] == customer);
        let mut expected: Vec<Value> = own.map(|order| json!({"handled": order})).collect();
        if let Some(failure) = failure {
            expected.insert(2, failure.clone());
        }
        assert_eq!(seen, expected.iter().collect::<Vec<_>>(), "{customer}");
    }
    let count = runs.iter().copied().flatten().count();
    assert_eq!(count, 13, "twelve orders handled, one of them failed before: {runs:?}");
}
