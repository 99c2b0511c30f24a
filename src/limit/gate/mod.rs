//! The gate: whether messages are taken at all, for an endpoint or for one listener.
//!
//! [`judge`] says what closes it and for how long. When the pause is over one *probe* goes: a message already
//! held, else a receive of one, by the pollers in turn, those whose queue had messages last time first. What the
//! probe meets opens the gate or closes it for longer. A receive that brings nothing passes the turn on; while
//! nobody finds anything the pollers go on looking in turn, and the time does not count as closed: there is nothing
//! to hold back. The gate does not open for that, or each process would spend more than a probe when messages come.
//! A held message on its last receive goes last, after an hour or where no poller looks any more: one more refusal
//! would dead-letter it. A probe that hangs at a gate that hanging closed stays *outstanding* while the next goes; up to
//! three are.
//!
//! Receives under way when it closes may still bring messages; those wait here, under their leases.

mod judge;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use judge::{Evidence, ProbeCost, Reason};

use state::{Phase, Standing, State};
pub use state::{Rank, Transition};

/// A probe that runs for longer has found its endpoint: to connect takes 5 s unless somebody has set more. Should it
/// still be connecting, opening costs nothing: what cannot be sent is held.
const CONNECTING: Duration = Duration::from_secs(9);

/// One gate.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

/// The gate's state as the metrics and the status name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateState {
    /// Messages are taken.
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

/// Leave to go on.
#[derive(Debug)]
pub enum Pass {
    /// The gate is open.
    Open,
    /// It is not; this one goes to see.
    Probe(Probe),
}

/// What else bears on closing.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// POSTs that may run at once.
    pub limit: usize,
    /// What the next probes cost.
    pub probes: ProbeCost,
    /// Whether the answer took so long that a probe without one proves nothing.
    pub slow: bool,
}

/// A gate at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(seed)), changed: Notify::new() })
    }

    /// What it is now.
    pub fn snapshot(&self) -> GateSnapshot {
        let state = self.lock();
        let (gate, pause_left) = match state.phase {
            Phase::Open => (GateState::Open, Duration::ZERO),
            Phase::Closed(_) if state.idle => (GateState::Probing, Duration::ZERO),
            Phase::Closed(until) => (GateState::Closed, until.saturating_duration_since(Instant::now())),
            Phase::Probing => (GateState::Probing, Duration::ZERO),
        };
        let reason = state.closed.map(|(reason, _)| reason);
        let closed_for = reason.map(|_| state.closed_since.elapsed()).unwrap_or_default();
        GateSnapshot { state: gate, reason, closed_for, pause_left, idle: state.idle }
    }

    /// How long a message that cannot wait any longer should stay away: what is left of the pause, or while a
    /// probe is out the pause that came before it.
    pub fn pause_left(&self) -> Duration {
        let state = self.lock();
        match state.phase {
            Phase::Closed(until) => until.saturating_duration_since(Instant::now()),
            Phase::Probing => state.pause,
            Phase::Open => Duration::ZERO,
        }
    }

    /// Time it was not open in all, by reason in the order of [`Reason::ALL`].
    pub fn closed_for(&self) -> [Duration; Reason::ALL.len()] {
        self.lock().closed_for()
    }

    /// Whether messages may be taken right now without asking.
    pub fn is_open(&self) -> bool {
        self.lock().phase == Phase::Open
    }

    /// Takes note of what came of a POST that was no probe. What was under way when the gate closed can
    /// lengthen the pause by a Retry-After, and nothing else.
    pub fn learn(&self, evidence: Evidence, circumstances: Circumstances) -> Option<Transition> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            if let Evidence::Asked(asked) = evidence {
                state.extend(asked);
                drop(state);
                self.changed.notify_waiters();
            }
            return None;
        }
        let reason = state.judge.consider(evidence, circumstances.limit)?;
        let pause = state.close(reason, evidence.asked(), circumstances.probes);
        state.slow = circumstances.slow;
        drop(state);
        self.changed.notify_waiters();
        Some(Transition::Closed { reason, pause, by_probe: false })
    }

    /// A poller will be back, however long that takes: until this is dropped.
    pub fn away(&self) -> Away<'_> {
        self.lock().away += 1;
        Away(self)
    }

    /// Completes when the gate is not open.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn closed(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.is_open() {
                return;
            }
            changed.await;
        }
    }

    /// Waits for leave to go on.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn pass(self: &Arc<Self>, rank: Rank) -> Pass {
        if self.is_open() {
            return Pass::Open;
        }
        let place = Place::take(self, rank);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let until = {
                let mut state = self.lock();
                match state.phase {
                    Phase::Open => return Pass::Open,
                    Phase::Closed(until) if until > Instant::now() => Some(until),
                    Phase::Closed(_) if !state.may_probe(rank) => Some(state.patience_ends()),
                    Phase::Closed(_) if state.first() == Some(place.entry) => {
                        state.phase = Phase::Probing;
                        state.probe += 1;
                        state.hangs = None;
                        let (number, idle) = (state.probe, state.idle);
                        return Pass::Probe(Probe { gate: Some(Arc::clone(self)), number, idle, rank });
                    }
                    Phase::Closed(_) | Phase::Probing => None,
                }
            };
            tokio::select! {
                biased;
                () = &mut changed => {}
                () = pause(until) => {}
            }
        }
    }

    /// Changes the state for a probe, by what has become of that meanwhile; an answer that closed the gate since wins
    /// over the probe.
    fn end_probe(
        &self,
        number: u64,
        change: impl FnOnce(&mut State, Standing) -> Option<Transition>,
    ) -> Option<Transition> {
        let mut state = self.lock();
        let transition = match state.standing(number) {
            Standing::Forgotten => None,
            standing => change(&mut state, standing),
        };
        drop(state);
        self.changed.notify_waiters();
        transition
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pause(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// A poller that is away and will be back.
#[derive(Debug)]
#[must_use]
pub struct Away<'a>(&'a Gate);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.away -= 1;
        state.note_wait(Rank::IdlePoller);
    }
}

/// A place among those that wait; when the first leaves, the next may probe.
struct Place<'a> {
    gate: &'a Gate,
    entry: (Rank, u64),
}

impl<'a> Place<'a> {
    fn take(gate: &'a Gate, rank: Rank) -> Self {
        let mut state = gate.lock();
        let entry = (rank, state.arrivals);
        state.arrivals += 1;
        state.waiting.insert(entry);
        state.note_wait(rank);
        drop(state);
        Self { gate, entry }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        let was_first = state.first() == Some(self.entry);
        state.waiting.remove(&self.entry);
        state.note_wait(self.entry.0);
        drop(state);
        if was_first {
            self.gate.changed.notify_waiters();
        }
    }
}

/// A probe of a closed gate: the current one, until its end or until the gate changes. Dropped without a verdict, it
/// passes the turn on.
#[derive(Debug)]
#[must_use]
pub struct Probe {
    gate: Option<Arc<Gate>>,
    number: u64,
    idle: bool,
    rank: Rank,
}

impl Probe {
    /// Whether nobody found a message to probe with lately: this one may look for longer.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// What it met: opens the gate or closes it for longer.
    pub fn end(mut self, evidence: Evidence, circumstances: Circumstances) -> Option<Transition> {
        self.gate.take()?.end_probe(self.number, |state, standing| {
            let Some(reason) = evidence.keeps_closed() else {
                if evidence == Evidence::Success {
                    state.judge.succeeded();
                }
                return Some(state.open());
            };
            if standing == Standing::Outstanding {
                state.outstanding_failed(self.number, evidence);
                return None;
            }
            let pause = state.close(reason, evidence.asked(), circumstances.probes);
            state.slow = circumstances.slow;
            if !matches!(evidence, Evidence::Unanswered(_)) {
                // It answers again, if only to refuse: what hangs since before proves nothing against that.
                state.outstanding.clear();
            }
            Some(Transition::Closed { reason, pause, by_probe: true })
        })
    }

    /// The receive brought nothing, or only messages on their last receive, which are `kept`.
    pub fn found_nothing(mut self, kept: bool) {
        if let Some(gate) = self.gate.take() {
            gate.end_probe(self.number, |state, _| {
                state.found_nothing(kept);
                None
            });
        }
    }

    /// Its POST has run for `ran` without an answer: who throttles or refuses answers fast, so the gate opens,
    /// unless it was closed by not answering, beside which others may then go, or by answers that were slow; then the
    /// probe goes on. Where nothing could be sent it may still be connecting for a while.
    pub fn runs_long(&mut self, ran: Duration, cost: ProbeCost) -> Option<Transition> {
        let gate = self.gate.as_ref()?;
        let transition =
            gate.end_probe(self.number, |state, _| match state.closed.map(|(reason, _)| reason) {
                Some(Reason::Unanswered | Reason::Failing) => {
                    state.let_another_go(cost);
                    None
                }
                Some(Reason::Unreachable) if ran <= CONNECTING => None,
                _ if state.slow => None,
                _ => Some(state.open()),
            });
        if transition.is_some() {
            self.gate = None;
        }
        transition
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let rank = self.rank;
        if let Some(gate) = self.gate.take() {
            gate.end_probe(self.number, |state, standing| {
                if standing == Standing::Current {
                    state.note_wait(rank);
                    state.phase = Phase::Closed(Instant::now());
                } else {
                    state.outstanding.remove(&self.number);
                }
                None
            });
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
