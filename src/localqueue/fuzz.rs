//! What the fuzzer feeds to the embedded queue: requests of any client, one after the other, to one broker.

use std::collections::BTreeMap;
use std::sync::Arc;

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
        let begun = Instant::now();
        let clock: Clock = Arc::new(move || {
            let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            Timestamp(1_700_000_000_000_u64.saturating_add(millis))
        });
        let mut broker = Broker::new(1);
        for name in ["jobs", "jobs.fifo"] {
            let attributes =
                if name == "jobs" { None } else { Some(("FifoQueue".to_owned(), "true".to_owned())) };
            let attributes: BTreeMap<String, String> = attributes.into_iter().collect();
            assert!(broker.create_queue(clock(), name, &attributes).is_ok());
        }
        let broker = SharedBroker::new(broker, clock);
        let local = ([127, 0, 0, 1], 9324).into();
        let front = Front::new(broker.clone(), SharedFaults::default(), local, CancellationToken::new());
        let router = Arc::new(front).router();
        let hosts = Hosts::only(&[], "foreign");
        let settings = serve::Settings { limits: serve::Limits::default(), hosts, refusal: refuse };
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
