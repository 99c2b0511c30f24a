//! Sessions: the cap of one endpoint, shared by its listeners.
//!
//! A session is granted when a delivery starts, in turn between the listeners that wait (round-robin), so a
//! busy listener cannot push a quiet one aside. Before a busy listener receives, it *claims* room: what runs,
//! waits or is claimed together exceeds the limit by a fifth at most, so messages are not taken only to wait
//! here, and no session waits for a receive. An idle listener's single long poll claims nothing; at most its one
//! message waits.
//!
//! The limit is the cap, or what the adaptive limit below it has learned from how sessions end.
//!
//! Invariant: running ≤ limit, except that lowering the limit lets what runs finish.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::limit::Transition;
use crate::limit::adaptive::Adaptive;
use crate::tuning::{Ahead, Learned};

/// The sessions of one endpoint.
#[derive(Debug)]
pub struct Sessions {
    state: Mutex<State>,
    /// Wakes the poller that waits for room; there is one at most, the first in the line.
    room: Notify,
    line: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// The configured limit.
    cap: usize,
    /// The limit below it, unless that is turned off.
    adaptive: Option<Adaptive>,
    ahead: Ahead,
    random: fastrand::Rng,
    running: usize,
    /// Of those that run, the POSTs that have started; the others wait for the pace.
    started: usize,
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

/// How the POST of a session ended, as far as it tells of the endpoint's capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// The endpoint took it.
    Success,
    /// The endpoint has too much to do.
    Congestion {
        /// The pause it asked for; zero if none.
        retry_after: Duration,
    },
    /// Says nothing.
    Nothing,
}

impl Sessions {
    /// At most `cap` sessions (at least one), none running; with an adaptive limit below if there are numbers for
    /// it. `seed` drives its jitter.
    pub fn new(cap: usize, learned: Option<Learned>, ahead: Ahead, seed: u64) -> Arc<Self> {
        let cap = cap.max(1);
        let state = State {
            cap,
            adaptive: learned.map(|learned| Adaptive::new(cap, learned, Instant::now())),
            ahead,
            random: fastrand::Rng::with_seed(seed),
            running: 0,
            started: 0,
            claimed: 0,
            waiting: 0,
            lines: Vec::new(),
            busy: Vec::new(),
            turn: 0,
        };
        Arc::new(Self { state: Mutex::new(state), room: Notify::new(), line: tokio::sync::Mutex::default() })
    }

    /// The configured limit.
    pub fn cap(&self) -> usize {
        self.lock().cap
    }

    /// The limit in force: the cap, or the adaptive limit below it.
    pub fn limit(&self) -> usize {
        self.lock().limit()
    }

    /// The endpoint's gate has changed: refusals that closed it, and those of its probes, were an outage and tell
    /// nothing of capacity.
    pub fn gate_changed(self: &Arc<Self>, change: Option<Transition>) {
        self.release(|state| {
            let unit = state.random.f64();
            match (&mut state.adaptive, change) {
                (Some(adaptive), Some(Transition::Closed { by_probe: false, .. })) => adaptive.forgive(),
                (Some(adaptive), Some(Transition::Opened { outage: true, .. })) => {
                    adaptive.outage_ended(Instant::now(), unit);
                }
                _ => {}
            }
        });
    }

    /// Whether the limit adapts to what the endpoint answers.
    pub fn is_adaptive(&self) -> bool {
        self.lock().adaptive.is_some()
    }

    /// Listeners that share them.
    pub fn seats(&self) -> usize {
        self.lock().lines.len()
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.lock().running
    }

    /// How many POSTs have started and not ended.
    pub fn started(&self) -> usize {
        self.lock().started
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
        while state.running < state.limit() {
            let Some(waiter) = state.next_in_turn() else { break };
            state.running += 1;
            if let Err(mut refused) = waiter.send(Session::granted(self, state)) {
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
    fn limit(&self) -> usize {
        self.adaptive.as_ref().map_or(self.cap, Adaptive::limit)
    }

    /// A session is free again.
    fn ended(&mut self, started: bool) {
        self.running -= 1;
        self.started -= usize::from(started);
    }

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

    /// Sessions nobody runs on, waits for or has claimed, and those that come free during a receive.
    fn room(&self) -> usize {
        let limit = self.limit();
        (limit + limit / self.ahead.sessions_per_message).saturating_sub(self.taken())
    }

    fn taken(&self) -> usize {
        self.running + self.waiting + self.claimed
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
        (state.limit() / busy.max(1)).max(1)
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
                if state.room() >= count.min(state.limit()) {
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
            if state.waiting == 0 && state.running < state.limit() {
                state.running += 1;
                state.turn = (self.index + 1) % state.lines.len().max(1);
                return Session::granted(&self.sessions, &state);
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
    /// `None` when the grant came back because nobody waited for it any more, and once it has ended.
    sessions: Option<Arc<Sessions>>,
    began: Instant,
    /// Whether its POST has started.
    started: bool,
    /// Whether the limit was used to the full when it began, receives under way included.
    saturated: bool,
}

impl Session {
    fn granted(sessions: &Arc<Sessions>, state: &State) -> Self {
        let saturated = state.taken() >= state.limit();
        Self { sessions: Some(Arc::clone(sessions)), began: Instant::now(), started: false, saturated }
    }

    /// Its POST starts only now: the wait for the pace is over.
    pub fn starts(&mut self) {
        self.began = Instant::now();
        if let (Some(sessions), false) = (&self.sessions, std::mem::replace(&mut self.started, true)) {
            sessions.lock().started += 1;
        }
    }

    /// Ends it, and tells the adaptive limit how; whether the limit was cut for it.
    pub fn end(mut self, feedback: Feedback) -> bool {
        let Some(sessions) = self.sessions.take() else { return false };
        let (mut cut, now) = (false, Instant::now());
        sessions.release(|state| {
            state.ended(self.started);
            let unit = state.random.f64();
            match (&mut state.adaptive, feedback) {
                (None, _) | (_, Feedback::Nothing) => {}
                (Some(adaptive), Feedback::Success) => {
                    adaptive.succeeded(self.began, self.saturated, now, unit);
                }
                (Some(adaptive), Feedback::Congestion { retry_after }) => {
                    cut = adaptive.refused(self.began, retry_after, now, unit);
                }
            }
        });
        cut
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(sessions) = self.sessions.take() {
            sessions.release(|state| state.ended(self.started));
        }
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
