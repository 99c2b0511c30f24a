//! What a POST tells a gate, and the reason to be closed that follows from it.

use std::time::Duration;

use tokio::time::Instant;

macro_rules! reasons {
    ($($variant:ident, $label:literal: $words:literal; $fix:literal;)+) => {
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

            /// What a person can do about it.
            pub fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix,)+ }
            }
        }
    };
}

reasons! {
    RetryAfter, "retry_after": "the endpoint asked for a pause (Retry-After)";
        "nothing, if it passes; else lower workers, sessions or rate_limit to what the endpoint takes, or give it more room";
    Throttled, "throttled": "the endpoint throttles every request (429)";
        "nothing, if it passes; else lower workers, sessions or rate_limit to what the endpoint takes, or give it more room";
    Overloaded, "overloaded": "the endpoint is overloaded or down (502, 503, 504)";
        "look at the endpoint's health and capacity, and at the proxy before it";
    Failing, "failing": "the endpoint fails for different messages (500)";
        "look into the endpoint's log; the recent failures name the messages";
    Unanswered, "unanswered": "the endpoint does not answer in time, or breaks off";
        "see whether the endpoint hangs or crashes; raise timeout if its work takes longer";
    Unreachable, "unreachable": "the endpoint cannot be connected to";
        "see whether the endpoint runs, and check its address, DNS, and the firewall between; `queuepost check` connects to it";
    Unauthorized, "unauthorized": "the endpoint refuses our credentials (401, 403, 407)";
        "check the endpoint's auth: is it set, is the key current, and what may it do";
    Misdirected, "misdirected":
        "the listener's path is refused for different messages (404, 405, 410, a redirect), or answers a 2xx that \
         `success` does not list";
        "check the path of the listener's url and its host; to accept another 2xx add `success: 2xx`";
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
