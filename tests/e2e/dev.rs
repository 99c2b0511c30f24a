//! `queuepost dev`, as a new user runs it.

use std::net::TcpListener;
use std::time::Duration;

use super::process::{Queuepost, until};
use super::servers::HttpEndpoint;

/// Three addresses that were free a moment ago.
pub fn addresses() -> [String; 3] {
    let bound = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    bound.map(|listener| listener.local_addr().unwrap().to_string())
}

#[tokio::test]
async fn dev_runs_everything_and_stops_cleanly() {
    let [queue, endpoint, admin] = addresses();
    let args = ["dev", "--queue-listen", &queue, "--endpoint-listen", &endpoint, "--admin-listen", &admin];
    let mut dev = Queuepost::start(&args, &[]);
    dev.until_line("embedded queue listening").await;
    let introduction = dev.output();
    for word in
        ["development only", "throttle_delay 10s", "receive_wait 1s", "aws sqs send-message", "/answer/429"]
    {
        assert!(introduction.contains(word), "{word} is missing in:\n{introduction}");
    }

    let url = format!("http://{queue}/000000000000/demo");
    let body = r#"{"hello":"world"}"#;
    let sent = Queuepost::start(&["send", "--queue", &url, body], &[]).ended().await;
    assert_eq!(sent.code, Some(0), "{}", sent.output);
    dev.until_line(&format!("answered 200: {body}")).await;

    let client = reqwest::Client::new();
    let answer = |status: u16| client.post(format!("http://{endpoint}/answer/{status}")).send();
    assert!(answer(429).await.unwrap().status().is_success());
    assert_eq!(answer(42).await.unwrap().status(), 400);
    Queuepost::start(&["send", "--queue", &url, "throttled"], &[]).ended().await;
    dev.until_line("answered 429: throttled").await;
    dev.until_line("parked for 10 s").await;
    answer(200).await.unwrap();
    // The message becomes visible by itself when its ten seconds are over.
    dev.until_line("(receive 2) answered 200: throttled").await;

    dev.signal("INT");
    let ended = dev.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    // There is no warning about the settings of the queue that `dev` itself creates.
    assert!(!ended.output.contains("dead_letter_retention"), "{}", ended.output);
    let free = || TcpListener::bind(&queue).ok();
    assert!(until(free).await.is_some());
}

#[tokio::test]
async fn dev_with_an_endpoint_of_ones_own_tells_of_each_delivery_and_starts_no_sample() {
    let [queue, endpoint, admin] = addresses();
    let own = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut args = vec!["dev", "--queue-listen", &queue, "--endpoint-listen", &endpoint];
    args.extend(["--admin-listen", &admin, "--url", &own.url]);
    let mut dev = Queuepost::start(&args, &[]);
    dev.until_line("embedded queue listening").await;
    let introduction = dev.output();
    assert!(introduction.contains(&format!("endpoint   {}", own.url)), "{introduction}");
    assert!(!introduction.contains("/answer/") && !introduction.contains(&endpoint), "{introduction}");
    assert!(TcpListener::bind(&endpoint).is_ok(), "something listens where the sample would");

    let url = format!("http://{queue}/000000000000/demo");
    Queuepost::start(&["send", "--queue", &url, "x"], &[]).ended().await;
    let line = dev.until_line("delivered").await;
    for part in ["listener=demo", "receive_count=1", "status=200"] {
        assert!(line.contains(part), "{line}");
    }
    dev.signal("INT");
    let ended = dev.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    // Of all the lines of `debug`, only this one appears.
    assert_eq!(ended.output.matches("DEBUG").count(), 1, "{}", ended.output);
}

#[tokio::test]
async fn dev_runs_a_file_of_ones_own_with_its_queues_and_endpoint_on_this_machine() {
    let [queue, endpoint, admin] = addresses();
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev-config.yaml");
    std::fs::write(
        &file,
        "endpoints:
  models: { url: https://models.example.com/v1, auth: { header_env: MODELS_AUTH } }
  lambda: { url: https://x.lambda-url.eu-west-1.on.aws, auth: { sigv4: { service: lambda } } }
listeners:
  - queue: https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo
    role_arn: arn:aws:iam::123456789012:role/orders
    endpoint: models
    path: /run?fast=1
  - queue: arn:aws:sqs:us-east-1:123456789012:jobs
    url: https://jobs.example.com/work?code=t0k3n-s3cr3t
    headers: { X-Functions-Key: { env: MODELS_AUTH } }
    claim_check: { buckets: [payloads], delete_after_success: true }
  - { queue: calls, endpoint: lambda, path: / }
",
    )
    .unwrap();
    let mut args = vec!["dev", "--queue-listen", &queue, "--endpoint-listen", &endpoint];
    args.extend(["--admin-listen", &admin, "--config", file.to_str().unwrap()]);
    let env = [("MODELS_AUTH", "X-Api-Key: s3cr3t"), ("QUEUEPOST_WORKERS", "0")];
    let mut dev = Queuepost::start(&args, &env);
    dev.until_line("embedded queue listening").await;
    for (name, more) in [("orders.fifo", &["--group-id", "a", "--deduplication-id", "1"][..]), ("jobs", &[])]
    {
        let url = format!("http://{queue}/000000000000/{name}");
        let args = ["send", "--queue", &url, "hello"].into_iter().chain(more.iter().copied());
        let sent = Queuepost::start(&args.collect::<Vec<_>>(), &[]).ended().await;
        assert_eq!(sent.code, Some(0), "{}", sent.output);
    }
    dev.until_line("  POST /v1/run?fast=1").await;
    dev.until_line("  x-queuepost-message-group-id: a").await;
    dev.until_line("  x-api-key: REDACTED").await;
    dev.until_line("  POST /work?code=REDACTED").await;
    dev.until_line("  x-functions-key: REDACTED").await;
    dev.until_line("claim_check of listener jobs is left out in dev").await;
    dev.until_line("auth of endpoint lambda is left out in dev").await;
    dev.signal("INT");
    let ended = dev.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(!ended.output.contains("s3cr3t"), "{}", ended.output);
    std::fs::remove_file(&file).unwrap();
}
