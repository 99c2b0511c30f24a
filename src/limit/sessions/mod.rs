//! Sessions: POSTs that run at one endpoint, shared by its listeners. So many may run at once, and start per second.
//!
//! A session is granted when a POST starts: one is free, and the rate allows a start. Listeners that wait take turns
//! (round-robin), so a busy one cannot push a quiet one aside. Before a busy listener receives, it *claims* room. What runs,
//! waits or is claimed together exceeds the limit by the run-ahead. A listener with less than its part may have one more.
//! What waits or is claimed is no more than may start within a second. So messages are not received only to wait here,
//! and no session waits for a receive. An idle listener's single long poll claims nothing; at most its one message waits.
//!
//! The endpoint's limits are the cap and the configured rate. Below them the adaptive limit learns from how sessions end. So
//! do rate-limit headers: while they hold starts back, nothing is claimed until a second before the hold ends. Each listener
//! has a cap of its own as well: its workers.
//!
//! Where processes share the caps, this one has its share of each. Without any it stands by: nothing starts, and whoever
//! waits is sent away.
//!
//! Invariant: running ≤ limit, of each listener running ≤ its cap, and starts within the rate. Lowering a limit lets what
//! runs finish.

mod learned;
mod learning;
mod membership;
mod news;
mod room;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::limit::adaptive::Start;
use crate::limit::rate::{Counted, Pacer};
use crate::limit::share::{Allowed, Caps};
use crate::limit::{FullReceive, Settings, Share, Smoothed, Transition};
use crate::tuning::Ahead;

use learning::Learning;

pub use learned::{LearnedLimit, Refusal};
pub use learning::Feedback;
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
    /// Tells it that the rate or rate-limit headers alone hold up a start.
    paced: Notify,
    /// Tells it that the rate, or the end of that hold, has changed.
    repaced: Notify,
}

#[derive(Debug)]
struct State {
    /// The configured limits, and this process's share of them.
    caps: Caps,
    /// What that allows at once; 0: nothing may start.
    cap: usize,
    /// The limits below it and below the rate, unless that is turned off.
    learning: Option<Learning>,
    pacer: Pacer,
    ahead: Ahead,
    /// Over all listeners, those that have left included.
    running: usize,
    listeners: BTreeMap<u64, Listener>,
    next_key: u64,
    /// The listener that was served last.
    served: u64,
    /// What the first in the line of those that claim waits for.
    wanted: Option<Wanted>,
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
    /// How long its successful POSTs take.
    posts: Smoothed,
}

/// A claim that somebody waits for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    key: u64,
    most: usize,
    /// What brings the deliveries, if it runs ahead.
    receive: Option<FullReceive>,
}

impl Listener {
    fn may_start(&self) -> bool {
        self.running < self.cap
    }
}

/// What the grant of a session tells.
#[derive(Debug, Clone, Copy)]
struct Granted {
    /// Its start, as the rate counts it.
    counted: Counted,
    /// And as the adaptive limit does.
    start: Option<Start>,
}

impl Sessions {
    /// The sessions of an endpoint, at least one, none running. Below that and its rate they learn, if they are to adapt.
    pub fn new(settings: &Settings) -> Arc<Self> {
        let Settings { adaptive, rate, tuning, .. } = settings;
        let caps = Caps::of(settings);
        let cap = caps.sessions;
        let state = State {
            caps,
            cap,
            learning: adaptive.then(|| Learning::new(cap, tuning)),
            pacer: Pacer::new(*rate),
            ahead: tuning.ahead,
            running: 0,
            listeners: BTreeMap::new(),
            next_key: 0,
            served: 0,
            wanted: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            room: Notify::new(),
            line: tokio::sync::Mutex::default(),
            next_start: tokio::sync::Mutex::default(),
            paced: Notify::new(),
            repaced: Notify::new(),
        })
    }

    /// POSTs that this process may have running: its share of the configured limit; 0: it stands by.
    pub fn cap(&self) -> usize {
        self.lock().cap
    }

    /// This process's part of what is configured, from 0 to 1.
    pub fn part(&self) -> f64 {
        self.lock().caps.part()
    }

    /// Changes the configured limit, at least one. What runs beyond a lower one finishes.
    pub fn set_cap(&self, cap: usize) {
        self.change(|state| {
            state.caps.sessions = cap.max(1);
            state.share_out();
        });
    }

    /// From now on this process has this share of the configured limits. What runs beyond a smaller one finishes.
    pub fn set_share(&self, share: Share) {
        self.change(|state| {
            state.caps.share = share;
            state.share_out();
        });
    }

    /// Takes other settings over while POSTs run. What was learned stays, unless the limit does not adapt any more. So does
    /// the share.
    pub fn adjust(&self, settings: &Settings) {
        self.change(|state| {
            state.caps = Caps { share: state.caps.share, ..Caps::of(settings) };
            state.share_out();
            match (&mut state.learning, settings.adaptive) {
                (Some(_), true) => {}
                (learning, true) => *learning = Some(Learning::new(state.cap.max(1), &settings.tuning)),
                (learning, false) => {
                    *learning = None;
                    state.pacer.learn(None);
                }
            }
        });
    }

    /// The limit in force: the cap, or the adaptive limit below it.
    pub fn limit(&self) -> usize {
        self.lock().limit()
    }

    /// What the endpoint was found to take; `None` if the limit does not adapt.
    pub fn learned(&self) -> Option<LearnedLimit> {
        self.lock().learned()
    }

    /// The endpoint's gate has changed.
    pub fn gate_changed(&self, change: Transition) {
        self.change(|state| state.learn(|learning| learning.gate_changed(change)));
    }

    /// Whether the limit adapts to what the endpoint answers.
    pub fn is_adaptive(&self) -> bool {
        self.lock().learning.is_some()
    }

    /// Listeners that share them.
    pub fn listeners(&self) -> usize {
        self.lock().listeners.len()
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.lock().running
    }

    /// A place for one more listener, which may have so many sessions; with 0 it stands by.
    pub fn join(self: &Arc<Self>, cap: usize) -> Membership {
        let mut state = self.lock();
        let key = state.next_key;
        state.next_key += 1;
        let (line, posts) = (VecDeque::new(), Smoothed::default());
        state.listeners.insert(key, Listener { cap, running: 0, claimed: 0, line, is_busy: false, posts });
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
        if state.not_before(Instant::now()).is_some() {
            self.paced.notify_one();
        }
        if state.wanted.is_some_and(|wanted| state.room_for(wanted).is_some()) {
            self.room.notify_one();
        }
    }

    /// Grants sessions whenever rate and headers allow a start, as long as nobody else does; never returns.
    async fn grant_in_time(&self) {
        let _only_one = self.next_start.lock().await;
        loop {
            let not_before = self.lock().not_before(Instant::now());
            match not_before {
                Some(not_before) => {
                    tokio::time::timeout_at(not_before, self.repaced.notified()).await.ok();
                }
                None => self.paced.notified().await,
            }
            self.change(|_| {});
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let now = Instant::now();
        let (interval, held_until) = (state.pacer.interval(), state.held_until(now));
        change(&mut state);
        self.settle(&mut state);
        let is_held_anew = state.held_until(now) != held_until;
        if is_held_anew || state.pacer.interval() != interval {
            self.repaced.notify_one();
        }
        if is_held_anew {
            // Who waits for room has to look when that hold ends.
            self.room.notify_one();
        }
    }
}

impl State {
    fn limit(&self) -> usize {
        self.learning.as_ref().map_or(self.cap, |learning| learning.at_once().min(self.cap))
    }

    /// Takes this process's share of the configured limits.
    fn share_out(&mut self) {
        let Allowed { sessions, rate } = self.caps.allowed();
        self.cap = sessions;
        if let Some(learning) = &mut self.learning {
            // What was learned is not forgotten by one that stands by for a moment.
            learning.set_cap(if sessions == 0 { self.caps.sessions } else { sessions });
        }
        if self.pacer.rate() != rate {
            self.pacer.set_rate(rate, Instant::now());
        }
    }

    /// When the next POST may start by rate and headers, if that is still to come.
    fn not_before(&self, now: Instant) -> Option<Instant> {
        self.pacer.not_before(now).max(self.held_until(now))
    }

    /// Until when rate-limit headers hold starts back, if they do.
    fn held_until(&self, now: Instant) -> Option<Instant> {
        self.learning.as_ref()?.held_until(now)
    }

    /// A session of a listener begins.
    fn begun(&mut self, key: u64) -> Granted {
        self.running += 1;
        self.served = key;
        if let Some(listener) = self.listeners.get_mut(&key) {
            listener.running += 1;
        }
        let counted = self.pacer.start(Instant::now());
        let mut start = None;
        let running = self.running;
        self.learn(|learning| start = Some(learning.started(running)));
        Granted { counted, start }
    }

    /// Tells the adaptive limit, and keeps to the pace that follows.
    fn learn(&mut self, tell: impl FnOnce(&mut Learning)) {
        if let Some(learning) = &mut self.learning {
            tell(learning);
            self.pacer.learn(learning.pace());
        }
    }

    fn learned(&self) -> Option<LearnedLimit> {
        let most_per_second = self.pacer.most_per_second().unwrap_or(f64::INFINITY);
        self.learning.as_ref().map(|learning| learning.learned(self.cap, most_per_second))
    }

    /// The POST of a session ended; what was learned, if a person should know of it.
    fn news(&mut self, start: Start, began: Instant, feedback: Feedback) -> Option<LearnedLimit> {
        self.learn(|learning| learning.ended(start, began, feedback));
        let learned = self.learned()?;
        self.learning.as_mut()?.is_news(feedback, &learned).then_some(learned)
    }

    /// A session is free again. Its listener may have left meanwhile.
    fn ended(&mut self, key: u64) {
        self.running -= 1;
        if let Some(listener) = self.listeners.get_mut(&key) {
            listener.running -= 1;
        }
    }

    /// The first that waits of the next listener in turn. `None` if no session is free, or rate or headers allow no start.
    fn next_in_turn(&mut self) -> Option<(u64, oneshot::Sender<Granted>)> {
        if self.running >= self.limit() {
            return None;
        }
        let may_start = |(_, listener): &(&u64, &Listener)| listener.may_start() && !listener.line.is_empty();
        let after = (Bound::Excluded(self.served), Bound::Unbounded);
        let next = self.listeners.range(after).chain(self.listeners.range(..=self.served)).find(may_start);
        let key = *next?.0;
        let now = Instant::now();
        if self.held_until(now).is_some() {
            return None;
        }
        if self.pacer.not_before(now).is_some() {
            if let Some(learning) = &mut self.learning {
                learning.holds_up();
            }
            return None;
        }
        let (_, waiter) = self.listeners.get_mut(&key)?.line.pop_front()?;
        Some((key, waiter))
    }

    /// The POST of a listener ended. After a refusal nothing runs ahead until one succeeds: it may be the first of an outage,
    /// whose messages cost a receive each.
    fn took(&mut self, key: u64, began: Instant, feedback: Feedback) {
        let Some(listener) = self.listeners.get_mut(&key) else { return };
        match feedback {
            Feedback::Success(_) => listener.posts.add(began.elapsed()),
            Feedback::Congestion(..) | Feedback::ProbeRefused(_) | Feedback::Unanswered(_) => {
                listener.posts = Smoothed::default();
            }
            Feedback::Nothing => {}
        }
    }
}

#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod share_tests;
#[cfg(test)]
mod tests;
