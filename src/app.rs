//! The wiring: from a checked plan to running listeners, and back to a stopped process, in the right order.
//!
//! The only area that names every other. Start: limits and clients, the admin port, then all listeners. End:
//! a signal starts the drain; a second signal or the deadline aborts running work. The admin port answers
//! until the last message is settled. The failure of one listener does not affect the others.

pub mod check;
pub mod render;
mod resources;
mod results;
pub mod test_post;

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Admin, AdminError, Gauges, Guard, Running, RunningEndpoint, RunningListener, View};
use crate::app::resources::{Limits, Shortage};
use crate::config::{self, EndpointPlan, ListenerPlan, Plan};
use crate::drain::{ABORT_GRACE, Drain, RECEIVES_END_BEFORE};
use crate::endpoint::auth::{Auth, SigV4};
use crate::endpoint::{ClientError, HttpClient, HttpEndpoint};
use crate::limit::EndpointLimits;
use crate::limit::clock::Wall;
use crate::pipeline::{ClaimChecks, Listener, Parts, Preflight};
use crate::secret::Secret;
use crate::sqs;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Traces;

/// How a person can end the drain at once.
const CUTS_OFF: &str = "a second signal (Ctrl-C once more) cuts off what runs at that time";
/// How often `--require-healthy` checks the listeners.
const HEALTH_CHECK: Duration = Duration::from_millis(50);

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything that ran has finished.
    Clean,
    /// Work was aborted, or a listener that had to be healthy was not.
    CutOff,
}

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

/// Runs a plan until a signal or `stop`, and then until everything in flight is settled.
pub async fn run(plan: Plan, stop: CancellationToken) -> Result<End, StartError> {
    let mut signals = Signals::new().map_err(StartError::Signals)?;
    let started = Instant::now();
    warn(&plan);
    let traces = Traces::start(config::process_env);
    let drain = Drain::new();
    let metrics = Arc::new(Metrics::new());
    let admin = Admin::bind(plan.admin).await?;
    let endpoints = endpoints(&plan.endpoints, &metrics)?;
    let listeners = listeners(&plan, &endpoints, &metrics, &drain).await;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listeners = listeners.len(),
        admin = admin.address().map(|address| address.to_string()),
        "started"
    );
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

    let limits: Vec<EndpointLimits> = endpoints.iter().map(|endpoint| endpoint.limits.clone()).collect();
    let shown = shown(&listeners, endpoints);
    let view = view(&metrics, &shown, &drain, plan.admin_token.clone());
    let admin_stop = CancellationToken::new();
    let mut admin_task = JoinSet::new();
    admin_task.spawn(admin.serve(view, admin_stop.clone()));
    let mut running = JoinSet::new();
    for listener in listeners {
        running.spawn(listener.run());
    }

    let healthy = tokio::select! {
        biased;
        () = signals.next() => true,
        () = stop.cancelled() => true,
        () = unhealthy(&shown, plan.require_healthy) => false,
    };
    tell_draining(running_posts(&limits), plan.deadline);
    metrics.set_draining();
    drain.begin(plan.deadline);
    let end = finish(&mut running, &mut signals, &drain, plan.deadline).await;
    admin_stop.cancel();
    // A scrape that hangs does not delay the exit.
    tokio::time::timeout(Duration::from_secs(1), admin_task.join_next()).await.ok();
    traces.end().await;
    tracing::info!(ran_seconds = started.elapsed().as_secs(), clean = end == End::Clean, "stopped");
    Ok(if healthy { end } else { End::CutOff })
}

/// Logs what is notable about the configuration and about this machine's limits.
fn warn(plan: &Plan) {
    for note in &plan.notes {
        tracing::info!("{note}");
    }
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    for Shortage { meaning, fix } in resources::shortages(plan, Limits::raised()) {
        tracing::warn!(fix, "{meaning}");
    }
}

/// Waits for all listeners. At the deadline or a second signal, running work is aborted and deferred.
async fn finish(running: &mut JoinSet<()>, signals: &mut Signals, drain: &Drain, deadline: Duration) -> End {
    let deadline = Instant::now() + deadline;
    tokio::select! {
        biased;
        end = all_ended(running) => return end,
        () = signals.next() => tracing::warn!("second signal: cutting off what still runs"),
        () = tokio::time::sleep_until(deadline) => tracing::warn!("deadline: cutting off what still runs"),
    }
    drain.abort();
    if tokio::time::timeout(ABORT_GRACE, all_ended(running)).await.is_err() {
        tracing::error!("some messages could not be settled in time; SQS will hand them out again");
    }
    End::CutOff
}

async fn all_ended(running: &mut JoinSet<()>) -> End {
    let mut end = End::Clean;
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a listener ended by a panic");
            end = End::CutOff;
        }
    }
    end
}

/// Completes when a listener that must be healthy is definitely not; never completes without that
/// requirement.
async fn unhealthy(running: &Running, required: bool) {
    if !required {
        std::future::pending::<()>().await;
    }
    loop {
        let states: Vec<Preflight> =
            running.listeners().iter().map(|listener| listener.health.preflight()).collect();
        if states.iter().any(|state| matches!(state, Preflight::Faulted(_))) {
            tracing::error!("a listener is faulted and --require-healthy was given");
            return;
        }
        if states.iter().all(|state| *state == Preflight::Passed) {
            return std::future::pending().await;
        }
        tokio::time::sleep(HEALTH_CHECK).await;
    }
}

/// Counts the running POSTs; messages that wait for a session do not count.
fn running_posts(limits: &[EndpointLimits]) -> usize {
    limits.iter().map(|limits| limits.sessions.running()).sum()
}

/// Logs what the drain waits for, and how to end it at once.
fn tell_draining(posts: usize, deadline: Duration) {
    let deadline_seconds = deadline.as_secs();
    match posts {
        0 => tracing::info!(posts, deadline_seconds, "draining: no POST runs"),
        1 => tracing::info!(posts, deadline_seconds, "draining: 1 POST still runs; {CUTS_OFF}"),
        _ => tracing::info!(posts, deadline_seconds, "draining: {posts} POSTs still run; {CUTS_OFF}"),
    }
}

/// An endpoint's client, its limits and a closure that sets its gauges.
struct Endpoint {
    client: HttpClient,
    limits: EndpointLimits,
    sessions_are_workers: bool,
    gauges: Gauges,
}

fn client(plan: &EndpointPlan) -> Result<HttpClient, StartError> {
    let client = HttpClient::new(&plan.client)
        .map_err(|source| StartError::Endpoint { name: plan.client.name.clone(), source })?;
    let Some(Auth::SigV4(SigV4 { service, region, profile, role_arn, external_id })) = &plan.client.auth
    else {
        return Ok(client);
    };
    let role = role_arn.clone().map(|arn| sqs::Role { arn, external_id: external_id.clone() });
    let (service, region, profile) = (service.clone(), region.clone(), profile.clone());
    let signer = sqs::SigV4Signer::new(sqs::SigV4 { service, region, profile, role });
    Ok(client.signed_by(Arc::new(signer)))
}

fn endpoints(plans: &[EndpointPlan], metrics: &Metrics) -> Result<Vec<Endpoint>, StartError> {
    let make = |plan: &EndpointPlan| {
        let client = client(plan)?;
        let limits = EndpointLimits::new(&plan.client.name, &plan.limits, fastrand::u64(..));
        let (mirrored, handles) = (limits.clone(), metrics.endpoint(&plan.client.name));
        let gauges = move || {
            let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            handles.sessions_limit.set(gauge(mirrored.sessions.cap()));
            handles.adaptive_limit.set(gauge(mirrored.sessions.limit()));
            handles.set_adaptive_rate(mirrored.sessions.learned().and_then(|learned| learned.per_second));
            handles.sessions_in_use.set(gauge(mirrored.sessions.running()));
            handles.gate.mirror(mirrored.gate.snapshot().state, &mirrored.gate.closed_for());
        };
        Ok(Endpoint {
            client,
            limits,
            sessions_are_workers: plan.sessions_are_workers,
            gauges: Box::new(gauges),
        })
    };
    plans.iter().map(make).collect()
}

async fn listeners(plan: &Plan, endpoints: &[Endpoint], metrics: &Metrics, drain: &Drain) -> Vec<Listener> {
    let clients = sqs::Clients::default();
    let mut listeners = Vec::new();
    for ListenerPlan { listener, queue, claim_check, results, target, endpoint } in &plan.listeners {
        let Some(endpoint) = endpoints.get(*endpoint) else { continue };
        let mut settings = listener.clone();
        settings.receiving.wait = receive_wait(settings.receiving.wait, plan.deadline);
        listeners.push(Listener::new(Parts {
            metrics: Arc::new(metrics.listener(&settings.name, &endpoint.limits.name)),
            queue: Arc::new(clients.queue(queue).await),
            endpoint: Arc::new(HttpEndpoint::new(&endpoint.client, target.clone())),
            claim_checks: claim_check.as_ref().map(|settings| claim_checks(settings, queue)),
            results: results::results(&clients, &listener.name, results).await,
            limits: endpoint.limits.clone(),
            drain: drain.clone(),
            wall: Wall::System,
            seed: fastrand::u64(..),
            settings,
        }));
    }
    listeners
}

fn claim_checks(settings: &sqs::ObjectSettings, queue: &sqs::Settings) -> ClaimChecks {
    let store = sqs::objects(settings, queue);
    let sqs::ObjectSettings { buckets, max_size, deletes, .. } = settings.clone();
    ClaimChecks { store, buckets, max_size, deletes }
}

/// The long-poll time that a drain can wait for. A short deadline shortens it to at least a second. One more
/// second is left for the answer to arrive.
fn receive_wait(wait: Duration, deadline: Duration) -> Duration {
    let room = deadline.saturating_sub(RECEIVES_END_BEFORE + Duration::from_secs(1));
    wait.min(Duration::from_secs(room.as_secs().max(1)))
}

/// What the admin port shows of them.
fn shown(listeners: &[Listener], endpoints: Vec<Endpoint>) -> Arc<Running> {
    let running = Running::default();
    for listener in listeners {
        running.put_listener(RunningListener::of(listener));
    }
    for Endpoint { limits, sessions_are_workers, gauges, .. } in endpoints {
        running.put_endpoint(RunningEndpoint::new(limits, sessions_are_workers, gauges));
    }
    Arc::new(running)
}

/// All that the admin port shows, and who may change it.
fn view(metrics: &Arc<Metrics>, running: &Arc<Running>, drain: &Drain, token: Option<Secret>) -> View {
    View {
        metrics: Arc::clone(metrics),
        running: Arc::clone(running),
        drain: drain.clone(),
        guard: Guard::new(token),
        operator: None,
        tasks: TaskTracker::new(),
    }
}

/// The signals that ask the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Completes at the next SIGTERM or SIGINT; a SIGHUP is logged and ignored.
    async fn next(&mut self) {
        loop {
            tokio::select! {
                biased;
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => tracing::info!("SIGHUP ignored: the configuration is not reloaded"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_deadline_shortens_the_long_poll() {
        let wait =
            |wait, deadline| receive_wait(Duration::from_secs(wait), Duration::from_secs(deadline)).as_secs();
        assert_eq!(wait(20, 25), 20);
        assert_eq!(wait(20, 24), 20);
        assert_eq!(wait(20, 10), 6);
        assert_eq!(wait(20, 1), 1);
        assert_eq!(wait(0, 25), 0);
        assert_eq!(wait(1, 25), 1);
    }
}
