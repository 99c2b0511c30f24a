//! Worker permits: the cap of one listener.
//!
//! A permit is a value; dropping it frees the worker, whatever the path. A poller *reserves* permits before it
//! receives, each message that comes turns one into a permit *in use*, and what is left over frees itself. So
//! no message is ever taken that no worker stands ready for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The workers of one listener.
#[derive(Debug)]
pub struct Workers {
    free: Arc<Semaphore>,
    limit: usize,
    reserved: Arc<AtomicUsize>,
}

impl Workers {
    /// `limit` workers, all free.
    pub fn new(limit: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limit)),
            limit,
            reserved: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// How many there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many are reserved by receives under way.
    pub fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    /// How many hold a message.
    pub fn in_use(&self) -> usize {
        self.limit.saturating_sub(self.free.available_permits()).saturating_sub(self.reserved())
    }

    /// Reserves 1 to `most` workers, first come, first served.
    ///
    /// Waits up to `linger` for `enough` of them, then for one; takes as many as are free by then. Dropping
    /// the future leaves nothing reserved. For one poller at a time: two that linger at once would split what comes
    /// free.
    pub async fn reserve(&self, enough: usize, most: usize, linger: Duration) -> Reservation {
        let most = most.clamp(1, self.limit);
        let enough = enough.clamp(1, most);
        let waited = tokio::time::timeout(linger, self.acquire(enough)).await;
        let mut permit = match waited {
            Ok(permit) => permit,
            Err(_elapsed) => self.acquire(1).await,
        };
        let more = most.saturating_sub(permit.num_permits()).min(self.free.available_permits());
        let more = u32::try_from(more).unwrap_or(0);
        if let Ok(rest) = Arc::clone(&self.free).try_acquire_many_owned(more) {
            permit.merge(rest);
        }
        Reservation::new(permit, &self.reserved)
    }

    async fn acquire(&self, count: usize) -> OwnedSemaphorePermit {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match Arc::clone(&self.free).acquire_many_owned(count).await {
            Ok(permit) => permit,
            // The semaphore is never closed.
            Err(_closed) => std::future::pending().await,
        }
    }
}

/// Workers set aside for one receive.
#[derive(Debug)]
pub struct Reservation {
    permit: OwnedSemaphorePermit,
    reserved: Arc<AtomicUsize>,
}

impl Reservation {
    fn new(permit: OwnedSemaphorePermit, reserved: &Arc<AtomicUsize>) -> Self {
        reserved.fetch_add(permit.num_permits(), Ordering::Relaxed);
        Self { permit, reserved: Arc::clone(reserved) }
    }

    /// How many workers are left in it.
    pub fn len(&self) -> usize {
        self.permit.num_permits()
    }

    /// Whether it is used up.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees all but `keep`.
    pub fn keep(&mut self, keep: usize) {
        let surplus = self.len().saturating_sub(keep);
        if let Some(permit) = self.permit.split(surplus) {
            self.reserved.fetch_sub(surplus, Ordering::Relaxed);
            drop(permit);
        }
    }

    /// Takes one worker into use; `None` when used up.
    pub fn take(&mut self) -> Option<WorkerPermit> {
        let permit = self.permit.split(1)?;
        self.reserved.fetch_sub(1, Ordering::Relaxed);
        Some(WorkerPermit { _permit: permit })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reserved.fetch_sub(self.len(), Ordering::Relaxed);
    }
}

/// Right of one delivery to run; dropping it frees the worker.
#[derive(Debug)]
pub struct WorkerPermit {
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_millis(20);

    #[tokio::test(start_paused = true)]
    async fn a_reservation_takes_what_is_free_up_to_what_is_wanted() {
        let workers = Workers::new(16);
        let mut ten = workers.reserve(6, 10, LINGER).await;
        assert_eq!((ten.len(), workers.reserved(), workers.in_use()), (10, 10, 0));
        let in_use = (ten.take(), ten.take());
        assert_eq!((ten.len(), workers.reserved(), workers.in_use()), (8, 8, 2));
        ten.keep(3);
        assert_eq!((ten.len(), workers.reserved(), workers.in_use()), (3, 3, 2));
        drop(ten);
        assert_eq!((workers.reserved(), workers.in_use()), (0, 2));
        drop(in_use);
        assert_eq!(workers.in_use(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_lingers_for_enough_and_then_makes_do_with_one() {
        let workers = Workers::new(4);
        let busy = workers.reserve(3, 3, LINGER).await;
        let before = tokio::time::Instant::now();
        assert_eq!(workers.reserve(2, 4, LINGER).await.len(), 1);
        assert_eq!(before.elapsed(), LINGER);
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_reserves_nothing() {
        let workers = Workers::new(1);
        let held = workers.reserve(1, 1, LINGER).await;
        let waited = tokio::time::timeout(Duration::from_secs(1), workers.reserve(1, 1, LINGER)).await;
        assert!(waited.is_err());
        drop(held);
        assert_eq!(workers.reserved(), 0);
        assert_eq!(workers.reserve(1, 1, LINGER).await.len(), 1);
    }
}
