//! What the routes of the admin port are given to show.

use std::sync::Arc;

use crate::drain::Drain;
use crate::limit::EndpointLimits;
use crate::pipeline::{Health, Status};
use crate::telemetry::metrics::Metrics;

/// What the admin port shows.
pub struct View {
    /// The registry.
    pub metrics: Arc<Metrics>,
    /// Set gauges that mirror states; called at each scrape.
    pub gauges: Vec<Box<dyn Fn() + Send + Sync>>,
    /// Name and health of each listener.
    pub listeners: Vec<(String, Arc<Health>)>,
    /// What each listener does now.
    pub statuses: Vec<Box<dyn Fn() -> Status + Send + Sync>>,
    /// What the endpoints take.
    pub endpoints: Vec<EndpointLimits>,
    /// The phase of the process.
    pub drain: Drain,
}
