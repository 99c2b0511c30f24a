//! Slots: room for messages under lease, the cap on what one listener has in flight.
//!
//! Intake *reserves* slots before it receives. Each message that comes takes one of them into use; the rest frees itself. So
//! no message is received that there is no room for. A slot is a value: dropping its last copy frees it, whatever the path.
//!
//! Invariant: reserved + in use ≤ limit, with two exceptions. Lowering the limit lets what is in flight finish. A slot that was
//! set aside comes back whether or not there is room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

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
}

impl SlotCounts {
    /// Those that may be reserved.
    pub fn free(self) -> usize {
        self.limit.saturating_sub(self.reserved).saturating_sub(self.in_use)
    }
}

impl Slots {
    /// `limit` slots, at least one, all free.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(SlotCounts { limit: limit.max(1), reserved: 0, in_use: 0 })))
    }

    /// How many there are, and what they are used for.
    pub fn counts(&self) -> SlotCounts {
        *self.0.borrow()
    }

    /// Changes how many there are, at least one. What is in flight beyond a lower limit finishes.
    pub fn set_limit(&self, limit: usize) {
        self.0.send_modify(|counts| counts.limit = limit.max(1));
    }

    /// Reserves 1 to `most` slots.
    ///
    /// Waits up to `linger` for `enough` of them, then for one; takes as many as are free by then.
    ///
    /// # Cancel safety
    /// Dropping the future reserves nothing.
    pub async fn reserve(self: &Arc<Self>, enough: usize, most: usize, linger: Duration) -> Reserved {
        tokio::time::timeout(linger, self.free(enough)).await.ok();
        let mut count = 0;
        while count == 0 {
            self.free(1).await;
            self.0.send_modify(|counts| {
                count = counts.free().min(most);
                counts.reserved += count;
            });
        }
        Reserved { slots: Arc::clone(self), count }
    }

    /// Waits until so many are free, as far as there are so many.
    async fn free(&self, count: usize) {
        let enough = |counts: &SlotCounts| counts.free() >= count.clamp(1, counts.limit);
        // The sender is ours, so the wait cannot fail.
        self.0.subscribe().wait_for(enough).await.ok();
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

    /// Takes one slot into use; `None` when used up.
    pub fn take(&mut self) -> Option<Arc<Slot>> {
        self.count = self.count.checked_sub(1)?;
        self.slots.0.send_modify(|counts| {
            counts.reserved -= 1;
            counts.in_use += 1;
        });
        Some(Arc::new(Slot(Arc::clone(&self.slots))))
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
pub struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.send_modify(|counts| counts.in_use -= 1);
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
        slot.0.0.send_modify(|counts| counts.in_use -= 1);
        Self(Arc::clone(slot))
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        self.0.0.0.send_modify(|counts| counts.in_use += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_millis(20);

    fn counts(slots: &Slots) -> (usize, usize) {
        (slots.counts().reserved, slots.counts().in_use)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_takes_what_is_free_up_to_what_is_wanted() {
        let slots = Slots::new(16);
        let mut ten = slots.reserve(6, 10, LINGER).await;
        assert_eq!((ten.count(), counts(&slots)), (10, (10, 0)));
        let in_use = (ten.take(), ten.take());
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
        let slots = Slots::new(1);
        let slot = slots.reserve(1, 1, LINGER).await.take().unwrap();
        let shared = slot.clone();
        drop(slot);
        assert_eq!(counts(&slots), (0, 1));
        drop(shared);
        assert_eq!(counts(&slots), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_is_set_aside_is_others_until_it_comes_back_and_is_free_when_its_message_has_left() {
        let slots = Slots::new(1);
        let slot = slots.reserve(1, 1, LINGER).await.take().unwrap();
        let aside = SetAside::new(&slot);
        let other = slots.reserve(1, 1, LINGER).await.take().unwrap();
        assert_eq!(counts(&slots), (0, 1));
        drop(aside);
        assert_eq!((counts(&slots), slots.counts().free()), ((0, 2), 0));
        drop(other);
        let aside = SetAside::new(&slot);
        drop(slot);
        assert_eq!(counts(&slots), (0, 0), "it left meanwhile");
        drop(aside);
        assert_eq!(counts(&slots), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_lingers_for_enough_and_then_makes_do_with_one() {
        let slots = Slots::new(4);
        let busy = slots.reserve(3, 3, LINGER).await;
        let before = tokio::time::Instant::now();
        assert_eq!(slots.reserve(2, 4, LINGER).await.count(), 1);
        assert_eq!(before.elapsed(), LINGER);
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_reserves_nothing() {
        let slots = Slots::new(1);
        let held = slots.reserve(1, 1, LINGER).await;
        let waited = tokio::time::timeout(Duration::from_secs(1), slots.reserve(1, 1, LINGER)).await;
        assert!(waited.is_err());
        drop(held);
        assert_eq!(counts(&slots), (0, 0));
        assert_eq!(slots.reserve(1, 1, LINGER).await.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_lowered_lets_what_is_in_flight_finish_and_one_that_is_raised_wakes_who_waits() {
        let slots = Slots::new(3);
        let mut reserved = slots.reserve(3, 3, LINGER).await;
        let in_flight: Vec<_> = std::iter::from_fn(|| reserved.take()).collect();
        slots.set_limit(1);
        assert_eq!((slots.counts().limit, counts(&slots)), (1, (0, 3)));
        let mut waiting = Box::pin(slots.reserve(1, 10, LINGER));
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        drop(in_flight);
        assert_eq!(waiting.await.count(), 1, "one at most");
        let one = slots.reserve(1, 1, LINGER).await;
        let mut waiting = Box::pin(slots.reserve(1, 10, LINGER));
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        slots.set_limit(4);
        assert_eq!(waiting.await.count(), 3);
        drop(one);
    }
}
