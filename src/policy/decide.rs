//! The table: for every outcome, what becomes of the message and what the endpoint's limits learn.
//!
//! `decide` is one pure function without a wildcard arm. Rows that a listener adds under `on_response` come
//! before the table. Such a row changes what becomes of the message, never what the limits learn. The one
//! exception: a row with `delete` counts as a success.
//! No delay reaches past SQS's limit of twelve hours: `facts.hideable` is what is left of that limit.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::message::ReceiveCount;
use crate::policy::backoff;
pub use crate::policy::final_receive::{HOLD_MAX, HOLD_MAX_FINAL, hold_max};
use crate::policy::outcome::{Outcome, StatusSet};

/// Delay after a configuration error, and of a message that is at fault itself. It is long enough not to
/// spin, and short enough that SQS dead-letters the message within minutes.
pub const FAULT_DELAY: Duration = Duration::from_secs(30);

/// Every final status of HTTP.
pub const STATUSES: RangeInclusive<u16> = 100..=599;

/// The choices of one listener; the table holds the rest.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long a message is parked after a 429.
    pub throttle_delay: Duration,
    /// How long a deferred message is hidden; `None`: longer with every receive.
    pub retry_delay: Option<Duration>,
    /// Age since its first receive at which a message is deleted unposted; `None`: never.
    pub retention: Option<Duration>,
    /// Rows before the table; the first match wins.
    pub rows: Vec<Row>,
}

impl Policy {
    /// How long a message is hidden after a temporary failure; `unit` is jitter, in `[0, 1)`.
    pub fn back_off(&self, receives: ReceiveCount, unit: f64) -> Duration {
        self.retry_delay.unwrap_or_else(|| backoff::defer(receives, unit))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            throttle_delay: Duration::from_secs(300),
            retry_delay: None,
            retention: None,
            rows: Vec::new(),
        }
    }
}

/// One row of `on_response`.
#[derive(Debug, Clone)]
pub struct Row {
    /// Statuses that this row matches.
    pub status: StatusSet,
    /// What becomes of a message that matches.
    pub action: Action,
    /// Delay that replaces the table's for `park` and `defer`.
    pub delay: Option<Duration>,
}

impl Row {
    /// Whether an answer can match this row after the rows in `earlier`. The first row with the status
    /// decides.
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

/// What is known of a message once its outcome is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Receives so far, this one included.
    pub receives: ReceiveCount,
    /// Whether SQS dead-letters the message instead of handing it out again.
    pub final_receive: bool,
    /// HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// Wait that the answer asked for with `Retry-After`.
    pub retry_after: Option<Duration>,
    /// How much longer SQS allows this receive to be hidden.
    pub hideable: Duration,
    /// How long this process has held the message because nothing could be sent, or its object not be fetched.
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
    /// The message is deleted.
    Delete,
    /// Hidden after throttling.
    Park {
        /// Counted from the answer on.
        delay: Duration,
    },
    /// Hidden after another failure.
    Defer {
        /// Counted from the answer on.
        delay: Duration,
        /// Reason for the counter and the log.
        reason: DeferReason,
    },
    /// The message stays under its lease, to be fetched or posted again.
    Hold,
    /// Sent to the dead-letter queue; deleted once that has it.
    DeadLetter,
}

/// Why a message was deferred; label of `queuepost_messages_deferred_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeferReason {
    /// A failure that may be temporary.
    Failure,
    /// There was no complete answer, so the outcome is unknown.
    Unknown,
    /// The listener or the endpoint is misconfigured.
    Configuration,
    /// The message is at fault; SQS dead-letters it after max receives.
    Message,
    /// Nothing could be sent for the longest time a message is held.
    Unreachable,
    /// The deadline of the drain cut the delivery off.
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
    /// The endpoint is overloaded.
    Congestion {
        /// The time the endpoint asked to wait, if it named one.
        retry_after: Option<Duration>,
    },
    /// The endpoint did not answer: congestion, and a failure if distinct messages meet it.
    Unanswered,
    /// The endpoint failed; the gate counts it if distinct messages meet it.
    Failure,
    /// No connection to the endpoint came about.
    Unreachable,
    /// The endpoint does not accept our credentials.
    EndpointFault,
    /// The listener's address is wrong.
    ListenerFault,
    /// The outcome says nothing about the endpoint.
    Neutral,
}

/// Decides by the listener's own rows first, then by the table.
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
                delay: delay(defer_delay(outcome, facts, policy)),
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
    let back_off = || defer(defer_delay(outcome, facts, policy));
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
        Outcome::Rejected | Outcome::AlgorithmError | Outcome::Unshapeable => {
            (defer(policy.retry_delay.unwrap_or(FAULT_DELAY)), Signal::Neutral)
        }
        Outcome::Unfetched if facts.held < hold_max(facts.final_receive) => {
            (Disposition::Hold, Signal::Neutral)
        }
        Outcome::Unfetched | Outcome::Aborted => (back_off(), Signal::Neutral),
    };
    Decision { disposition, signal }
}

fn park_delay(facts: &Facts, policy: &Policy) -> Duration {
    policy.throttle_delay.max(facts.retry_after.unwrap_or_default())
}

/// Back-off by receive count, or the listener's own delay; a 503 may ask for a longer one.
fn defer_delay(outcome: Outcome, facts: &Facts, policy: &Policy) -> Duration {
    let asked = if outcome == Outcome::Unavailable { facts.retry_after } else { None };
    policy.back_off(facts.receives, facts.unit).max(asked.unwrap_or_default())
}

fn defer_reason(outcome: Outcome) -> DeferReason {
    match outcome {
        Outcome::Success
        | Outcome::Throttled
        | Outcome::Unavailable
        | Outcome::Overloaded
        | Outcome::Failed
        | Outcome::Unfetched => DeferReason::Failure,
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
