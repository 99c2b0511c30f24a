//! What was accepted lately: how fast, how many per second, how many at once, and how close together.

use std::time::Duration;

use tokio::time::Instant;

use super::start::{Start, seconds};

/// The mean latency follows the last so many POSTs.
const LATENCY_POSTS: f64 = 50.0;
/// POSTs accepted are counted in spans of so long; the rate is that of one to two of them.
const SPAN: Duration = Duration::from_secs(30);
/// The most at once, and the closest together, are those of the last one to two times so many accepted.
const LEVELS: u32 = 30;
/// Refused ones that are remembered until those that started after them are answered.
const REFUSED: usize = 8;
/// The runtime's timers fire at whole milliseconds.
const TIMERS: f64 = 0.001_5;

/// Of this span and the one before, each pair in this order.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Mean seconds that an accepted POST took.
    latency: f64,
    /// How many it is the mean of.
    latencies: f64,
    accepted: [f64; 2],
    since: [Instant; 2],
    /// Most POSTs at once when one started that was accepted.
    highest: [f64; 2],
    /// Fewest seconds between the start of one that was accepted and the start before it, unless that was refused: a bucket
    /// takes one right after it has refused another.
    closest: [f64; 2],
    /// The last starts that were refused.
    refused: [Option<Instant>; REFUSED],
    /// POSTs accepted in this span of `LEVELS`.
    in_span: u32,
    /// Mean of POSTs at once when one started that was accepted.
    level: f64,
}

impl Seen {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            latency: 0.0,
            latencies: 0.0,
            accepted: [0.0; 2],
            since: [now; 2],
            highest: [0.0; 2],
            closest: [f64::INFINITY; 2],
            refused: [None; REFUSED],
            in_span: 0,
            level: 1.0,
        }
    }

    /// A POST was refused.
    pub(super) fn refused(&mut self, start: Start) {
        self.refused.rotate_right(1);
        let [last, ..] = &mut self.refused;
        *last = Some(start.at);
    }

    /// A POST was accepted.
    pub(super) fn accepted(&mut self, start: Start, now: Instant) {
        let (took, level) = (seconds(now, start.at), start.level);
        let gap = if self.refused.contains(&start.before) { f64::INFINITY } else { start.gap() };
        self.latencies = (self.latencies + 1.0).min(LATENCY_POSTS);
        self.latency += (took - self.latency) / self.latencies;
        let [this, _] = self.since;
        if seconds(now, this) > SPAN.as_secs_f64() {
            let [count, _] = self.accepted;
            (self.accepted, self.since) = ([0.0, count], [now, this]);
        }
        let [count, _] = &mut self.accepted;
        *count += 1.0;
        self.level += (level - self.level) / f64::from(LEVELS);
        let [highest, _] = &mut self.highest;
        *highest = highest.max(level);
        let [closest, _] = &mut self.closest;
        *closest = closest.min(gap);
        self.in_span += 1;
        if self.in_span >= LEVELS {
            self.in_span = 0;
            (self.highest, self.closest) = ([0.0, *highest], [f64::INFINITY, *closest]);
        }
    }

    /// Mean seconds that a POST took; `None` before the first, and where none took any time.
    pub(super) fn latency(&self) -> Option<f64> {
        Some(self.latency).filter(|latency| *latency > 0.0)
    }

    /// POSTs accepted per second, one more than there were; `None` before the first.
    pub(super) fn per_second(&self, now: Instant) -> Option<f64> {
        let [this, before] = self.accepted;
        let [_, since] = self.since;
        let latency = self.latency()?;
        Some((this + before + 1.0) / seconds(now, since).max(latency))
    }

    /// Mean of POSTs at once of those accepted.
    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// Most POSTs at once of which one was accepted.
    pub(super) fn highest(&self) -> f64 {
        let [this, before] = self.highest;
        this.max(before)
    }

    /// Fewest seconds between two starts of which the second was accepted; `None` before the first two, and where timers
    /// are too coarse to tell.
    pub(super) fn closest(&self) -> Option<f64> {
        let [this, before] = self.closest;
        Some(this.min(before)).filter(|closest| closest.is_finite() && *closest > TIMERS)
    }
}
