//! Waiting for messages: the part of `ReceiveMessage` that takes time.
//!
//! A poll looks, and if there is nothing it sleeps until its queue's bell rings, until something hidden comes back, or
//! until its time is up. It answers with the first messages it finds and never waits to fill a batch. It takes messages only
//! in the moment it returns them, so one whose client went away (its future is dropped) swallows nothing.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::shared::SharedBroker;
use super::wire::receive::Request;
use super::{Broker, BrokerError, Decision, Received, Timestamp};

/// Receives messages, waiting for them as long as the request or its queue says.
///
/// Messages are disturbed as `decision` says. When `closing` is cancelled it looks once more and answers.
///
/// # Cancel safety
///
/// Dropping the future takes no message out of the queue.
pub(super) async fn receive(
    broker: &SharedBroker,
    request: &Request,
    decision: &Decision,
    closing: &CancellationToken,
) -> Result<Vec<Received>, BrokerError> {
    let queue = request.queue.as_str();
    let wait = match request.wait {
        Some(seconds) => seconds,
        None => broker.with(|broker, _| broker.default_wait(queue))?,
    };
    if wait == 0 {
        return broker.with(|broker, now| take(broker, now, request, decision));
    }
    let bell = broker.bell(queue)?;
    let deadline = Instant::now() + Duration::from_secs(u64::from(wait));
    loop {
        // Listening starts before looking, so nothing that happens in between is missed.
        let mut rung = pin!(bell.notified());
        rung.as_mut().enable();
        let (messages, change) = broker.with(|broker, now| {
            let messages = take(broker, now, request, decision)?;
            let change = broker.next_change(now, queue).map(|at| at.millis_since(now));
            Ok((messages, change))
        })?;
        let now = Instant::now();
        if !messages.is_empty() || now >= deadline || closing.is_cancelled() {
            return Ok(messages);
        }
        let wake = change.map_or(deadline, |millis| deadline.min(now + Duration::from_millis(millis)));
        tokio::select! {
            biased;
            () = closing.cancelled() => {}
            () = rung => {}
            () = sleep_until(wake) => {}
        }
    }
}

/// One look at the queue, with the faults of this request.
fn take(
    broker: &mut Broker,
    now: Timestamp,
    request: &Request,
    decision: &Decision,
) -> Result<Vec<Received>, BrokerError> {
    let messages = broker.receive(now, &request.queue, &request.receive)?;
    for (place, message) in messages.iter().enumerate() {
        decision.disturb(broker, now, &request.queue, place, &message.receipt_handle);
    }
    Ok(messages)
}
