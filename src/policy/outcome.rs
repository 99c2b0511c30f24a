//! From what happened on the wire to an [`Outcome`]: the closed list of things an endpoint can do to us.
//!
//! An [`Attempt`] is the raw event (an answer, or why there is none); [`classify`] names it. Everything after
//! works on the name alone. A status nobody has heard of counts as a passing failure of the server, so that it
//! is retried and, at worst, dead-lettered by SQS: never deleted.

use std::fmt;

use bytes::Bytes;

use crate::policy::retry_after::RetryAfter;

/// What came of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// An answer, read to its end.
    Answered(Answer),
    /// No complete answer within the listener's `timeout`.
    TimedOut,
    /// An answer longer than we read.
    Endless,
    /// The connection failed and the request may have reached the endpoint.
    Broken(Broken),
    /// The connection failed before a byte of the request left (refused, DNS, TLS), or the other side of an HTTP/2
    /// connection says that it did nothing for the request.
    Unsent(Unsent),
}

/// A complete answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// `Retry-After`, when it could be parsed.
    pub retry_after: Option<RetryAfter>,
    /// The beginning of its body.
    pub body: Body,
    /// Whether a 403 says in its body that only callers on its own machine or in its own mesh are let in.
    pub for_neighbours_only: bool,
    /// Scheme, host and port a redirect points at; never its path, which may carry a token.
    pub redirects_to: Option<String>,
    /// The first 200 bytes of its body, fit for a log: escaped, without credentials; withheld where it repeats the
    /// beginning of the message.
    /// `None` for a plain success, and where there is nothing.
    pub beginning: Option<String>,
}

/// The beginning of an answer's body: of a success the first 64 KiB, of a failure less.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    /// Its first bytes.
    pub kept: Bytes,
    /// Whether there were no more.
    pub is_whole: bool,
}

impl Default for Body {
    /// An empty body.
    fn default() -> Self {
        Self { kept: Bytes::new(), is_whole: true }
    }
}

impl fmt::Debug for Body {
    /// Its length: what an endpoint answers is in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.is_whole { "" } else { " and more" };
        write!(f, "{} bytes{more}", self.kept.len())
    }
}

/// A connection that failed when something may have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// When.
    pub at: Break,
    /// What the connection said.
    pub text: String,
}

/// When a connection broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Before the head of an answer.
    BeforeAnswer,
    /// Between an answer's head and its end.
    AmidAnswer,
    /// What came is no answer of HTTP.
    NotHttp,
}

/// A request that was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// How far it came.
    pub step: Step,
    /// What the system or the other side said.
    pub text: String,
}

/// The steps to a connection, as far as they can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The name has no address.
    Resolve,
    /// Nobody listens there.
    Refused,
    /// Nobody answered in time.
    TimedOut,
    /// The proxy did not connect.
    Proxy,
    /// TLS: the endpoint's certificate is from nobody we trust.
    Trust,
    /// TLS: the endpoint's certificate is for another host.
    Name,
    /// TLS: the endpoint's certificate has expired or does not hold yet.
    Validity,
    /// TLS: the endpoint does not accept our certificate, or that we have none.
    ClientCertificate,
    /// The TLS handshake failed otherwise.
    Tls,
    /// Anything else, such as a connection that was closed while the request waited for it.
    Other,
}

/// What the endpoint did, named. The label values of `queuepost_deliveries_total` are these variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A status listed in `success`.
    Success,
    /// Another 2xx: the endpoint did the work, the listener is not told to believe it.
    UnlistedSuccess,
    /// 429.
    Throttled,
    /// 503 with Retry-After.
    Unavailable,
    /// 502, 503, 504, 529: the endpoint or what stands before it is overloaded.
    Overloaded,
    /// 500 and other 5xx, 408, 409, 421, 423, 425, and codes outside the standard: may pass.
    Failed,
    /// 401, 403, 407: the endpoint does not accept us.
    Unauthorized,
    /// 404, 405, 410 or a redirect: the listener points at the wrong place.
    Misdirected,
    /// 400 and the other 4xx, 501: this message is at fault.
    Rejected,
    /// 200 whose body says that the algorithm failed (only with `error_in_body: permanent`).
    AlgorithmError,
    /// No complete answer in time, or one without end.
    TimedOut,
    /// The connection failed after something may have been sent.
    Broken,
    /// Nothing was sent.
    Unsent,
    /// No request could be made from the message.
    Unshapeable,
    /// Cut off by the shutdown deadline.
    Aborted,
}

impl Outcome {
    /// Every outcome, in the order of the table.
    pub const ALL: [Self; 15] = [
        Self::Success,
        Self::UnlistedSuccess,
        Self::Throttled,
        Self::Unavailable,
        Self::Overloaded,
        Self::Failed,
        Self::Unauthorized,
        Self::Misdirected,
        Self::Rejected,
        Self::AlgorithmError,
        Self::TimedOut,
        Self::Broken,
        Self::Unsent,
        Self::Unshapeable,
        Self::Aborted,
    ];

    /// Label value and log field.
    pub fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::UnlistedSuccess => "unlisted_success",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
            Self::Unauthorized => "unauthorized",
            Self::Misdirected => "misdirected",
            Self::Rejected => "rejected",
            Self::AlgorithmError => "algorithm_error",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Unsent => "unsent",
            Self::Unshapeable => "unshapeable",
            Self::Aborted => "aborted",
        }
    }

    /// Position in [`Outcome::ALL`], for tables of resolved metric handles.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|&outcome| outcome == self).unwrap_or_default()
    }
}

/// Names what happened, by the status alone. `success` holds the statuses that mean success.
pub fn classify(attempt: &Attempt, success: &StatusSet) -> Outcome {
    match attempt {
        Attempt::TimedOut | Attempt::Endless => Outcome::TimedOut,
        Attempt::Broken(_) => Outcome::Broken,
        Attempt::Unsent(_) => Outcome::Unsent,
        Attempt::Answered(answer) => classify_answer(answer, success),
    }
}

/// Names what a complete answer says, by its status alone.
pub fn classify_answer(answer: &Answer, success: &StatusSet) -> Outcome {
    match answer.status {
        status if success.contains(status) => Outcome::Success,
        200..=299 => Outcome::UnlistedSuccess,
        429 => Outcome::Throttled,
        503 if answer.retry_after.is_some() => Outcome::Unavailable,
        502..=504 | 529 => Outcome::Overloaded,
        401 | 403 | 407 => Outcome::Unauthorized,
        300..=399 | 404 | 405 | 410 => Outcome::Misdirected,
        408 | 409 | 421 | 423 | 425 => Outcome::Failed,
        400..=499 | 501 => Outcome::Rejected,
        _ => Outcome::Failed,
    }
}

/// A set of HTTP status codes, as inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// The codes of the given inclusive ranges.
    pub fn new(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        Self(ranges.into_iter().collect())
    }

    /// Whether `status` is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(low, high)| (low..=high).contains(&status))
    }

    /// The inclusive ranges it was made of.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }
}

impl Default for StatusSet {
    /// Exactly 200, as `sqsd` has it.
    fn default() -> Self {
        Self::new([(200, 200)])
    }
}
