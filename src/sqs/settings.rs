//! Which queue, and as whom: the adapter's already valid settings.

use std::fmt;

use url::Url;

/// Where a listener's messages come from.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The queue.
    pub queue: QueueRef,
    /// AWS region; `None` takes it from the queue's URL or ARN, else leaves it to the SDK's chain.
    pub region: Option<String>,
    /// Named profile of the shared AWS configuration files.
    pub profile: Option<String>,
    /// Role to assume before calling SQS.
    pub role: Option<Role>,
    /// Origin of the server, whatever the SDK's variables say. `None`: the SDK's variables and profile, else the
    /// host of the queue's URL, else AWS in `region`.
    pub address: Option<Url>,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub arn: String,
    /// What the role's owner demands against the confused deputy.
    pub external_id: Option<String>,
}

/// How a FIFO queue's name ends, and no other's.
pub(super) const FIFO: &str = ".fifo";

/// A queue as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueRef {
    /// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME` or that of another server.
    Url(Url),
    /// `arn:aws:sqs:REGION:ACCOUNT:NAME`; its URL is asked of SQS.
    Arn {
        /// Region of the queue.
        region: String,
        /// Account of the queue's owner.
        account: String,
        /// Name of the queue.
        name: String,
    },
    /// A name in the account of the credentials; its URL is asked of SQS.
    Name(String),
}

impl QueueRef {
    /// Name of the queue: the last part of its URL or ARN.
    pub fn name(&self) -> &str {
        match self {
            Self::Url(url) => url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default(),
            Self::Arn { name, .. } | Self::Name(name) => name,
        }
    }

    /// Whether it is a FIFO queue: the name says so.
    pub fn is_fifo(&self) -> bool {
        self.name().ends_with(FIFO)
    }
}

impl fmt::Display for QueueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{url}"),
            Self::Arn { region, account, name } => write!(f, "arn:aws:sqs:{region}:{account}:{name}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}
