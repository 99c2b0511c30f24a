//! Batch sends and receives of the commands against a scripted server: the requests, and how answers are
//! read.

use std::net::SocketAddr;

use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::*;
use crate::sqs::QueueRef;
use crate::sqs::client::Connection;
use crate::sqs::scripted::{asked, client, ok, serve, settings};

const URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";

fn queue(address: SocketAddr) -> SqsQueue {
    let name = QueueRef::Url(Url::parse(URL).unwrap());
    let connection = Connection::made(&settings(name.clone()), client(address), Instant::now());
    SqsQueue::new(name, Arc::new(connection))
}

#[tokio::test]
async fn a_batch_answers_in_order_and_says_what_may_be_sent_again() {
    let answer = json!({
        "Successful": [{"Id": "3", "MessageId": "m-3", "MD5OfMessageBody": "8ce4b16b22b58894aa86c421e8759df3"}],
        "Failed": [
            {"Id": "1", "Code": "InvalidMessageContents", "Message": "no\n such text", "SenderFault": true},
            {"Id": "0", "Code": "InternalError", "SenderFault": false},
        ],
    });
    let (address, server) = serve(vec![ok(&answer)]);
    let like = Outgoing { body: "k".to_owned(), group_id: Some("g".to_owned()), ..Outgoing::default() };
    let delayed = Outgoing { delay: Some(Duration::from_secs(5)), ..like.clone() };
    let results = queue(address).send_batch(&[delayed, like.clone(), like.clone(), like]).await.unwrap();
    let results: Vec<_> =
        results.into_iter().map(|result| result.map_err(|unsent| (unsent.retryable, unsent.why))).collect();
    let unsent = |retryable, why: &str| Err((retryable, why.to_owned()));
    let expected = [
        unsent(true, "SQS failed: InternalError"),
        unsent(false, "the message has characters SQS does not carry: InvalidMessageContents: no such text"),
        unsent(true, "SQS did not say what became of it"),
        Ok(MessageId::new("m-3")),
    ];
    assert_eq!(results, expected);
    let asked = asked(server).await;
    let (operation, body) = &asked[0];
    assert_eq!(operation, "SendMessageBatch");
    assert_eq!(body["Entries"][0]["DelaySeconds"], 5);
    assert_eq!(body["Entries"][1]["Id"], "1");
    assert_eq!(body["Entries"][1]["MessageGroupId"], "g");
    assert!(body["Entries"][1].get("DelaySeconds").is_none(), "{body}");
}

#[tokio::test]
async fn a_receive_by_hand_leaves_the_visibility_to_the_queue_and_tells_everything() {
    let answer = json!({"Messages": [{
        "MessageId": "a", "ReceiptHandle": "1", "Body": "{}",
        "Attributes": {"SenderId": "AIDA", "DeadLetterQueueSourceArn": "arn:aws:sqs:eu-west-1:1:orders"},
    }]});
    let (address, server) = serve(vec![ok(&answer), ok(&json!({}))]);
    let queue = queue(address);
    let request = ReceiveRequest { max: 3, attempt_id: Some("7f3a".to_owned()), ..ReceiveRequest::default() };
    let received = queue.receive_by_hand(&request).await.unwrap();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].sender_id.as_deref(), Some("AIDA"));
    assert_eq!(received[0].dead_letter_queue_source_arn.as_deref(), Some("arn:aws:sqs:eu-west-1:1:orders"));
    let visibility = Some(Duration::ZERO);
    let request = ReceiveRequest { visibility, attempt_id: None, ..request };
    assert!(queue.receive_by_hand(&request).await.unwrap().is_empty());
    let asked = asked(server).await;
    assert_eq!(asked[0].1["ReceiveRequestAttemptId"], "7f3a");
    assert!(asked[0].1.get("VisibilityTimeout").is_none());
    assert!(asked[1].1.get("ReceiveRequestAttemptId").is_none());
    assert_eq!(asked[1].1["VisibilityTimeout"], 0);
}
