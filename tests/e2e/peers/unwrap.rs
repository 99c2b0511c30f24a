//! What SNS, `EventBridge` and S3 of an independent server put around a message, and that `unwrap` takes it off.

use std::time::Duration;

use serde_json::json;

use super::{config, python, run_script};
use crate::contract::server::Kind;
use crate::e2e::process::{Queuepost, until};
use crate::e2e::servers::{HttpEndpoint, QueueServer};

const CREDENTIALS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "111111111111"), ("AWS_SECRET_ACCESS_KEY", "x")];

#[tokio::test]
async fn what_sns_eventbridge_and_s3_send_arrives_without_their_envelopes() {
    let test = "what_sns_eventbridge_and_s3_send_arrives_without_their_envelopes";
    let Some(python) = python(test) else { return };
    let Some(server) = (Kind::MiniStack { auth: false }).start().await else { return };
    let queues = run_script(&python, "events.py", &server.url).await;
    let [wrapped, raw, events, objects] = queues.as_slice() else { panic!("{queues:?}") };
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let listeners = [
        (wrapped.as_str(), "unwrap: sns"),
        (raw, "unwrap: sns"),
        (events, "unwrap: eventbridge"),
        (objects, "unwrap: s3, non_work: delete"),
    ];
    let config = config("unwrap", &listeners, &endpoint.url);
    let mut bridge = Queuepost::start(&["run", "--config", &config], &CREDENTIALS);
    bridge.find_admin().await;
    assert!(until(|| (endpoint.seen.count() == 4).then_some(())).await.is_some(), "{}", bridge.output());
    let requests = endpoint.seen.requests.lock().unwrap().clone();
    let of = |queue: &str| {
        let is_of = |headers: &&(axum::http::HeaderMap, _)| headers.0["x-queuepost-queue"] == queue;
        requests
            .iter()
            .find(is_of)
            .map(|(headers, body)| (headers.clone(), String::from_utf8(body.to_vec()).unwrap()))
    };
    let ((wrapped, body), (raw, sent_raw)) = (of("wrapped").unwrap(), of("raw").unwrap());
    assert_eq!((body.as_str(), sent_raw.as_str()), (r#"{"order": 7}"#, r#"{"order": 7}"#));
    assert_eq!(wrapped["x-queuepost-sns-topic-arn"], "arn:aws:sns:us-east-1:111111111111:orders");
    assert_eq!(
        (&wrapped["x-queuepost-sns-type"], &wrapped["x-queuepost-sns-subject"]),
        (&"Notification".parse().unwrap(), &"An order".parse().unwrap())
    );
    assert_eq!(
        (&wrapped["x-queuepost-attr-tenant"], raw.get("x-queuepost-sns-type")),
        (&raw["x-queuepost-attr-tenant"], None)
    );
    let (event, body) = of("events").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap(), json!({"order": 8}));
    assert_eq!(
        (&event["x-queuepost-eventbridge-source"], &event["x-queuepost-eventbridge-detail-type"]),
        (&"shop".parse().unwrap(), &"order".parse().unwrap())
    );
    let (object, body) = of("objects").unwrap();
    assert!(body.contains("ObjectCreated:Put"), "{body}");
    assert_eq!(
        (&object["x-queuepost-s3-bucket"], &object["x-queuepost-s3-key"]),
        (&"uploads".parse().unwrap(), &"a b/%C3%BCn%C3%AF.txt".parse().unwrap())
    );

    let deleted = until(|| bridge.output().contains("S3 tried out").then_some(())).await;
    assert!(deleted.is_some(), "{}", bridge.output());
    assert_eq!(bridge.metric("messages_no_work_total", r#"listener="objects""#).await.to_string(), "1");
    assert_eq!(bridge.stop().await.code, Some(0));
    assert_eq!(endpoint.seen.count(), 4, "the test event was not posted");
}

#[tokio::test]
async fn a_confirmation_is_deleted_if_the_listener_says_so_and_never_confirmed() {
    let (queues, sns) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let confirmation = json!({
        "Type": "SubscriptionConfirmation", "MessageId": "1", "Token": "s3cr3t-token",
        "TopicArn": "arn:aws:sns:us-east-1:111111111111:orders", "Message": "You have chosen to subscribe.",
        "SubscribeURL": format!("{}?Action=ConfirmSubscription&Token=s3cr3t-token", sns.url),
    });
    let (deletes, forwards) = (queues.queue("deletes", 10), queues.queue("forwards", 10));
    for name in ["deletes", "forwards"] {
        queues.send(name, &confirmation.to_string());
    }
    let listeners = [(deletes.as_str(), "non_work: delete"), (forwards.as_str(), "unwrap: sns")];
    let config = config("confirmation", &listeners, &endpoint.url);
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    bridge.find_admin().await;
    for name in ["deletes", "forwards"] {
        queues.until_empty(name).await;
    }
    let line = bridge.until_line("SNS wants a subscription").await;
    assert!(line.contains(r#""topic":"arn:aws:sns:us-east-1:111111111111:orders""#), "{line}");
    assert!(line.contains("aws sns subscribe") && line.contains("aws sns confirm-subscription"), "{line}");
    let (headers, body) = endpoint.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(headers["x-queuepost-sns-type"], "SubscriptionConfirmation");
    assert_eq!(body, confirmation.to_string().as_bytes());
    assert_eq!((endpoint.seen.count(), sns.seen.count()), (1, 0));
    assert_eq!(bridge.metric("deliveries_total", r#"listener="deletes""#).await.to_string(), "0");
    assert_eq!(bridge.metric("messages_deleted_total", r#"listener="deletes""#).await.to_string(), "1");
    let ended = bridge.stop().await;
    assert!(!ended.output.contains("s3cr3t"), "{}", ended.output);
    assert_eq!(ended.code, Some(0));
}
