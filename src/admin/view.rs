//! The data that the routes of the admin port show.

use std::sync::Arc;

use crate::drain::Drain;
use crate::limit::EndpointLimits;
use crate::pipeline::{Health, Status};
use crate::telemetry::metrics::Metrics;

/// The data of all routes.
pub struct View {
    /// The metrics registry.
    pub metrics: Arc<Metrics>,
    /// Closures that set gauges; called at each scrape.
    pub gauges: Vec<Box<dyn Fn() + Send + Sync>>,
    /// Name and health of each listener.
    pub listeners: Vec<(String, Arc<Health>)>,
    /// Name and status of each listener.
    pub statuses: Vec<Box<dyn Fn() -> Status + Send + Sync>>,
    /// Name and limits of each endpoint.
    pub endpoints: Vec<EndpointLimits>,
    /// The phase of the process.
    pub drain: Drain,
}
