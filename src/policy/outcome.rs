//! From what happened on the wire to an [`Outcome`]: the closed list of things an endpoint can do.
//!
//! An [`Attempt`] is the raw event: an answer, or the reason why there is none. [`classify`] turns it into an
//! [`Outcome`], and all later code works on the [`Outcome`] alone.
//! An unknown status counts as a temporary failure of the server. So the message is retried and at worst
//! dead-lettered by SQS, never deleted.

use std::fmt;

use bytes::Bytes;

use crate::policy::quota::Quota;
use crate::policy::retry_after::RetryAfter;

/// The result of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// A complete answer, read to its end.
    Answered(Answer),
    /// No complete answer within the listener's `timeout`.
    TimedOut,
    /// An answer longer than the limit that is read.
    Endless,
    /// The connection failed, and the request may have reached the endpoint.
    Broken(Broken),
    /// The endpoint cannot have acted on the request. The connection failed before a byte of the request left
    /// (refused, DNS, TLS). Or an HTTP/2 peer says that it did nothing for the request.
    Unsent(Unsent),
}

/// A complete answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// The value of `Retry-After`, when it could be parsed.
    pub retry_after: Option<RetryAfter>,
    /// What its rate-limit headers say, when they could be read.
    pub quota: Option<Quota>,
    /// The beginning of its body.
    pub body: Body,
    /// Whether a 403 says that only callers on the same machine or mesh are accepted.
    pub for_neighbours_only: bool,
    /// Whether AWS Lambda says that the function failed (`X-Amz-Function-Error`), whatever the status.
    pub function_error: bool,
    /// Scheme, host and port that a redirect points at. The path is left out, because it may carry a token.
    pub redirects_to: Option<String>,
    /// The first 200 bytes of the body, made fit for a log: escaped and without credentials. The text is
    /// withheld where it repeats the beginning of the message. `None` for a plain success and for an empty
    /// body.
    pub beginning: Option<String>,
}

/// The beginning of an answer's body: the first 64 KiB, or of a success as much as its exchange reads.
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

/// A connection that failed when part of the request may have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The moment of the failure.
    pub at: Break,
    /// The error of the connection.
    pub text: String,
}

/// When a connection broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Before the head of an answer.
    BeforeAnswer,
    /// Between an answer's head and its end.
    AmidAnswer,
    /// The bytes received are no HTTP answer.
    NotHttp,
}

/// A request that was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// How far the connection came.
    pub step: Step,
    /// The error of the system or of the peer.
    pub text: String,
}

/// The steps to a connection, as far as they can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The name does not resolve to an address.
    Resolve,
    /// Nothing listens at that address.
    Refused,
    /// No answer came in time.
    TimedOut,
    /// The proxy did not connect to the endpoint.
    Proxy,
    /// TLS: the endpoint's certificate is not signed by a trusted authority.
    Trust,
    /// TLS: the endpoint's certificate is for another host.
    Name,
    /// TLS: the endpoint's certificate has expired or is not valid yet.
    Validity,
    /// TLS: the endpoint refuses our client certificate, or requires one.
    ClientCertificate,
    /// TLS: the handshake failed for another reason.
    Tls,
    /// The token server for the endpoint's credentials cannot be reached, or fails.
    TokenServer,
    /// The token server does not accept our client id or secret.
    TokenClient,
    /// The token server refuses what is asked of it.
    TokenRefused,
    /// What the token server answers is no token.
    TokenAnswer,
    /// There are no credentials of AWS to sign the request with.
    AwsCredentials,
    /// Any other step, such as a connection closed while the request waited for it.
    Other,
}

/// What the endpoint did. The variants are the label values of `queuepost_deliveries_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A status listed in the listener's `success`.
    Success,
    /// Another 2xx, which the listener does not list as a success.
    UnlistedSuccess,
    /// 429.
    Throttled,
    /// 503 with Retry-After.
    Unavailable,
    /// 502, 503, 504, 529: the endpoint, or a proxy before it, is overloaded.
    Overloaded,
    /// 500 and other 5xx, 408, 409, 421, 423, 425, and codes outside the standard: may be temporary.
    Failed,
    /// 401, 403, 407: the endpoint does not accept our credentials.
    Unauthorized,
    /// 404, 405, 410 or a redirect: the listener's address is wrong.
    Misdirected,
    /// 400 and the other 4xx, 501: this message is at fault.
    Rejected,
    /// 200 whose body says that the algorithm failed (only with `error_in_body: permanent`).
    AlgorithmError,
    /// No complete answer in time, or an answer without end.
    TimedOut,
    /// The connection failed after part of the request may have been sent.
    Broken,
    /// Nothing was sent.
    Unsent,
    /// No request could be made from the message.
    Unshapeable,
    /// The body that the message stands for could not be fetched: S3 did not answer, or does not let us.
    Unfetched,
    /// The deadline of the drain cut the delivery off.
    Aborted,
}

impl Outcome {
    /// Every outcome, in the order of the table.
    pub const ALL: [Self; 16] = [
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
        Self::Unfetched,
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
            Self::Unfetched => "unfetched",
            Self::Aborted => "aborted",
        }
    }

    /// Whether one of the messages of a request may have caused it, and the others not. `status` is that of the answer.
    pub fn may_be_of_one_message(self, status: Option<u16>) -> bool {
        match self {
            // What died or hung behind a proxy may have done so for a message. An endpoint that calls itself overloaded
            // is not helped by more requests.
            Self::Overloaded => matches!(status, Some(502 | 504)),
            Self::Failed | Self::Rejected | Self::AlgorithmError | Self::TimedOut | Self::Broken => true,
            Self::Success
            | Self::UnlistedSuccess
            | Self::Throttled
            | Self::Unavailable
            | Self::Unauthorized
            | Self::Misdirected
            | Self::Unsent
            | Self::Unshapeable
            | Self::Unfetched
            | Self::Aborted => false,
        }
    }

    /// Position in [`Outcome::ALL`], for tables of resolved metric handles.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|&outcome| outcome == self).unwrap_or_default()
    }
}

/// Classifies an attempt by its status alone. `success` holds the statuses that mean success.
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

    /// The inclusive ranges the set was made of.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }
}

impl Default for StatusSet {
    /// Exactly 200, as in `sqsd`.
    fn default() -> Self {
        Self::new([(200, 200)])
    }
}
