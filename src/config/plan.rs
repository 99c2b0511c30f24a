//! The plan: the checked configuration, in the `Settings` types of the areas that run it.
//!
//! A plan is complete and valid, or does not exist. It has no reference to the file, so an area sees only its
//! own `Settings`. An endpoint's credentials are in the plan but never print.

use std::sync::Arc;
use std::time::Duration;

use crate::config::admin::AdminAddresses;
use crate::config::written_keys::WrittenKeys;
use crate::exchange::results::Form;
use crate::secret::Secret;
use crate::{endpoint, limit, pipeline, sqs, telemetry};

/// Everything a process needs to know, already valid.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The listeners in the order of the file; at least one.
    pub listeners: Vec<ListenerPlan>,
    /// The endpoints that a listener uses; at least one.
    pub endpoints: Vec<EndpointPlan>,
    /// Where the admin port listens.
    pub admin: AdminAddresses,
    /// Who may change something through the admin port; `None`: nobody.
    pub admin_token: Option<Secret>,
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
    /// What was written for it.
    pub written: WrittenKeys,
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
