//! The data that the routes of the admin port show.

use std::sync::Arc;

use super::{Operator, Running};
use crate::drain::Drain;
use crate::telemetry::metrics::Metrics;

/// The data of all routes.
pub struct View {
    /// The metrics registry.
    pub metrics: Arc<Metrics>,
    /// Listeners and endpoints.
    pub running: Arc<Running>,
    /// The phase of the process.
    pub drain: Drain,
    /// Who starts and ends listeners, where somebody does.
    pub operator: Option<Arc<dyn Operator>>,
}
