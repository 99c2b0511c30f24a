//! What a gate remembers, and how that changes. Without waiting; the gate wakes those that wait.
//!
//! *Probing* is no state of its own: it is closed with probes out.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::asked::Asked;
use super::evidence::{Circumstances, Evidence, Reason};
use super::judge::Judge;
use super::line::{Line, Place, Rank};
use crate::tuning::Gate as Tuning;

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
    pub(super) tuning: Tuning,
    /// `None`: it is open.
    pub(super) closed: Option<Closed>,
    pub(super) line: Line,
    judge: Judge,
    pub(super) asked: Asked,
    /// Closings, and probes refused, since the last success.
    refusals: u32,
    /// Time not open, by reason, as far as it was booked.
    closed_for: [Duration; Reason::ALL.len()],
    random: fastrand::Rng,
}

#[derive(Debug)]
pub(super) struct Closed {
    pub(super) reason: Reason,
    pub(super) since: Instant,
    /// Since when the time counts for this reason; not at all while nobody finds a message: nothing is held back.
    counts_from: Option<Instant>,
    /// A probe may go from then on.
    pub(super) next: Instant,
    /// The pause before that.
    pub(super) pause: Duration,
    /// What pauses double to.
    longest_pause: Duration,
    /// What closed it took long: a probe without an answer proves nothing, and others may go beside it.
    hangs: bool,
    /// Probes without a verdict. One that is not among them says nothing.
    pub(super) out: BTreeSet<Place>,
    /// Probes in a row that found no message.
    empty: usize,
    /// Whether a round of all pollers found none and patience is over: a message on its final receive goes.
    in_vain: bool,
}

impl Closed {
    /// Whether nobody found a message to probe with lately.
    pub(super) fn is_idle(&self) -> bool {
        self.counts_from.is_none()
    }
}

impl State {
    /// Open; `seed` drives the spread of pauses.
    pub(super) fn new(tuning: Tuning, seed: u64) -> Self {
        Self {
            tuning,
            closed: None,
            line: Line::default(),
            judge: Judge::default(),
            asked: Asked::default(),
            refusals: 0,
            closed_for: Default::default(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Takes note of what came of a POST, of this `probe` or of none.
    pub(super) fn learn(
        &mut self,
        probe: Option<Place>,
        evidence: Evidence,
        circumstances: &Circumstances,
    ) -> Option<Transition> {
        let (now, is_success) = (Instant::now(), evidence == Evidence::Success);
        if is_success {
            self.asked.succeeded(circumstances.began(now), probe.is_some());
        }
        let Some(closed) = &mut self.closed else {
            let reason = self.judge.consider(evidence, circumstances, &self.tuning, now);
            if is_success {
                self.refusals = 0;
            }
            if let (None, Evidence::Asked(pause)) = (reason, evidence) {
                self.asked.asks(pause, Duration::ZERO, now);
            }
            return Some(self.close(reason?, evidence, circumstances));
        };
        match (probe, evidence) {
            (Some(probe), _) if !closed.out.remove(&probe) => None,
            (Some(_), _) => match evidence.reason() {
                Some(reason) => Some(self.close(reason, evidence, circumstances)),
                None => self.open(is_success),
            },
            // What went out before this pause was asked for says nothing of it.
            (None, Evidence::Asked(pause)) if self.asked.asks(pause, closed.since.elapsed(), now) => {
                let pause = self.tuning.pauses.asked(pause, self.random.f64());
                closed.pause = closed.pause.max(pause);
                closed.next = closed.next.max(now + pause);
                closed.out.clear();
                None
            }
            (None, _) => None,
        }
    }

    /// Closes for a pause that is believed, and a fifth of it at most.
    #[cfg(test)]
    pub(super) fn close_for(&mut self, pause: Duration, circumstances: &Circumstances) {
        self.asked.asks(Duration::ZERO, Duration::ZERO, Instant::now());
        self.close(Reason::RetryAfter, Evidence::Asked(pause), circumstances);
    }

    /// Closes, or stays closed after a probe.
    fn close(&mut self, reason: Reason, evidence: Evidence, circumstances: &Circumstances) -> Transition {
        self.book();
        let (now, unit, pauses) = (Instant::now(), self.random.f64(), &self.tuning.pauses);
        let longest_pause = pauses.longest(reason, circumstances);
        let doubled = pauses.after(self.refusals, longest_pause, unit);
        let refused_for = self.closed.as_ref().map(|closed| closed.since.elapsed()).unwrap_or_default();
        let kept_to = match evidence {
            Evidence::Asked(pause) if self.asked.asks(pause, refused_for, now) => {
                Some(pauses.asked(pause, unit))
            }
            _ => None,
        };
        let pause = match kept_to {
            // The first is exactly as asked; an endpoint that asks for a second for an hour is not asked each second.
            Some(asked) if self.refusals == 0 => asked,
            Some(asked) => asked.max(doubled),
            None => doubled,
        };
        self.refusals = self.refusals.saturating_add(1);
        let mut closed = Closed {
            reason,
            since: now,
            counts_from: Some(now),
            next: now + pause,
            pause,
            longest_pause,
            hangs: reason == Reason::Unanswered || circumstances.took > self.tuning.taken_after / 2,
            out: BTreeSet::new(),
            empty: 0,
            in_vain: false,
        };
        let before = self.closed.take();
        let by_probe = before.is_some();
        if let Some(before) = before {
            closed.since = before.since;
            if kept_to.is_none() && !before.out.is_empty() {
                // Others are out: the next one goes a pause after the last of them.
                (closed.next, closed.out) = (before.next, before.out);
            }
        }
        self.closed = Some(closed);
        Transition::Closed { reason, pause, by_probe }
    }

    /// Opens, because the endpoint took a message or at least answers; tells how long it was not open.
    fn open(&mut self, took: bool) -> Option<Transition> {
        self.book();
        let (closed, outage) = (self.closed.take()?, self.refusals > 1);
        self.judge.start_over(took);
        if took {
            self.refusals = 0;
        }
        Some(Transition::Opened { after: closed.since.elapsed(), outage })
    }

    /// A probe runs without an answer: who refuses answers fast, so the endpoint has taken it, unless it hangs.
    pub(super) fn runs_long(&mut self, probe: Place) -> Option<Transition> {
        let closed = self.closed.as_ref()?;
        if closed.hangs || !closed.out.contains(&probe) { None } else { self.open(false) }
    }

    /// Whether one that waits may go on now, and as a probe. `Err`: not now, and until when.
    pub(super) fn ask(&mut self, place: Place) -> Result<bool, Option<Instant>> {
        let (now, first, patience_ends) = (Instant::now(), self.first(), self.patience_ends());
        let Some(closed) = &mut self.closed else { return Ok(false) };
        let can_spare = closed.longest_pause <= self.tuning.pauses.spared;
        let most = if closed.hangs && can_spare { self.tuning.probes_max } else { 1 };
        if closed.out.len() >= most {
            Err(None)
        } else if closed.next > now {
            Err(Some(closed.next))
        } else if first == Some(place) {
            let refusals = self.refusals.saturating_add(u32::try_from(closed.out.len()).unwrap_or(u32::MAX));
            closed.pause = self.tuning.pauses.after(refusals, closed.longest_pause, self.random.f64());
            closed.next = now + closed.pause;
            closed.out.insert(place);
            Ok(true)
        } else {
            Err(patience_ends.filter(|ends| place.0 == Rank::FinalReceive && *ends > now))
        }
    }

    /// Who may probe next. A message on its final receive goes last, unless the others have just looked in vain.
    fn first(&self) -> Option<Place> {
        let (first, last) = self.line.heads();
        let last = last.filter(|_| self.patience_is_over());
        if self.closed.as_ref()?.in_vain { last.or(first) } else { first.or(last) }
    }

    fn patience_is_over(&self) -> bool {
        self.patience_ends().is_some_and(|ends| ends <= Instant::now())
    }

    /// From when on a message on its final receive may probe: one more refusal would dead-letter it.
    fn patience_ends(&self) -> Option<Instant> {
        let closed = self.closed.as_ref()?;
        let at_last = closed.since + self.tuning.patience;
        Some(match (closed.reason, self.line.alone_since(closed.since)) {
            // Nothing is sent of it.
            (Reason::Unreachable, _) => closed.since,
            // The endpoint itself said when to come back, keeps to that, and was not asked since.
            (Reason::RetryAfter, _) if self.refusals <= 1 && self.asked.is_believed() => closed.since,
            (_, Some(since)) => at_last.min(since + self.tuning.patience_alone),
            (_, None) => at_last,
        })
    }

    /// A probe found no message that can be spared (`kept`: it brought some on their final receive): the turn passes on,
    /// until every poller had it. Then they go on looking, in turn.
    pub(super) fn found_nothing(&mut self, probe: Place, kept: bool) {
        let (pollers, Tuning { idle_pause, kept_pause, .. }) = (self.line.pollers(), self.tuning);
        let held = kept || self.line.has_messages();
        let patience_is_over = self.patience_is_over();
        let Some(closed) = self.abandoned(probe) else { return };
        closed.empty += 1;
        if closed.empty <= pollers {
            return;
        }
        (closed.empty, closed.in_vain) = (0, held && patience_is_over);
        if !held {
            closed.next += idle_pause;
            self.book();
        } else if !patience_is_over {
            closed.next += closed.pause.max(kept_pause);
        }
    }

    /// Somebody does not wait any longer, or was a probe and has no verdict: the next one may go.
    pub(super) fn leave(&mut self, place: Place) {
        self.line.leave(place);
        self.abandoned(place);
    }

    /// A probe is no more, without a verdict. `None`: the gate has changed since it went.
    fn abandoned(&mut self, probe: Place) -> Option<&mut Closed> {
        let closed = self.closed.as_mut()?;
        if !closed.out.remove(&probe) {
            return None;
        }
        closed.next = Instant::now();
        Some(closed)
    }

    /// Books the time until now; what follows is not counted.
    fn book(&mut self) {
        self.closed_for = self.closed_for();
        if let Some(closed) = &mut self.closed {
            closed.counts_from = None;
        }
    }

    /// Time not open in all, by reason in the order of [`Reason::ALL`].
    pub(super) fn closed_for(&self) -> [Duration; Reason::ALL.len()] {
        let mut closed_for = self.closed_for;
        let counting = self.closed.as_ref().and_then(|closed| Some((closed.reason, closed.counts_from?)));
        for (reason, sum) in Reason::ALL.into_iter().zip(&mut closed_for) {
            *sum += counting
                .filter(|(each, _)| *each == reason)
                .map_or(Duration::ZERO, |(_, from)| from.elapsed());
        }
        closed_for
    }
}
