//! Results sent to a scripted server: the request, and how its answer is read.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::*;
use crate::ports::{EntryErrorKind, QueueErrorKind};
use crate::sqs::QueueRef;
use crate::sqs::client::Connection;
use crate::sqs::scripted::{asked, client, ok, refusal, serve, settings};

const URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/results";

fn outbox(address: SocketAddr) -> Arc<dyn Outbox> {
    let name = QueueRef::Url(Url::parse(URL).unwrap());
    let connection = Connection::made(&settings(name.clone()), client(address), Instant::now());
    Arc::new(SqsQueue::new(name, Arc::new(connection)))
}

#[tokio::test]
async fn results_go_out_in_one_call_and_only_what_sqs_has_against_a_message_is_refused() {
    let failed = |id: &str, code: &str, message: &str, sender: bool| json!({"Id": id, "Code": code, "Message": message, "SenderFault": sender});
    let answer = json!({
        "Successful": [{"Id": "1", "MessageId": "m-1", "MD5OfMessageBody": "8ce4b16b22b58894aa86c421e8759df3"}],
        "Failed": [
            failed("0", "InvalidMessageContents", "no such text", true),
            failed("2", "InternalError", "", false),
            failed("3", "InvalidParameterValue", "Message must be shorter than 1024 bytes.", true),
            failed("4", "AccessDenied", "not yours", true),
        ],
    });
    let (address, server) = serve(vec![ok(&answer)]);
    let messages: Vec<Outgoing> = (0..6).map(|number| Outgoing::from(&number)).collect();
    let results = outbox(address).send(&messages).await.unwrap();
    let results: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.kind)).collect();
    let (refused, retryable) = (Err(EntryErrorKind::Refused), Err(EntryErrorKind::Retryable));
    assert_eq!(results, [refused, Ok(()), retryable, refused, retryable, retryable]);
    let asked = asked(server).await;
    assert_eq!(asked[0].0, "SendMessageBatch");
    assert_eq!(asked[0].1["Entries"].as_array().unwrap().len(), 6);
    assert_eq!(asked[0].1["Entries"][5]["MessageBody"], "5");
}

#[tokio::test]
async fn a_call_that_fails_as_a_whole_is_an_error_that_names_the_queue() {
    let (address, server) = serve(vec![refusal("AccessDenied")]);
    let error = outbox(address).send(&[Outgoing::from("x")]).await.unwrap_err();
    assert_eq!(error.kind, QueueErrorKind::Denied);
    assert!(error.to_string().contains("results"), "{error}");
    assert_eq!(asked(server).await.len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_without_messages() {
    let (address, server) = serve(Vec::new());
    assert!(outbox(address).send(&[]).await.unwrap().is_empty());
    assert!(asked(server).await.is_empty());
}
