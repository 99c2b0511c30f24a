//! The data that the routes of the admin port show.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Events, Guard, History, ListenerStore, Operator, Running};
use crate::drain::Drain;
use crate::fleet::Standing;
use crate::telemetry::log_level::LogLevel;
use crate::telemetry::metrics::Metrics;

/// The data of all routes.
pub struct View {
    /// The metrics registry.
    pub metrics: Arc<Metrics>,
    /// Listeners and endpoints.
    pub running: Arc<Running>,
    /// The phase of the process.
    pub drain: Drain,
    /// Who may change something.
    pub guard: Guard,
    /// Who starts and ends listeners, where somebody does.
    pub operator: Option<Arc<dyn Operator>>,
    /// Who keeps the listeners that are created here, where somebody can.
    pub store: Option<Arc<dyn ListenerStore>>,
    /// Changes that are being made, and streams of events.
    pub tasks: TaskTracker,
    /// What is told as it goes.
    pub live: Live,
    /// The filter of the log.
    pub log: Arc<LogLevel>,
    /// What it is.
    pub about: About,
}

/// What listeners count and do, as time goes.
#[derive(Debug)]
pub struct Live {
    /// What was counted lately.
    pub history: History,
    /// Streams of events.
    pub events: Events,
}

/// What this process is.
#[derive(Debug, Clone)]
pub struct About {
    /// When it was started.
    pub started: SystemTime,
    /// Name of the machine or pod.
    pub host: Option<String>,
    /// Where listeners that are created here are kept, if they can be; a reload may change it.
    pub listeners_dir: watch::Receiver<Option<PathBuf>>,
    /// Where the process stands among those that hold the caps with it.
    pub fleet: watch::Receiver<Standing>,
}
