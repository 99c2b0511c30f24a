//! Calls that fail before, instead of or despite an answer; and when two listeners share a client.

use std::net::TcpListener;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use serde_json::json;

use super::*;
use crate::sqs::scripted::{asked, client, ok, refusal, serve, settings};

const PATIENT: Duration = Duration::from_secs(30);

fn url(text: &str) -> QueueRef {
    QueueRef::Url(Url::parse(text).unwrap())
}

fn connection(client: Client) -> Connection {
    Connection::made(&settings(QueueRef::Name("orders".to_owned())), client, Instant::now())
}

async fn look_up(connection: &Connection, limit: Duration) -> Result<Option<String>, QueueError> {
    let call = |client: Client| client.get_queue_url().queue_name("orders").send();
    Ok(connection.call(Operation::QueueUrl, &Arc::from("orders"), limit, call).await?.queue_url)
}

async fn failure(connection: &Connection) -> (QueueErrorKind, String) {
    let error = look_up(connection, PATIENT).await.unwrap_err();
    assert_eq!(error.operation, Operation::QueueUrl);
    (error.kind, error.source.to_string())
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = connection(client(silent.local_addr().unwrap()));
    let error = look_up(&connection, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.kind, QueueErrorKind::TimedOut);
}

#[tokio::test]
async fn a_refused_connection_is_the_network() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (kind, text) = failure(&connection(client(nobody))).await;
    assert_eq!(kind, QueueErrorKind::Network, "{text}");
    assert!(text.to_lowercase().contains("refused") && !text.contains('\n'), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_none_of_sqs_is_the_network() {
    let (address, server) = serve(vec![(200, "", "<html>".to_owned())]);
    let (kind, text) = failure(&connection(client(address))).await;
    assert_eq!(kind, QueueErrorKind::Network, "{text}");
    asked(server).await;
}

#[tokio::test]
async fn the_old_code_in_its_header_is_understood() {
    let headers = "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n\
                   x-amzn-requestid: 9f8e\r\n";
    let body = json!({"__type": "com.amazonaws.sqs#Whatever", "message": "No such queue.\n\nReally."});
    let (address, server) = serve(vec![(400, headers, body.to_string())]);
    let (kind, text) = failure(&connection(client(address))).await;
    assert_eq!(kind, QueueErrorKind::Missing);
    assert_eq!(text, "AWS.SimpleQueueService.NonExistentQueue: No such queue. (request 9f8e)");
    asked(server).await;
}

#[tokio::test]
async fn a_provider_that_has_no_credentials_fails_as_credentials() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let provider =
        ProfileFileCredentialsProvider::builder().profile_name("queuepost-test-of-no-such-profile").build();
    let config = client(nobody).config().to_builder().credentials_provider(provider).build();
    let (kind, text) = failure(&connection(Client::from_conf(config))).await;
    assert_eq!(kind, QueueErrorKind::Credentials, "{text}");
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_fails_as_credentials_and_quotes_no_request() {
    let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>\
                   <Message>The signature does not match.\n\nThe Canonical String for this request should have \
                   been\nx-amz-security-token:swordfish</Message></Error></ErrorResponse>";
    let (address, server) = serve(vec![(403, "content-type: text/xml\r\n", refused.to_owned())]);
    let base = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("A", "s", None, None, "test")));
    let loaded =
        aws_config::defaults(BehaviorVersion::latest()).no_credentials().region(ANY_REGION).load().await;
    let base =
        base.time_source(loaded.time_source().unwrap()).sleep_impl(loaded.sleep_impl().unwrap()).build();
    let role =
        Role { arn: "arn:aws:iam::123456789012:role/consumer".to_owned(), external_id: Some("x".to_owned()) };
    let provider = credentials::of_role(&role, &base, Some(ANY_REGION)).await;
    let config = client(address).config().to_builder().credentials_provider(provider).build();
    let (kind, text) = failure(&connection(Client::from_conf(config))).await;
    assert_eq!(kind, QueueErrorKind::Credentials, "{text}");
    assert!(text.contains("The signature does not match") && !text.contains("swordfish"), "{text}");
    asked(server).await;
}

#[tokio::test]
async fn refused_credentials_give_up_a_client_that_is_not_brand_new() {
    for (age, code, kept) in [
        (RENEWAL_MIN, "ExpiredToken", false),
        (RENEWAL_MIN, "AccessDenied", true),
        (Duration::ZERO, "ExpiredToken", true),
    ] {
        let (address, server) = serve(vec![refusal(code)]);
        let made_at = Instant::now().checked_sub(age).expect("a machine that is up for some seconds");
        let settings = settings(QueueRef::Name("orders".to_owned()));
        let connection = Connection::made(&settings, client(address), made_at);
        look_up(&connection, PATIENT).await.unwrap_err();
        assert_eq!(connection.has_client().await, kept, "{code} at {age:?}");
        asked(server).await;
    }
}

#[tokio::test]
async fn without_a_region_nothing_is_called() {
    let config = aws_sdk_sqs::Config::builder().behavior_version(BehaviorVersion::latest()).build();
    let (kind, text) = failure(&connection(Client::from_conf(config))).await;
    assert_eq!(kind, QueueErrorKind::Invalid);
    assert!(text.ends_with("names one"), "{text}");
}

#[tokio::test]
async fn a_good_answer_keeps_the_client() {
    let (address, server) = serve(vec![ok(&json!({"QueueUrl": "http://q/1/orders"}))]);
    let connection = connection(client(address));
    assert_eq!(look_up(&connection, PATIENT).await.unwrap().as_deref(), Some("http://q/1/orders"));
    assert!(connection.has_client().await);
    asked(server).await;
}

#[test]
fn listeners_share_a_client_when_region_profile_role_and_server_are_equal() {
    let key = |settings: &Settings| Key::new(settings);
    let one = settings(url("https://sqs.eu-west-1.amazonaws.com/123456789012/orders"));
    let two = settings(url("https://sqs.eu-west-1.amazonaws.com/123456789012/invoices"));
    assert_eq!(key(&one), key(&two));
    let elsewhere = settings(url("https://sqs.us-east-1.amazonaws.com/123456789012/orders"));
    let role = Role { arn: "arn:aws:iam::123456789012:role/consumer".to_owned(), external_id: None };
    for other in [
        elsewhere,
        Settings { profile: Some("deploy".to_owned()), ..two.clone() },
        Settings { role: Some(role), ..two.clone() },
        Settings { address: Some(Url::parse("http://localhost:9324").unwrap()), ..two.clone() },
    ] {
        assert_ne!(key(&one), key(&other));
    }
}
