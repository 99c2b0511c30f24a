//! What is learned among the sessions: the adaptive limit, and what rate-limit headers are worth.
//!
//! Both are told here of starts and ends; others learn of the results.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::adaptive::{Adaptive, Constraint, Refused, Start};
use crate::limit::quota::{QuotaHint, Stated};
use crate::limit::sessions::news::News;
use crate::limit::{LearnedLimit, Reason, Refusal, Transition};
use crate::tuning::Tuning;

/// How the POST of a session ended, as far as it tells of the endpoint's capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// The endpoint took it, and its rate-limit headers said this.
    Success(Stated),
    /// The endpoint has too much to do, and its rate-limit headers said this.
    Congestion(Refusal, Stated),
    /// The same to a probe of a gate: that tells nothing of how much the endpoint can take.
    ProbeRefused(Stated),
    /// No complete answer came; the number tells messages apart. One message alone may be to blame.
    Unanswered(u64),
    /// Says nothing.
    Nothing,
}

/// The adaptive limit and the rate-limit headers, and what they need to be told.
#[derive(Debug)]
pub(super) struct Learning {
    adaptive: Adaptive,
    hint: QuotaHint,
    /// Whether somebody waits for the rate alone.
    is_held_up: bool,
    /// The message that met no answer last.
    unanswered: Option<u64>,
    last_refusal: Option<Refusal>,
    news: News,
}

impl Learning {
    pub(super) fn new(cap: usize, tuning: &Tuning) -> Self {
        let adaptive = Adaptive::new(cap, &tuning.learned, Instant::now());
        let hint = QuotaHint::new(tuning.quota);
        Self {
            adaptive,
            hint,
            is_held_up: false,
            unanswered: None,
            last_refusal: None,
            news: News::default(),
        }
    }

    pub(super) fn set_cap(&mut self, cap: usize) {
        self.adaptive.set_cap(cap);
    }

    pub(super) fn at_once(&self) -> usize {
        self.adaptive.at_once()
    }

    /// Starts per second to keep to.
    pub(super) fn pace(&self) -> Option<f64> {
        self.adaptive.pace()
    }

    /// Until when rate-limit headers hold starts back; `None` if they do not.
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.hint.not_before(now)
    }

    /// What was learned below these limits of the configuration.
    pub(super) fn learned(&self, cap: usize, most_per_second: f64) -> LearnedLimit {
        let (at_once, per_second) = (self.adaptive.at_once(), self.adaptive.per_second());
        let rate_limits = per_second.is_some_and(|rate| rate < most_per_second);
        let rate = rate_limits.then_some(Constraint::Rate);
        let concurrency = (at_once < cap).then_some(Constraint::Concurrency);
        let constraint = match self.adaptive.constraint() {
            None => None,
            Some(Constraint::Rate) => rate.or(concurrency),
            Some(Constraint::Concurrency) => concurrency.or(rate),
        };
        let is_found = constraint.is_some_and(|constraint| self.adaptive.is_found(constraint));
        LearnedLimit { at_once, per_second, constraint, is_found, last_refusal: self.last_refusal }
    }

    /// A POST ended so, and that is learned by now; whether a person should know.
    pub(super) fn is_news(&mut self, feedback: Feedback, learned: &LearnedLimit) -> bool {
        self.news.ended(matches!(feedback, Feedback::Success(_)), learned, Instant::now())
    }

    /// Somebody could start, were it not for the rate.
    pub(super) fn holds_up(&mut self) {
        self.is_held_up = true;
    }

    /// A session begins, with which so many run.
    pub(super) fn started(&mut self, running: usize) -> Start {
        let is_paced = std::mem::take(&mut self.is_held_up);
        self.adaptive.started(Instant::now(), running, is_paced)
    }

    /// The POST of a session, which began at `began`, ended.
    pub(super) fn ended(&mut self, start: Start, began: Instant, feedback: Feedback) {
        let now = Instant::now();
        match feedback {
            Feedback::Success(stated) => self.hint.accepted(began, stated, now),
            Feedback::Congestion(_, stated) | Feedback::ProbeRefused(stated) => {
                self.hint.refused(began, stated, now);
            }
            Feedback::Unanswered(_) | Feedback::Nothing => {}
        }
        let refusal = match feedback {
            Feedback::Nothing | Feedback::ProbeRefused(_) => return,
            Feedback::Success(_) => return self.adaptive.succeeded(start, now),
            Feedback::Congestion(refusal, _) => refusal,
            Feedback::Unanswered(message) => {
                if self.unanswered.replace(message).is_none_or(|last| last == message) {
                    return;
                }
                Refusal { reason: Reason::Unanswered, retry_after: Duration::ZERO }
            }
        };
        self.last_refusal = Some(refusal);
        let says_too_many = matches!(refusal.reason, Reason::Throttled | Reason::RetryAfter);
        let how = if says_too_many { Refused::TooMany } else { Refused::Overloaded };
        self.adaptive.refused(start, how, now);
    }

    /// The endpoint's gate has changed: refusals that closed it, and those of its probes, were an outage and tell
    /// nothing of capacity.
    pub(super) fn gate_changed(&mut self, change: Transition) {
        match change {
            Transition::Closed { by_probe: false, .. } => self.adaptive.gate_closed(Instant::now()),
            Transition::Closed { by_probe: true, .. } => self.adaptive.probe_refused(Instant::now()),
            Transition::Opened { .. } => self.adaptive.gate_opened(Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_learned_above_the_configuration_holds_nothing_back() {
        let mut learning = Learning::new(64, &Tuning::default());
        let refusal = Refusal { reason: Reason::Throttled, retry_after: Duration::ZERO };
        for feedback in [Feedback::Success(Stated::Nothing); 20]
            .into_iter()
            .chain([Feedback::Congestion(refusal, Stated::Nothing); 2])
        {
            tokio::time::advance(Duration::from_millis(1)).await;
            let start = learning.started(1);
            tokio::time::advance(Duration::from_millis(100)).await;
            learning.ended(start, Instant::now(), feedback);
        }
        let learned = learning.learned(64, f64::INFINITY);
        assert_eq!((learned.constraint, learned.limited_by()), (Some(Constraint::Rate), Some("rate")));
        let (at_once, per_second) = (learned.at_once, learned.per_second.unwrap());
        assert!(at_once > 1, "{learned:?}");
        assert_eq!(learning.learned(64, per_second).limited_by(), Some("concurrency"));
        assert_eq!(learning.learned(at_once, per_second).limited_by(), None);
    }
}
