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
    dev.until_line(" by demo: 200 in ").await;

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
    dev.until_line(" ms, at receive 2").await;

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
    let line = dev.until_line(" ok ").await;
    assert!(line.contains(" by demo: 200 in ") && line.ends_with(" ms"), "{line}");
    dev.signal("INT");
    let ended = dev.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    // No other line of `debug` appears.
    assert_eq!(ended.output.matches("DEBUG").count(), 0, "{}", ended.output);
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

#[tokio::test]
async fn dev_posts_for_real_to_an_endpoint_on_this_machine_and_to_the_sample_for_another() {
    let [queue, endpoint, admin] = addresses();
    let own = HttpEndpoint::start(200, Duration::ZERO).await;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev-local-endpoint.yaml");
    let config = format!(
        "listeners:
  - {{ queue: near, url: {} }}
  - {{ queue: far, url: https://far.example.com/work }}
",
        own.url
    );
    std::fs::write(&file, config).unwrap();
    let mut args = vec!["dev", "--queue-listen", &queue, "--endpoint-listen", &endpoint];
    args.extend(["--admin-listen", &admin, "--config", file.to_str().unwrap()]);
    let mut dev = Queuepost::start(&args, &[]);
    dev.until_line("embedded queue listening").await;
    let introduction = dev.output();
    for words in [
        "(on this machine: posted to for real; to near-dlq after 10 receives)",
        "(the sample, for https://far.example.com/work; to far-dlq after 10 receives)",
    ] {
        assert!(introduction.contains(words), "{words:?} is not in {introduction}");
    }
    for name in ["near", "far"] {
        let url = format!("http://{queue}/000000000000/{name}");
        let sent = Queuepost::start(&["send", "--queue", &url, name], &[]).ended().await;
        assert_eq!(sent.code, Some(0), "{}", sent.output);
        dev.until_line(&format!(" by {name}: 200 in ")).await;
    }
    assert_eq!(own.seen.bodies(), [("near".to_owned(), 1)].into());
    dev.until_line("  POST /work").await;
    dev.signal("INT");
    let ended = dev.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(ended.output.matches("  endpoint   #").count(), 1, "{}", ended.output);
    std::fs::remove_file(&file).unwrap();
}

/// The number of queuepost, and that of the plain worker, in a row of the demonstration's table.
fn row(output: &str, what: &str) -> [String; 2] {
    let line = output.lines().find(|line| line.trim_start().starts_with(what));
    let line = line.unwrap_or_else(|| panic!("no row {what:?} in:\n{output}"));
    let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "s").collect();
    [words[words.len() - 2], words[words.len() - 1]].map(str::to_owned)
}

#[tokio::test]
async fn the_demonstration_delivers_all_with_few_refusals_where_a_plain_worker_loses_most() {
    let ended = Queuepost::start(&["dev", "--demo"], &[]).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let number = |what| row(&ended.output, what).map(|number| number.parse::<u32>().unwrap());
    assert_eq!(number("messages delivered"), [200, 20], "{}", ended.output);
    assert_eq!(number("dead-lettered"), [0, 180], "{}", ended.output);
    let [refused, refused_plain] = number("POSTs refused");
    assert!(refused < 40 && refused_plain == 900, "{}", ended.output);
    let [receives, _] = number("receives spent");
    assert!((200..240).contains(&receives), "{}", ended.output);
    assert_eq!(row(&ended.output, "first success")[1], "never", "{}", ended.output);
}

#[tokio::test]
async fn ctrl_c_ends_the_demonstration_cleanly_and_it_takes_no_other_option() {
    let mut demo = Queuepost::start(&["dev", "--demo"], &[]);
    demo.until_line("0 s — the endpoint does 20 messages").await;
    demo.signal("INT");
    let ended = demo.ended().await;
    assert_eq!(ended.code, Some(130), "{}", ended.output);
    for words in ["ERROR", "WARN", "messages delivered", "queuepost:"] {
        assert!(!ended.output.contains(words), "{}", ended.output);
    }
    let ended = Queuepost::start(&["dev", "--demo", "--url", "http://127.0.0.1:1"], &[]).ended().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
}
