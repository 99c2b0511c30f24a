//! One learned quantity: a value, and the ceiling where the endpoint last refused.
//!
//! Below the ceiling the value doubles. Just under it it waits, then rises beyond with the square of the POSTs accepted. So
//! little is lost while a limit stays, and one that was raised is found soon. A POST counts for less where there are many
//! per second: of several processes the slow ones catch up.

use crate::tuning::Learned;

/// A value that is learned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    value: f64,
    /// Where the endpoint refused last; infinite before.
    ceiling: f64,
    /// The least step, and the least value.
    unit: f64,
    /// How far it has gone beyond where it waits: 1 is one step, 2 four steps.
    tried: f64,
}

impl Level {
    /// Begins with a value, without a ceiling.
    pub(super) fn new(value: f64, unit: f64) -> Self {
        Self { value, ceiling: f64::INFINITY, unit, tried: 0.0 }
    }

    pub(super) fn value(&self) -> f64 {
        self.value
    }

    /// Whether it is less than two.
    pub(super) fn is_one(&self) -> bool {
        self.value < 2.0
    }

    /// Whether a ceiling is known.
    pub(super) fn is_found(&self) -> bool {
        self.ceiling.is_finite()
    }

    /// Forgets the ceiling once it has gone so many times as far beyond as the first step took.
    pub(super) fn unlimit_after(&mut self, tried: f64) {
        if self.tried >= tried {
            self.unlimit();
        }
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
    pub(super) fn cut(&mut self, ceiling: f64, left: f64, numbers: &Learned) {
        self.ceiling = ceiling;
        self.value = left.min(self.waits_at(numbers)).max(self.unit);
        self.tried = 0.0;
    }

    /// A POST was accepted that this value had held back; `posts` of them double it, a step takes `step_posts`.
    pub(super) fn grow(&mut self, posts: f64, step_posts: f64, numbers: &Learned) {
        let waits_at = self.waits_at(numbers);
        if self.value < waits_at {
            self.value = (self.value * posts.recip().exp2()).min(waits_at);
            self.tried = 0.0;
            return;
        }
        let faster = if self.unit > 0.0 { numbers.faster.powf(self.tried.floor().min(4.0)) } else { 1.0 };
        self.tried += faster / step_posts;
        self.value = self.value.max(waits_at + self.step(numbers) * self.tried * self.tried);
    }

    fn step(&self, numbers: &Learned) -> f64 {
        (self.ceiling * numbers.step).max(self.unit)
    }

    /// Where it waits: one below the ceiling if it counts, a step below if it measures.
    fn waits_at(&self, numbers: &Learned) -> f64 {
        let below = if self.unit > 0.0 { self.unit } else { self.step(numbers) };
        if self.is_found() { (self.ceiling - below).max(self.unit) } else { f64::INFINITY }
    }
}
