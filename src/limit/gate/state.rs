//! What a gate remembers: its phase, who waits for it, and the time it was not open.
//!
//! Changes without waiting; the gate wakes those that wait. Invariant: `closed` says why exactly while the phase is
//! not open.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::judge::{Judge, ProbeCost, Reason};
use super::{Rank, Transition};

/// Time between two rounds of probes that find nothing.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// A message on its last receive does not probe a gate closed for less than this: another may be found for it, or
/// arrive.
const LAST_RECEIVE_PATIENCE: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) judge: Judge,
    /// Who waits, best first; the number is the order of arrival.
    pub(super) waiting: BTreeSet<(Rank, u64)>,
    pub(super) arrivals: u64,
    /// Probes in a row that received nothing.
    empty_probes: usize,
    /// Every poller's probe received nothing: a message on its last receive may go.
    all_empty: bool,
    /// What probes cost when it closed last.
    cost: ProbeCost,
    /// The pause before the current or last probe.
    pub(super) pause: Duration,
    /// Every poller's probe found nothing: there is nothing to hold back, and none of the time counts as closed.
    pub(super) idle: bool,
    /// Why it is not open, and since when for this reason.
    pub(super) closed: Option<(Reason, Instant)>,
    /// Start of the time it is not open.
    pub(super) closed_since: Instant,
    /// Time not open in the past, by reason.
    closed_for: [Duration; Reason::ALL.len()],
    random: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A probe may go from then on.
    Closed(Instant),
    /// One probe is out.
    Probing,
}

impl State {
    /// Open; `seed` drives the spread of pauses.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            phase: Phase::Open,
            judge: Judge::default(),
            waiting: BTreeSet::new(),
            arrivals: 0,
            empty_probes: 0,
            all_empty: false,
            cost: ProbeCost::default(),
            pause: Duration::ZERO,
            idle: false,
            closed: None,
            closed_since: Instant::now(),
            closed_for: Default::default(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Closes, or keeps closed, for a pause that the judge measures.
    pub(super) fn close(&mut self, reason: Reason, asked: Duration, cost: ProbeCost) -> Duration {
        let now = Instant::now();
        let unit = self.random.f64();
        let pause = self.judge.pause(reason, asked, cost, unit);
        self.cost = cost;
        if std::mem::take(&mut self.idle) {
            self.closed = Some((reason, now));
        }
        match self.closed {
            None => self.closed_since = now,
            Some((before, _)) if before == reason => {}
            Some(_) => self.closed_for = self.closed_for(),
        }
        if self.closed.is_none_or(|(before, _)| before != reason) {
            self.closed = Some((reason, now));
        }
        self.phase = Phase::Closed(now + pause);
        self.pause = pause;
        self.empty_probes = 0;
        self.all_empty = false;
        pause
    }

    /// Lengthens the pause to what an answer under way asked for.
    pub(super) fn extend(&mut self, asked: Duration) {
        let unit = self.random.f64();
        let pause = Judge::default().pause(Reason::RetryAfter, asked, self.cost, unit);
        let until = Instant::now() + pause;
        self.phase = match self.phase {
            Phase::Closed(before) => Phase::Closed(before.max(until)),
            Phase::Probing => Phase::Closed(until),
            Phase::Open => return,
        };
        self.pause = self.pause.max(pause);
    }

    /// Opens, and tells how long it was not.
    pub(super) fn open(&mut self) -> Transition {
        self.closed_for = self.closed_for();
        self.closed = None;
        self.idle = false;
        self.phase = Phase::Open;
        self.empty_probes = 0;
        self.all_empty = false;
        Transition::Opened { after: self.closed_since.elapsed() }
    }

    /// A probe had no message that can be spared (`kept`: it brought some on their last receive): passes the turn
    /// on, until every poller had it. Then the pollers go on looking, in turn; messages on their last receive are
    /// kept for as long as there is patience.
    pub(super) fn found_nothing(&mut self, kept: bool) -> Option<Transition> {
        let pollers = self.waiting.iter().filter(|(rank, _)| rank.is_poller()).count();
        if self.empty_probes < pollers {
            self.empty_probes += 1;
            self.phase = Phase::Closed(Instant::now());
            return None;
        }
        self.empty_probes = 0;
        let held = kept || self.waiting.iter().any(|(rank, _)| !rank.is_poller());
        match self.closed {
            Some((reason, _)) if held && self.patience_ends() > Instant::now() => {
                let pause = self.close(reason, Duration::ZERO, self.cost);
                return Some(Transition::Closed { reason, pause, by_probe: true });
            }
            _ if held => {
                self.all_empty = true;
                self.phase = Phase::Closed(Instant::now());
            }
            _ => {
                if !self.idle {
                    self.closed_for = self.closed_for();
                    self.idle = true;
                }
                self.phase = Phase::Closed(Instant::now() + IDLE_PAUSE);
            }
        }
        None
    }

    /// From when on a message on its last receive may probe.
    pub(super) fn patience_ends(&self) -> Instant {
        self.closed_since + LAST_RECEIVE_PATIENCE
    }

    /// Time not open in all, by reason in the order of [`Reason::ALL`].
    pub(super) fn closed_for(&self) -> [Duration; Reason::ALL.len()] {
        let mut closed_for = self.closed_for;
        if let (Some((reason, since)), false) = (self.closed, self.idle) {
            let index = Reason::ALL.iter().position(|each| *each == reason).unwrap_or_default();
            if let Some(sum) = closed_for.get_mut(index) {
                *sum += since.elapsed();
            }
        }
        closed_for
    }

    /// Who may probe next.
    pub(super) fn first(&self) -> Option<(Rank, u64)> {
        let first = self.waiting.first().copied()?;
        if self.all_empty && first.0.is_poller() {
            return self.waiting.iter().find(|(rank, _)| !rank.is_poller()).copied().or(Some(first));
        }
        Some(first)
    }
}
