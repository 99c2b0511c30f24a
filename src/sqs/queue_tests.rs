//! The queue against a scripted server: the requests, and how answers are read.

use std::net::{SocketAddr, TcpListener};

use aws_sdk_sqs::Client;
use bytes::Bytes;
use serde_json::json;
use url::Url;

use super::*;
use crate::message::{Attribute, AttributeValue, ReceiveCount};
use crate::ports::{EntryErrorKind, FACTS_KEEP, QueueDepth, Redrive};
use crate::sqs::scripted::{Answer, asked, client, ok, refusal, serve, settings};

fn queue(name: QueueRef, client: Client) -> SqsQueue {
    let connection = Connection::made(&settings(name.clone()), client, Instant::now());
    SqsQueue::new(name, Arc::new(connection))
}

fn by_url(address: SocketAddr) -> SqsQueue {
    by_name(address, "https://sqs.eu-west-1.amazonaws.com/123456789012/orders")
}

fn by_name(address: SocketAddr, name: &str) -> SqsQueue {
    let name = Url::parse(name).map_or_else(|_| QueueRef::Name(name.to_owned()), QueueRef::Url);
    queue(name, client(address))
}

const RECEIVE: Receive =
    Receive { max: 10, wait: Duration::from_secs(20), visibility: Duration::from_secs(90), attempt: None };

fn handles(count: usize) -> Vec<ReceiptHandle> {
    (0..count).map(|index| ReceiptHandle::new(format!("handle-{index}"))).collect()
}

#[tokio::test]
async fn a_receive_asks_for_everything_and_skips_what_cannot_be_settled() {
    let answer = json!({"Messages": [
        {"MessageId": "a", "ReceiptHandle": "1", "Body": "{}", "Attributes": {"ApproximateReceiveCount": "2"}},
        {"MessageId": "b", "Body": "{}"},
    ]});
    let (address, server) = serve(vec![ok(&answer)]);
    let messages = by_url(address).receive(RECEIVE).await.unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].receive_count, ReceiveCount::new(2));
    let expected = json!({
        "QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "MaxNumberOfMessages": 10,
        "WaitTimeSeconds": 20,
        "VisibilityTimeout": 90,
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    });
    assert_eq!(asked(server).await, [("ReceiveMessage".to_owned(), expected)]);
}

#[tokio::test]
async fn an_empty_queue_is_no_error() {
    let (address, server) = serve(vec![ok(&json!({}))]);
    assert!(by_url(address).receive(RECEIVE).await.unwrap().is_empty());
    asked(server).await;
}

#[tokio::test]
async fn deletes_answer_in_order_and_what_is_not_mentioned_may_be_repeated() {
    let (address, server) = serve(vec![ok(&json!({
        "Successful": [{"Id": "3"}, {"Id": "0"}, {"Id": "77"}, {"Id": "x"}],
        "Failed": [{"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": true}],
    }))]);
    let results = by_url(address).delete(&handles(4)).await.unwrap();
    let kinds: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.kind)).collect();
    let expected = [Ok(()), Err(EntryErrorKind::LeaseLost), Err(EntryErrorKind::Retryable), Ok(())];
    assert_eq!(kinds, expected);
    let (target, body) = asked(server).await.remove(0);
    assert_eq!(target, "DeleteMessageBatch");
    assert_eq!(body["Entries"][2], json!({"Id": "2", "ReceiptHandle": "handle-2"}));
}

#[tokio::test]
async fn visibility_changes_say_their_seconds() {
    let (address, server) = serve(vec![ok(&json!({"Successful": [{"Id": "0"}], "Failed": []}))]);
    let change = VisibilityChange { receipt: ReceiptHandle::new("handle"), seconds: 300 };
    assert_eq!(by_url(address).change_visibility(&[change]).await.unwrap(), [Ok(())]);
    let (target, body) = asked(server).await.remove(0);
    assert_eq!(target, "ChangeMessageVisibilityBatch");
    let expected = json!([{"Id": "0", "ReceiptHandle": "handle", "VisibilityTimeout": 300}]);
    assert_eq!(body["Entries"], expected);
}

#[tokio::test]
async fn an_empty_batch_asks_nobody() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(by_url(nobody).delete(&[]).await.unwrap(), []);
    assert_eq!(by_url(nobody).change_visibility(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_queue_by_name_is_looked_up_once_and_again_after_it_was_missing() {
    let url = |host: &str| ok(&json!({"QueueUrl": format!("http://{host}/1/orders")}));
    let answers = vec![url("old"), ok(&json!({})), refusal("QueueDoesNotExist"), url("new"), ok(&json!({}))];
    let (address, server) = serve(answers);
    let queue = by_name(address, "orders");
    queue.receive(RECEIVE).await.unwrap();
    assert_eq!(queue.receive(RECEIVE).await.unwrap_err().kind, QueueErrorKind::Missing);
    queue.receive(RECEIVE).await.unwrap();
    let asked = asked(server).await;
    let targets: Vec<&str> = asked.iter().map(|(target, _)| target.as_str()).collect();
    let expected = ["GetQueueUrl", "ReceiveMessage", "ReceiveMessage", "GetQueueUrl", "ReceiveMessage"];
    assert_eq!(targets, expected);
    assert_eq!(asked[0].1, json!({"QueueName": "orders"}));
    assert_eq!(asked[4].1["QueueUrl"], "http://new/1/orders");
}

#[tokio::test]
async fn a_queue_by_arn_is_looked_up_with_its_owner() {
    let (address, server) = serve(vec![ok(&json!({"QueueUrl": "http://q/1/orders"})), ok(&json!({}))]);
    let name = QueueRef::Arn {
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        name: "orders".to_owned(),
    };
    queue(name, client(address)).receive(RECEIVE).await.unwrap();
    let expected = json!({"QueueName": "orders", "QueueOwnerAWSAccountId": "123456789012"});
    assert_eq!(asked(server).await[0].1, expected);
}

fn with_redrive() -> Answer {
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:999:orders-dlq","maxReceiveCount":"7"}"#;
    ok(&json!({"Attributes": {
        "ApproximateNumberOfMessages": "12",
        "MessageRetentionPeriod": "345600",
        "VisibilityTimeout": "30",
        "QueueArn": "arn:aws:sqs:eu-west-1:999:orders",
        "RedrivePolicy": policy,
    }}))
}

#[tokio::test]
async fn facts_are_depths_redrive_and_the_dead_letter_queues_depth() {
    let dead = || {
        ok(&json!({"Attributes": {"ApproximateNumberOfMessages": "3", "MessageRetentionPeriod": "1209600"}}))
    };
    let found = ok(&json!({"QueueUrl": "http://q/999/orders-dlq"}));
    let (address, server) = serve(vec![with_redrive(), found, dead(), with_redrive(), dead()]);
    let queue = by_url(address);
    let expected = QueueFacts {
        url: "https://sqs.eu-west-1.amazonaws.com/123456789012/orders".to_owned(),
        arn: Some("arn:aws:sqs:eu-west-1:999:orders".to_owned()),
        fifo: false,
        retention: Some(Duration::from_secs(345_600)),
        visibility: Some(Duration::from_secs(30)),
        depth: QueueDepth { visible: 12, ..QueueDepth::default() },
        redrive: Some(Redrive {
            max_receives: 7,
            dead_letter_name: "orders-dlq".to_owned(),
            dead_letter_fifo: false,
            dead_letter_retention: Some(Duration::from_secs(1_209_600)),
            dead_letter_depth: Some(QueueDepth { visible: 3, ..QueueDepth::default() }),
            dead_letter_unread: None,
        }),
    };
    assert_eq!(queue.inspect().await.unwrap(), expected);
    // The second time the URL is known.
    assert_eq!(queue.inspect().await.unwrap(), expected);
    asked(server).await;
}

#[tokio::test]
async fn a_dead_letter_queue_that_may_not_be_read_has_no_depth() {
    let (address, server) = serve(vec![with_redrive(), refusal("AccessDenied"), refusal("AccessDenied")]);
    let facts = by_url(address).inspect().await.unwrap();
    let unread = Redrive {
        max_receives: 7,
        dead_letter_name: "orders-dlq".to_owned(),
        dead_letter_fifo: false,
        dead_letter_retention: None,
        dead_letter_depth: None,
        dead_letter_unread: None,
    };
    let mut redrive = facts.redrive.unwrap();
    let why = redrive.dead_letter_unread.take().unwrap();
    assert!(why.why.contains("orders-dlq") && why.fix.contains("sqs:GetQueueAttributes"), "{why:?}");
    assert_eq!(redrive, unread);
    // Without the URL, the adapter tried the one that follows from the queue's own.
    let derived = "https://sqs.eu-west-1.amazonaws.com/999/orders-dlq";
    assert_eq!(asked(server).await[2].1["QueueUrl"], derived);
}

fn message() -> Message {
    let received = aws_sdk_sqs::types::Message::builder().message_id("4a1b").receipt_handle("h").body("{}");
    convert::message(received.build()).unwrap()
}

const REASON: DeadLetterReason =
    DeadLetterReason { outcome: "rejected", status: Some(422), answer: None, listener: None };

#[tokio::test]
async fn a_dead_letter_is_sent_to_the_queue_of_the_redrive_policy() {
    let found = ok(&json!({"QueueUrl": "http://q/999/orders-dlq"}));
    let sent = || ok(&json!({"MessageId": "5c2d"}));
    let (address, server) = serve(vec![with_redrive(), found, sent(), sent()]);
    let queue = by_url(address);
    queue.dead_letter(&message(), &REASON).await.unwrap();
    queue.dead_letter(&message(), &REASON).await.unwrap();
    let asked = asked(server).await;
    let (target, body) = &asked[2];
    assert_eq!((target.as_str(), &body["QueueUrl"]), ("SendMessage", &json!("http://q/999/orders-dlq")));
    assert_eq!(body["MessageBody"], "{}");
    let status = json!({"DataType": "Number", "StringValue": "422"});
    assert_eq!(body["MessageAttributes"]["queuepost.status"], status);
    assert!(body.get("MessageGroupId").is_none() && body.get("DelaySeconds").is_none(), "{body}");
}

#[tokio::test]
async fn a_redrive_policy_read_long_ago_is_read_again_before_a_message_is_sent_by_it() {
    let found = |name: &str| ok(&json!({"QueueUrl": format!("http://q/999/{name}")}));
    let sent = || ok(&json!({"MessageId": "5c2d"}));
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:999:other-dlq","maxReceiveCount":5}"#;
    let replaced = ok(&json!({"Attributes": {"RedrivePolicy": policy}}));
    let (address, server) =
        serve(vec![with_redrive(), found("orders-dlq"), sent(), replaced, found("other-dlq"), sent()]);
    let queue = by_url(address);
    queue.dead_letter(&message(), &REASON).await.unwrap();
    let long_ago = Instant::now().checked_sub(FACTS_KEEP + Duration::from_secs(1)).unwrap();
    queue.known().dead_letter.as_mut().unwrap().read_at = long_ago;
    queue.dead_letter(&message(), &REASON).await.unwrap();
    let asked = asked(server).await;
    assert_eq!(asked[2].1["QueueUrl"], "http://q/999/orders-dlq");
    assert_eq!(asked[5].1["QueueUrl"], "http://q/999/other-dlq");
}

#[tokio::test]
async fn without_a_redrive_policy_there_is_no_dead_letter() {
    let (address, server) = serve(vec![ok(&json!({"Attributes": {}}))]);
    let failure = by_url(address).dead_letter(&message(), &REASON).await.unwrap_err();
    assert_eq!((failure.operation, failure.kind), (Operation::Send, QueueErrorKind::Missing));
    asked(server).await;
}

#[tokio::test]
async fn a_redrive_policy_taken_away_takes_the_dead_letter_queue_with_it() {
    let found = ok(&json!({"QueueUrl": "http://q/999/orders-dlq"}));
    let none = || ok(&json!({"Attributes": {}}));
    let (address, server) = serve(vec![with_redrive(), found, none(), none(), none()]);
    let queue = by_url(address);
    assert!(queue.inspect().await.unwrap().redrive.is_some());
    assert_eq!(queue.inspect().await.unwrap().redrive, None);
    let failure = queue.dead_letter(&message(), &REASON).await.unwrap_err();
    assert_eq!(failure.reason, QueueReason::NoDeadLetterQueue);
    asked(server).await;
}

#[tokio::test]
async fn a_message_is_sent_with_all_that_was_asked() {
    let (address, server) = serve(vec![ok(&json!({"MessageId": "5c2d"}))]);
    let message = Outgoing {
        delay: Some(Duration::from_secs(5)),
        group_id: Some("g".to_owned()),
        trace_header: Some("Root=1".to_owned()),
        attributes: vec![Attribute {
            name: "raw".to_owned(),
            data_type: "Binary".to_owned(),
            value: AttributeValue::Binary(Bytes::from_static(&[255])),
        }],
        ..Outgoing::from("{}")
    };
    assert_eq!(by_url(address).send(message).await.unwrap().as_str(), "5c2d");
    let expected = json!({
        "QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "MessageBody": "{}",
        "DelaySeconds": 5,
        "MessageGroupId": "g",
        "MessageAttributes": {"raw": {"DataType": "Binary", "BinaryValue": "/w=="}},
        "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
    });
    assert_eq!(asked(server).await[0].1, expected);
}

#[tokio::test]
async fn a_fifo_receive_carries_its_attempt_id_and_a_standard_one_none() {
    let (address, server) = serve(vec![ok(&json!({})), ok(&json!({}))]);
    let receive = Receive { attempt: Some(0xab), ..RECEIVE };
    by_name(address, "http://q/1/orders.fifo").receive(receive).await.unwrap();
    by_name(address, "http://q/1/orders").receive(receive).await.unwrap();
    let asked = asked(server).await;
    assert_eq!(asked[0].1["ReceiveRequestAttemptId"], "000000000000000000000000000000ab");
    assert_eq!(asked[1].1.get("ReceiveRequestAttemptId"), None);
}

#[tokio::test]
async fn after_an_answer_that_was_too_long_messages_are_asked_for_one_by_one_and_anew() {
    let long = (200, "", " ".repeat(crate::sqs::transport::ANSWER_MAX + 1));
    let (address, server) = serve(vec![long, ok(&json!({})), ok(&json!({}))]);
    let fifo = by_name(address, "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo");
    let receive = Receive { attempt: Some(7), ..RECEIVE };
    let error = fifo.receive(receive).await.unwrap_err();
    assert_eq!(error.reason, QueueReason::AnswerTooLong);
    for _ in 0..2 {
        fifo.receive(receive).await.unwrap();
    }
    let asked = asked(server).await;
    let most: Vec<_> = asked.iter().map(|(_, asked)| asked["MaxNumberOfMessages"].clone()).collect();
    assert_eq!(most, [json!(10), json!(1), json!(1)]);
    // The same attempt id would return the same messages, too long again.
    let attempts: Vec<_> =
        asked.iter().map(|(_, asked)| asked["ReceiveRequestAttemptId"].is_string()).collect();
    assert_eq!(attempts, [true, false, false]);
}
