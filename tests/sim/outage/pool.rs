//! The usual consumer: a fixed number of workers, of which each free one takes the next message.
//!
//! It receives no more messages than it has free workers and treats each by the decision table. So a 429 is
//! parked for 300 s and a failure backs off. It has no gate, no adaptive limit and no held messages. A
//! message that could not be sent backs off like any failure.

use std::sync::Arc;
use std::time::Duration;

use queuepost::message::Message;
use queuepost::policy::decide::{Disposition, Facts, HOLD_MAX, Policy, decide};
use queuepost::policy::outcome::{Attempt, StatusSet, classify};
use queuepost::policy::visibility::{CEILING, lease, whole_seconds};
use queuepost::ports::{Queue, Receive, VisibilityChange};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::simulated_queue::SimQueue;
use super::model::EndpointModel;

const WAIT: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(60);

/// One process of so many workers; runs until it is dropped.
pub async fn run(queue: Arc<SimQueue>, model: Arc<EndpointModel>, workers: usize, seed: u64) {
    let free = Arc::new(Semaphore::new(workers));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let mut permits = Arc::clone(&free).acquire_owned().await.unwrap();
        let more = free.available_permits().min(9);
        permits.merge(Arc::clone(&free).try_acquire_many_owned(more as u32).unwrap());
        let receive =
            Receive { max: permits.num_permits(), wait: WAIT, visibility: lease(TIMEOUT), attempt: None };
        for message in queue.receive(receive).await.unwrap_or_default() {
            let permit = permits.split(1).unwrap();
            let (queue, model, unit) = (Arc::clone(&queue), Arc::clone(&model), random.f64());
            running.spawn(async move {
                deliver(&queue, &model, message, unit).await;
                drop(permit);
            });
        }
    }
}

async fn deliver(queue: &SimQueue, model: &EndpointModel, message: Message, unit: f64) {
    let body = std::str::from_utf8(&message.body).unwrap();
    let attempt = model.take(&[(body, message.receive_count.get())]).await;
    let policy = Policy::default();
    let (status, retry_after) = match &attempt {
        Attempt::Answered(answer) => (Some(answer.status), answer.retry_after),
        _ => (None, None),
    };
    let facts = Facts {
        receives: message.receive_count,
        final_receive: false,
        status,
        retry_after: retry_after.and_then(|value| value.wait(std::time::SystemTime::UNIX_EPOCH)),
        hideable: CEILING,
        held: HOLD_MAX,
        unit,
    };
    match decide(classify(&attempt, &StatusSet::default()), &facts, &policy).disposition {
        Disposition::Park { delay } | Disposition::Defer { delay, .. } => {
            let change = VisibilityChange { receipt: message.receipt, seconds: whole_seconds(delay) };
            queue.change_visibility(&[change]).await.unwrap()[0].as_ref().ok();
        }
        Disposition::Delete | Disposition::Hold | Disposition::DeadLetter => {
            queue.delete(&[message.receipt]).await.unwrap()[0].as_ref().ok();
        }
    }
}
