//! Which queue, and with which credentials: the adapter's already valid settings.

use std::fmt;

use url::Url;

/// The queue of a listener, and how to call it.
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
    /// Origin of the server; it overrides the SDK's variables. `None`: the SDK's variables and profile, else
    /// the host of the queue's URL, else AWS in `region`.
    pub address: Option<Url>,
}

/// Where the bodies of claim checks are, and what is done with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSettings {
    /// The only buckets that a message may name; at least one.
    pub buckets: Vec<String>,
    /// Longest object that is fetched, in bytes.
    pub max_size: usize,
    /// Whether an object is deleted after its message.
    pub deletes: bool,
    /// Origin of a server that is not Amazon's; `None`: S3 in the queue's region, or what the SDK's variables say.
    pub address: Option<Url>,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub arn: String,
    /// External id that the role's owner requires, against the confused-deputy problem.
    pub external_id: Option<String>,
}

/// Suffix of every FIFO queue's name; standard queues never have it.
pub(super) const FIFO: &str = ".fifo";

/// A queue in one of the forms that users write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueRef {
    /// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, or the URL of another server.
    Url(Url),
    /// `arn:aws:sqs:REGION:ACCOUNT:NAME`; SQS is asked for its URL.
    Arn {
        /// Region of the queue.
        region: String,
        /// Account of the queue's owner.
        account: String,
        /// Name of the queue.
        name: String,
    },
    /// A name in the account of the credentials; SQS is asked for its URL.
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

    /// Whether it is a FIFO queue, by its name.
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
