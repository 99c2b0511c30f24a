//! The document of the admin port's routes: valid by the validator of others, and true by requests that a fuzzer makes of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::api;
use crate::e2e::process::Queuepost;
use crate::e2e::servers::{HttpEndpoint, QueueServer};

const TOKEN: &str = "planted-token-0123456789";

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")
}

#[tokio::test]
async fn the_document_is_valid_by_an_independent_validator() {
    let Some(python) = api("the_document_is_valid_by_an_independent_validator", "python") else { return };
    let mut command = tokio::process::Command::new(python);
    let ran = command.args(["-m", "openapi_spec_validator"]).arg(document()).output().await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("OK"), "{said}{}", String::from_utf8_lossy(&ran.stderr));
}

/// Asks a process by the document, as far as `chosen` selects; every answer must be as the document says.
async fn ask(test: &str, chosen: &[&str]) {
    let Some(fuzzer) = api(test, "st") else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).unwrap();
    let token = folder.join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let allow = ["--admin-allow-changes", "--admin-token-file", token.to_str().unwrap()];
    let mut bridge = Queuepost::run(&queues.queue("orders", 10), &endpoint.url, &allow).await;
    queues.send("orders-dlq", "a letter");
    // Names that nobody has would be all that is asked for.
    let mut whole: Value = serde_json::from_str(&std::fs::read_to_string(document()).unwrap()).unwrap();
    whole["components"]["parameters"]["listener"]["schema"] = json!({"enum": ["orders", "nobody"]});
    let asked = folder.join("openapi.json");
    std::fs::write(&asked, whole.to_string()).unwrap();
    let mut command = tokio::process::Command::new(fuzzer);
    command.current_dir(&folder).kill_on_drop(true).arg("run").arg(&asked).args(chosen);
    command.args(["--url", &format!("http://{}", bridge.admin_address())]);
    command.args(["--header", &format!("Authorization: Bearer {TOKEN}")]);
    // A stream has no end, and a drained listener says of everything that it was drained.
    command.args(["--exclude-path", "/api/v1/events", "--exclude-operation-id", "drain"]);
    // Requests without the token are limited as well, so 429 may come where 401 is expected. What is a wrong value for SQS the
    // document says in words. Tests of our own cover all three.
    command.args(["--exclude-checks", "ignored_auth,missing_required_header,positive_data_acceptance"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--generation-deterministic"]);
    command.args(["--request-timeout", "20", "--continue-on-failure", "--no-color"]);
    let ran = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let failures = said.find("FAILURES").unwrap_or_default();
    assert!(ran.status.success(), "{}\n{}", &said[failures..], String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("No issues found") || said.contains("passed"), "{said}");
    assert_eq!(bridge.admin("/livez").await.0, 200);
    let ended = bridge.stop().await;
    assert!(ended.code == Some(0) && !ended.output.contains("panic"), "{}", ended.output);
}

#[tokio::test]
async fn every_answer_to_a_read_is_as_the_document_says() {
    ask("openapi-reads", &["--include-method", "GET", "--max-examples", "20"]).await;
}

#[tokio::test]
async fn every_answer_to_a_change_is_as_the_document_says() {
    // As many as the port takes.
    ask(
        "openapi-changes",
        &["--include-method", "POST", "--max-examples", "10", "--rate-limit", "9/s", "--max-time", "30"],
    )
    .await;
}
