//! POSTs at once: how many, and the ceiling where the endpoint last refused.
//!
//! Below the ceiling they double. One below it they wait, then rise beyond with the square of the POSTs accepted. So little is
//! lost while a limit stays, and one that was raised is found soon. A POST counts for less where there are many per second:
//! of several processes the slow ones catch up.

use crate::tuning::Learned;

/// A number that is learned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    value: f64,
    /// Where the endpoint refused last; infinite before.
    ceiling: f64,
    /// How far it has gone beyond where it waits: 1 is one step, 2 four steps.
    tried: f64,
}

impl Level {
    /// Begins with a value, without a ceiling.
    pub(super) fn new(value: f64) -> Self {
        Self { value, ceiling: f64::INFINITY, tried: 0.0 }
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
    pub(super) fn cut(&mut self, ceiling: f64, left: f64) {
        self.ceiling = ceiling;
        self.value = left.min(self.waits_at()).max(1.0);
        self.tried = 0.0;
    }

    /// A POST was accepted that this value had held back; `posts` of them double it, a step takes `step_posts`.
    pub(super) fn grow(&mut self, posts: f64, step_posts: f64, numbers: &Learned) {
        let waits_at = self.waits_at();
        if self.value < waits_at {
            self.value = (self.value * posts.recip().exp2()).min(waits_at);
            self.tried = 0.0;
            return;
        }
        self.tried += numbers.faster.powf(self.tried.floor().min(4.0)) / step_posts;
        let step = (self.ceiling * numbers.step).max(1.0);
        self.value = self.value.max(waits_at + step * self.tried * self.tried);
    }

    /// One below the ceiling.
    fn waits_at(&self) -> f64 {
        if self.is_found() { (self.ceiling - 1.0).max(1.0) } else { f64::INFINITY }
    }
}
