//! `MiniStack`: SQS, STS and IAM in one process; with `AUTH=true` it checks credentials and roles.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};

use super::server::{Kind, Server};
use crate::e2e::process::{Queuepost, until};
use crate::e2e::servers::HttpEndpoint;

/// A running server, used as account 111111111111.
struct MiniStack {
    url: String,
    sqs: Client,
    _server: Server,
}

impl MiniStack {
    /// Starts the server, or reports that it is not installed.
    async fn start(auth: bool) -> Option<Self> {
        let server = Kind::MiniStack { auth }.start().await?;
        Some(Self { url: server.url.clone(), sqs: server.client("111111111111"), _server: server })
    }

    /// A queue with a dead-letter queue; the URLs of both.
    async fn queue(&self, name: &str, max_receives: u32) -> (String, String) {
        let create = self.sqs.create_queue().queue_name(format!("{name}-dlq"));
        let dlq = create.send().await.unwrap().queue_url.unwrap();
        let arn = QueueAttributeName::QueueArn;
        let attributes = self
            .sqs
            .get_queue_attributes()
            .queue_url(&dlq)
            .attribute_names(arn.clone())
            .send()
            .await
            .unwrap();
        let arn = &attributes.attributes.unwrap()[&arn];
        let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{max_receives}}}"#);
        let create = self.sqs.create_queue().queue_name(name);
        let create = create.attributes(QueueAttributeName::RedrivePolicy, policy);
        (create.send().await.unwrap().queue_url.unwrap(), dlq)
    }

    /// Counts of messages visible and in flight.
    async fn depth(&self, queue: &str) -> (usize, usize) {
        let all = self.sqs.get_queue_attributes().queue_url(queue).attribute_names(QueueAttributeName::All);
        let attributes = all.send().await.unwrap().attributes.unwrap();
        let number = |name| attributes[&name].parse().unwrap();
        (
            number(QueueAttributeName::ApproximateNumberOfMessages),
            number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    async fn until_depth(&self, queue: &str, depth: (usize, usize)) {
        let end = tokio::time::Instant::now() + crate::e2e::process::PATIENCE;
        loop {
            let now = self.depth(queue).await;
            if now == depth {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{queue} holds {now:?}, not {depth:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn messages_move_once_each_with_their_attributes() {
    let Some(server) = MiniStack::start(false).await else { return };
    let (queue, _) = server.queue("orders", 10).await;
    for batch in 0..30 {
        let entries = (0..10).map(|index| {
            let note = MessageAttributeValue::builder().data_type("String").string_value("ünï\ncode").build();
            let body = format!(r#"{{"number":{}}}"#, batch * 10 + index);
            let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body);
            entry.message_attributes("note", note.unwrap()).build().unwrap()
        });
        let entries = Some(entries.collect());
        server.sqs.send_message_batch().queue_url(&queue).set_entries(entries).send().await.unwrap();
    }
    let endpoint = HttpEndpoint::start(200, Duration::from_millis(5)).await;
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--workers", "8"]).await;
    server.until_depth(&queue, (0, 0)).await;
    assert_eq!((endpoint.seen.bodies().len(), endpoint.seen.count()), (300, 300));
    assert!(endpoint.seen.most_running() <= 8);
    let (headers, _) = endpoint.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-queuepost-attr-note"], "%C3%BCn%C3%AF%0Acode");
    assert_eq!(headers["x-queuepost-receive-count"], "1");
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_429_hides_and_max_receives_dead_letters() {
    let Some(server) = MiniStack::start(false).await else { return };
    let (queue, dlq) = server.queue("orders", 2).await;
    let endpoint = HttpEndpoint::start(429, Duration::ZERO).await;
    server.sqs.send_message().queue_url(&queue).message_body("x").send().await.unwrap();
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &["--throttle-delay", "2s"]).await;
    bridge.until_line("parked for 2 s").await;
    server.until_depth(&queue, (0, 1)).await;
    server.until_depth(&dlq, (1, 0)).await;
    assert_eq!(endpoint.seen.count(), 2);
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_queue_is_found_by_name_and_by_arn() {
    let Some(server) = MiniStack::start(false).await else { return };
    let (queue, _) = server.queue("orders", 10).await;
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    for (sent, named) in ["orders", "arn:aws:sqs:us-east-1:111111111111:orders"].into_iter().enumerate() {
        server.sqs.send_message().queue_url(&queue).message_body(named).send().await.unwrap();
        let args = [
            "run",
            "--queue",
            named,
            "--region",
            "us-east-1",
            "--url",
            &endpoint.url,
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--receive-wait",
            "1s",
        ];
        let env = [
            ("AWS_ENDPOINT_URL", server.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "111111111111"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        let mut bridge = Queuepost::start(&args, &env);
        assert!(
            until(|| (endpoint.seen.count() == sent + 1).then_some(())).await.is_some(),
            "{}",
            bridge.output()
        );
        assert_eq!(bridge.stop().await.code, Some(0));
    }
}

#[tokio::test]
async fn a_queue_of_another_account_is_denied_and_the_process_stays() {
    let Some(server) = MiniStack::start(true).await else { return };
    let (queue, _) = server.queue("orders", 10).await;
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let args = [
        "run",
        "--queue",
        &queue,
        "--url",
        &endpoint.url,
        "--admin-listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ];
    let env = [("AWS_ACCESS_KEY_ID", "222222222222"), ("AWS_SECRET_ACCESS_KEY", "x")];
    let mut bridge = Queuepost::start(&args, &env);
    bridge.find_admin().await;
    let line = bridge.until_line("faulted").await;
    assert!(line.contains("denied"), "{line}");
    assert_eq!(bridge.admin("/livez").await.0, 200);
    assert_eq!(bridge.admin("/readyz").await.0, 503);
    assert_eq!(bridge.stop().await.code, Some(0));
}

/// A call to IAM as the root user of account 111111111111, whose signature `MiniStack` does not check.
async fn iam(server: &MiniStack, parameters: &[(&str, &str)]) {
    let encode = |text: &str| {
        let encode = |byte: u8| {
            if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(encode).collect::<String>()
    };
    let pairs: Vec<String> = [("Version", "2010-05-08")]
        .iter()
        .chain(parameters)
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    let credential = "AWS4-HMAC-SHA256 Credential=111111111111/20260101/us-east-1/iam/aws4_request, \
                      SignedHeaders=host, Signature=00";
    let answer = reqwest::Client::new()
        .post(&server.url)
        .header("authorization", credential)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(pairs.join("&"))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id_and_refused_without() {
    let Some(server) = MiniStack::start(true).await else { return };
    let (queue, _) = server.queue("orders", 10).await;
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"shared-secret"}}}]}"#;
    // On AWS the single actions cover their batches; this server requires permissions for the batches
    // themselves.
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:DeleteMessageBatch","sqs:ChangeMessageVisibility","sqs:ChangeMessageVisibilityBatch","sqs:GetQueueAttributes"],"Resource":"arn:aws:sqs:us-east-1:111111111111:orders"}]}"#;
    let role = [("Action", "CreateRole"), ("RoleName", "consumer"), ("AssumeRolePolicyDocument", trust)];
    iam(&server, &role).await;
    let put = [
        ("Action", "PutRolePolicy"),
        ("RoleName", "consumer"),
        ("PolicyName", "consume"),
        ("PolicyDocument", policy),
    ];
    iam(&server, &put).await;
    server.sqs.send_message().queue_url(&queue).message_body("x").send().await.unwrap();
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let start = |external_id: &str| {
        let args = [
            "run",
            "--queue",
            &queue,
            "--url",
            &endpoint.url,
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--receive-wait",
            "1s",
            "--role-arn",
            "arn:aws:iam::111111111111:role/consumer",
            "--external-id",
            external_id,
        ];
        Queuepost::start(&args, &[("AWS_ACCESS_KEY_ID", "222222222222"), ("AWS_SECRET_ACCESS_KEY", "x")])
    };
    let mut wrong = start("guessed");
    let line = wrong.until_line("faulted").await;
    assert!(line.contains("role"), "{line}");
    assert!(!wrong.output().contains("guessed"), "{}", wrong.output());
    assert_eq!(wrong.stop().await.code, Some(0));
    assert_eq!(endpoint.seen.count(), 0);
    let mut right = start("shared-secret");
    server.until_depth(&queue, (0, 0)).await;
    assert_eq!(endpoint.seen.count(), 1);
    assert_eq!(right.stop().await.code, Some(0));
}
