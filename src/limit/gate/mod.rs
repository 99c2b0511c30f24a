//! A gate is a circuit breaker: *open*, messages flow; *closed*, they do not; *probing*, one trial is out, or up to
//! four while the endpoint hangs.
//!
//! An endpoint has one for all its listeners; a listener has a second instance for faults of its own. [`judge`]
//! says what closes a gate. When its pause is over a trial goes, called *probe*: a message in flight here, else a receive
//! of one, by the pollers in turn. A success opens the gate; a refusal doubles the pause. A receive that brings nothing
//! passes the turn on. While nobody finds anything the pollers go on looking, and that time does not count as closed: the
//! gate does not open for it, or each process would spend more than a probe when messages come.
//!
//! Receives under way when it closes may still bring messages; those wait here, under their leases.

mod asked;
mod evidence;
mod judge;
mod line;
mod pauses;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use evidence::{Circumstances, Evidence, Reason};
pub use line::Rank;
pub use state::Transition;

use line::Place;
use state::State;

use crate::tuning::Gate as Tuning;

/// One gate.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

/// The gate's state as the metrics and the status name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GateState {
    /// Messages are taken.
    #[default]
    Open,
    /// None are, until the pause is over.
    Closed,
    /// One is out to see, or is looked for.
    Probing,
}

impl GateState {
    /// Every state, to initialise metrics.
    pub const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::Probing];

    /// Label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Probing => "probing",
        }
    }
}

/// A gate at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateSnapshot {
    /// What it is.
    pub state: GateState,
    /// Why it is not open.
    pub reason: Option<Reason>,
    /// Time it has not been open; zero when it is.
    pub closed_for: Duration,
    /// Until the next probe may go; zero when open or probing.
    pub pause_left: Duration,
    /// Whether nobody found a message to probe with lately: there is nothing to hold back.
    pub idle: bool,
}

impl Gate {
    /// An open gate; `seed` drives the spread of its pauses.
    pub fn new(tuning: Tuning, seed: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(tuning, seed)), changed: Notify::new() })
    }

    /// Its numbers.
    pub fn tuning(&self) -> Tuning {
        self.lock().tuning
    }

    /// What it is now.
    pub fn snapshot(&self) -> GateSnapshot {
        let state = self.lock();
        let Some(closed) = &state.closed else { return GateSnapshot::default() };
        let (state, pause_left) = if closed.out.is_empty() && !closed.is_idle() {
            (GateState::Closed, closed.next.saturating_duration_since(Instant::now()))
        } else {
            (GateState::Probing, Duration::ZERO)
        };
        let (reason, closed_for) = (Some(closed.reason), closed.since.elapsed());
        GateSnapshot { state, reason, closed_for, pause_left, idle: closed.is_idle() }
    }

    /// How long a message that cannot wait any longer should stay away: what is left of the pause, or while a
    /// probe is out a whole one.
    pub fn pause_left(&self) -> Duration {
        match &self.lock().closed {
            Some(closed) if closed.out.is_empty() => closed.next.saturating_duration_since(Instant::now()),
            Some(closed) => closed.pause,
            None => Duration::ZERO,
        }
    }

    /// Time it was not open in all, by reason in the order of [`Reason::ALL`].
    pub fn closed_for(&self) -> [Duration; Reason::ALL.len()] {
        self.lock().closed_for()
    }

    /// Whether messages may be taken right now without asking.
    pub fn is_open(&self) -> bool {
        self.lock().closed.is_none()
    }

    /// Takes note of what came of a POST that was no probe. What was under way when the gate closed can
    /// lengthen the pause by a believed Retry-After, and nothing else.
    pub fn learn(&self, evidence: Evidence, circumstances: Circumstances) -> Option<Transition> {
        self.change(|state| state.learn(None, evidence, &circumstances))
    }

    /// Closes for a pause that the endpoint asks for and keeps to, and a fifth of it at most.
    #[cfg(test)]
    pub(crate) fn close_for(&self, pause: Duration, circumstances: Circumstances) {
        self.change(|state| state.close_for(pause, &circumstances));
    }

    /// A poller cannot look, for want of a worker: until this is dropped.
    pub fn blocked(self: &Arc<Self>) -> Probe {
        self.join(Rank::Blocked)
    }

    /// Completes when the gate is not open.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn closed(&self) {
        self.until(|state| state.closed.as_ref().map(drop).ok_or(None)).await;
    }

    /// Waits for leave to go on: as a probe, unless the gate is open.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn pass(self: &Arc<Self>, rank: Rank) -> Option<Probe> {
        if self.is_open() {
            return None;
        }
        let turn = self.join(rank);
        let is_probe = self.until(|state| state.ask(turn.place)).await;
        // The next one is first in the line.
        self.change(|state| state.line.leave(turn.place));
        is_probe.then_some(turn)
    }

    fn join(self: &Arc<Self>, rank: Rank) -> Probe {
        Probe { gate: Arc::clone(self), place: self.change(|state| state.line.join(rank)) }
    }

    /// Looks until that brings something: at each change, and at the time it asks for.
    async fn until<T>(&self, look: impl Fn(&mut State) -> Result<T, Option<Instant>>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let looked = look(&mut self.lock());
            match looked {
                Ok(found) => return found,
                Err(None) => changed.await,
                Err(Some(time)) => drop(tokio::time::timeout_at(time, changed).await),
            }
        }
    }

    /// Changes the state, and wakes those that wait. At a gate that is open and stays open nobody waits for a change.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let was_open = state.closed.is_none();
        let result = change(&mut state);
        let stays_open = was_open && state.closed.is_none();
        drop(state);
        if !stays_open {
            self.changed.notify_waiters();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line at a closed gate, then its probe, until the verdict or until the gate changes. Dropped before, it
/// passes the turn on.
#[derive(Debug)]
#[must_use]
pub struct Probe {
    gate: Arc<Gate>,
    place: Place,
}

impl Probe {
    /// Whether it probes this gate.
    pub fn is_of(&self, gate: &Arc<Gate>) -> bool {
        Arc::ptr_eq(&self.gate, gate)
    }

    /// Whether nobody found a message to probe with lately.
    pub fn is_idle(&self) -> bool {
        self.gate.snapshot().idle
    }

    /// Its POST has ended. If the gate has changed since it went, it tells as much as any other POST.
    pub fn end(self, evidence: Evidence, circumstances: Circumstances) -> Option<Transition> {
        self.gate.change(|state| state.learn(Some(self.place), evidence, &circumstances))
    }

    /// The receive brought nothing, or only messages on their final receive, which are `kept`.
    pub fn found_nothing(self, kept: bool) {
        self.gate.change(|state| state.found_nothing(self.place, kept));
    }

    /// Its POST has run for [`Tuning::taken_after`] without an answer: that opens the gate, unless the endpoint hangs.
    pub fn runs_long(&self) -> Option<Transition> {
        self.gate.change(|state| state.runs_long(self.place))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.gate.change(|state| state.leave(self.place));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
