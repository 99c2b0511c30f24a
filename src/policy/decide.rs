//! The table: what becomes of a message, and what its endpoint's limits learn, for every outcome.
//!
//! One pure function without a wildcard arm. Rows a listener adds under `on_response` come before the table and
//! change what becomes of the message, never what the limits learn (except that `delete` counts as a success).
//! Delays never reach past SQS's twelve hours: `facts.hideable` is what is left of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::message::ReceiveCount;
use crate::policy::backoff;
use crate::policy::outcome::{Outcome, StatusSet};

/// Deferral of a message whose listener or endpoint is misconfigured, or which is itself at fault: long enough
/// not to spin, short enough that redrive sorts it out within minutes.
pub const FAULT_DELAY: Duration = Duration::from_secs(30);
/// Longest time a message is held because nothing could be sent; then another process may try.
pub const HOLD_MAX: Duration = Duration::from_secs(3_600);
/// The same on its final receive: released it would be dead-lettered. SQS ends a receive after 12 h.
pub const HOLD_MAX_FINAL: Duration = Duration::from_secs(11 * 3_600);

/// Longest time a message is held because nothing could be sent.
pub fn hold_max(final_receive: bool) -> Duration {
    if final_receive { HOLD_MAX_FINAL } else { HOLD_MAX }
}

/// Every final status of HTTP.
pub const STATUSES: RangeInclusive<u16> = 100..=599;

/// A listener's choices; what remains is the table.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Statuses that mean the work is done.
    pub success: StatusSet,
    /// Whether a JSON `error` member in a successful answer makes the message at fault.
    pub error_in_body_is_failure: bool,
    /// Park of a 429.
    pub throttle_delay: Duration,
    /// Rows before the table; the first match wins.
    pub rows: Vec<Row>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            success: StatusSet::default(),
            error_in_body_is_failure: false,
            throttle_delay: Duration::from_secs(300),
            rows: Vec::new(),
        }
    }
}

/// One `on_response` row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Statuses it is for.
    pub status: StatusSet,
    /// What becomes of the message.
    pub action: Action,
    /// Replaces the table's delay for `park` and `defer`.
    pub delay: Option<Duration>,
}

impl Row {
    /// Whether an answer can come to it past `earlier` rows, of which the first that has the status decides.
    pub fn is_reached(&self, earlier: &[Self]) -> bool {
        let taken = |status: u16| earlier.iter().any(|row| row.status.contains(status));
        STATUSES.into_iter().any(|status| self.status.contains(status) && !taken(status))
    }
}

/// What an `on_response` row can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Delete it, as after a success.
    Delete,
    /// Hide it as after a 429.
    Park,
    /// Hide it as after a failure.
    Defer,
    /// Send it to the dead-letter queue with the reason, then delete it. Not atomic.
    DeadLetter,
}

/// What is known of the message when its outcome is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Receives so far, this one included.
    pub receives: ReceiveCount,
    /// Whether SQS dead-letters the message instead of handing it out again.
    pub final_receive: bool,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Wait the answer asked for.
    pub retry_after: Option<Duration>,
    /// How much longer SQS lets this receive be hidden.
    pub hideable: Duration,
    /// How long it has been held because nothing could be sent.
    pub held: Duration,
    /// Jitter, in `[0, 1)`.
    pub unit: f64,
}

/// What becomes of the message, and what the limits learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// For the message.
    pub disposition: Disposition,
    /// For the endpoint's limiter and gate.
    pub signal: Signal,
}

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Disposition {
    /// The work is done.
    Delete,
    /// Hidden after throttling.
    Park {
        /// From the response on.
        delay: Duration,
    },
    /// Hidden after another failure.
    Defer {
        /// From the response on.
        delay: Duration,
        /// For the counter and the log.
        reason: DeferReason,
    },
    /// Kept under its lease and posted again.
    Hold,
    /// Sent to the dead-letter queue; deleted once that has it.
    DeadLetter,
}

/// Why a message was deferred; label of `queuepost_messages_deferred_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeferReason {
    /// A failure that may pass.
    Failure,
    /// No complete answer; the outcome is unknown.
    Unknown,
    /// The listener or the endpoint is misconfigured.
    Configuration,
    /// The message is at fault and left to redrive.
    Message,
    /// Nothing could be sent for an hour.
    Unreachable,
    /// Cut off by the shutdown deadline.
    Aborted,
}

impl DeferReason {
    /// Every reason, to initialise metrics.
    pub const ALL: [Self; 6] =
        [Self::Failure, Self::Unknown, Self::Configuration, Self::Message, Self::Unreachable, Self::Aborted];

    /// Label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Unknown => "unknown_outcome",
            Self::Configuration => "configuration",
            Self::Message => "message",
            Self::Unreachable => "unreachable",
            Self::Aborted => "aborted",
        }
    }
}

/// What an outcome tells the limiter and the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The endpoint works.
    Success,
    /// The endpoint has too much to do.
    Congestion {
        /// It said until when.
        retry_after: Option<Duration>,
    },
    /// It did not answer: congestion, and a failure if distinct messages meet it.
    Unanswered,
    /// It failed; a failure of the endpoint if distinct messages meet it.
    Failure,
    /// It could not be reached at all.
    Unreachable,
    /// It does not accept us.
    EndpointFault,
    /// The listener points at the wrong place.
    ListenerFault,
    /// Says nothing about the endpoint.
    Neutral,
}

/// Decides by the listener's own rows, then by the table.
pub fn decide(outcome: Outcome, facts: &Facts, policy: &Policy) -> Decision {
    let table = table(outcome, facts, policy);
    let row = facts.status.and_then(|status| policy.rows.iter().find(|row| row.status.contains(status)));
    let Some(row) = row else { return table };
    let delay = |default: Duration| row.delay.unwrap_or(default).min(facts.hideable);
    match row.action {
        Action::Delete => Decision { disposition: Disposition::Delete, signal: Signal::Success },
        Action::Park => Decision {
            disposition: Disposition::Park { delay: delay(park_delay(facts, policy)) },
            signal: table.signal,
        },
        Action::Defer => Decision {
            disposition: Disposition::Defer {
                delay: delay(defer_delay(outcome, facts)),
                reason: defer_reason(outcome),
            },
            signal: table.signal,
        },
        Action::DeadLetter => Decision { disposition: Disposition::DeadLetter, signal: table.signal },
    }
}

#[expect(clippy::match_same_arms, reason = "a row per outcome, in the order of the documentation")]
fn table(outcome: Outcome, facts: &Facts, policy: &Policy) -> Decision {
    let defer = |delay: Duration| Disposition::Defer {
        delay: delay.min(facts.hideable),
        reason: defer_reason(outcome),
    };
    let back_off = || defer(defer_delay(outcome, facts));
    let fault = || defer(FAULT_DELAY);
    let retry_after = facts.retry_after;
    let (disposition, signal) = match outcome {
        Outcome::Success => (Disposition::Delete, Signal::Success),
        Outcome::UnlistedSuccess => (fault(), Signal::ListenerFault),
        Outcome::Throttled => (
            Disposition::Park { delay: park_delay(facts, policy).min(facts.hideable) },
            Signal::Congestion { retry_after },
        ),
        Outcome::Unavailable => (back_off(), Signal::Congestion { retry_after }),
        Outcome::Overloaded => (back_off(), Signal::Congestion { retry_after: None }),
        Outcome::Failed => (back_off(), Signal::Failure),
        Outcome::TimedOut | Outcome::Broken => (back_off(), Signal::Unanswered),
        Outcome::Unsent if facts.held < hold_max(facts.final_receive) => {
            (Disposition::Hold, Signal::Unreachable)
        }
        Outcome::Unsent => (back_off(), Signal::Unreachable),
        Outcome::Unauthorized => (fault(), Signal::EndpointFault),
        Outcome::Misdirected => (fault(), Signal::ListenerFault),
        Outcome::Rejected | Outcome::AlgorithmError | Outcome::Unshapeable => (fault(), Signal::Neutral),
        Outcome::Aborted => (back_off(), Signal::Neutral),
    };
    Decision { disposition, signal }
}

fn park_delay(facts: &Facts, policy: &Policy) -> Duration {
    policy.throttle_delay.max(facts.retry_after.unwrap_or_default())
}

/// Back-off by receive count; a 503 may ask for more.
fn defer_delay(outcome: Outcome, facts: &Facts) -> Duration {
    let asked = if outcome == Outcome::Unavailable { facts.retry_after } else { None };
    backoff::defer(facts.receives, facts.unit).max(asked.unwrap_or_default())
}

fn defer_reason(outcome: Outcome) -> DeferReason {
    match outcome {
        Outcome::Success
        | Outcome::Throttled
        | Outcome::Unavailable
        | Outcome::Overloaded
        | Outcome::Failed => DeferReason::Failure,
        Outcome::TimedOut | Outcome::Broken => DeferReason::Unknown,
        Outcome::UnlistedSuccess | Outcome::Unauthorized | Outcome::Misdirected => DeferReason::Configuration,
        Outcome::Rejected | Outcome::AlgorithmError | Outcome::Unshapeable => DeferReason::Message,
        Outcome::Unsent => DeferReason::Unreachable,
        Outcome::Aborted => DeferReason::Aborted,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
