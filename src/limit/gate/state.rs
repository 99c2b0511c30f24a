//! What a gate remembers: its phase, who waits for it, and the time it was not open.
//!
//! Changes without waiting; the gate wakes those that wait. Invariant: `closed` says why exactly while the phase is
//! not open.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::judge::{Evidence, Judge, ProbeCost, Reason};

/// Time between two rounds of probes that find nothing.
const IDLE_PAUSE: Duration = Duration::from_secs(5);
/// Least time between two rounds that find only messages on their last receive: each round takes one more.
const KEPT_PAUSE: Duration = Duration::from_secs(20);
/// A message on its last receive does not probe a gate closed for less than this: another may be found for it, or
/// arrive.
const LAST_RECEIVE_PATIENCE: Duration = Duration::from_secs(3_600);
/// A poller that waited at the gate within this time will be back: it receives (30 s at most) or backs off (30 s at most).
const POLLER_ABSENCE: Duration = Duration::from_secs(75);
/// Probes without an answer beside which others may go: with pauses of half a minute between them they cover a time-out
/// of a minute and more, and an endpoint that hangs holds no more of our messages.
const OUTSTANDING_MAX: usize = 3;

/// Who asks to pass, in the order in which they may probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A message in flight here.
    Held,
    /// A poller whose last receive brought something.
    BusyPoller,
    /// Another poller.
    IdlePoller,
    /// A message in flight here that SQS moves to the dead-letter queue when it has to be received again.
    HeldLastReceive,
}

impl Rank {
    pub(super) fn is_poller(self) -> bool {
        matches!(self, Self::BusyPoller | Self::IdlePoller)
    }
}

/// What a change of the gate was, for whoever tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It was open and closed, or a probe left it closed.
    Closed {
        /// Why.
        reason: Reason,
        /// Until the next probe.
        pause: Duration,
        /// Whether it was a probe's doing.
        by_probe: bool,
    },
    /// It opened.
    Opened {
        /// Time it was not open.
        after: Duration,
        /// Whether a probe was refused before.
        outage: bool,
    },
}

/// What a gate remembers.
#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) judge: Judge,
    /// Who waits, best first; the number is the order of arrival.
    pub(super) waiting: BTreeSet<(Rank, u64)>,
    pub(super) arrivals: u64,
    /// When a poller last waited here.
    poller_seen: Instant,
    /// Pollers that have said they will be back.
    pub(super) away: usize,
    /// Probes in a row that received nothing.
    empty_probes: usize,
    /// Every poller's probe received nothing: a message on its last receive may go.
    all_empty: bool,
    /// What probes cost when it closed last.
    cost: ProbeCost,
    /// The pause before the current or last probe.
    pub(super) pause: Duration,
    /// Number of the last probe; one that went before a change of the gate says nothing.
    pub(super) probe: u64,
    /// Probes that run without an answer while others go; should one succeed after all, the gate opens.
    pub(super) outstanding: BTreeSet<u64>,
    /// The current probe runs without an answer too, and waits for one of those to end; what the next one costs.
    pub(super) hangs: Option<ProbeCost>,
    /// What closed it took long to come: a probe without an answer proves nothing.
    pub(super) slow: bool,
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

/// What has become of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its verdict is awaited.
    Current,
    /// Others go; only a success of it counts, and a pause it is asked for.
    Outstanding,
    /// The gate has changed since.
    Forgotten,
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
            poller_seen: Instant::now(),
            away: 0,
            empty_probes: 0,
            all_empty: false,
            cost: ProbeCost::default(),
            pause: Duration::ZERO,
            probe: 0,
            outstanding: BTreeSet::new(),
            hangs: None,
            slow: false,
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
        self.wake_up();
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
        self.outstanding.clear();
        self.wake_up();
    }

    /// What has become of a probe.
    pub(super) fn standing(&self, number: u64) -> Standing {
        if self.phase == Phase::Probing && self.probe == number {
            Standing::Current
        } else if self.outstanding.contains(&number) {
            Standing::Outstanding
        } else {
            Standing::Forgotten
        }
    }

    /// The probe that is out has no answer yet, which is what closed the gate. The next one does not wait for its
    /// time-out, so that the end of an outage is found soon, as long as that can be afforded.
    pub(super) fn let_another_go(&mut self, cost: ProbeCost) {
        let Some((reason, _)) = self.closed else { return };
        if !self.judge.can_afford(cost) {
            return;
        }
        if self.outstanding.len() < OUTSTANDING_MAX {
            self.outstanding.insert(self.probe);
            self.close(reason, Duration::ZERO, cost);
        } else {
            self.hangs = Some(cost);
        }
    }

    /// An outstanding probe has brought nothing either.
    pub(super) fn outstanding_failed(&mut self, number: u64, evidence: Evidence) {
        self.outstanding.remove(&number);
        if let Evidence::Asked(pause) = evidence {
            self.extend(pause);
        } else if let (Phase::Probing, Some(cost)) = (self.phase, self.hangs.take()) {
            self.let_another_go(cost);
        }
    }

    /// Time counts as closed again.
    fn wake_up(&mut self) {
        if let (true, Some((reason, _))) = (std::mem::take(&mut self.idle), self.closed) {
            self.closed = Some((reason, Instant::now()));
        }
    }

    /// Opens, and tells how long it was not.
    pub(super) fn open(&mut self) -> Transition {
        let outage = self.judge.has_refused_a_probe();
        self.closed_for = self.closed_for();
        self.closed = None;
        self.idle = false;
        self.phase = Phase::Open;
        self.outstanding.clear();
        self.empty_probes = 0;
        self.all_empty = false;
        Transition::Opened { after: self.closed_since.elapsed(), outage }
    }

    /// A probe had no message that can be spared (`kept`: it brought some on their last receive): passes the turn
    /// on, until every poller had it. Then the pollers go on looking, in turn; messages on their last receive are
    /// kept for as long as there is patience.
    pub(super) fn found_nothing(&mut self, kept: bool) {
        let now = Instant::now();
        if self.empty_probes < self.pollers() {
            self.empty_probes += 1;
            self.phase = Phase::Closed(now);
            return;
        }
        self.empty_probes = 0;
        let held = kept || self.waiting.iter().any(|(rank, _)| !rank.is_poller());
        self.phase = if !held {
            if !self.idle {
                self.closed_for = self.closed_for();
                self.idle = true;
            }
            Phase::Closed(now + IDLE_PAUSE)
        } else if self.patience_ends() > now {
            Phase::Closed(now + self.pause.max(KEPT_PAUSE))
        } else {
            self.all_empty = true;
            Phase::Closed(now)
        };
    }

    /// Pollers that wait.
    pub(super) fn pollers(&self) -> usize {
        self.waiting.iter().filter(|(rank, _)| rank.is_poller()).count()
    }

    /// From when on a message on its last receive may probe. Where the endpoint itself said when to come back, and was not
    /// asked since, that is at once; where no poller comes any more, because such messages hold all workers, soon.
    pub(super) fn patience_ends(&self) -> Instant {
        match self.closed {
            Some((Reason::RetryAfter, _)) if !self.judge.has_refused_a_probe() => return self.closed_since,
            // Nothing is sent of it.
            Some((Reason::Unreachable, _)) => return self.closed_since,
            _ => {}
        }
        let patience = self.closed_since + LAST_RECEIVE_PATIENCE;
        if self.pollers() + self.away > 0 {
            return patience;
        }
        patience.min(self.poller_seen.max(self.closed_since) + POLLER_ABSENCE)
    }

    /// Whether one of this rank may probe now; on a last receive it needs patience.
    pub(super) fn may_probe(&self, rank: Rank) -> bool {
        rank != Rank::HeldLastReceive || self.patience_ends() <= Instant::now()
    }

    /// Somebody begins or ends to wait.
    pub(super) fn note_wait(&mut self, rank: Rank) {
        if rank.is_poller() {
            self.poller_seen = Instant::now();
        }
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
