//! What is to run: the checked configuration, in the words of the areas that run it.
//!
//! A plan is whole and valid or does not exist. It holds no reference to the file, so an area sees its own
//! `Settings` and nothing else; an endpoint's credentials are in it but do not print.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{endpoint, limit, pipeline, sqs, telemetry};

/// Everything a process needs to know, already valid.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In the order of the file. At least one.
    pub listeners: Vec<ListenerPlan>,
    /// Those that a listener uses. At least one.
    pub endpoints: Vec<EndpointPlan>,
    /// Where the admin port listens.
    pub admin: SocketAddr,
    /// From the signal to stop until what still runs is aborted.
    pub deadline: Duration,
    /// How logs are written.
    pub log: telemetry::log::Settings,
    /// Whether a listener that fails its preflight ends the process.
    pub require_healthy: bool,
    /// What is allowed but probably not meant; for the log.
    pub warnings: Vec<String>,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerPlan {
    /// Its own numbers and choices.
    pub listener: pipeline::Settings,
    /// Where its messages come from.
    pub queue: sqs::Settings,
    /// Where they go.
    pub target: endpoint::Target,
    /// Index of its endpoint in [`Plan::endpoints`].
    pub endpoint: usize,
}

/// One endpoint, shared by all listeners with the same `scheme://host:port`, credentials and TLS files.
#[derive(Debug, Clone)]
pub struct EndpointPlan {
    /// How it is reached.
    pub client: endpoint::Settings,
    /// What its listeners may do together.
    pub limits: limit::Settings,
}
