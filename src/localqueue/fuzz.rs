//! What the fuzzer feeds to the embedded queue: requests of any client, one after the other, to one broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::front::{Front, refuse};
use super::shared::{Clock, SharedBroker, SharedFaults};
use super::{Broker, Timestamp};
use crate::serve::{self, Hosts, fuzz};

/// Requests of one input.
const REQUESTS_MAX: usize = 8;

/// Requests, separated by the byte 0x1E; each is a head, and after the byte 0x1F a body.
///
/// The server answers all that are HTTP, never with its own failure, in JSON. Its queues hold what they say.
pub(crate) fn requests(data: &[u8]) {
    fuzz::on_paused_time(async {
        let ((router, broker), settings) = (front(), settings());
        for request in data.split(|byte| *byte == 0x1e).take(REQUESTS_MAX) {
            let answered = fuzz::ask(&router, &settings, request).await;
            let status = answered.status.unwrap_or(400);
            assert!(status < 500 || status == 503, "{answered:?}");
            if answered.head.contains("x-amz-json-1.0") && !request.starts_with(b"HEAD") {
                let document = serde_json::from_slice::<Value>(&answered.body);
                assert!(document.is_ok_and(|document| document.is_object()), "{answered:?}");
            }
        }
        let held = |name: &str| broker.with(|broker, now| broker.inspect(now, name));
        let mut ids: Vec<_> = held("jobs").into_iter().map(|message| message.message_id).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "a message is in a queue once");
    });
}

/// The server's routes, and its broker with two queues. Its clock follows the paused time.
fn front() -> (Router, SharedBroker) {
    let begun = Instant::now();
    let clock: Clock = Arc::new(move || {
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(1_700_000_000_000_u64.saturating_add(millis))
    });
    let mut broker = Broker::new(1);
    let fifo = BTreeMap::from([("FifoQueue".to_owned(), "true".to_owned())]);
    for (name, attributes) in [("jobs", BTreeMap::new()), ("jobs.fifo", fifo)] {
        assert!(broker.create_queue(clock(), name, &attributes).is_ok());
    }
    let broker = SharedBroker::new(broker, clock);
    let local = ([127, 0, 0, 1], 9324).into();
    let front = Front::new(broker.clone(), SharedFaults::default(), local, CancellationToken::new());
    (Arc::new(front).router(), broker)
}

fn settings() -> serve::Settings {
    serve::Settings { limits: serve::Limits::default(), hosts: Hosts::only(&[], "foreign"), refusal: refuse }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_reaches_the_queue() {
        fuzz::on_paused_time(async {
            let (router, broker) = front();
            let request = b"POST / HTTP/1.1\nHost: localhost\nX-Amz-Target: AmazonSQS.SendMessage\x1f{\"QueueUrl\":\"jobs\",\"MessageBody\":\"x\"}";
            let answered = fuzz::ask(&router, &settings(), request).await;
            let held = broker.with(|broker, now| broker.inspect(now, "jobs").len());
            assert_eq!((answered.status, held), (Some(200), 1), "{answered:?}");
        });
    }
}
