//! What a POST tells a gate, and the reason to be closed that follows from it.

use std::time::Duration;

use tokio::time::Instant;

macro_rules! reasons {
    ($($variant:ident, $label:literal: $words:literal;)+) => {
        /// Why a gate is closed; label of `queuepost_gate_closed_seconds_total`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $words] $variant,)+
        }

        impl Reason {
            /// Every reason, to initialise metrics.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            /// Label value.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// What the endpoint does, for a person.
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)+ }
            }
        }
    };
}

reasons! {
    RetryAfter, "retry_after": "the endpoint asked for a pause (Retry-After)";
    Throttled, "throttled": "the endpoint throttles every request (429)";
    Overloaded, "overloaded": "the endpoint is overloaded or down (502, 503, 504)";
    Failing, "failing": "the endpoint fails for different messages (500)";
    Unanswered, "unanswered": "the endpoint does not answer in time, or breaks off";
    Unreachable, "unreachable": "the endpoint cannot be connected to";
    Unauthorized, "unauthorized": "the endpoint refuses our credentials (401, 403, 407)";
    Misdirected, "misdirected":
        "the listener's path is refused for different messages (404, 405, 410, a redirect), or answers a 2xx that \
         `success` does not list";
}

/// What came of one POST, as far as a gate is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The endpoint did the work.
    Success,
    /// The endpoint answers; nothing more.
    Neutral,
    /// Too much to do, and until when.
    Asked(Duration),
    /// It took nothing, for this reason; the number tells messages apart.
    Refused(Reason, u64),
}

impl Evidence {
    /// Why a gate is or stays closed that met this; `None` opens it.
    pub(super) fn reason(self) -> Option<Reason> {
        match self {
            Self::Success | Self::Neutral => None,
            Self::Asked(_) => Some(Reason::RetryAfter),
            Self::Refused(reason, _) => Some(reason),
        }
    }
}

/// What else bears on closing, and on the pause then.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// POSTs that may run at once.
    pub limit: usize,
    /// POSTs that had started and not ended, this one included.
    pub running: usize,
    /// How long the answer took.
    pub took: Duration,
    /// Receives that all messages of the queue together can lose before they are dead-lettered.
    pub spare_receives: u64,
    /// For how long a 429 hides its message.
    pub throttle_delay: Duration,
}

impl Circumstances {
    /// When the POST started whose answer came now.
    pub(super) fn began(&self, now: Instant) -> Instant {
        now.checked_sub(self.took).unwrap_or(now)
    }
}
