//! The start: why there is none, and what the log says of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{About, Admin, AdminError, View};
use crate::app::resources::{self, Limits, Shortage};
use crate::config::{AdminAddresses, ListenerPlan, Plan};
use crate::endpoint::ClientError;
use crate::fleet::Standing;
use crate::limit::clock::Wall;

/// Why a run could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of an endpoint is not valid.
    #[error("endpoint {name} cannot be set up")]
    Endpoint {
        /// Name of the endpoint.
        name: String,
        /// The error in the file.
        source: ClientError,
    },
    /// The admin port is taken.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The system does not deliver signals.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

impl StartError {
    /// Whether the cause is the configuration.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Endpoint { .. })
    }
}

/// The admin port, and the one for metrics alone if there is one, bound.
pub(super) struct AdminPorts {
    all: Admin,
    metrics: Option<Admin>,
}

impl AdminPorts {
    /// Binds both, so that a port conflict is known before anything starts.
    pub(super) async fn bind(addresses: AdminAddresses) -> Result<Self, AdminError> {
        let all = Admin::bind("admin.listen", addresses.all).await?;
        let metrics = match addresses.metrics {
            Some(address) => Some(Admin::bind("admin.metrics_listen", address).await?),
            None => None,
        };
        Ok(Self { all, metrics })
    }

    /// Where the one with all routes listens; `configured`, if the system does not tell.
    pub(super) fn address(&self, configured: SocketAddr) -> SocketAddr {
        self.all.address().unwrap_or(configured)
    }

    /// Serves both until `stop`.
    pub(super) fn serve(self, view: &Arc<View>, stop: &CancellationToken) -> JoinSet<()> {
        let mut served = JoinSet::new();
        served.spawn(self.all.serve(Arc::clone(view), stop.clone()));
        if let Some(metrics) = self.metrics {
            served.spawn(metrics.serve_metrics(Arc::clone(view), stop.clone()));
        }
        served
    }
}

/// Logs what starts, and where the admin port is, and that for metrics if there is one.
pub(super) fn tell(plan: &Plan, ports: &AdminPorts) {
    let address = |port: &Admin| port.address().map(|address| address.to_string());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listeners = plan.listeners.len(),
        admin = address(&ports.all),
        metrics = ports.metrics.as_ref().and_then(address),
        "started"
    );
    if let (true, Some(folder)) = (plan.listeners.is_empty(), &plan.listeners_dir) {
        tracing::info!(
            listeners_dir = %folder.display(),
            "there is no listener yet: create one in the console, by POST /api/v1/listeners, or as a file in the directory"
        );
    }
    for ListenerPlan { listener, endpoint, .. } in &plan.listeners {
        let endpoint = plan.endpoints.get(*endpoint);
        tracing::info!(
            listener = %listener.name,
            queue = %listener.queue_name,
            endpoint = endpoint.map(|endpoint| endpoint.client.name.as_str()),
            workers = listener.workers,
            sessions = endpoint.map(|endpoint| endpoint.limits.sessions),
            "configured"
        );
    }
}

/// What this process is.
pub(super) fn about(
    listeners_dir: watch::Receiver<Option<PathBuf>>,
    fleet: watch::Receiver<Standing>,
) -> About {
    let host = rustix::system::uname().nodename().to_str().ok().map(str::to_owned);
    About { started: Wall::System.now(), host: host.filter(|host| !host.is_empty()), listeners_dir, fleet }
}

/// Something a person should know of, and its fix.
pub(super) type Notable = (String, Option<String>);

/// What is notable about the configuration and about this machine's limits.
pub(super) fn notable(plan: &Plan) -> Vec<Notable> {
    let shortages = resources::shortages(plan, Limits::raised());
    let shortages = shortages.into_iter().map(|Shortage { meaning, fix }| (meaning, Some(fix)));
    plan.warnings.iter().map(|warning| (warning.clone(), None)).chain(shortages).collect()
}

/// Logs what there is to say of a plan before it starts.
pub(super) fn say_all(plan: &Plan) {
    for note in &plan.notes {
        tracing::info!("{note}");
    }
    say_anew(&[], &notable(plan));
}

/// Logs what was not said before.
pub(super) fn say_anew(said: &[Notable], notable: &[Notable]) {
    for new in notable.iter().filter(|new| !said.contains(new)) {
        let (meaning, fix) = new;
        tracing::warn!(fix, "{meaning}");
    }
}
