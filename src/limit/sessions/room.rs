//! Room: for how many deliveries a busy listener may claim sessions and starts before it receives.
//!
//! Sessions count from the limit and the run-ahead, starts from what the rate allows within a second.

use tokio::time::Instant;

use super::{Listener, State, Wanted};
use crate::limit::{FullReceive, RunAhead};

impl Listener {
    /// Sessions that it runs on, waits for or has claimed, as far as its cap lets it use them.
    fn taken(&self) -> usize {
        (self.running + self.waiting()).min(self.cap.max(self.running))
    }

    /// Starts that it waits for or has claimed.
    fn waiting(&self) -> usize {
        self.line.len() + self.claimed
    }
}

impl State {
    /// Until when nothing is claimed: what is received before would wait for the end of the hold.
    pub(super) fn no_claim_before(&self, now: Instant) -> Option<Instant> {
        self.held_until(now)?.checked_sub(self.ahead.starts).filter(|not_before| *not_before > now)
    }

    /// How far a listener runs ahead of so many sessions.
    pub(super) fn run_ahead(&self, key: u64, sessions: usize, receive: Option<FullReceive>) -> RunAhead {
        let listener = self.listeners.get(&key);
        // While others run on all sessions none of them is soon free for it.
        let others = self.running.saturating_sub(listener.map_or(0, |listener| listener.running));
        let post = listener.filter(|_| others < self.limit()).and_then(|listener| listener.posts.get());
        receive.map_or(RunAhead::NONE, |receive| RunAhead::new(sessions, post, receive, self.ahead.posts))
    }

    /// Claims room if there is enough; for how many deliveries. Else it is wanted.
    pub(super) fn claim(&mut self, wanted: Wanted) -> Option<usize> {
        let count = self.room_for(wanted);
        self.wanted = count.is_none().then_some(wanted);
        if let (Some(count), Some(listener)) = (count, self.listeners.get_mut(&wanted.key)) {
            listener.claimed += count;
        }
        count
    }

    /// What may be claimed; `None` if that is not enough yet.
    pub(super) fn room_for(&self, wanted: Wanted) -> Option<usize> {
        let limit = self.limit();
        let ahead = self.run_ahead(wanted.key, limit, wanted.receive);
        let sessions = limit.saturating_add(ahead.most).saturating_sub(self.taken());
        // What others have waiting ahead of them does not keep out a listener that has nothing waiting: its turn is next.
        let sessions = sessions.max(usize::from(self.is_next_in_turn(wanted.key)));
        let starts = self.starts_ahead();
        let waiting: usize = self.listeners.values().map(Listener::waiting).sum();
        let room = sessions.min(starts.saturating_sub(waiting));
        // A start must not wait for a receive either. Starts are for a second, so that one less is soon made up for.
        let enough = ahead.enough.min(wanted.most).min(starts.saturating_sub(1)).max(1);
        (room >= enough).then(|| room.min(wanted.most))
    }

    /// Whether a listener has less than its fair part of the sessions, and nothing that waits for one.
    fn is_next_in_turn(&self, key: u64) -> bool {
        let fair = self.fair_part().min(self.limit());
        self.listeners.get(&key).is_some_and(|listener| listener.waiting() == 0 && listener.taken() < fair)
    }

    /// Sessions of a busy listener, if all of these have as many; at least one.
    pub(super) fn fair_part(&self) -> usize {
        let busy = self.listeners.values().filter(|listener| listener.is_busy).count();
        (self.limit() / busy.max(1)).max(1)
    }

    /// Starts that may be waited for.
    fn starts_ahead(&self) -> usize {
        if self.no_claim_before(Instant::now()).is_some() {
            return 0;
        }
        self.pacer.starts_in(self.ahead.starts).unwrap_or(usize::MAX)
    }

    fn taken(&self) -> usize {
        self.listeners.values().map(Listener::taken).sum()
    }
}
