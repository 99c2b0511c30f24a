//! One learned quantity: a value, and the ceiling where the endpoint last refused.
//!
//! Below the ceiling by a step the value doubles. There it waits, then rises beyond in steps that grow with the square of
//! POSTs and time without a refusal: what is lost while a limit stays is little, and one that was raised is found soon.

use tokio::time::Instant;

use super::seen::seconds;
use crate::tuning::Learned;

/// A value that is learned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    value: f64,
    /// Where the endpoint refused last; infinite before.
    ceiling: f64,
    /// The least step, and the least value.
    unit: f64,
    /// POSTs accepted since it waits below the ceiling.
    accepted: f64,
    /// Since when it waits there.
    since: Instant,
}

impl Level {
    /// Begins with a value, without a ceiling.
    pub(super) fn new(value: f64, unit: f64, now: Instant) -> Self {
        Self { value, ceiling: f64::INFINITY, unit, accepted: 0.0, since: now }
    }

    pub(super) fn value(&self) -> f64 {
        self.value
    }

    pub(super) fn ceiling(&self) -> f64 {
        self.ceiling
    }

    /// Whether a ceiling is known.
    pub(super) fn is_found(&self) -> bool {
        self.ceiling.is_finite()
    }

    /// Forgets the ceiling.
    pub(super) fn unlimit(&mut self) {
        self.ceiling = f64::INFINITY;
    }

    /// Changes the value, and nothing else.
    pub(super) fn set(&mut self, value: f64) {
        self.value = value;
    }

    pub(super) fn lower_to(&mut self, most: f64) {
        self.value = self.value.min(most);
    }

    /// The endpoint refused at this ceiling; at most `left` remains.
    pub(super) fn cut(&mut self, ceiling: f64, left: f64, numbers: &Learned, now: Instant) {
        self.ceiling = ceiling;
        self.value = left.min(self.waits_at(numbers)).max(self.unit);
        self.wait(now);
    }

    /// A POST was accepted that this value had held back; so many of them double it.
    pub(super) fn grow(&mut self, posts: f64, numbers: &Learned, now: Instant) {
        let waits_at = self.waits_at(numbers);
        if self.value < waits_at {
            self.value = (self.value * posts.recip().exp2()).min(waits_at);
            self.wait(now);
            return;
        }
        self.accepted += 1.0;
        let waited = seconds(now, self.since) / numbers.step_time.as_secs_f64();
        let steps = waited.min(self.accepted / numbers.step_posts);
        self.value = self.value.max(waits_at + self.step(numbers) * steps * steps);
    }

    fn wait(&mut self, now: Instant) {
        (self.accepted, self.since) = (0.0, now);
    }

    fn step(&self, numbers: &Learned) -> f64 {
        (self.ceiling * numbers.step).max(self.unit)
    }

    /// Where it waits: a step below the ceiling.
    fn waits_at(&self, numbers: &Learned) -> f64 {
        if self.is_found() { (self.ceiling - self.step(numbers)).max(self.unit) } else { f64::INFINITY }
    }
}
