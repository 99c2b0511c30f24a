//! One listener: one queue, one endpoint, its limits and its policy, run together until drained.
//!
//! Puts the parts together and ends them in order: intake stops, deliveries finish, the settle loop runs dry, and only
//! then does the lease extender stop. A loop that panics is counted and runs again with the state it had: without the
//! settle loop POSTs would go on and nothing would be deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drain::Drain;
use crate::limit::clock::Wall;
use crate::limit::{EndpointLimits, Gate, Slots};
use crate::observe::event_log::{self, EventLog};
use crate::observe::health::Health;
use crate::observe::metered::Metered;
use crate::pipeline::Settings;
use crate::pipeline::admit::Admission;
use crate::pipeline::claim_checks::ClaimChecks;
use crate::pipeline::claim_checks::held::Redeemer;
use crate::pipeline::context::Context;
use crate::pipeline::controls::Handle;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::flow::Flow;
use crate::pipeline::gates::Gates;
use crate::pipeline::group::Groups;
use crate::pipeline::intake::Intake;
use crate::pipeline::lease::LeaseTable;
use crate::pipeline::memory::Memory;
use crate::pipeline::panics::caught;
use crate::pipeline::queue_view::QueueView;
use crate::pipeline::results::Results;
use crate::pipeline::settle::SettleLoop;
use crate::pipeline::status::{self, Status};
use crate::pipeline::wait_out::InProcessWaits;
use crate::policy::backoff;
use crate::ports::{BoxFuture, Endpoint, Queue};
use crate::telemetry::handles::{ListenerMetrics, Totals};

/// Between two reads of the queue's attributes, at least.
const INSPECT_EVERY: Duration = Duration::from_secs(30);
/// Pause before a loop that panicked is started again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// All that a listener is made of.
pub struct Parts {
    /// Numbers and choices.
    pub settings: Settings,
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// Where they go.
    pub endpoint: Arc<dyn Endpoint>,
    /// How claim checks are redeemed; `None`: they are messages like any other.
    pub claim_checks: Option<ClaimChecks>,
    /// Where results go.
    pub results: Results,
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
    dispatch: Arc<Dispatch>,
    results: Arc<Results>,
    seed: u64,
}

impl Listener {
    /// Puts the parts together; nothing runs yet. It goes on with what a predecessor at the same queue remembered, if there was
    /// one.
    pub fn new(parts: Parts, memory: Option<Arc<Memory>>) -> Self {
        let Parts { settings, queue, endpoint, claim_checks, results, limits, metrics, drain, wall, seed } =
            parts;
        let queue: Arc<dyn Queue> =
            Arc::new(Metered { queue, metrics: Arc::clone(&metrics), name: settings.queue_name.clone() });
        let results = Arc::new(results.metered(&metrics));
        let events = Arc::new(EventLog::new(&settings.name, &settings.queue_name, &limits.name, wall));
        let leases = LeaseTable::new(
            settings.lease(),
            queue.limits(),
            Arc::clone(&metrics),
            Arc::clone(&events),
            seed.wrapping_add(3),
        );
        let (workers, drain) = (settings.workers, drain.of_a_part());
        let (messages, bytes) = settings.room(workers);
        let own = Gate::new(limits.gate.tuning(), seed.wrapping_add(2));
        let (shared, sessions) = (Arc::clone(&limits.gate), Arc::clone(&limits.sessions));
        let gates = Gates { own, shared, sessions, events: Arc::clone(&events) };
        let handle = Handle::new(settings.clone(), drain.clone());
        let dispatch = Dispatch {
            slots: Slots::new(messages, bytes),
            not_receiving: watch::Sender::default(),
            leases,
            admission: Admission { gates, membership: limits.sessions.join(workers), limits },
            claim_checks: claim_checks.map(|settings| Redeemer::new(settings, workers)),
            memory: memory.unwrap_or_else(|| Arc::new(Memory::new(settings.tuning.memory))),
            waits: InProcessWaits::new(settings.room_for_longest(workers), settings.tuning.last_receive),
            ctx: Arc::new(Context {
                settings: handle.settings(),
                queue,
                endpoint,
                drain,
                wall,
                random: std::sync::Mutex::new(fastrand::Rng::with_seed(seed)),
                metrics,
                events,
                health: Arc::new(Health::default()),
                view: QueueView::default(),
            }),
            handle,
        };
        Self { dispatch: Arc::new(dispatch), results, seed }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.dispatch.ctx.settings().name.clone()
    }

    /// Name of its endpoint.
    pub fn endpoint(&self) -> String {
        self.dispatch.admission.limits.name.to_string()
    }

    /// Its health, for probes.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.dispatch.ctx.health)
    }

    /// Tells it what to do while it runs.
    pub fn handle(&self) -> Handle {
        self.dispatch.handle.clone()
    }

    /// Sets the gauges that mirror its state; called when somebody scrapes.
    pub fn gauges(&self) -> impl Fn() + Send + Sync + 'static {
        let dispatch = Arc::clone(&self.dispatch);
        move || {
            dispatch.ctx.view.ask();
            status::set_gauges(&dispatch);
        }
    }

    /// What it does now, for whoever asks.
    pub fn status(&self) -> impl Fn() -> Status + Send + Sync + 'static {
        let dispatch = Arc::clone(&self.dispatch);
        move || {
            dispatch.ctx.view.ask();
            status::status(&dispatch)
        }
    }

    /// What became of its messages so far; unlike its status this makes nothing look at the queue.
    pub fn totals(&self) -> impl Fn() -> Totals + Send + Sync + 'static {
        let metrics = Arc::clone(&self.dispatch.ctx.metrics);
        move || metrics.totals()
    }

    /// Runs until the drain is over and everything is settled.
    pub async fn run(self) {
        let Self { dispatch, results, seed } = self;
        let ctx = &dispatch.ctx;
        let stop = CancellationToken::new();
        let mut extending = JoinSet::new();
        let extender = (Arc::clone(&dispatch), ctx.health.watch("lease"), stop.clone());
        extending.spawn(kept_running(
            Arc::clone(ctx),
            "lease extender",
            extender,
            |(dispatch, tick, stop)| Box::pin(dispatch.leases.run(&dispatch.ctx.queue, tick, stop)),
        ));
        extending.spawn(summarise(Arc::clone(ctx), stop.clone()));
        let (settler, settle_loop) =
            SettleLoop::new(Arc::clone(ctx), Arc::clone(&dispatch.memory), results, seed.wrapping_add(1));
        let mut settling = JoinSet::new();
        settling.spawn(kept_running(Arc::clone(ctx), "settle loop", settle_loop, |it| Box::pin(it.run())));
        let deliveries = TaskTracker::new();
        if preflight(ctx).await {
            let groups = Arc::new(Groups::new(ctx.settings().tuning.groups));
            let flow = Flow::new(Arc::clone(&dispatch), groups, deliveries.clone());
            receive(&dispatch, Intake::new(flow, Arc::clone(&settler))).await;
        }
        deliveries.close();
        deliveries.wait().await;
        ctx.health.unwatch();
        drop(settler);
        while settling.join_next().await.is_some() {}
        stop.cancel();
        while extending.join_next().await.is_some() {}
        // Whoever still asks for its status keeps the rest of it.
        dispatch.admission.membership.leave();
    }
}

/// Receives until the drain, and meanwhile looks at the queue and follows the controls.
async fn receive(dispatch: &Arc<Dispatch>, intake: Intake) {
    let ctx = &dispatch.ctx;
    let mut receiving = JoinSet::new();
    let of_looks = Arc::clone(dispatch);
    receiving.spawn(kept_running(Arc::clone(ctx), "look at the queue", of_looks, |it| {
        Box::pin(inspect_when_asked(it))
    }));
    let of_controls = Arc::clone(dispatch);
    receiving.spawn(kept_running(Arc::clone(ctx), "control loop", of_controls, |it| Box::pin(follow(it))));
    receiving.spawn(kept_running(Arc::clone(ctx), "intake", intake, |intake| Box::pin(intake.run())));
    while receiving.join_next().await.is_some() {}
}

/// Takes changed controls over, until the drain.
async fn follow(dispatch: &Dispatch) {
    let Dispatch { ctx, handle, slots, admission, .. } = dispatch;
    let mut controls = handle.watch();
    loop {
        let sessions = controls.borrow_and_update().sessions();
        admission.membership.set_cap(sessions);
        let (messages, bytes) = ctx.settings().room(sessions);
        slots.set_limit(messages, bytes);
        // The handle has a sender, so there is always a next change to wait for.
        if ctx.drain.unless_draining(controls.changed()).await.is_none() {
            return;
        }
    }
}

/// Runs a loop over `state` to its end, again whenever it panics. What it had in hand then is left to SQS.
async fn kept_running<T>(
    ctx: Arc<Context>,
    what: &'static str,
    mut state: T,
    run: impl for<'a> Fn(&'a mut T) -> BoxFuture<'a, ()>,
) {
    while caught(run(&mut state)).await.is_none() {
        ctx.metrics.panics.inc();
        tracing::error!(listener = %ctx.settings().name, "the {what} panicked and is started again");
        // One that panics again at once does not spin.
        tokio::time::sleep(AFTER_PANIC).await;
    }
}

/// Reads the queue's attributes before the first receive, again and again until they can be read; whether they could
/// before the drain began.
async fn preflight(ctx: &Context) -> bool {
    let found = async {
        let mut failures = 0_u32;
        loop {
            match ctx.queue.inspect().await {
                Ok(facts) => return ctx.preflight_passed(&facts),
                Err(error) => ctx.receive_failed(&error),
            }
            failures = failures.saturating_add(1);
            tokio::time::sleep(backoff::call(failures, ctx.unit())).await;
        }
    };
    ctx.drain.unless_draining(found).await.is_some()
}

/// Reads the queue's attributes on request, until the drain, which waits for no such look.
///
/// A closed gate asks for as long as it is closed: its pauses follow the depth, and meanwhile no message that could ask is
/// received.
async fn inspect_when_asked(dispatch: &Dispatch) {
    let (ctx, gates) = (&dispatch.ctx, &dispatch.admission.gates);
    let looks = async {
        loop {
            tokio::time::sleep(INSPECT_EVERY).await;
            tokio::select! {
                biased;
                () = ctx.view.asked() => {}
                () = gates.closed(&[]) => {}
            }
            match ctx.queue.inspect().await {
                Ok(facts) => ctx.inspected(&facts),
                Err(error) => {
                    ctx.events.queue_error(&error);
                    ctx.not_read(&error);
                    ctx.view.looked();
                }
            }
        }
    };
    ctx.drain.unless_draining::<()>(looks).await;
}

/// Tells of what the log left out, until all deliveries have ended.
async fn summarise(ctx: Arc<Context>, end: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return ctx.events.make_up_for_all(),
            () = tokio::time::sleep(event_log::PERIOD) => ctx.events.make_up(),
        }
    }
}
