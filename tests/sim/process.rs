//! A whole process in a simulation: its listeners in one world, their metrics, their drain.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use queuepost::drain::Drain;
use queuepost::exchange::{Raw, Single, Success};
use queuepost::limit::clock::Wall;
use queuepost::limit::{self, EndpointLimits};
use queuepost::localqueue::MessageState;
use queuepost::pipeline::{
    ClaimChecks, Handle, Health, Listener, Parts, Receiving, Results, Settings, Status,
};
use queuepost::policy::decide::Policy;
use queuepost::ports::{Endpoint, Queue};
use queuepost::telemetry::metrics::Metrics;
use queuepost::tuning::Tuning;
use tokio::task::JoinSet;

use super::simulated_queue::{EPOCH_MILLIS, SimQueue, World, dead_letter_name};

pub struct SimProcess {
    pub world: World,
    pub drain: Drain,
    pub metrics: Arc<Metrics>,
    /// How listeners started later redeem claim checks.
    pub claim_checks: Option<ClaimChecks>,
    /// Where the results of listeners started later go.
    pub results: Results,
    /// Wall-clock time at the world's start, as listeners started later believe it.
    pub epoch: SystemTime,
    seed: u64,
    running: JoinSet<()>,
    gauges: Vec<Box<dyn Fn()>>,
    statuses: Vec<Box<dyn Fn() -> Status>>,
}

/// How a process stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// All work finished.
    Clean,
    /// Some work was cut off, and all of it was settled.
    CutOff,
    /// Some work could not be settled in time.
    Unsettled,
}

/// Where a queue's messages are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub visible: usize,
    pub in_flight: usize,
    pub dead: usize,
}

pub fn settings(name: &str, workers: usize) -> Settings {
    Settings {
        name: name.to_owned(),
        queue_name: name.to_owned(),
        workers,
        timeout: Duration::from_secs(60),
        receiving: Receiving {
            wait: Duration::from_secs(20),
            latency_budget: Duration::ZERO,
            visibility: None,
            window: Duration::ZERO,
            paused: false,
        },
        policy: Policy::default(),
        exchange: Arc::new(Single::new(Raw::new(name, name), Success::default())),
        retry_after_closes_gate: true,
        tuning: Tuning::default(),
    }
}

pub fn limits(sessions: usize) -> EndpointLimits {
    let settings =
        limit::Settings { sessions, divided: false, adaptive: false, rate: None, tuning: Tuning::default() };
    EndpointLimits::new("api", &settings, 7)
}

/// A listener that has been started.
struct Started {
    health: Arc<Health>,
    handle: Handle,
}

impl SimProcess {
    pub fn new(seed: u64) -> Self {
        Self::in_world(&World::new(seed), seed)
    }

    /// One more process in the same world.
    pub fn in_world(world: &World, seed: u64) -> Self {
        Self {
            world: world.clone(),
            drain: Drain::new(),
            metrics: Arc::new(Metrics::new()),
            claim_checks: None,
            results: Results::default(),
            epoch: SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_MILLIS),
            seed,
            running: JoinSet::new(),
            gauges: Vec::new(),
            statuses: Vec::new(),
        }
    }

    /// Starts a listener on the queue of its name.
    pub fn listen(
        &mut self,
        settings: Settings,
        endpoint: &Arc<impl Endpoint>,
        limits: &EndpointLimits,
    ) -> (Arc<SimQueue>, Arc<Health>) {
        let queue = SimQueue::new(&self.world, &settings.queue_name, self.seed);
        let health = self.listen_on(settings, Arc::clone(&queue) as _, Arc::clone(endpoint) as _, limits);
        (queue, health)
    }

    /// Starts a listener on the caller's queue and endpoint.
    pub fn listen_on(
        &mut self,
        settings: Settings,
        queue: Arc<dyn Queue>,
        endpoint: Arc<dyn Endpoint>,
        limits: &EndpointLimits,
    ) -> Arc<Health> {
        self.start(settings, queue, endpoint, limits).health
    }

    /// Starts a listener on the queue of its name, and returns what tells it what to do.
    pub fn listen_and_control(
        &mut self,
        settings: Settings,
        endpoint: &Arc<impl Endpoint>,
        limits: &EndpointLimits,
    ) -> Handle {
        let queue = SimQueue::new(&self.world, &settings.queue_name, self.seed);
        self.start(settings, queue, Arc::clone(endpoint) as _, limits).handle
    }

    fn start(
        &mut self,
        settings: Settings,
        queue: Arc<dyn Queue>,
        endpoint: Arc<dyn Endpoint>,
        limits: &EndpointLimits,
    ) -> Started {
        let parts = Parts {
            metrics: Arc::new(self.metrics.listener(&settings.name, &limits.name)),
            settings,
            queue,
            endpoint,
            claim_checks: self.claim_checks.clone(),
            results: self.results.clone(),
            limits: limits.clone(),
            drain: self.drain.clone(),
            wall: Wall::Anchored { at: self.epoch, instant: self.world.started() },
            seed: self.seed,
        };
        self.seed += 1;
        let listener = Listener::new(parts, None);
        let started = Started { health: listener.health(), handle: listener.handle() };
        self.gauges.push(Box::new(listener.gauges()));
        self.statuses.push(Box::new(listener.status()));
        self.running.spawn(listener.run());
        started
    }

    /// The status of each listener, in the order of their starts.
    pub fn statuses(&self) -> Vec<Status> {
        self.statuses.iter().map(|status| status()).collect()
    }

    /// Whether a listener has ended, normally or by a panic.
    pub fn has_ended(&mut self) -> bool {
        self.running.try_join_next().is_some()
    }

    /// Drains as the real process does: work still running at the deadline is cut off. Returns whether none
    /// was.
    pub async fn stop(&mut self, deadline: Duration) -> bool {
        self.drain.begin(deadline);
        let clean =
            tokio::time::timeout(deadline, async { while self.running.join_next().await.is_some() {} });
        if clean.await.is_ok() {
            return true;
        }
        self.drain.abort();
        while self.running.join_next().await.is_some() {}
        false
    }

    /// The same, with at most `grace` to settle the work that was cut off.
    pub async fn stop_within(&mut self, deadline: Duration, grace: Duration) -> Stopped {
        self.drain.begin(deadline);
        let all_ended = async |process: &mut Self| while process.running.join_next().await.is_some() {};
        if tokio::time::timeout(deadline, all_ended(self)).await.is_ok() {
            return Stopped::Clean;
        }
        self.drain.abort();
        match tokio::time::timeout(grace, all_ended(self)).await {
            Ok(()) => Stopped::CutOff,
            Err(_) => Stopped::Unsettled,
        }
    }

    /// The sum of a metric over all label sets that contain `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        sum_of(&self.exposition(), name, labels)
    }

    fn exposition(&self) -> String {
        for gauge in &self.gauges {
            gauge();
        }
        String::from_utf8(self.metrics.render()).unwrap()
    }

    /// The same for a counter or gauge of whole numbers.
    pub fn count(&self, name: &str, labels: &str) -> u64 {
        self.metric(name, labels) as u64
    }

    /// Promise 11: every received message is settled in exactly one way, or in progress.
    pub fn assert_balanced(&self) {
        let (received, sum) = self.books();
        assert!((received - sum).abs() < f64::EPSILON, "received {received}, accounted for {sum}");
    }

    /// Messages received, and messages settled in any way or in progress.
    pub fn books(&self) -> (f64, f64) {
        let text = self.exposition();
        let count = |name: &str| sum_of(&text, name, "");
        let received = count("messages_received_total");
        let parts = [
            "messages_deleted_total",
            "messages_parked_total",
            "messages_deferred_total",
            "messages_released_total",
            "messages_dead_lettered_total",
            "messages_abandoned_total",
            "messages_in_progress",
        ];
        (received, parts.into_iter().map(count).sum())
    }

    pub fn census(&self, queue: &str) -> Census {
        self.world.with(|broker, now| {
            let mut census =
                Census { dead: broker.inspect(now, &dead_letter_name(queue)).len(), ..Census::default() };
            for message in broker.inspect(now, queue) {
                match message.state {
                    MessageState::Visible => census.visible += 1,
                    MessageState::InFlight { .. } | MessageState::Delayed { .. } => census.in_flight += 1,
                }
            }
            census
        })
    }

    /// Waits until the queue is empty.
    pub async fn until_empty(&self, queue: &str, at_most: Duration) {
        let end = tokio::time::Instant::now() + at_most;
        loop {
            let census = self.census(queue);
            if census.visible + census.in_flight == 0 {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{queue} still holds {census:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn sum_of(exposition: &str, name: &str, labels: &str) -> f64 {
    let start = format!("queuepost_{name}{{");
    exposition
        .lines()
        .filter(|line| line.starts_with(&start) && line.contains(labels))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}
