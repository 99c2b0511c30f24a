//! Messages that a busy endpoint answered with 429 on their final receive.
//!
//! To park such a message is to dead-letter it: SQS moves it when it is due. Where the endpoint takes
//! others, nobody wants that of a 429. So the message waits in this process for as long as it would have been hidden, and is
//! posted again. Meanwhile it keeps its lease and its slot. A message waits so twice at most, and only at an endpoint
//! that did some work in the last minute: one that nobody takes still reaches the dead-letter queue. A part of the slots
//! may wait so, within the hours that SQS lets a receive last.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::tuning::LastReceive;

/// Who may be kept.
#[derive(Debug)]
pub(super) struct InProcessWaits {
    numbers: LastReceive,
    places: Arc<Semaphore>,
    last_success: Mutex<Option<Instant>>,
}

impl InProcessWaits {
    /// For a listener with room for so many messages, however long: one for each worker, or more where a POST carries several.
    pub(super) fn new(room: usize, numbers: LastReceive) -> Self {
        let places = Arc::new(Semaphore::new(room / numbers.workers_per_place));
        Self { numbers, places, last_success: Mutex::default() }
    }

    /// The endpoint took a message.
    pub(super) fn succeeded(&self) {
        *self.last_success.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// A place for a message that would be parked for `delay`, and that SQS lets us have for `hideable`.
    pub(super) fn place(&self, delay: Duration, hideable: Duration) -> Option<OwnedSemaphorePermit> {
        let last_success = *self.last_success.lock().unwrap_or_else(PoisonError::into_inner);
        let LastReceive { works_for, longest, .. } = self.numbers;
        let works = last_success.is_some_and(|at| at.elapsed() < works_for);
        if !works || delay > longest || delay.saturating_add(longest) > hideable {
            return None;
        }
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: Duration = Duration::from_secs(300);
    const HOUR: Duration = Duration::from_secs(3_600);
    const HOURS: Duration = Duration::from_secs(43_195);

    fn waits_of(workers: usize) -> InProcessWaits {
        InProcessWaits::new(workers, LastReceive::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_kept_only_where_others_are_taken() {
        let waits = waits_of(16);
        assert!(waits.place(MINUTES, HOURS).is_none(), "there was never a success");
        waits.succeeded();
        assert!(waits.place(MINUTES, HOURS).is_some());
        tokio::time::advance(LastReceive::default().works_for).await;
        assert!(waits.place(MINUTES, HOURS).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_of_the_workers_keeps_messages_for_a_limited_time() {
        let waits = waits_of(11);
        waits.succeeded();
        let places = [waits.place(MINUTES, HOURS), waits.place(MINUTES, HOURS)];
        assert!(places.iter().all(Option::is_some));
        assert!(waits.place(MINUTES, HOURS).is_none(), "two of eleven workers are enough");
        drop(places);
        assert!(waits.place(2 * HOUR, HOURS).is_none(), "the endpoint asked for hours");
        assert!(waits.place(MINUTES, HOUR).is_none(), "its twelve hours are nearly over");
        assert!(waits.place(MINUTES, HOURS).is_some());
        let lonely = waits_of(3);
        lonely.succeeded();
        assert!(lonely.place(MINUTES, HOURS).is_none(), "its few workers have others to deliver");
    }
}
