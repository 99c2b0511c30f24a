//! The history of each message, from the recorded exchanges with the queue and with the endpoint.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;

use crate::e2e::fault_proxy::Exchange;

/// The events of messages in the exchanges with the queue.
#[derive(Default)]
pub struct MessageHistory {
    /// The message of each receipt handle.
    pub handles: BTreeMap<String, String>,
    /// The first delete request of each message.
    pub asked: BTreeMap<String, Instant>,
    /// When the queue confirmed the delete of a message, whether any process received the answer or not.
    pub deleted: BTreeMap<String, Instant>,
}

impl MessageHistory {
    pub fn of(calls: &[Exchange]) -> Self {
        let mut history = Self::default();
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
        let operation = |call: &Exchange, name: &str| call.head.to_lowercase().contains(&name.to_lowercase());
        // Receives first, so that the handles are known.
        for call in
            calls.iter().filter(|call| operation(call, "AmazonSQS.ReceiveMessage") && call.succeeded())
        {
            let answer: Value = serde_json::from_slice(&call.answer.as_ref().unwrap().2).unwrap();
            for message in list(&answer, "Messages") {
                history.handles.insert(text(&message, "ReceiptHandle"), text(&message, "Body"));
            }
        }
        for call in calls.iter().filter(|call| operation(call, "AmazonSQS.DeleteMessageBatch")) {
            let request: Value = serde_json::from_slice(&call.body).unwrap();
            let entries = list(&request, "Entries").into_iter();
            let bodies: BTreeMap<String, String> = entries
                .map(|entry| (text(&entry, "Id"), history.handles[&text(&entry, "ReceiptHandle")].clone()))
                .collect();
            for body in bodies.values() {
                history.asked.entry(body.clone()).or_insert(call.asked);
            }
            let Some((at, 200, answer)) = &call.answer else { continue };
            let answer: Value = serde_json::from_slice(answer).unwrap();
            for entry in list(&answer, "Successful") {
                history.deleted.entry(bodies[&text(&entry, "Id")].clone()).or_insert(*at);
            }
        }
        history
    }
}

/// The POSTs that reached the endpoint, by message and in order: each with the number of its process.
pub fn posts(exchanges: &[Exchange]) -> BTreeMap<String, Vec<(usize, &Exchange)>> {
    let mut posts: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for post in exchanges.iter().filter(|post| post.forwarded()) {
        let process = post.head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        posts.entry(String::from_utf8(post.body.clone()).unwrap()).or_default().push((process, post));
    }
    posts
}
