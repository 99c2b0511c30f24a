//! Claim checks that the SQS extended client of AWS sends, with their objects on an independent S3 server.

use std::path::Path;
use std::time::Duration;

use super::{config, python, run_script};
use crate::contract::server::Kind;
use crate::e2e::process::{Queuepost, until};
use crate::e2e::servers::HttpEndpoint;

#[tokio::test]
async fn what_the_extended_client_sends_arrives_whole_and_a_missing_object_is_a_bad_message() {
    let test = "what_the_extended_client_sends_arrives_whole_and_a_missing_object_is_a_bad_message";
    let Some(python) = python(test) else { return };
    let Some(server) = (Kind::MiniStack { auth: false }).start().await else { return };
    let queue = run_script(&python, "claim_check.py", &server.url).await.remove(0);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let keys = format!(
        "claim_check: {{buckets: [payloads], max_size: 1MiB, delete_after_success: true, endpoint_url: '{}'}}",
        server.url
    );
    let config = config("claim-check", &[(queue.as_str(), keys.as_str())], &endpoint.url);
    let env = [("AWS_ACCESS_KEY_ID", "111111111111"), ("AWS_SECRET_ACCESS_KEY", "x")];
    let mut bridge = Queuepost::start(&["run", "--config", &config], &env);
    bridge.find_admin().await;
    let line = bridge.until_line("object_missing").await;
    assert!(line.contains("final receive") && line.contains("claims-dlq"), "{line}");
    assert!(until(|| (endpoint.seen.count() == 2).then_some(())).await.is_some(), "{}", bridge.output());
    let mut bodies: Vec<String> = endpoint.seen.bodies().into_keys().collect();
    bodies.sort();
    let long = |text: &str| text.to_owned() + &"x".repeat(300_000);
    assert!(
        bodies == [long("new 1"), long("old 1")],
        "{:?}",
        bodies.iter().map(String::len).collect::<Vec<_>>()
    );
    for (headers, _) in endpoint.seen.requests.lock().unwrap().iter() {
        assert_eq!(headers["x-queuepost-attr-tenant"], "acme");
        let reserved = ["x-queuepost-attr-extendedpayloadsize", "x-queuepost-attr-sqslargepayloadsize"];
        assert!(reserved.iter().all(|name| headers.get(*name).is_none()), "{headers:?}");
    }
    let deleted = r#"operation="DeleteObject",result="ok""#;
    let end = tokio::time::Instant::now() + crate::e2e::process::PATIENCE;
    while bridge.metric("object_requests_total", deleted).await < 2.0 {
        assert!(tokio::time::Instant::now() < end, "{}", bridge.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bridge.stop().await.code, Some(0));
    let left =
        reqwest::get(format!("{}/payloads?list-type=2", server.url)).await.unwrap().text().await.unwrap();
    assert!(!left.contains("<Key>"), "{left}");
    std::fs::remove_file(Path::new(&config)).unwrap();
}
