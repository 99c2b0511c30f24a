//! Long polling: the part of `ReceiveMessage` that waits.
//!
//! A poll checks the queue. At an empty queue the poll sleeps until the bell rings, a hidden message becomes
//! visible, or its time ends. It answers with the first messages it finds and never waits to fill a batch. A
//! poll receives messages only at the moment it returns them. So a poll whose client disconnected (its future
//! is dropped) receives none.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::shared::SharedBroker;
use super::wire::receive::Request;
use super::{Broker, BrokerError, Decision, Received, Timestamp};

/// Receives messages, waiting as long as the request or its queue says.
///
/// `decision` says how messages are disturbed. When `closing` is cancelled, the poll checks once more and
/// answers.
///
/// # Cancel safety
///
/// Dropping the future removes no message from the queue.
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
        // The poll subscribes before it checks, so it misses no event in between.
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

/// One check of the queue, with the faults of this request.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::localqueue::{Receive, SendMessage};

    /// A queue `q` on the clock of the (paused) runtime.
    fn queue() -> SharedBroker {
        let start = Instant::now();
        let clock = move || {
            let millis = u64::try_from(start.elapsed().as_millis()).unwrap();
            Timestamp(1_700_000_000_000).plus_millis(millis)
        };
        let broker = SharedBroker::new(Broker::new(1), Arc::new(clock));
        broker.with(|broker, now| broker.create_queue(now, "q", &BTreeMap::new())).unwrap();
        broker
    }

    fn send(broker: &SharedBroker, delay_seconds: Option<u32>) {
        let message = SendMessage { body: "x".into(), delay_seconds, ..Default::default() };
        broker.with(|broker, now| broker.send(now, "q", message)).unwrap();
    }

    /// How many messages a poll of 20 s returned, and after how many seconds.
    async fn poll(broker: &SharedBroker, closing: &CancellationToken) -> (usize, u64) {
        let request = Request::parse(br#"{"QueueUrl":"q","WaitTimeSeconds":20}"#).unwrap();
        let start = Instant::now();
        let given = receive(broker, &request, &Decision::default(), closing).await.unwrap();
        (given.len(), start.elapsed().as_secs())
    }

    async fn after_three_seconds(work: impl FnOnce()) {
        tokio::time::sleep(Duration::from_secs(3)).await;
        work();
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_on_an_empty_queue_is_held_in_full() {
        assert_eq!(poll(&queue(), &CancellationToken::new()).await, (0, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_answers_when_a_message_arrives() {
        let broker = queue();
        let closing = CancellationToken::new();
        let (given, ()) = tokio::join!(poll(&broker, &closing), after_three_seconds(|| send(&broker, None)));
        assert_eq!(given, (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_answers_when_a_message_sent_meanwhile_becomes_visible() {
        let broker = queue();
        let closing = CancellationToken::new();
        let (given, ()) =
            tokio::join!(poll(&broker, &closing), after_three_seconds(|| send(&broker, Some(5))));
        assert_eq!(given, (1, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_answers_when_a_visibility_timeout_is_shortened_or_runs_out() {
        for (seconds, expected) in [(0, 3), (4, 7)] {
            let broker = queue();
            send(&broker, None);
            let hidden = broker.with(|broker, now| broker.receive(now, "q", &Receive::default())).unwrap();
            let change = || {
                let handle = &hidden[0].receipt_handle;
                broker.with(|broker, now| broker.change_visibility(now, "q", handle, seconds)).unwrap();
            };
            let closing = CancellationToken::new();
            let (given, ()) = tokio::join!(poll(&broker, &closing), after_three_seconds(change));
            assert_eq!(given, (1, expected));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_message_goes_to_one_of_two_polls() {
        let broker = queue();
        let closing = CancellationToken::new();
        let (first, second, ()) = tokio::join!(
            poll(&broker, &closing),
            poll(&broker, &closing),
            after_three_seconds(|| send(&broker, None))
        );
        assert_eq!((first.0 + second.0, first.1.max(second.1)), (1, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_ends_when_the_server_closes_or_its_queue_is_deleted() {
        let broker = queue();
        let closing = CancellationToken::new();
        let (given, ()) = tokio::join!(poll(&broker, &closing), after_three_seconds(|| closing.cancel()));
        assert_eq!(given, (0, 3));
        let request = Request::parse(br#"{"QueueUrl":"q","WaitTimeSeconds":20}"#).unwrap();
        let (closing, decision) = (CancellationToken::new(), Decision::default());
        let delete = || broker.with(|broker, _| broker.delete_queue("q")).unwrap();
        let (gone, ()) =
            tokio::join!(receive(&broker, &request, &decision, &closing), after_three_seconds(delete));
        assert_eq!(gone, Err(BrokerError::QueueDoesNotExist));
    }
}
