//! The adaptive limit: what an endpoint takes, found from its answers. Two outputs: POSTs at once, and starts per second.
//!
//! Each output is a [`Level`]: a value, and the ceiling where the endpoint last refused. Below the ceiling it doubles with
//! each round trip; there it waits, then tries more in growing steps. A refusal is blamed on one of the two and cuts it.
//!
//! - *Blame.* POSTs at once are blamed if more ran than were lately accepted. So they are if the limit was full and no start
//!   waited for the rate. Else the rate is; it is unlimited until then, and begins as what was accepted per second.
//! - *One cut per epoch.* What was posted before the last cut says nothing of the limit after it. The cut is as deep as the
//!   share of refusals since the one before: one in many costs little.
//! - *Outages teach nothing.* A gate that closes takes back all cuts since the last success but the first. While it is
//!   closed refusals do not count.
//! - *Windows.* An endpoint that takes so many per minute closes the gate each minute. What was accepted between two openings,
//!   twice in a row, is its rate.
//!
//! Pure: time is an argument, memory is constant. Several processes at one endpoint run one each and share its capacity
//! without talking.

mod level;
mod seen;

use std::time::Duration;

use tokio::time::Instant;

use crate::tuning::Learned;

use level::Level;
use seen::{Seen, seconds};

/// What one endpoint was found to take.
#[derive(Debug, Clone)]
pub(super) struct Adaptive {
    numbers: Learned,
    /// Configured cap on POSTs at once, at least one.
    cap: usize,
    at_once: Level,
    /// Starts per second.
    rate: Level,
    seen: Seen,
    epoch: Epoch,
    windows: Windows,
    /// Whether the endpoint's gate is not open.
    is_closed: bool,
    /// Last start or answer.
    last_post: Instant,
    /// What was cut last.
    constraint: Option<Constraint>,
}

/// What an endpoint limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// Starts per time.
    Rate,
    /// POSTs at once.
    Concurrency,
}

/// What the limits were when a POST started; the session hands it back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    at: Instant,
    /// POSTs that ran then, this one included.
    level: f64,
    /// Whether as many ran as may.
    is_full: bool,
    /// Whether it had waited for the learned rate.
    is_paced: bool,
    /// That rate; infinite if none was known.
    rate: f64,
}

/// What has happened since the last cut.
#[derive(Debug, Clone, Default)]
struct Epoch {
    /// Weight of POSTs accepted; halved by each cut.
    accepted: f64,
    /// Weight of refusals, likewise.
    refused: f64,
    cut_at: Option<Instant>,
    /// Cuts since the last success.
    row: u32,
    /// The levels after the first of them, which stands for the whole outage; `None` where too little was known before.
    after_first: Option<(Level, Level)>,
}

/// What was accepted from one opening of the gate to the next.
#[derive(Debug, Clone)]
struct Windows {
    opened_at: Instant,
    accepted: f64,
    /// POSTs and seconds of the window before; `None` unless it was one.
    last: Option<(f64, f64)>,
}

impl Adaptive {
    /// For at most `cap` POSTs at once, at least one.
    pub(super) fn new(cap: usize, numbers: Learned, now: Instant) -> Self {
        let cap = cap.max(1);
        Self {
            numbers,
            cap,
            at_once: Level::new(numbers.initial.min(float(cap)), 1.0, now),
            rate: Level::new(f64::INFINITY, 0.0, now),
            seen: Seen::new(now),
            epoch: Epoch::default(),
            windows: Windows { opened_at: now, accepted: 0.0, last: None },
            is_closed: false,
            last_post: now,
            constraint: None,
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
        let Learned { spread, spread_least, .. } = self.numbers;
        let spread = || Some((spread * self.at_once.value() / self.seen.latency()?).max(spread_least));
        self.per_second().or_else(spread)
    }

    /// What was cut last; `None` while the endpoint has not been found to limit anything.
    pub(super) fn constraint(&self) -> Option<Constraint> {
        self.constraint
    }

    /// A POST starts, with which so many run; `is_paced`: it had waited for the pace. After an hour without one all is
    /// forgotten.
    pub(super) fn started(&mut self, now: Instant, running: usize, is_paced: bool) -> Start {
        if seconds(now, self.last_post) >= self.numbers.forgotten_after.as_secs_f64() {
            *self = Self { is_closed: self.is_closed, ..Self::new(self.cap, self.numbers, now) };
        }
        self.last_post = now;
        let (level, rate) = (float(running), self.rate.value());
        Start { at: now, level, is_full: level >= self.whole(), is_paced: is_paced && rate.is_finite(), rate }
    }

    /// That POST succeeded.
    pub(super) fn succeeded(&mut self, start: Start, now: Instant) {
        self.last_post = now;
        self.windows.accepted += 1.0;
        self.seen.accepted(seconds(now, start.at), start.level, now);
        if self.epoch.is_over(start) {
            return;
        }
        self.epoch.accepted += 1.0;
        self.epoch.row = 0;
        if start.is_full {
            // Twice as many after a round trip in which all of them succeeded.
            let posts = self.at_once.value().max(2.0);
            self.at_once.grow(posts, &self.numbers, now);
            self.at_once.lower_to(float(self.cap));
        }
        if start.is_paced {
            let latency = self.seen.latency().unwrap_or_default();
            let posts = self.rate.value() * (latency + self.numbers.rate_doubles_in.as_secs_f64());
            self.rate.grow(posts.max(1.5), &self.numbers, now);
        }
    }

    /// That POST was refused for lack of capacity. The gate keeps to the pause it asked for.
    pub(super) fn refused(&mut self, start: Start, _retry_after: Duration, now: Instant) {
        self.last_post = now;
        // What started in the round trip after a cut meets what started before it.
        let latency = self.seen.latency().unwrap_or_default();
        let is_early = self.epoch.cut_at.is_some_and(|cut_at| seconds(now, cut_at) < latency);
        if self.is_closed || is_early || self.epoch.is_over(start) {
            return;
        }
        self.epoch.refused += 1.0;
        let is_known = self.epoch.accepted >= self.numbers.known_after;
        if self.is_concurrency(start, is_known) {
            self.cut_at_once(start, now);
        } else {
            self.cut_rate(start, now);
        }
        self.epoch.cut(now);
        if self.epoch.row == 1 {
            self.epoch.after_first = is_known.then_some((self.at_once, self.rate));
        }
    }

    /// The gate closes: all that was refused since the last success is one outage.
    pub(super) fn gate_closed(&mut self) {
        self.is_closed = true;
        if let Some(after_first) = self.epoch.after_first.take() {
            (self.at_once, self.rate) = after_first;
        }
    }

    /// The gate opens.
    pub(super) fn gate_opened(&mut self, now: Instant) {
        self.is_closed = false;
        let (accepted, lasted) = (self.windows.accepted, seconds(now, self.windows.opened_at));
        let Learned { window_posts, window_min, window_max, .. } = self.numbers;
        let is_so_long = lasted > window_min.as_secs_f64() && lasted < window_max.as_secs_f64();
        let is_window = accepted >= window_posts && is_so_long;
        let this = is_window.then_some((accepted, lasted));
        if let (Some((posts, time)), Some((posts_before, time_before))) = (this, self.windows.last) {
            let per_second = (posts + posts_before) / (time + time_before);
            self.rate.cut(per_second, per_second, &self.numbers, now);
            self.epoch.cut_at = Some(now);
            self.constraint = Some(Constraint::Rate);
        }
        self.windows = Windows { opened_at: now, accepted: 0.0, last: this };
    }

    /// Whether too many at once is the likelier reason of a refusal.
    fn is_concurrency(&self, start: Start, is_known: bool) -> bool {
        let is_more = start.level > self.seen.highest();
        let is_blamed = self.at_once.value() >= 2.0 && (is_more || start.is_full && !start.is_paced);
        // Of a limit that was found before, and without a rate, a few answers are not enough.
        is_blamed && (is_known || self.per_second().is_some() || !self.at_once.is_found())
    }

    fn cut_at_once(&mut self, start: Start, now: Instant) {
        let left = (start.level - 1.0).min(start.level * self.epoch.share());
        self.at_once.cut(start.level, left, &self.numbers, now);
        self.constraint = Some(Constraint::Concurrency);
        if self.per_second().is_none() {
            self.epoch.forget_shares();
        }
    }

    fn cut_rate(&mut self, start: Start, now: Instant) {
        self.constraint = Some(Constraint::Rate);
        let rate = self.rate.value();
        if rate.is_infinite() {
            // Nothing was limited at once after all.
            self.at_once.unlimit();
            self.rate.set(self.seen.per_second(now).unwrap_or(self.numbers.rate_initial));
            self.epoch.forget_shares();
            return;
        }
        // Cuts in a row are about one ceiling.
        let ceiling = if self.epoch.row > 0 && self.rate.is_found() {
            self.rate.ceiling()
        } else if start.rate.is_finite() {
            start.rate.max(rate)
        } else {
            rate
        };
        self.rate.cut(ceiling, rate * self.epoch.share(), &self.numbers, now);
    }
}

impl Epoch {
    /// Whether a POST started before the last cut.
    fn is_over(&self, start: Start) -> bool {
        self.cut_at.is_some_and(|cut_at| start.at <= cut_at)
    }

    /// What was accepted, as a share; one more counts as accepted, so that the first refusal leaves half.
    fn share(&self) -> f64 {
        (self.accepted + 1.0) / (self.accepted + self.refused + 1.0)
    }

    fn forget_shares(&mut self) {
        (self.accepted, self.refused) = (0.0, 0.0);
    }

    fn cut(&mut self, now: Instant) {
        self.accepted /= 2.0;
        self.refused /= 2.0;
        self.cut_at = Some(now);
        self.row = self.row.saturating_add(1);
    }
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
