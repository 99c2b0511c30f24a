//! What is learned among the sessions: the adaptive limit, and what rate-limit headers are worth.
//!
//! Both are told here of starts and ends; others learn of the results.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::adaptive::{Adaptive, Constraint, Refused, Start};
use crate::limit::quota::{QuotaHint, Stated};
use crate::limit::{Reason, Transition};
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

/// A refusal for lack of capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Its kind.
    pub reason: Reason,
    /// The pause it asked for; zero if none.
    pub retry_after: Duration,
}

/// What an endpoint was found to take, and why so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedLimit {
    /// POSTs at once.
    pub at_once: usize,
    /// Starts per second; `None` while unlimited.
    pub per_second: Option<f64>,
    /// Which of the two was cut last; `None` before the first cut.
    pub constraint: Option<Constraint>,
    /// The last refusal; `None` before the first.
    pub last_refusal: Option<Refusal>,
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
}

impl Learning {
    pub(super) fn new(cap: usize, tuning: &Tuning) -> Self {
        let adaptive = Adaptive::new(cap, tuning.learned, Instant::now());
        let hint = QuotaHint::new(tuning.quota);
        Self { adaptive, hint, is_held_up: false, unanswered: None, last_refusal: None }
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

    pub(super) fn learned(&self) -> LearnedLimit {
        LearnedLimit {
            at_once: self.adaptive.at_once(),
            per_second: self.adaptive.per_second(),
            constraint: self.adaptive.constraint(),
            last_refusal: self.last_refusal,
        }
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
            Transition::Closed { by_probe: false, .. } => self.adaptive.gate_closed(),
            Transition::Closed { by_probe: true, .. } => self.adaptive.probe_refused(Instant::now()),
            Transition::Opened { .. } => self.adaptive.gate_opened(Instant::now()),
        }
    }
}
