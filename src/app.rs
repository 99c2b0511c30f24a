//! The wiring: from a checked plan to running listeners, and back to a stopped process, in the right order.
//!
//! The only area that names every other. Start: limits and clients, the admin port, then all listeners. Then one loop
//! follows signals, requests and a configuration that changes. End:
//! a signal starts the drain; a second signal or the deadline aborts running work. The admin port answers
//! until the last message is settled. The failure of one listener does not affect the others.

mod by_hand;
pub mod check;
pub mod crew;
pub mod effect;
mod endpoints;
mod event_listeners;
mod file_store;
mod fleet;
mod incoming;
mod listener_file;
mod operator;
mod process;
mod redrives;
mod reload;
pub mod render;
mod resources;
mod results;
mod signals;
mod start;
pub mod test_post;
mod watch;
mod wiring;
mod written;

pub use reload::Source;
pub use start::StartError;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Events, Guard, History, ListenerStore, Live, Running, View};
use crate::app::crew::Crew;
use crate::app::endpoints::Prepared;
use crate::app::file_store::FileStore;
use crate::app::fleet::Fleet;
use crate::app::operator::ToProcess;
use crate::app::process::{Process, With};
use crate::app::redrives::Redrives;
use crate::app::reload::Reloads;
use crate::app::signals::Signals;
use crate::app::start::AdminPorts;
use crate::app::wiring::Wiring;
use crate::config::{self, Plan};
use crate::drain::{ABORT_GRACE, Drain};
use crate::limit::clock::Wall;
use crate::pipeline::Preflight;
use crate::sqs::Clients;
use crate::telemetry::log_level::LogLevel;
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

/// Runs a plan until a signal or `stop`, and then until everything in flight is settled. Meanwhile it follows its source,
/// if it has one that may change.
pub async fn run(plan: Plan, source: Option<Source>, stop: CancellationToken) -> Result<End, StartError> {
    let mut signals = Signals::new().map_err(StartError::Signals)?;
    let started = Instant::now();
    start::say_all(&plan);
    let traces = Traces::start(config::process_env);
    let (drain, metrics, require_healthy) = (Drain::new(), Arc::new(Metrics::new()), plan.require_healthy);
    let admin = AdminPorts::bind(plan.admin).await?;
    let endpoints = Prepared::new(&plan.endpoints, &[])?;
    start::tell(&plan, &admin);
    let running = Arc::new(Running::default());
    let (requests, mut of_routes) = mpsc::channel(operator::WAITING_MAX);
    let folder = tokio::sync::watch::Sender::new(plan.listeners_dir.clone());
    let (clients, redrives) = (Arc::<Clients>::default(), Arc::<Redrives>::default());
    let operator = ToProcess { requests, clients: Arc::clone(&clients), redrives: Arc::clone(&redrives) };
    let (admin_stop, log) = (CancellationToken::new(), Arc::new(LogLevel::new(&plan.log.filter)));
    let fleet = Fleet::new(admin.address(plan.admin.all));
    let view = Arc::new(View {
        metrics: Arc::clone(&metrics),
        running: Arc::clone(&running),
        drain: drain.clone(),
        guard: Guard::new(plan.admin_token.clone()),
        operator: Some(Arc::new(operator.clone())),
        store: store(source.as_ref(), operator),
        tasks: TaskTracker::new(),
        live: Live { history: History::new(Wall::System), events: Events::until(admin_stop.clone()) },
        log: Arc::clone(&log),
        about: start::about(folder.subscribe(), fleet.standing()),
    });
    let reloads = Reloads::of(source, folder);
    let (deadline, shares) = (plan.deadline, fleet.shares());
    let wiring = Wiring { metrics: Arc::clone(&metrics), drain: drain.clone(), clients, deadline, shares };
    let with = With { fleet, reloads, log };
    let mut process = Process::start(plan, endpoints, wiring, Arc::clone(&running), with).await;
    let served = admin.serve(&view, &admin_stop);

    let healthy = tokio::select! {
        biased;
        () = process.serve(&mut signals, &mut of_routes) => true,
        () = stop.cancelled() => true,
        () = unhealthy(&running, require_healthy) => false,
    };
    // Nothing is started or changed from here on, and whoever asks is refused.
    drop(of_routes);
    process.reloads.end();
    let deadline = process.deadline();
    tell_draining(running_posts(&running), deadline);
    metrics.set_draining();
    drain.begin(deadline);
    redrives.stop();
    let end = finish(&mut process.crew, &redrives, &mut signals, &drain, deadline).await;
    admin_stop.cancel();
    close(&view, served).await;
    traces.end().await;
    tracing::info!(ran_seconds = started.elapsed().as_secs(), clean = end == End::Clean, "stopped");
    Ok(if healthy { end } else { End::CutOff })
}

/// Waits for the admin port, which has been told to end. A scrape that hangs does not delay the exit, nor does a test post.
async fn close(view: &View, mut served: JoinSet<()>) {
    view.tasks.close();
    let ended = async {
        while served.join_next().await.is_some() {}
        view.tasks.wait().await;
    };
    tokio::time::timeout(Duration::from_secs(1), ended).await.ok();
}

/// Who keeps listeners that are created, where the configuration can change.
fn store(source: Option<&Source>, operator: ToProcess) -> Option<Arc<dyn ListenerStore>> {
    let (load, explain) = source?.readers();
    Some(Arc::new(FileStore::new(load, explain, operator)))
}

/// Waits for all listeners and redrives. At the deadline or a second signal, running work is aborted and deferred.
async fn finish(
    crew: &mut Crew<Wiring>,
    redrives: &Redrives,
    signals: &mut Signals,
    drain: &Drain,
    deadline: Duration,
) -> End {
    let deadline = Instant::now() + deadline;
    let all_ended = async {
        let is_clean = crew.all_ended().await;
        redrives.all_ended().await;
        is_clean
    };
    tokio::select! {
        biased;
        is_clean = all_ended => return if is_clean { End::Clean } else { End::CutOff },
        () = signals.stop() => tracing::warn!("second signal: cutting off what still runs"),
        () = tokio::time::sleep_until(deadline) => tracing::warn!("deadline: cutting off what still runs"),
    }
    drain.abort();
    let all_ended = async { tokio::join!(crew.all_ended(), redrives.all_ended()) };
    if tokio::time::timeout(ABORT_GRACE, all_ended).await.is_err() {
        tracing::error!("some messages could not be settled in time; SQS will hand them out again");
    }
    End::CutOff
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
fn running_posts(running: &Running) -> usize {
    running.endpoints().iter().map(|endpoint| endpoint.limits.sessions.running()).sum()
}

/// Logs what the drain waits for, and how to end it at once.
fn tell_draining(posts: usize, deadline: Duration) {
    let deadline_seconds = deadline.as_secs();
    match posts {
        0 => tracing::info!(posts, deadline_seconds, "draining: no POST runs, a long poll may; {CUTS_OFF}"),
        1 => tracing::info!(posts, deadline_seconds, "draining: 1 POST still runs; {CUTS_OFF}"),
        _ => tracing::info!(posts, deadline_seconds, "draining: {posts} POSTs still run; {CUTS_OFF}"),
    }
}
