//! What came of a POST, as far as a gate is concerned, and the reason to close that follows.

use std::time::Duration;

/// Why a gate is closed; label of `queuepost_gate_closed_seconds_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The endpoint asked for a pause.
    RetryAfter,
    /// 429 in a row, without a pause asked for.
    Throttled,
    /// 502, 503, 504 or 529 in a row.
    Overloaded,
    /// 500 for distinct messages in a row.
    Failing,
    /// No complete answer for distinct messages in a row.
    Unanswered,
    /// It cannot be connected to.
    Unreachable,
    /// 401, 403 or 407 in a row.
    Unauthorized,
    /// 404 and the like for distinct messages of one listener in a row.
    Misdirected,
}

impl Reason {
    /// Every reason, to initialise metrics.
    pub const ALL: [Self; 8] = [
        Self::RetryAfter,
        Self::Throttled,
        Self::Overloaded,
        Self::Failing,
        Self::Unanswered,
        Self::Unreachable,
        Self::Unauthorized,
        Self::Misdirected,
    ];

    /// Label value.
    pub fn label(self) -> &'static str {
        self.names().0
    }

    /// What the endpoint does, for a person.
    pub fn words(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::RetryAfter => ("retry_after", "the endpoint asked for a pause (Retry-After)"),
            Self::Throttled => ("throttled", "the endpoint throttles every request (429)"),
            Self::Overloaded => ("overloaded", "the endpoint is overloaded or down (502, 503, 504)"),
            Self::Failing => ("failing", "the endpoint fails for different messages (500)"),
            Self::Unanswered => ("unanswered", "the endpoint does not answer in time, or breaks off"),
            Self::Unreachable => ("unreachable", "the endpoint cannot be connected to"),
            Self::Unauthorized => ("unauthorized", "the endpoint refuses our credentials (401, 403, 407)"),
            Self::Misdirected => (
                "misdirected",
                "the listener's path is refused for different messages (404, 405, 410, a redirect), or answers a \
                 2xx that `success` does not list",
            ),
        }
    }
}

/// What came of one POST, as far as a gate is concerned. Numbers tell messages apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The endpoint did the work.
    Success,
    /// Too much to do, and until when.
    Asked(Duration),
    /// 429.
    Throttled,
    /// 502, 503, 504, 529.
    Overloaded,
    /// 500 and what may be the endpoint's or the message's fault.
    Failing(u64),
    /// A time-out, or a connection that broke.
    Unanswered(u64),
    /// Nothing was sent.
    Unreachable {
        /// Whether no other POST had started and not ended.
        alone: bool,
    },
    /// Credentials were refused.
    Unauthorized,
    /// The listener points at the wrong place.
    Misdirected(u64),
    /// The endpoint answers; nothing more.
    Neutral,
}

impl Evidence {
    /// Why a gate is or stays closed that met this; `None` opens it.
    pub(super) fn reason(self) -> Option<Reason> {
        match self {
            Self::Success | Self::Neutral => None,
            Self::Asked(_) => Some(Reason::RetryAfter),
            Self::Throttled => Some(Reason::Throttled),
            Self::Overloaded => Some(Reason::Overloaded),
            Self::Failing(_) => Some(Reason::Failing),
            Self::Unanswered(_) => Some(Reason::Unanswered),
            Self::Unreachable { .. } => Some(Reason::Unreachable),
            Self::Unauthorized => Some(Reason::Unauthorized),
            Self::Misdirected(_) => Some(Reason::Misdirected),
        }
    }
}

/// What else bears on closing, and on the pause then.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// POSTs that may run at once.
    pub limit: usize,
    /// How long the answer took.
    pub took: Duration,
    /// Receives that all messages of the queue together can lose before they are dead-lettered.
    pub spare_receives: u64,
    /// For how long a 429 hides its message.
    pub throttle_delay: Duration,
}
