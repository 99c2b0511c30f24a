//! The plain worker of the demonstration: the loop that one writes in ten lines.
//!
//! It receives a message and posts it. A success is deleted; a 429 is hidden as long as by queuepost. It has
//! as many POSTs at once as queuepost, and asks the same kind of endpoint without HTTP in between. It knows nothing of
//! gates and `Retry-After`.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::endpoint::{Answer, Endpoint};
use super::scenario::{QUEUES, THROTTLE_DELAY, WORKERS};
use crate::localqueue::{Receive, SharedBroker};

/// Visibility timeout while a POST runs, in seconds.
const LEASE: u32 = 30;
/// Pause after a receive without a message.
const IDLE: Duration = Duration::from_millis(100);

/// Starts its tasks.
pub(super) fn start(tasks: &mut JoinSet<()>, broker: &SharedBroker, endpoint: &Arc<Endpoint>) {
    for _ in 0..WORKERS {
        let (broker, endpoint) = (broker.clone(), Arc::clone(endpoint));
        tasks.spawn(async move { work(&broker, &endpoint).await });
    }
}

async fn work(broker: &SharedBroker, endpoint: &Endpoint) {
    let [_, queue] = QUEUES;
    let delay = u32::try_from(THROTTLE_DELAY.as_secs()).unwrap_or(u32::MAX);
    let receive = Receive { visibility_timeout: Some(LEASE), ..Receive::default() };
    loop {
        let received = broker.with(|broker, now| broker.receive(now, queue, &receive));
        let Some(message) = received.ok().and_then(|messages| messages.into_iter().next()) else {
            sleep(IDLE).await;
            continue;
        };
        let answer = endpoint.post(&message.message_id, message.receive_count).await;
        let settled = broker.with(|broker, now| match answer {
            Answer::Done => broker.delete(now, queue, &message.receipt_handle),
            Answer::Refused(_) => broker.change_visibility(now, queue, &message.receipt_handle, delay),
        });
        // The queue is there, and its leases are longer than a POST: what fails here comes again.
        settled.ok();
    }
}
