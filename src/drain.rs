//! From running to gone: signals in, phases out.
//!
//! The first SIGTERM or SIGINT drains: nothing new is received, what was never attempted is released, what
//! runs finishes. A second signal, or the deadline, aborts: what still runs is cut off and deferred. Whoever
//! waits asks a [`Drain`], which is cheap to clone; nobody polls it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the end of the drain keeps for settling what it cuts off.
pub const RECEIVES_END_BEFORE: Duration = Duration::from_secs(3);

/// The phase of the process, as its parts see it.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    draining: CancellationToken,
    aborting: CancellationToken,
    deadline: Arc<OnceLock<Instant>>,
}

impl Drain {
    /// Running.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the drain; what runs at `deadline` from now is cut off by whoever calls [`Drain::abort`].
    pub fn begin(&self, deadline: Duration) {
        self.deadline.get_or_init(|| Instant::now() + deadline);
        self.draining.cancel();
    }

    /// Cuts off what still runs.
    pub fn abort(&self) {
        self.deadline.get_or_init(Instant::now);
        self.draining.cancel();
        self.aborting.cancel();
    }

    /// Whether nothing new may start.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether what ran has been cut off.
    pub fn is_aborting(&self) -> bool {
        self.aborting.is_cancelled()
    }

    /// Completes when the drain has begun.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Completes when what runs is to be cut off.
    pub async fn aborting(&self) {
        self.aborting.cancelled().await;
    }

    /// Completes when a receive under way is no longer waited for: shortly before the deadline, so that what
    /// it might still bring could be released in time.
    pub async fn receives_end(&self) {
        self.draining.cancelled().await;
        let deadline = self.deadline.get().copied().unwrap_or_else(Instant::now);
        let end = deadline.checked_sub(RECEIVES_END_BEFORE).unwrap_or(deadline);
        tokio::select! {
            biased;
            () = self.aborting.cancelled() => {}
            () = tokio::time::sleep_until(end) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn receives_are_awaited_until_shortly_before_the_deadline() {
        let drain = Drain::new();
        drain.begin(Duration::from_secs(25));
        let began = Instant::now();
        drain.receives_end().await;
        assert_eq!(began.elapsed(), Duration::from_secs(22));
        assert!(drain.is_draining() && !drain.is_aborting());
    }

    #[tokio::test(start_paused = true)]
    async fn an_abort_ends_every_wait_at_once() {
        let drain = Drain::new();
        drain.abort();
        let began = Instant::now();
        drain.draining().await;
        drain.aborting().await;
        drain.receives_end().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
