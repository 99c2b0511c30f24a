//! One listener: one queue, one endpoint, its limits and its policy, run together until drained.
//!
//! [`Core`] is what its tasks share. The order of the end matters: pollers stop, deliveries finish, the settle
//! loop runs dry, and only then does the lease wheel stop. A loop that panics is counted and runs again with the state
//! it had: without the settle loop POSTs would go on and nothing would be deleted.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drain::Drain;
use crate::limit::clock::Wall;
use crate::limit::{EndpointLimits, Gate, Seat, Workers};
use crate::message::Message;
use crate::pipeline::Settings;
use crate::pipeline::failing::Failing;
use crate::pipeline::finished::Finished;
use crate::pipeline::gates::Gates;
use crate::pipeline::group::Groups;
use crate::pipeline::health::{Health, Preflight};
use crate::pipeline::hidden::Hidden;
use crate::pipeline::keep::Keeper;
use crate::pipeline::lately::Lately;
use crate::pipeline::metered::Metered;
use crate::pipeline::narrate::{self, Narrator};
use crate::pipeline::ports::{Endpoint, Queue, QueueError, QueueErrorKind, QueueFacts};
use crate::pipeline::queue_view::QueueView;
use crate::pipeline::receive::{self, Poller};
use crate::pipeline::settle::{self, SettleLoop};
use crate::pipeline::settlement::Settler;
use crate::pipeline::status::Status;
use crate::pipeline::wheel::LeaseWheel;
use crate::policy::preflight::{self, Delays, Finding};
use crate::policy::probing::Budget;
use crate::policy::visibility::lease;
use crate::telemetry::handles::ListenerMetrics;

/// How often the queue's depth is read.
const INSPECT_EVERY: Duration = Duration::from_secs(30);
/// Pause before a poller or loop that panicked is started again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// All that a listener is made of.
pub struct Parts {
    /// Numbers and choices.
    pub settings: Settings,
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// Where they go.
    pub endpoint: Arc<dyn Endpoint>,
    /// The endpoint's limits, shared with its other listeners.
    pub limits: EndpointLimits,
    /// The listener's counters.
    pub metrics: Arc<ListenerMetrics>,
    /// The phase of the process.
    pub drain: Drain,
    /// Wall-clock time.
    pub wall: Wall,
    /// Drives all jitter of the listener.
    pub seed: u64,
}

/// One listener, ready to run.
pub struct Listener {
    core: Arc<Core>,
    seed: u64,
}

/// What the tasks of a listener share.
pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) endpoint: Arc<dyn Endpoint>,
    pub(super) limits: EndpointLimits,
    pub(super) gates: Gates,
    pub(super) seat: Seat,
    pub(super) workers: Workers,
    pub(super) wheel: Arc<LeaseWheel>,
    pub(super) finished: Arc<Finished>,
    pub(super) hidden: Hidden,
    pub(super) groups: Arc<Groups>,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) health: Arc<Health>,
    pub(super) narrator: Arc<Narrator>,
    pub(super) drain: Drain,
    pub(super) wall: Wall,
    /// Whether the last receive brought something.
    pub(super) busy: AtomicBool,
    /// Whether the listener's last probe of a gate was refused.
    pub(super) probe_refused: AtomicBool,
    /// Messages a busy endpoint turned away on their last receive.
    pub(super) keeper: Keeper,
    /// Polling loops running.
    pub(super) pollers: AtomicUsize,
    /// What the queue last said of itself.
    pub(super) view: QueueView,
    /// Whether deliveries fail.
    pub(super) failing: Failing,
    random: Mutex<fastrand::Rng>,
    /// When the oldest of the messages received lately was sent.
    oldest: Lately<Reverse<SystemTime>>,
    /// How long a message received lately had waited for its first receive, by SQS's clock alone.
    waited: Lately<Duration>,
}

impl Listener {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, queue, endpoint, limits, metrics, drain, wall, seed } = parts;
        let queue: Arc<dyn Queue> =
            Arc::new(Metered { queue, metrics: Arc::clone(&metrics), name: settings.queue_name.clone() });
        let narrator = Arc::new(Narrator::new(&settings.name, &settings.queue_name, &limits.name));
        let core = Core {
            gates: Gates { own: Gate::new(seed.wrapping_add(2)), shared: Arc::clone(&limits.gate) },
            seat: limits.sessions.seat(),
            workers: Workers::new(settings.workers),
            wheel: LeaseWheel::new(
                lease(settings.timeout),
                Arc::clone(&metrics),
                Arc::clone(&narrator),
                seed.wrapping_add(3),
            ),
            finished: Arc::new(Finished::default()),
            hidden: Hidden::default(),
            groups: Arc::new(Groups::default()),
            health: Arc::new(Health::default()),
            busy: AtomicBool::new(false),
            probe_refused: AtomicBool::new(false),
            keeper: Keeper::new(settings.workers),
            pollers: AtomicUsize::new(1),
            view: QueueView::default(),
            failing: Failing::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            oldest: Lately::default(),
            waited: Lately::default(),
            settings,
            narrator,
            queue,
            endpoint,
            limits,
            metrics,
            drain,
            wall,
        };
        Self { core: Arc::new(core), seed }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.core.settings.name
    }

    /// Its health, for probes.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.core.health)
    }

    /// Sets the gauges that mirror its state; called when somebody scrapes.
    pub fn gauges(&self) -> impl Fn() + Send + Sync + 'static {
        let core = Arc::clone(&self.core);
        move || core.set_gauges()
    }

    /// What it does now, for whoever asks.
    pub fn status(&self) -> impl Fn() -> Status + Send + Sync + 'static {
        let core = Arc::clone(&self.core);
        move || core.status()
    }

    /// Runs until the drain is over and everything is settled.
    pub async fn run(self) {
        let core = self.core;
        let wheel_stop = CancellationToken::new();
        let mut wheel = JoinSet::new();
        let tick = Arc::new(core.health.watch("lease"));
        let (of_wheel, stop) = (Arc::clone(&core), wheel_stop.clone());
        wheel.spawn(kept_running(Arc::clone(&core), "lease extender", move || {
            let (wheel, queue) = (Arc::clone(&of_wheel.wheel), Arc::clone(&of_wheel.queue));
            wheel.run(queue, Arc::clone(&tick), stop.clone())
        }));
        let parts = settle::Parts {
            queue: Arc::clone(&core.queue),
            finished: Arc::clone(&core.finished),
            metrics: Arc::clone(&core.metrics),
            narrator: Arc::clone(&core.narrator),
            health: Arc::clone(&core.health),
            drain: core.drain.clone(),
            fifo: core.settings.fifo,
            tick: core.health.watch("settle"),
            random: fastrand::Rng::with_seed(self.seed.wrapping_add(1)),
        };
        let (settler, settle_loop) = SettleLoop::new(core.settings.workers, parts);
        let settle_loop = Arc::new(tokio::sync::Mutex::new(settle_loop));
        let mut settling = JoinSet::new();
        settling.spawn(kept_running(Arc::clone(&core), "settle loop", move || {
            let settle_loop = Arc::clone(&settle_loop);
            async move { settle_loop.lock().await.run().await }
        }));
        let (deliveries, pollers) = (TaskTracker::new(), TaskTracker::new());
        let mut making_up = JoinSet::new();
        making_up.spawn(make_up(Arc::clone(&core), wheel_stop.clone()));
        if receive::preflight(&core).await {
            let of_looks = Arc::clone(&core);
            let looks = move || inspect_now_and_then(Arc::clone(&of_looks));
            pollers.spawn(kept_running(Arc::clone(&core), "look at the queue", looks));
            supervise(&core, &settler, &deliveries, &pollers).await;
        }
        pollers.close();
        pollers.wait().await;
        deliveries.close();
        deliveries.wait().await;
        core.health.unwatch();
        drop(settler);
        while settling.join_next().await.is_some() {}
        wheel_stop.cancel();
        while wheel.join_next().await.is_some() {}
        while making_up.join_next().await.is_some() {}
    }
}

/// Keeps a first poller running until the drain; a poller that panics is counted and replaced.
async fn supervise(core: &Arc<Core>, settler: &Settler, deliveries: &TaskTracker, pollers: &TaskTracker) {
    while !core.drain.is_draining() {
        let poller = Poller {
            core: Arc::clone(core),
            settler: settler.clone(),
            deliveries: deliveries.clone(),
            pollers: pollers.clone(),
        };
        if pollers.spawn(poller.run()).await.is_err() {
            panicked(core, "poller").await;
        }
    }
}

/// Runs a loop to its end, again whenever it panics. What it had in hand then is left to SQS.
async fn kept_running<F>(core: Arc<Core>, what: &'static str, run: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut task = JoinSet::new();
    loop {
        task.spawn(run());
        match task.join_next().await {
            Some(Err(_panicked)) => panicked(&core, what).await,
            Some(Ok(())) | None => return,
        }
    }
}

/// Counts a panic and pauses, so that one that comes again at once does not spin.
async fn panicked(core: &Core, what: &'static str) {
    core.metrics.panics.inc();
    tracing::error!(listener = %core.settings.name, "the {what} panicked and is started again");
    tokio::time::sleep(AFTER_PANIC).await;
}

/// Reads the queue's depth every 30 s for the gauges, until the drain, which waits for no such look.
async fn inspect_now_and_then(core: Arc<Core>) {
    loop {
        let inspected = tokio::select! {
            biased;
            () = core.drain.draining() => return,
            inspected = async {
                tokio::time::sleep(INSPECT_EVERY).await;
                core.queue.inspect().await
            } => inspected,
        };
        match inspected {
            Ok(facts) => {
                let findings = core.inspected(&facts);
                core.narrator.findings(&findings);
            }
            Err(error) => {
                core.narrator.queue_error(&error);
                core.not_read(&error);
            }
        }
    }
}

/// Tells of what the log left out, until all deliveries have ended.
async fn make_up(core: Arc<Core>, end: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return core.narrator.make_up_for_all(),
            () = tokio::time::sleep(narrate::PERIOD) => core.narrator.make_up(),
        }
    }
}

impl Core {
    /// A random number in `[0, 1)`.
    pub(super) fn unit(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    /// A random number that no other receive has.
    pub(super) fn attempt(&self) -> u128 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u128(..)
    }

    /// A receive was answered.
    pub(super) fn received(&self, count: usize) {
        self.busy.store(count > 0, Ordering::Relaxed);
        self.seat.set_busy(count > 0);
        self.metrics.last_receive.set(unix_seconds(self.wall.now()));
        self.was_read();
        if self.health.set_preflight(Preflight::Passed) {
            self.metrics.set_faulted(self.health.is_faulted());
            self.narrator.healthy(None);
        }
    }

    /// A receive or the preflight failed.
    pub(super) fn receive_failed(&self, error: &QueueError) {
        self.busy.store(false, Ordering::Relaxed);
        self.seat.set_busy(false);
        self.not_read(error);
        if !error.kind.is_fault() {
            self.narrator.queue_error(error);
            return;
        }
        self.metrics.set_faulted(true);
        if self.health.set_preflight(Preflight::Faulted(error.to_string())) {
            self.narrator.faulted(error);
        }
    }

    /// A look at the queue worked.
    pub(super) fn was_read(&self) {
        if let Some(after) = self.health.read() {
            self.narrator.reached_again(after);
        }
    }

    /// A look at the queue failed. An answer that names a fault, or too many messages in flight, comes from SQS itself.
    fn not_read(&self, error: &QueueError) {
        if error.kind.is_fault() || error.kind == QueueErrorKind::OverLimit {
            self.health.read();
        } else {
            self.health.not_read(error);
        }
    }

    /// A message was received.
    pub(super) fn observe(&self, message: &Message) {
        self.metrics.received(message.receive_count.get(), self.age(message));
        if self.max_receives().is_some_and(|max| message.receive_count.get() >= max) {
            self.metrics.near_dead_letter.inc();
        }
        let Some(sent_at) = message.sent_at else { return };
        self.oldest.note(Reverse(sent_at));
        if let Some(waited) = message.first_received_at.and_then(|first| first.duration_since(sent_at).ok()) {
            self.waited.note(waited);
        }
    }

    /// Whether SQS moves the message to the dead-letter queue when it has to be received again, after others
    /// that it had a chance in.
    pub(super) fn is_last_chance(&self, message: &Message) -> bool {
        self.max_receives().is_some_and(|max| max > 1 && message.receive_count.get() >= max)
    }

    /// What the queue can spend on probes.
    pub(super) fn budget(&self) -> Budget {
        self.view.budget()
    }

    /// Receives before the dead-letter queue, when known and there is one.
    pub(super) fn max_receives(&self) -> Option<u32> {
        self.view.max_receives()
    }

    /// A message's work is done.
    pub(super) fn completed(&self, message: &Message) {
        self.metrics.completed(self.age(message));
        self.metrics.last_success.set(unix_seconds(self.wall.now()));
        self.keeper.succeeded();
        if let Some(recovery) = self.failing.succeeded() {
            self.narrator.recovered(message, recovery);
        }
    }

    /// The queue said what it is; what there is to say about that.
    pub(super) fn inspected(&self, facts: &QueueFacts) -> Vec<Finding> {
        self.was_read();
        self.view.note(facts, &self.metrics, &self.narrator);
        let findings = preflight::findings(&facts.settings(), &Delays::of(&self.settings.policy));
        self.metrics.preflight(&findings);
        findings
    }

    fn age(&self, message: &Message) -> Option<Duration> {
        Some(self.wall.now().duration_since(message.sent_at?).unwrap_or_default())
    }

    /// Age of the oldest message among the receives of the last minute, by our wall clock: for people.
    pub(super) fn oldest_age(&self) -> Duration {
        let oldest = self.oldest.get();
        let age = oldest.and_then(|Reverse(sent_at)| self.wall.now().duration_since(sent_at).ok());
        age.unwrap_or_default()
    }

    /// How long the backlog is: the longest that a message received in the last minute had waited for its first receive.
    pub(super) fn backlog(&self) -> Duration {
        self.waited.get().unwrap_or_default()
    }
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
