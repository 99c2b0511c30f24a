//! Sessions: the cap of one endpoint, shared by its listeners.
//!
//! A session is granted when a delivery starts, in turn between the listeners that wait (round-robin), so a
//! busy listener cannot push a quiet one aside. Before a busy listener receives, it *claims* room: what runs,
//! waits or is claimed together never exceeds the limit by a receive, so messages are not taken only to wait
//! here. An idle listener's single long poll claims nothing; at most its one message waits.
//!
//! Invariant: running ≤ limit, except that lowering the limit lets what runs finish.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

/// The sessions of one endpoint.
#[derive(Debug)]
pub struct Sessions {
    state: Mutex<State>,
    /// Wakes the poller that waits for room; there is one at most, the first in the line.
    room: Notify,
    line: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    limit: usize,
    running: usize,
    claimed: usize,
    /// Length of all lines together; a waiter that left counts until its turn comes.
    waiting: usize,
    /// One line of waiting deliveries per seat.
    lines: Vec<VecDeque<oneshot::Sender<Session>>>,
    /// Whether the seat's last receive brought something.
    busy: Vec<bool>,
    /// Seat that is asked first next time.
    turn: usize,
}

impl Sessions {
    /// `limit` sessions (at least one), none running.
    pub fn new(limit: usize) -> Arc<Self> {
        let state = State { limit: limit.max(1), ..State::default() };
        Arc::new(Self { state: Mutex::new(state), room: Notify::new(), line: tokio::sync::Mutex::default() })
    }

    /// The cap.
    pub fn limit(&self) -> usize {
        self.lock().limit
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.lock().running
    }

    /// A place for one more listener.
    pub fn seat(self: &Arc<Self>) -> Seat {
        let mut state = self.lock();
        let index = state.lines.len();
        state.lines.push(VecDeque::new());
        state.busy.push(false);
        Seat { sessions: Arc::clone(self), index }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grants free sessions in turn, then wakes a poller if there is room left.
    fn settle(self: &Arc<Self>, state: &mut State) {
        while state.running < state.limit {
            let Some(waiter) = state.next_in_turn() else { break };
            state.running += 1;
            if let Err(mut refused) = waiter.send(Session { sessions: Some(Arc::clone(self)) }) {
                // Whoever waited has left; dropping the grant must not lock the state again.
                refused.sessions = None;
                state.running -= 1;
            }
        }
        if state.room() > 0 {
            self.room.notify_one();
        }
    }

    fn release(self: &Arc<Self>, free: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        free(&mut state);
        self.settle(&mut state);
    }
}

impl State {
    fn next_in_turn(&mut self) -> Option<oneshot::Sender<Session>> {
        let seats = self.lines.len();
        for offset in 0..seats {
            let seat = (self.turn + offset) % seats;
            if let Some(waiter) = self.lines.get_mut(seat).and_then(VecDeque::pop_front) {
                self.turn = (seat + 1) % seats;
                self.waiting -= 1;
                return Some(waiter);
            }
        }
        None
    }

    /// Sessions nobody runs on, waits for or has claimed.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.running + self.waiting + self.claimed)
    }
}

/// A listener's place at an endpoint.
#[derive(Debug)]
pub struct Seat {
    sessions: Arc<Sessions>,
    index: usize,
}

impl Seat {
    /// Says whether the listener's last receive brought something.
    pub fn set_busy(&self, busy: bool) {
        if let Some(flag) = self.sessions.lock().busy.get_mut(self.index) {
            *flag = busy;
        }
    }

    /// A busy listener's part of the limit; at least 1.
    pub fn share(&self) -> usize {
        let state = self.sessions.lock();
        let busy = state.busy.iter().filter(|busy| **busy).count();
        (state.limit / busy.max(1)).max(1)
    }

    /// Claims room for 1 to `most` deliveries, first come, first served.
    ///
    /// Waits until there is some, then up to `linger` until there is `enough`.
    ///
    /// # Cancel safety
    /// Dropping the future claims nothing, and a wake-up meant for it goes to the next in line.
    pub async fn claim(&self, enough: usize, most: usize, linger: Duration) -> Vec<Claim> {
        let most = most.max(1);
        // Two that linger at once would split what comes free.
        let _first_in_line = self.sessions.line.lock().await;
        self.room(1).await;
        // What is there when the time is over has to do.
        tokio::time::timeout(linger, self.room(enough.min(most))).await.ok();
        loop {
            let claims = self.claim_now(most);
            if !claims.is_empty() {
                return claims;
            }
            self.room(1).await;
        }
    }

    /// Waits until there is room for so many, as far as the limit ever has.
    async fn room(&self, count: usize) {
        loop {
            {
                let state = self.sessions.lock();
                if state.room() >= count.min(state.limit) {
                    return;
                }
            }
            self.sessions.room.notified().await;
        }
    }

    fn claim_now(&self, most: usize) -> Vec<Claim> {
        let mut state = self.sessions.lock();
        let count = state.room().min(most);
        state.claimed += count;
        let claim = || Claim { sessions: Some(Arc::clone(&self.sessions)) };
        std::iter::repeat_with(claim).take(count).collect()
    }

    /// Waits for a session of the endpoint; a claim made before the receive turns into it.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in the line, or the session just granted, to the next.
    pub async fn start(&self, claim: Option<Claim>) -> Session {
        let receiver = {
            let mut state = self.sessions.lock();
            if let Some(mut claim) = claim {
                claim.sessions = None;
                state.claimed -= 1;
            }
            if state.waiting == 0 && state.running < state.limit {
                state.running += 1;
                state.turn = (self.index + 1) % state.lines.len().max(1);
                return Session { sessions: Some(Arc::clone(&self.sessions)) };
            }
            let (sender, receiver) = oneshot::channel();
            if let Some(line) = state.lines.get_mut(self.index) {
                line.push_back(sender);
                state.waiting += 1;
            }
            self.sessions.settle(&mut state);
            receiver
        };
        match receiver.await {
            Ok(session) => session,
            // The sender lives in the state, which `self` keeps alive.
            Err(_closed) => std::future::pending().await,
        }
    }
}

/// Room set aside for a message that a busy receive may bring; dropping it gives the room back.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    /// `None` once it has turned into a place in the line.
    sessions: Option<Arc<Sessions>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(sessions) = self.sessions.take() {
            sessions.release(|state| state.claimed -= 1);
        }
    }
}

/// Right to have one POST running at the endpoint; dropping it frees the session.
#[derive(Debug)]
#[must_use]
pub struct Session {
    /// `None` when the grant came back because nobody waited for it any more.
    sessions: Option<Arc<Sessions>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(sessions) = self.sessions.take() {
            sessions.release(|state| state.running -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(1);
    const LINGER: Duration = Duration::from_millis(20);

    #[tokio::test(start_paused = true)]
    async fn running_deliveries_never_exceed_the_limit_and_a_drop_frees_one() {
        let seat = Sessions::new(2).seat();
        let first = seat.start(None).await;
        let _second = seat.start(None).await;
        assert!(timeout(SOON, seat.start(None)).await.is_err());
        drop(first);
        assert!(timeout(SOON, seat.start(None)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_left_does_not_swallow_a_session() {
        let sessions = Sessions::new(1);
        let seat = sessions.seat();
        let held = seat.start(None).await;
        for _ in 0..3 {
            assert!(timeout(SOON, seat.start(None)).await.is_err());
        }
        drop(held);
        assert!(timeout(SOON, seat.start(None)).await.is_ok());
        assert_eq!(sessions.running(), 0);
        assert_eq!(timeout(SOON, seat.claim(1, 10, LINGER)).await.map(|claims| claims.len()), Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_go_round_between_listeners() {
        let sessions = Sessions::new(1);
        let (busy, quiet) = (sessions.seat(), sessions.seat());
        let mut session = busy.start(None).await;
        let mut order = Vec::new();
        let mut busy_waits: VecDeque<_> = (0..3).map(|_| Box::pin(busy.start(None))).collect();
        let mut quiet_wait = Box::pin(quiet.start(None));
        for wait in &mut busy_waits {
            assert!(futures_pending(wait).await);
        }
        assert!(futures_pending(&mut quiet_wait).await);
        let mut quiet_wait = Some(quiet_wait);
        for _ in 0..4 {
            drop(session);
            let quiet_turn = match &mut quiet_wait {
                Some(wait) => timeout(Duration::from_millis(1), wait).await.ok(),
                None => None,
            };
            if let Some(granted) = quiet_turn {
                quiet_wait = None;
                order.push("quiet");
                session = granted;
            } else {
                session = busy_waits.pop_front().unwrap().await;
                order.push("busy");
            }
        }
        assert_eq!(order.iter().position(|who| *who == "quiet"), Some(0), "{order:?}");
        drop(session);
    }

    #[tokio::test(start_paused = true)]
    async fn claims_leave_no_more_room_than_the_limit() {
        let sessions = Sessions::new(8);
        let seat = sessions.seat();
        let mut claims = seat.claim(1, 10, LINGER).await;
        assert_eq!(claims.len(), 8);
        assert!(timeout(SOON, seat.claim(1, 1, LINGER)).await.is_err());
        let session = seat.start(claims.pop()).await;
        assert!(timeout(SOON, seat.claim(1, 1, LINGER)).await.is_err(), "a started delivery keeps its room");
        drop(session);
        assert_eq!(seat.claim(1, 10, LINGER).await.len(), 1);
        drop(claims);
        assert_eq!(sessions.lock().room(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poller_that_waits_for_room_is_woken_by_a_free_session() {
        let sessions = Sessions::new(1);
        let seat = sessions.seat();
        let session = seat.start(None).await;
        let mut claim = Box::pin(seat.claim(1, 3, LINGER));
        assert!(futures_pending(&mut claim).await);
        drop(session);
        assert_eq!(timeout(SOON, claim).await.map(|claims| claims.len()), Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_lingers_for_enough_and_then_makes_do() {
        let seat = Sessions::new(4).seat();
        let running = [seat.start(None).await, seat.start(None).await];
        let before = tokio::time::Instant::now();
        let claims = seat.claim(3, 4, LINGER).await;
        assert_eq!((claims.len(), before.elapsed()), (2, LINGER));
        drop(running);
    }

    #[tokio::test(start_paused = true)]
    async fn busy_listeners_share_the_limit() {
        let sessions = Sessions::new(80);
        let seats: Vec<Seat> = (0..9).map(|_| sessions.seat()).collect();
        assert_eq!(seats[0].share(), 80);
        seats[0].set_busy(true);
        assert_eq!(seats[0].share(), 80, "idle listeners take nothing");
        seats[1].set_busy(true);
        assert_eq!(seats[0].share(), 40);
    }

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        timeout(Duration::ZERO, future).await.is_err()
    }
}
