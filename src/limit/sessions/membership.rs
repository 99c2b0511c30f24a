//! A listener's place among the sessions of an endpoint: room claimed before a receive, sessions granted to POSTs.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{Feedback, Granted, LearnedLimit, Sessions, State, Wanted};
use crate::limit::{FullReceive, RunAhead};

/// A listener's place at an endpoint; dropping it frees the place.
#[derive(Debug)]
pub struct Membership {
    sessions: Arc<Sessions>,
    key: u64,
}

impl Membership {
    pub(super) fn new(sessions: &Arc<Sessions>, key: u64) -> Self {
        Self { sessions: Arc::clone(sessions), key }
    }

    /// Says whether the listener's last receive brought something.
    pub fn set_busy(&self, is_busy: bool) {
        if let Some(listener) = self.sessions.lock().listeners.get_mut(&self.key) {
            listener.is_busy = is_busy;
        }
    }

    /// Changes how many sessions the listener may have. What runs beyond a lower cap finishes. With 0 it stands by, and
    /// what waits is sent away.
    pub fn set_cap(&self, cap: usize) {
        self.sessions.change(|state| {
            if let Some(listener) = state.listeners.get_mut(&self.key) {
                listener.cap = cap;
                if cap == 0 {
                    listener.line.clear();
                }
            }
        });
    }

    /// Gives the place up: the listener has ended. The others share the sessions from now on.
    pub fn leave(&self) {
        self.sessions.change(|state| {
            state.listeners.remove(&self.key);
        });
    }

    /// A busy listener's part of the limit; at least 1.
    pub fn fair_part(&self) -> usize {
        self.sessions.lock().fair_part()
    }

    /// How far this listener runs ahead of so many sessions of its own; without a `receive` it does not.
    pub fn run_ahead(&self, sessions: usize, receive: Option<FullReceive>) -> RunAhead {
        self.sessions.lock().run_ahead(self.key, sessions, receive)
    }

    /// Claims room for 1 to `most` deliveries, first come, first served. `receive` is what brings them; without it nothing
    /// runs ahead.
    ///
    /// Waits until there is enough for a receive to be worth while.
    ///
    /// # Cancel safety
    /// Dropping the future claims nothing, and a wake-up meant for it goes to the next in line.
    pub async fn claim(&self, most: usize, receive: Option<FullReceive>) -> Claims {
        // Two that wait at once would split what comes free.
        let _first_in_line = self.sessions.line.lock().await;
        let wanted = Wanted { key: self.key, most: most.max(1), receive };
        loop {
            let not_before = {
                let mut state = self.sessions.lock();
                if let Some(count) = state.claim(wanted) {
                    return Claims { sessions: Arc::clone(&self.sessions), key: self.key, count };
                }
                state.no_claim_before(Instant::now())
            };
            let freed = self.sessions.room.notified();
            match not_before {
                Some(not_before) => timeout_at(not_before, freed).await.unwrap_or_default(),
                None => freed.await,
            }
        }
    }

    /// Waits until a POST may start; a claim made before the receive turns into its session. `None`: the listener stands
    /// by, and nothing of it may start.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in the line, or the session just granted, to the next.
    pub async fn start(&self, claim: Option<Claims>) -> Option<Session> {
        let mut waiting = self.join_line(claim);
        tokio::select! {
            biased;
            // Its place in the line is gone when the listener stands by, or has ended.
            granted = &mut waiting.granted => granted.ok().map(|granted| waiting.over(granted)),
            // Drives the others' grants too.
            () = self.sessions.grant_in_time() => std::future::pending().await,
        }
    }

    /// Waits for a session of a listener that does not stand by.
    ///
    /// # Panics
    /// When it stands by.
    #[cfg(test)]
    pub async fn granted(&self, claim: Option<Claims>) -> Session {
        self.start(claim).await.expect("it has sessions")
    }

    fn join_line(&self, claim: Option<Claims>) -> Waiting {
        let (sender, granted) = oneshot::channel();
        let mut number = 0;
        self.sessions.change(|state| {
            if let Some(claim) = claim {
                claim.end(state);
            }
            (number, state.next_key) = (state.next_key, state.next_key + 1);
            if let Some(listener) = state.listeners.get_mut(&self.key)
                && listener.cap > 0
            {
                listener.line.push_back((number, sender));
            }
        });
        Waiting { sessions: Arc::clone(&self.sessions), key: self.key, number, granted, is_over: false }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Room set aside for the messages that a busy receive may bring; dropping it frees the room.
#[derive(Debug)]
#[must_use]
pub struct Claims {
    sessions: Arc<Sessions>,
    key: u64,
    count: usize,
}

impl Claims {
    /// For how many deliveries.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether all have been taken.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The room of one delivery.
    pub fn take(&mut self) -> Option<Self> {
        self.count = self.count.checked_sub(1)?;
        Some(Self { sessions: Arc::clone(&self.sessions), key: self.key, count: 1 })
    }

    /// Turns into a place in the line, under a lock that is held already.
    fn end(mut self, state: &mut State) {
        free(state, self.key, std::mem::take(&mut self.count));
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        if self.count > 0 {
            self.sessions.change(|state| free(state, self.key, self.count));
        }
    }
}

/// So many claims of the listener are no more.
fn free(state: &mut State, key: u64, count: usize) {
    if let Some(listener) = state.listeners.get_mut(&key) {
        listener.claimed -= count;
    }
}

/// A delivery's place in the line; dropping it leaves the line, and frees a session just granted.
#[derive(Debug)]
struct Waiting {
    sessions: Arc<Sessions>,
    key: u64,
    number: u64,
    granted: oneshot::Receiver<Granted>,
    is_over: bool,
}

impl Waiting {
    /// The session that it waited for.
    fn over(&mut self, granted: Granted) -> Session {
        self.is_over = true;
        Session { sessions: Some(Arc::clone(&self.sessions)), key: self.key, granted, started_at: None }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.sessions.change(|state| {
            if let Some(listener) = state.listeners.get_mut(&self.key) {
                listener.line.retain(|(number, _)| *number != self.number);
            }
            if let Ok(granted) = self.granted.try_recv() {
                state.pacer.undo(granted.counted);
                state.ended(self.key);
            }
        });
    }
}

/// Right to have one POST running at the endpoint; dropping it frees the session.
#[derive(Debug)]
#[must_use]
pub struct Session {
    /// `None` once it has ended.
    sessions: Option<Arc<Sessions>>,
    key: u64,
    granted: Granted,
    /// When its POST has started. The start of one that has not is undone.
    started_at: Option<Instant>,
}

impl Session {
    /// Its POST starts.
    pub fn starts(&mut self) {
        self.started_at = Some(Instant::now());
    }

    /// Ends it, and tells what learns how. What was learned, if that is worth a line in the log.
    pub fn end(mut self, feedback: Feedback) -> Option<LearnedLimit> {
        let sessions = self.sessions.take()?;
        let began = self.started_at.unwrap_or_else(Instant::now);
        let mut news = None;
        sessions.change(|state| {
            state.ended(self.key);
            state.took(self.key, began, feedback);
            news = self.granted.start.and_then(|start| state.news(start, began, feedback));
        });
        news
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(sessions) = self.sessions.take() {
            sessions.change(|state| {
                if self.started_at.is_none() {
                    state.pacer.undo(self.granted.counted);
                }
                state.ended(self.key);
            });
        }
    }
}
