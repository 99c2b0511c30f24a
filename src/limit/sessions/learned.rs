//! What was learned of an endpoint, as others see it.

use std::time::Duration;

use crate::limit::Reason;
use crate::limit::adaptive::Constraint;

/// A refusal for lack of capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Its kind.
    pub reason: Reason,
    /// The pause it asked for; zero if none.
    pub retry_after: Duration,
}

impl Refusal {
    /// What the endpoint did, for a person.
    pub fn words(self) -> &'static str {
        match self.reason {
            Reason::RetryAfter => "the endpoint asked for a pause (Retry-After)",
            Reason::Throttled => "the endpoint throttled a request (429)",
            Reason::Overloaded => "the endpoint was overloaded (502, 503, 504)",
            Reason::Unanswered => "the endpoint did not answer different messages in time, or broke off",
            other => other.words(),
        }
    }
}

/// What an endpoint was found to take, and why so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedLimit {
    /// POSTs at once.
    pub at_once: usize,
    /// Starts per second; `None` while unlimited.
    pub per_second: Option<f64>,
    /// Which of the two holds POSTs back, below the configuration; `None` while neither was found to.
    pub constraint: Option<Constraint>,
    /// Whether the endpoint refused beyond it since it was begun with; else it may take more, and that is being tried.
    pub is_found: bool,
    /// The last refusal; `None` before the first.
    pub last_refusal: Option<Refusal>,
}

impl LearnedLimit {
    /// Which of the two holds POSTs back, as a label.
    pub fn limited_by(&self) -> Option<&'static str> {
        self.constraint.map(|constraint| match constraint {
            Constraint::Rate => "rate",
            Constraint::Concurrency => "concurrency",
        })
    }
}
