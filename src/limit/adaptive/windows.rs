//! Windows: an endpoint that takes so many per minute closes the gate each minute. What it took between two openings is its
//! rate.
//!
//! Where a rate was found before, the first probe may be accepted. So it may where the gate closed as soon the time
//! before. Else one has to be refused.
//!
//! One window looks like an outage of some seconds soon after the start. So the first gives a rate that doubles, and the
//! next, if there is one, tells. Where refusals said "too many" it doubles slowly at first: several processes that share a
//! window then have about equal parts of the second as well.

use tokio::time::Instant;

use crate::tuning::Learned;

use super::start::seconds;

/// What was accepted from one opening of the gate to the next.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    opened_at: Instant,
    accepted: f64,
    /// When a POST was refused last, as far as that tells of a window; `None` if none was since the gate closed.
    refused_at: Option<Instant>,
    /// Whether that was a probe.
    is_probe_refused: bool,
    /// POSTs and seconds of the window before; zero unless it was one.
    before: (f64, f64),
    /// Whether the gate had closed as soon after it opened the time before.
    is_repeated: bool,
    /// Whether the last refusal before the gate closed said that there are too many.
    is_too_many: bool,
}

/// A window that is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// What it took in all; `None` if the gate may have closed within it.
    pub(super) posts: Option<f64>,
    pub(super) per_second: f64,
    /// Seconds in which a rate that begins with it doubles for the first time at the fastest; zero: no bound.
    pub(super) doubles_in: f64,
    /// Whether there was none right before it: it may have been an outage.
    pub(super) is_first: bool,
}

impl Windows {
    /// The gate is open.
    pub(super) fn new(opened_at: Instant) -> Self {
        Self {
            opened_at,
            accepted: 0.0,
            refused_at: None,
            is_probe_refused: false,
            before: (0.0, 0.0),
            is_repeated: false,
            is_too_many: false,
        }
    }

    /// A POST was accepted.
    pub(super) fn accepted(&mut self) {
        self.accepted += 1.0;
    }

    /// A POST was refused while the gate was open. `is_too_many`: it said that there are too many.
    pub(super) fn refused(&mut self, is_too_many: bool) {
        self.is_too_many = is_too_many;
    }

    /// The gate closes. `is_rate`: the endpoint was found to limit a rate.
    pub(super) fn closed(&mut self, is_rate: bool, now: Instant) {
        self.refused_at = (is_rate || self.is_repeated).then_some(now);
        self.is_probe_refused = false;
    }

    /// A probe of the closed gate was refused.
    pub(super) fn probe_refused(&mut self, now: Instant) {
        self.refused_at = Some(now);
        self.is_probe_refused = true;
    }

    /// The gate opens; `latency`: mean seconds that a POST takes. The window that is over, if there was one.
    pub(super) fn opened(&mut self, latency: f64, numbers: &Learned, now: Instant) -> Option<Window> {
        let Self { opened_at, accepted, refused_at, is_probe_refused, before, is_too_many, .. } = *self;
        *self = Self::new(now);
        let lasted = seconds(now, opened_at);
        let is_window = accepted >= numbers.window_posts && lasted < numbers.window_max.as_secs_f64();
        self.is_repeated = is_window;
        let refused_at = refused_at.filter(|_| is_window)?;
        self.before = (accepted, lasted);
        // It was over between the last POST that was refused and the one that was not.
        let least_time = (seconds(refused_at, opened_at) + before.1).max(latency).max(f64::EPSILON);
        let per_second = (accepted + before.0) / least_time;
        let is_first = before.1 <= 0.0;
        let doubles_in = if is_too_many { numbers.window_doubles * lasted } else { 0.0 };
        Some(Window { posts: is_probe_refused.then_some(accepted), per_second, doubles_in, is_first })
    }
}
