//! Sessions: POSTs that run at one endpoint, shared by its listeners. So many may run at once, and start per second.
//!
//! A session is granted when a POST starts: one is free, and the rate allows a start. Listeners that wait take turns
//! (round-robin), so a busy one cannot push a quiet one aside. Before a busy listener receives, it *claims* room. What runs,
//! waits or is claimed together exceeds the limit by a fifth at most; what waits or is claimed is no more than may start
//! within a second. So messages are not received only to wait here, and no session waits for a receive. An idle listener's
//! single long poll claims nothing; at most its one message waits.
//!
//! The endpoint's limit is the cap, or what the adaptive limit below it has learned from how sessions end. Each listener
//! has a cap of its own as well: its workers.
//!
//! Invariant: running ≤ limit, of each listener running ≤ its cap, and starts within the rate. Lowering a limit lets what
//! runs finish.

mod membership;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::limit::adaptive::Adaptive;
use crate::limit::rate::Pacer;
use crate::limit::{Rate, Transition};
use crate::tuning::{Ahead, Learned};

pub use membership::{Claims, Membership, Session};

/// The sessions of one endpoint.
#[derive(Debug)]
pub struct Sessions {
    state: Mutex<State>,
    /// Wakes the listener that waits for room; there is one at most, the first in the line.
    room: Notify,
    line: tokio::sync::Mutex<()>,
    /// Held by the one that waits for the time of the next start.
    next_start: tokio::sync::Mutex<()>,
    /// Tells it that the rate alone holds up a start.
    paced: Notify,
}

#[derive(Debug)]
struct State {
    /// The configured limit.
    cap: usize,
    /// The limit below it, unless that is turned off.
    adaptive: Option<Adaptive>,
    pacer: Pacer,
    ahead: Ahead,
    /// Over all listeners, those that have left included.
    running: usize,
    listeners: BTreeMap<u64, Listener>,
    next_key: u64,
    /// The listener that was served last.
    served: u64,
}

/// What one listener has of the sessions.
#[derive(Debug)]
struct Listener {
    /// POSTs it may have running: its workers.
    cap: usize,
    running: usize,
    claimed: usize,
    /// Deliveries that wait, each with its number.
    line: VecDeque<(u64, oneshot::Sender<Granted>)>,
    /// Whether its last receive brought something.
    is_busy: bool,
}

impl Listener {
    /// Sessions that it runs on, waits for or has claimed, as far as its cap lets it use them.
    fn taken(&self) -> usize {
        (self.running + self.waiting()).min(self.cap.max(self.running))
    }

    /// Starts that it waits for or has claimed.
    fn waiting(&self) -> usize {
        self.line.len() + self.claimed
    }

    fn may_start(&self) -> bool {
        self.running < self.cap
    }
}

/// What the grant of a session tells.
#[derive(Debug, Clone, Copy)]
struct Granted {
    /// Whether the limit was used to the full then, receives under way included.
    saturated: bool,
    /// Its start, as the rate counts it.
    start: Option<Instant>,
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
    /// At most `cap` sessions (at least one), none running, started at that `rate` at most; with an adaptive limit below if
    /// there are numbers for it.
    pub fn new(cap: usize, rate: Option<Rate>, learned: Option<Learned>, ahead: Ahead) -> Arc<Self> {
        let cap = cap.max(1);
        let state = State {
            cap,
            adaptive: learned.map(|learned| Adaptive::new(cap, learned, Instant::now())),
            pacer: Pacer::new(rate),
            ahead,
            running: 0,
            listeners: BTreeMap::new(),
            next_key: 0,
            served: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            room: Notify::new(),
            line: tokio::sync::Mutex::default(),
            next_start: tokio::sync::Mutex::default(),
            paced: Notify::new(),
        })
    }

    /// The configured limit.
    pub fn cap(&self) -> usize {
        self.lock().cap
    }

    /// Changes the configured limit, at least one. What runs beyond a lower one finishes.
    pub fn set_cap(&self, cap: usize) {
        self.change(|state| {
            state.cap = cap.max(1);
            if let Some(adaptive) = &mut state.adaptive {
                adaptive.set_max(cap.max(1));
            }
        });
    }

    /// The limit in force: the cap, or the adaptive limit below it.
    pub fn limit(&self) -> usize {
        self.lock().limit()
    }

    /// The endpoint's gate has changed: refusals that closed it, and those of its probes, were an outage and tell
    /// nothing of capacity.
    pub fn gate_changed(&self, change: Transition) {
        self.change(|state| match (&mut state.adaptive, change) {
            (Some(adaptive), Transition::Closed { by_probe: false, .. }) => adaptive.forgive(),
            (Some(adaptive), Transition::Opened { outage: true, .. }) => {
                adaptive.outage_ended(Instant::now());
            }
            _ => {}
        });
    }

    /// Whether the limit adapts to what the endpoint answers.
    pub fn is_adaptive(&self) -> bool {
        self.lock().adaptive.is_some()
    }

    /// Listeners that share them.
    pub fn listeners(&self) -> usize {
        self.lock().listeners.len()
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.lock().running
    }

    /// A place for one more listener, which may have so many sessions.
    pub fn join(self: &Arc<Self>, cap: usize) -> Membership {
        let mut state = self.lock();
        let key = state.next_key;
        state.next_key += 1;
        let (line, cap) = (VecDeque::new(), cap.max(1));
        state.listeners.insert(key, Listener { cap, running: 0, claimed: 0, line, is_busy: false });
        Membership::new(self, key)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grants free sessions in turn, then wakes a listener if there is room left.
    fn settle(&self, state: &mut State) {
        while let Some((key, waiter)) = state.next_in_turn() {
            // It arrives: who gives up leaves the line first.
            waiter.send(state.begun(key)).ok();
        }
        if state.pacer.not_before(Instant::now()).is_some() {
            self.paced.notify_one();
        }
        if state.room() > 0 {
            self.room.notify_one();
        }
    }

    /// Grants sessions whenever the rate allows a start, as long as nobody else does; never returns.
    async fn grant_in_time(&self) {
        let _only_one = self.next_start.lock().await;
        loop {
            let not_before = self.lock().pacer.not_before(Instant::now());
            match not_before {
                Some(not_before) => tokio::time::sleep_until(not_before).await,
                None => self.paced.notified().await,
            }
            self.change(|_| {});
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.settle(&mut state);
    }
}

impl State {
    fn limit(&self) -> usize {
        self.adaptive.as_ref().map_or(self.cap, Adaptive::limit)
    }

    /// A session of a listener begins.
    fn begun(&mut self, key: u64) -> Granted {
        self.running += 1;
        self.served = key;
        if let Some(listener) = self.listeners.get_mut(&key) {
            listener.running += 1;
        }
        Granted { saturated: self.taken() >= self.limit(), start: self.pacer.start(Instant::now()) }
    }

    /// A session is free again. Its listener may have left meanwhile.
    fn ended(&mut self, key: u64) {
        self.running -= 1;
        if let Some(listener) = self.listeners.get_mut(&key) {
            listener.running -= 1;
        }
    }

    /// The first that waits of the next listener in turn. `None` if no session is free or the rate allows no start.
    fn next_in_turn(&mut self) -> Option<(u64, oneshot::Sender<Granted>)> {
        if self.running >= self.limit() || self.pacer.not_before(Instant::now()).is_some() {
            return None;
        }
        let may_start = |(_, listener): &(&u64, &Listener)| listener.may_start() && !listener.line.is_empty();
        let after = (Bound::Excluded(self.served), Bound::Unbounded);
        let next = self.listeners.range(after).chain(self.listeners.range(..=self.served)).find(may_start);
        let key = *next?.0;
        let (_, waiter) = self.listeners.get_mut(&key)?.line.pop_front()?;
        Some((key, waiter))
    }

    /// Sessions nobody runs on, waits for or has claimed, and those that come free during a receive; no more than starts
    /// that nobody waits for or has claimed.
    fn room(&self) -> usize {
        let limit = self.limit();
        let ahead = limit.checked_div(self.ahead.sessions_per_message).unwrap_or_default();
        let sessions = limit.saturating_add(ahead).saturating_sub(self.taken());
        let waiting: usize = self.listeners.values().map(Listener::waiting).sum();
        sessions.min(self.starts_ahead().saturating_sub(waiting))
    }

    /// Starts that may be waited for.
    fn starts_ahead(&self) -> usize {
        self.pacer.starts_in(self.ahead.starts).unwrap_or(usize::MAX)
    }

    fn taken(&self) -> usize {
        self.listeners.values().map(Listener::taken).sum()
    }
}

#[cfg(test)]
mod tests;
