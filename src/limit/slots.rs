//! Slots: room for messages under lease, the cap on what one listener has in flight.
//!
//! Intake *reserves* slots before it receives. Each message that comes takes one of them into use; the rest frees itself. So
//! no message is received that there is no room for. A slot is a value: dropping its last copy frees it, whatever the path.
//!
//! Where many small messages share a POST there are far more slots than memory for long messages. So slots are bounded by
//! bytes too: a reserved one counts as the longest message, one in use as its own.
//!
//! Invariant: reserved + in use ≤ limit + run-ahead, with two exceptions. Lowering the limit lets what is in flight finish.
//! A slot that was set aside comes back whether or not there is room. Likewise for bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::limit::RunAhead;

/// Longest message that SQS hands out (AWS limit since 2025).
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The slots of one listener; intake alone waits for them.
#[derive(Debug)]
pub struct Slots(watch::Sender<SlotCounts>);

/// How many slots there are, and what they are used for.
#[derive(Debug, Clone, Copy)]
pub struct SlotCounts {
    /// All of them.
    pub limit: usize,
    /// Those of receives under way.
    pub reserved: usize,
    /// Those that hold a message.
    pub in_use: usize,
    /// Bytes of all messages there is room for.
    pub bytes_max: usize,
    /// Bytes of the messages that are held.
    pub bytes: usize,
}

impl SlotCounts {
    /// Those that may be reserved, with so many more there are for what runs ahead.
    pub fn free(self, ahead: usize) -> usize {
        let all = self.limit.saturating_add(ahead);
        let count = all.saturating_sub(self.reserved).saturating_sub(self.in_use);
        let bytes = self.bytes_max.saturating_sub(self.bytes);
        count.min((bytes / MESSAGE_BYTES_MAX).saturating_sub(self.reserved))
    }

    /// Workers that hold a message: what runs ahead has none.
    pub fn workers_in_use(self) -> usize {
        self.in_use.min(self.limit)
    }

    /// Workers that a message of a receive under way is for.
    pub fn workers_reserved(self) -> usize {
        self.reserved.min(self.limit - self.workers_in_use())
    }

    /// Those that there are when none is used, at least one.
    fn all(self) -> usize {
        self.limit.min(self.bytes_max / MESSAGE_BYTES_MAX)
    }

    /// Whether those that are held leave no room for one more, whatever is reserved.
    pub fn is_full(self) -> bool {
        self.in_use >= self.limit || self.bytes_max.saturating_sub(self.bytes) < MESSAGE_BYTES_MAX
    }
}

impl Slots {
    /// `limit` slots, at least one, all free, for so many bytes, at least those of one message.
    pub fn new(limit: usize, bytes: usize) -> Arc<Self> {
        let (limit, bytes_max) = (limit.max(1), bytes.max(MESSAGE_BYTES_MAX));
        Arc::new(Self(watch::Sender::new(SlotCounts { limit, reserved: 0, in_use: 0, bytes_max, bytes: 0 })))
    }

    /// How many there are, and what they are used for.
    pub fn counts(&self) -> SlotCounts {
        *self.0.borrow()
    }

    /// Changes how many there are, at least one, and for how many bytes. What is in flight beyond a lower limit finishes.
    pub fn set_limit(&self, limit: usize, bytes: usize) {
        self.0.send_modify(|counts| {
            (counts.limit, counts.bytes_max) = (limit.max(1), bytes.max(MESSAGE_BYTES_MAX));
        });
    }

    /// Reserves 1 to `most` slots, with so many more there are for what runs ahead.
    ///
    /// Waits until there is enough of them, and takes as many as are free by then.
    ///
    /// # Cancel safety
    /// Dropping the future reserves nothing.
    pub async fn reserve(self: &Arc<Self>, most: usize, ahead: RunAhead) -> Reserved {
        let enough = ahead.enough.min(most).max(1);
        let mut count = 0;
        while count == 0 {
            // The sender is ours, so the wait cannot fail.
            self.0
                .subscribe()
                .wait_for(|counts| counts.free(ahead.most) >= counts.all().min(enough))
                .await
                .ok();
            self.0.send_modify(|counts| {
                count = counts.free(ahead.most).min(most);
                counts.reserved += count;
            });
        }
        Reserved { slots: Arc::clone(self), count }
    }
}

/// Slots set aside for one receive.
#[derive(Debug)]
#[must_use]
pub struct Reserved {
    slots: Arc<Slots>,
    count: usize,
}

impl Reserved {
    /// How many are left in it.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Frees all but `keep`.
    pub fn keep(&mut self, keep: usize) {
        let surplus = self.count.saturating_sub(keep);
        self.count -= surplus;
        self.slots.0.send_modify(|counts| counts.reserved -= surplus);
    }

    /// Takes one slot into use, for a message of so many bytes; `None` when used up.
    pub fn take(&mut self, bytes: usize) -> Option<Arc<Slot>> {
        self.count = self.count.checked_sub(1)?;
        self.slots.0.send_modify(|counts| {
            counts.reserved -= 1;
            counts.in_use += 1;
            counts.bytes += bytes;
        });
        Some(Arc::new(Slot { slots: Arc::clone(&self.slots), bytes: AtomicUsize::new(bytes) }))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.keep(0);
    }
}

/// Room for the messages of one delivery, which share it; dropping it frees the slot.
#[derive(Debug)]
#[must_use]
pub struct Slot {
    slots: Arc<Slots>,
    bytes: AtomicUsize,
}

impl Slot {
    /// Takes over the bytes of another slot, which is about to be freed.
    pub fn take_over(&self, other: &Self) {
        self.bytes.fetch_add(other.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.slots.0.send_modify(|counts| {
            counts.in_use -= 1;
            counts.bytes -= bytes;
        });
    }
}

/// A slot that others may use until this is dropped. Then more than the limit may be in use: who set it aside sees to it
/// that few are dropped at once.
#[derive(Debug)]
#[must_use]
pub struct SetAside(Arc<Slot>);

impl SetAside {
    /// Sets a slot aside, once at a time.
    pub fn new(slot: &Arc<Slot>) -> Self {
        slot.slots.0.send_modify(|counts| counts.in_use -= 1);
        Self(Arc::clone(slot))
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        self.0.slots.0.send_modify(|counts| counts.in_use += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MANY: usize = usize::MAX;

    fn counts(slots: &Slots) -> (usize, usize) {
        (slots.counts().reserved, slots.counts().in_use)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_takes_what_is_free_up_to_what_is_wanted() {
        let slots = Slots::new(16, MANY);
        let mut ten = slots.reserve(10, RunAhead::NONE).await;
        assert_eq!((ten.count(), counts(&slots)), (10, (10, 0)));
        let in_use = (ten.take(1), ten.take(1));
        assert_eq!((ten.count(), counts(&slots)), (8, (8, 2)));
        ten.keep(3);
        assert_eq!((ten.count(), counts(&slots)), (3, (3, 2)));
        drop(ten);
        assert_eq!(counts(&slots), (0, 2));
        drop(in_use);
        assert_eq!(counts(&slots), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_messages_share_is_free_when_the_last_has_left() {
        let slots = Slots::new(1, MANY);
        let slot = slots.reserve(1, RunAhead::NONE).await.take(1).unwrap();
        let shared = slot.clone();
        drop(slot);
        assert_eq!(counts(&slots), (0, 1));
        drop(shared);
        assert_eq!(counts(&slots), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_is_set_aside_is_others_until_it_comes_back_and_is_free_when_its_message_has_left() {
        let slots = Slots::new(1, MANY);
        let slot = slots.reserve(1, RunAhead::NONE).await.take(1).unwrap();
        let aside = SetAside::new(&slot);
        let other = slots.reserve(1, RunAhead::NONE).await.take(1).unwrap();
        assert_eq!(counts(&slots), (0, 1));
        drop(aside);
        assert_eq!((counts(&slots), slots.counts().free(0)), ((0, 2), 0));
        drop(other);
        let aside = SetAside::new(&slot);
        drop(slot);
        assert_eq!(counts(&slots), (0, 0), "it left meanwhile");
        drop(aside);
        assert_eq!(counts(&slots), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_ahead_has_slots_of_its_own_and_waits_until_there_are_enough() {
        let slots = Slots::new(4, MANY);
        let mut busy = slots.reserve(4, RunAhead::NONE).await;
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, slots.reserve(1, RunAhead::NONE)).await.is_err());
        let ahead = RunAhead { most: 2, enough: 3 };
        let mut waiting = Box::pin(slots.reserve(4, ahead));
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err(), "two are free for it");
        busy.keep(3);
        assert_eq!(waiting.await.count(), 3);
        let also = slots.reserve(2, RunAhead { most: 4, enough: 1 }).await;
        assert_eq!((also.count(), counts(&slots)), (2, (5, 0)), "no more are asked for");
        assert_eq!((slots.counts().workers_in_use(), slots.counts().workers_reserved()), (0, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_reserves_nothing() {
        let slots = Slots::new(1, MANY);
        let held = slots.reserve(1, RunAhead::NONE).await;
        let waited = tokio::time::timeout(Duration::from_secs(1), slots.reserve(1, RunAhead::NONE)).await;
        assert!(waited.is_err());
        drop(held);
        assert_eq!(counts(&slots), (0, 0));
        assert_eq!(slots.reserve(1, RunAhead::NONE).await.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_lowered_lets_what_is_in_flight_finish_and_one_that_is_raised_wakes_who_waits() {
        let slots = Slots::new(3, MANY);
        let mut reserved = slots.reserve(3, RunAhead::NONE).await;
        let in_flight: Vec<_> = std::iter::from_fn(|| reserved.take(1)).collect();
        slots.set_limit(1, MANY);
        assert_eq!((slots.counts().limit, counts(&slots)), (1, (0, 3)));
        let mut waiting = Box::pin(slots.reserve(10, RunAhead::NONE));
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        drop(in_flight);
        assert_eq!(waiting.await.count(), 1, "one at most");
        let one = slots.reserve(1, RunAhead::NONE).await;
        let mut waiting = Box::pin(slots.reserve(10, RunAhead::NONE));
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        slots.set_limit(4, MANY);
        assert_eq!(waiting.await.count(), 3);
        drop(one);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_bounded_by_bytes_and_a_reserved_one_counts_as_the_longest_message() {
        let slots = Slots::new(100, 4 * MESSAGE_BYTES_MAX);
        let mut four = slots.reserve(10, RunAhead::NONE).await;
        assert_eq!((four.count(), slots.counts().free(0)), (4, 0));
        let small: Vec<_> = std::iter::from_fn(|| four.take(MESSAGE_BYTES_MAX / 4)).collect();
        assert_eq!((slots.counts().in_use, slots.counts().free(0)), (4, 3));
        let long = slots.reserve(1, RunAhead::NONE).await.take(MESSAGE_BYTES_MAX).unwrap();
        assert_eq!(slots.counts().free(0), 2);
        long.take_over(&small[0]);
        drop(small);
        assert_eq!(
            slots.counts().bytes,
            MESSAGE_BYTES_MAX / 4 * 5,
            "that of the small one goes with the long one"
        );
        drop(long);
        assert_eq!((slots.counts().bytes, slots.counts().free(0)), (0, 4));
    }
}
