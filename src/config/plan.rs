//! The plan: the checked configuration, in the `Settings` types of the areas that run it.
//!
//! A plan is complete and valid, or does not exist. It has no reference to the file, so an area sees only its
//! own `Settings`. An endpoint's credentials are in the plan but never print.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::admin::AdminAddresses;
use crate::config::written_keys::WrittenKeys;
use crate::exchange::Algorithm;
use crate::exchange::results::Form;
use crate::secret::Secret;
use crate::{endpoint, fleet, limit, pipeline, sqs, telemetry};

/// Everything a process needs to know, already valid.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The listeners in the order of the file, and those of `listeners_dir` by name; at least one unless there is such a directory.
    pub listeners: Vec<ListenerPlan>,
    /// The endpoints that a listener uses.
    pub endpoints: Vec<EndpointPlan>,
    /// Where listeners are kept one by one.
    pub listeners_dir: Option<PathBuf>,
    /// Where the admin port listens.
    pub admin: AdminAddresses,
    /// Who may change something through the admin port; `None`: nobody.
    pub admin_token: Option<Secret>,
    /// Who else holds the caps with this process, if anybody does.
    pub fleet: Option<fleet::Settings>,
    /// Time from the stop signal until running work is aborted.
    pub deadline: Duration,
    /// How logs are written.
    pub log: telemetry::log::Settings,
    /// Whether a listener that fails its preflight ends the process.
    pub require_healthy: bool,
    /// What was read from variables of other programs; for the log.
    pub notes: Vec<String>,
    /// Warnings about allowed but probably unintended values; for the log.
    pub warnings: Vec<String>,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerPlan {
    /// Its limits and policy.
    pub listener: pipeline::Settings,
    /// Where its messages come from.
    pub queue: sqs::Settings,
    /// Where the bodies of its claim checks are.
    pub claim_check: Option<sqs::ObjectSettings>,
    /// Where results go.
    pub results: ResultsPlan,
    /// Path and timeout of its POSTs.
    pub target: endpoint::Target,
    /// Index of its endpoint in [`Plan::endpoints`].
    pub endpoint: usize,
    /// Whose event listener it is, if it is somebody's.
    pub event_listener: Option<EventListenerPlan>,
    /// What was written for it.
    pub written: WrittenKeys,
    /// Where it was written.
    pub origin: Origin,
}

/// Where a listener is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// What kind of place that is.
    pub kind: OriginKind,
    /// The file, if it is one.
    pub path: Option<PathBuf>,
    /// The line of the file, from 1.
    pub line: u64,
}

/// A kind of place in which listeners are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OriginKind {
    /// Flags and variables.
    #[default]
    Flags,
    /// The configuration file.
    File,
    /// A file of `listeners_dir`.
    Directory,
}

impl OriginKind {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Flags => "flags",
            Self::File => "file",
            Self::Directory => "directory",
        }
    }
}

/// An event listener: a listener that calls an algorithm for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventListenerPlan {
    /// The user.
    pub owner: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// How long the algorithm may take, in whole seconds.
    pub timeout: Duration,
}

/// The result queues of a listener; by default there are none.
#[derive(Debug, Clone, Default)]
pub struct ResultsPlan {
    /// For messages whose work is done.
    pub success: Option<ResultPlan>,
    /// For messages whose outcome is a failure.
    pub failure: Option<ResultPlan>,
}

impl ResultsPlan {
    /// Each result queue with the key that it is configured by.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &ResultPlan)> {
        let all = [("results.success", &self.success), ("results.failure", &self.failure)];
        all.into_iter().filter_map(|(key, plan)| Some((key, plan.as_ref()?)))
    }

    /// The same, to be changed.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut ResultPlan> {
        self.success.iter_mut().chain(&mut self.failure)
    }
}

/// A result queue.
#[derive(Debug, Clone)]
pub struct ResultPlan {
    /// The queue.
    pub queue: sqs::Settings,
    /// How results are worded.
    pub form: Arc<Form>,
    /// Whether each POST that failed has a result, and not the last one alone.
    pub every_try: bool,
}

/// One endpoint, shared by all listeners with the same `scheme://host:port`, credentials and TLS files.
#[derive(Debug, Clone)]
pub struct EndpointPlan {
    /// `scheme://host:port`.
    pub origin: String,
    /// How the endpoint is reached.
    pub client: endpoint::Settings,
    /// The caps shared by its listeners.
    pub limits: limit::Settings,
    /// Whether its sessions are the sum of its listeners' workers, as nobody wrote another number.
    pub sessions_are_workers: bool,
}
