//! The adaptive limit: what an endpoint takes, found from its answers. Two outputs: POSTs at once, and starts per second.
//!
//! POSTs at once are a [`Level`]: they double with each round trip up to the ceiling where the endpoint last refused; there
//! they wait, then more are tried. Starts per second are a [`LearnedRate`]: what was taken between two refusals, and a curve
//! through it. A refusal is blamed on one of the two and cuts it.
//!
//! - *Blame falls on what is new*, see [`blame`].
//! - *One cut per round trip.* What was posted before the last cut says nothing of the limit after it. The more were accepted
//!   since the last cut, the less POSTs at once are cut.
//! - *Outages teach nothing.* A gate that closes takes back all cuts since the last success. Of a rate that was found the first
//!   stays. While it is closed refusals do not count.
//! - *Windows* close the gate at their end, see [`windows`].
//! - *Random faults are not load*, see [`background`].
//! - A rate far above what POSTs at once allow limits nothing, and is forgotten.
//!
//! Pure: time is an argument, memory is constant. Several processes at one endpoint run one each and share its capacity
//! without talking.

mod background;
mod blame;
mod in_vain;
mod learned_rate;
mod level;
mod seen;
mod start;
mod windows;

use tokio::time::Instant;

use crate::tuning::Learned;

use background::{Background, Verdict};
use blame::{Blame, Blames, Known};
use learned_rate::LearnedRate;
use level::Level;
use seen::Seen;
pub(super) use start::Start;
use start::seconds;
use windows::Windows;

/// What one endpoint was found to take.
#[derive(Debug, Clone)]
pub(super) struct Adaptive {
    numbers: Learned,
    /// Configured cap on POSTs at once, at least one.
    cap: usize,
    at_once: Level,
    /// Starts per second.
    rate: LearnedRate,
    seen: Seen,
    epoch: Epoch,
    windows: Windows,
    background: Background,
    /// Whether the endpoint's gate is not open.
    is_closed: bool,
    /// Last start.
    last_start: Option<Instant>,
    /// What was cut last.
    constraint: Option<Constraint>,
    blames: Blames,
    /// Whether the gate has opened, and POSTs at once have not been full since.
    is_filling: bool,
}

/// What an endpoint limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// Starts per time.
    Rate,
    /// POSTs at once.
    Concurrency,
}

/// How an endpoint refused a POST for lack of capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It says that there are too many.
    TooMany,
    /// It says that it is overloaded, or nothing. That may be a random fault.
    Overloaded,
}

/// What has happened since the last cut.
#[derive(Debug, Clone, Default)]
struct Epoch {
    /// POSTs accepted.
    accepted: f64,
    cut_at: Option<Instant>,
    /// Cuts since the last success.
    row: u32,
    /// What is true again if they were an outage; `None` where too little was known before the first of them.
    before_row: Option<(Level, LearnedRate)>,
}

impl Adaptive {
    /// For at most `cap` POSTs at once, at least one.
    pub(super) fn new(cap: usize, numbers: &Learned, now: Instant) -> Self {
        let cap = cap.max(1);
        Self {
            numbers: *numbers,
            cap,
            at_once: Level::new(numbers.initial.min(float(cap))),
            rate: LearnedRate::unknown(),
            seen: Seen::new(now),
            epoch: Epoch::default(),
            windows: Windows::new(now),
            background: Background::default(),
            is_closed: false,
            last_start: None,
            constraint: None,
            blames: Blames::default(),
            is_filling: false,
        }
    }

    /// Changes the cap, at least one; what was learned below it stays.
    pub(super) fn set_cap(&mut self, cap: usize) {
        self.cap = cap.max(1);
        self.at_once.lower_to(float(self.cap));
    }

    /// POSTs at once: at least 1, at most the cap.
    pub(super) fn at_once(&self) -> usize {
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and a number of sessions"
        )]
        let whole = self.whole() as usize;
        whole
    }

    fn whole(&self) -> f64 {
        // What steps and shares add up to may miss a whole number by a rounding error.
        (self.at_once.value() + 1e-6).floor().clamp(1.0, float(self.cap))
    }

    /// Starts per second; `None` while unlimited.
    pub(super) fn per_second(&self) -> Option<f64> {
        Some(self.rate.value()).filter(|rate| rate.is_finite())
    }

    /// Starts per second that pacing keeps to. While no rate is known starts are spread all the same: a limit that has
    /// grown is not used up at once.
    pub(super) fn pace(&self) -> Option<f64> {
        let Learned { spread, spread_found, spread_least, .. } = self.numbers;
        let spread = if self.at_once.is_found() { spread_found } else { spread };
        let spread = || Some((spread * self.at_once.value() / self.seen.latency()?).max(spread_least));
        self.per_second().or_else(spread)
    }

    /// What was cut last; `None` while the endpoint has not been found to limit anything.
    pub(super) fn constraint(&self) -> Option<Constraint> {
        self.constraint
    }

    /// Whether the endpoint has refused for what now limits this; else it may take any number more.
    pub(super) fn is_found(&self, constraint: Constraint) -> bool {
        match constraint {
            Constraint::Rate => self.rate.is_found(),
            Constraint::Concurrency => self.at_once.is_found(),
        }
    }

    /// A POST starts, with which so many run; `is_paced`: it had waited for the pace. After an hour without one all is
    /// forgotten.
    pub(super) fn started(&mut self, now: Instant, running: usize, is_paced: bool) -> Start {
        let before = self.last_start;
        if before.is_some_and(|before| now.saturating_duration_since(before) >= self.numbers.forgotten_after)
        {
            *self = Self { is_closed: self.is_closed, ..Self::new(self.cap, &self.numbers, now) };
        }
        self.last_start = Some(now);
        let (level, is_paced) = (float(running), is_paced && self.per_second().is_some());
        if is_paced && let Some(before) = before {
            self.rate.started(seconds(now, before));
        }
        let is_full = level >= self.whole();
        self.is_filling &= !is_full;
        Start { at: now, level, is_full, is_paced, before }
    }

    /// That POST succeeded.
    pub(super) fn succeeded(&mut self, start: Start, now: Instant) {
        self.windows.accepted();
        self.background.accepted();
        self.seen.accepted(start, now);
        if self.epoch.is_over(start) {
            return;
        }
        self.epoch.accepted += 1.0;
        self.blames.accepted();
        self.epoch.row = 0;
        if start.is_full {
            // Twice as many after a round trip in which all of them succeeded.
            let (at_once, per_second) = (self.at_once.value(), self.throughput());
            let step_posts = self.step_posts(self.numbers.at_once_step_posts, per_second);
            self.at_once.grow(at_once.max(2.0), step_posts, &self.numbers);
            // One too many at once is refused at once. A rate has to wait: bursts and windows tell late.
            self.at_once.unlimit_after(self.numbers.obsolete);
            self.at_once.lower_to(float(self.cap));
        }
        let rate = self.rate.value();
        if self.at_once.is_found() && rate > self.numbers.loose * self.throughput() {
            self.rate = LearnedRate::unknown();
        } else if start.is_paced && rate.is_finite() {
            self.rate.grow(self.latency(), &self.numbers.rate);
        }
    }

    /// That POST was refused for lack of capacity.
    pub(super) fn refused(&mut self, start: Start, how: Refused, now: Instant) {
        if self.is_closed {
            return;
        }
        self.seen.refused(start);
        self.windows.refused(how == Refused::TooMany);
        if how == Refused::Overloaded {
            self.background.met();
        }
        if self.epoch.is_over(start) {
            return;
        }
        if start.is_paced {
            self.rate.not_taken();
        }
        // What started in the round trip after a cut meets what started before it.
        if self.epoch.cut_at.is_some_and(|cut_at| seconds(now, cut_at) < self.latency()) {
            if self.constraint == Some(Constraint::Rate) {
                self.rate.cut_again(&self.numbers.rate);
            }
            return;
        }
        if how == Refused::Overloaded && self.is_background() {
            return;
        }
        if self.epoch.row == 0 {
            let is_known = self.epoch.accepted >= self.numbers.known_after;
            self.epoch.before_row = is_known.then_some((self.at_once, self.rate));
        }
        self.cut(start, now);
        if self.epoch.row == 0
            && let Some((_, before)) = &mut self.epoch.before_row
            && before.is_found()
            && self.rate.is_found()
        {
            // An outage costs a known rate no more than any refusal.
            *before = self.rate;
        }
        self.epoch.cut(now);
    }

    /// The gate closes: all that was refused since the last success is one outage.
    pub(super) fn gate_closed(&mut self, now: Instant) {
        self.is_closed = true;
        self.windows.closed(self.rate.is_found(), now);
        if let Some(before_row) = self.epoch.before_row.take() {
            (self.at_once, self.rate) = before_row;
        } else if self.seen.latency().is_none() {
            // Nothing was ever accepted. Others may use it up: what is left is found slowly.
            self.at_once = Level::new(self.numbers.initial.min(float(self.cap)));
            self.rate.begin(self.numbers.rate.initial_refused);
        } else if self.epoch.row > 0 {
            // Too little was known to tell an outage from a limit.
            self.at_once.unlimit();
        }
    }

    /// A probe of the closed gate was refused.
    pub(super) fn probe_refused(&mut self, now: Instant) {
        self.windows.probe_refused(now);
    }

    /// The gate opens.
    pub(super) fn gate_opened(&mut self, now: Instant) {
        self.is_closed = false;
        self.is_filling = true;
        // Where one at once is known to be all, the gate was closed by the POSTs of others.
        let is_shared = self.at_once.is_one() && self.at_once.is_found() && self.rate.value().is_infinite();
        if is_shared {
            self.windows = Windows::new(now);
        } else if let Some(window) = self.windows.opened(self.latency(), &self.numbers, now) {
            if window.is_first && !self.rate.is_found() {
                self.rate.begin_window(window);
            } else {
                self.rate.find_window(window, &self.numbers.rate);
            }
            self.epoch.cut_at = Some(now);
            self.constraint = Some(Constraint::Rate);
        }
    }

    /// Blames a refusal and cuts.
    fn cut(&mut self, start: Start, now: Instant) {
        let Learned { soft, step, .. } = self.numbers;
        let Start { level, .. } = start;
        let left = (self.epoch.accepted + soft) / (self.epoch.accepted + soft + 1.0);
        // A deep cut lowers the ceiling too: it is not climbed back to.
        let ceiling = (left / (1.0 - step)).min(1.0);
        let rate = self.rate.value();
        let known = Known {
            numbers: &self.numbers,
            seen: &self.seen,
            at_once: self.at_once,
            rate,
            is_measured: self.rate.is_measured(),
            accepted: self.epoch.accepted,
            row: self.epoch.row,
            is_filling: self.is_filling,
        };
        self.constraint = match self.blames.blame(start, &known) {
            Blame::Chance => return,
            Blame::AtOnce => {
                self.at_once.cut(level * ceiling, level - 1.0);
                Some(Constraint::Concurrency)
            }
            Blame::SharedCap => {
                self.rate = LearnedRate::unknown();
                self.at_once.cut(2.0, 1.0);
                Some(Constraint::Concurrency)
            }
            Blame::Either { closest } => {
                self.rate.hold(closest.recip());
                self.at_once.set(level - 1.0);
                Some(Constraint::Rate)
            }
            Blame::Rate if rate.is_infinite() => {
                // Nothing was limited at once after all.
                self.at_once.unlimit();
                self.rate.begin(self.seen.per_second(now).unwrap_or(self.numbers.rate.initial));
                Some(Constraint::Rate)
            }
            Blame::Rate => {
                self.rate.cut(&self.numbers.rate);
                Some(Constraint::Rate)
            }
        };
    }

    /// Whether a refusal was a random fault. When such are found, so were those that made the ceilings.
    fn is_background(&mut self) -> bool {
        let doubles = self.rate.value().is_finite() && !self.rate.is_found();
        let load = (!doubles).then(|| self.rate.value().min(self.throughput()));
        let verdict = self.background.judge(load, &self.numbers.background);
        if verdict == Verdict::Found {
            self.at_once.unlimit();
            self.rate.unlimit();
        }
        verdict != Verdict::Congestion
    }

    /// POSTs accepted that a step takes, of so many per second.
    fn step_posts(&self, at_one_per_second: f64, per_second: f64) -> f64 {
        (at_one_per_second * per_second.sqrt()).max(self.numbers.step_posts_min)
    }

    /// POSTs per second that the limit on POSTs at once allows.
    fn throughput(&self) -> f64 {
        self.at_once.value() / self.latency().max(0.001)
    }

    /// Mean seconds that a POST takes.
    fn latency(&self) -> f64 {
        self.seen.latency().unwrap_or_default()
    }
}

impl Epoch {
    /// Whether a POST started before the last cut.
    fn is_over(&self, start: Start) -> bool {
        self.cut_at.is_some_and(|cut_at| start.at <= cut_at)
    }

    fn cut(&mut self, now: Instant) {
        self.accepted = 0.0;
        self.cut_at = Some(now);
        self.row = self.row.saturating_add(1);
    }
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
