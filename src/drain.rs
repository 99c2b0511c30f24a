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

/// Time to settle what an abort has cut off.
pub const ABORT_GRACE: Duration = Duration::from_secs(4);

/// The phase of the process, or of one part of it that may end alone.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    draining: CancellationToken,
    aborting: CancellationToken,
    /// Of a part: whether the whole drains.
    whole: Option<CancellationToken>,
    /// Its own deadline, and that of the whole.
    deadlines: [Arc<OnceLock<Instant>>; 2],
}

impl Drain {
    /// Running.
    pub fn new() -> Self {
        Self::default()
    }

    /// The phase of a part: it drains with the whole, and may drain alone.
    #[must_use]
    pub fn of_a_part(&self) -> Self {
        let [own, _] = &self.deadlines;
        let deadlines = [Arc::default(), Arc::clone(own)];
        Self {
            draining: self.draining.child_token(),
            aborting: self.aborting.child_token(),
            whole: Some(self.draining.clone()),
            deadlines,
        }
    }

    /// Starts the drain; what runs at `deadline` from now is cut off by whoever calls [`Drain::abort`].
    pub fn begin(&self, deadline: Duration) {
        let [own, _] = &self.deadlines;
        own.get_or_init(|| Instant::now() + deadline);
        self.draining.cancel();
    }

    /// Cuts off what still runs.
    pub fn abort(&self) {
        let [own, _] = &self.deadlines;
        own.get_or_init(Instant::now);
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

    /// What `wait` comes to; `None`, and `wait` is dropped, when the drain begins before or has begun.
    pub async fn unless_draining<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.draining() => None,
            done = wait => Some(done),
        }
    }

    /// Completes when what runs is to be cut off.
    pub async fn aborting(&self) {
        self.aborting.cancelled().await;
    }

    fn whole_is_draining(&self) -> bool {
        self.whole.as_ref().is_none_or(CancellationToken::is_cancelled)
    }

    async fn whole_drains(&self) {
        match &self.whole {
            Some(whole) => whole.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Completes when a receive under way is no longer waited for: shortly before the deadline, so that what
    /// it might still bring could be released in time.
    pub async fn receives_end(&self) {
        self.draining.cancelled().await;
        loop {
            let deadline = self.deadlines.iter().filter_map(|deadline| deadline.get()).min();
            let deadline = deadline.copied().unwrap_or_else(Instant::now);
            let end = deadline.checked_sub(RECEIVES_END_BEFORE).unwrap_or(deadline);
            tokio::select! {
                biased;
                () = self.aborting.cancelled() => return,
                // The whole may begin to drain later than its part, and end sooner.
                () = self.whole_drains(), if !self.whole_is_draining() => {}
                () = tokio::time::sleep_until(end) => return,
            }
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
    async fn a_part_drains_with_the_whole_and_the_whole_goes_on_when_a_part_drains() {
        let whole = Drain::new();
        let (one, other) = (whole.of_a_part(), whole.of_a_part());
        one.begin(Duration::from_secs(60));
        assert!(one.is_draining() && !other.is_draining() && !whole.is_draining());
        whole.begin(Duration::from_secs(25));
        assert!(other.is_draining());
        let began = Instant::now();
        one.receives_end().await;
        assert_eq!(began.elapsed(), Duration::from_secs(22), "the earlier deadline holds");
        other.receives_end().await;
        assert_eq!(began.elapsed(), Duration::from_secs(22));
        one.abort();
        assert!(one.is_aborting() && !other.is_aborting() && !whole.is_aborting());
        whole.abort();
        assert!(other.is_aborting());
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_drains_already_follows_the_sooner_end_of_the_whole() {
        let whole = Drain::new();
        let part = whole.of_a_part();
        part.begin(Duration::from_secs(60));
        let began = Instant::now();
        tokio::join!(part.receives_end(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            whole.begin(Duration::from_secs(25));
        });
        assert_eq!(began.elapsed(), Duration::from_secs(23));
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
