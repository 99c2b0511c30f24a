//! A whole process in a simulation: listeners over one world, their metrics, their drain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use queuepost::drain::Drain;
use queuepost::limit::clock::Wall;
use queuepost::limit::{self, EndpointLimits};
use queuepost::localqueue::MessageState;
use queuepost::pipeline::ports::Endpoint;
use queuepost::pipeline::{Health, Listener, Parts, Settings};
use queuepost::policy::decide::Policy;
use queuepost::shape::Shape;
use queuepost::telemetry::metrics::Metrics;
use tokio::task::JoinSet;

use super::queue::{EPOCH_MILLIS, FIFO, SimQueue, World, dead_letter_name};

pub struct House {
    pub world: World,
    pub drain: Drain,
    pub metrics: Metrics,
    seed: u64,
    running: JoinSet<()>,
    gauges: Vec<Box<dyn Fn()>>,
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
        fifo: name.ends_with(FIFO),
        workers,
        timeout: Duration::from_secs(60),
        receive_wait: Duration::from_secs(20),
        policy: Policy::default(),
        shape: Shape::raw(name, name),
        retry_after_closes_gate: true,
    }
}

pub fn limits(sessions: usize) -> EndpointLimits {
    EndpointLimits::new("api", &limit::Settings { sessions, adaptive: false, rate: None }, 7)
}

impl House {
    pub fn new(seed: u64) -> Self {
        Self::in_world(&World::new(seed), seed)
    }

    /// One more process in the same world.
    pub fn in_world(world: &World, seed: u64) -> Self {
        Self {
            world: world.clone(),
            drain: Drain::new(),
            metrics: Metrics::new(),
            seed,
            running: JoinSet::new(),
            gauges: Vec::new(),
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
        let parts = Parts {
            metrics: Arc::new(self.metrics.listener(&settings.name, &limits.name)),
            settings,
            queue: Arc::clone(&queue) as _,
            endpoint: Arc::clone(endpoint) as _,
            limits: limits.clone(),
            drain: self.drain.clone(),
            wall: Wall::Anchored {
                at: SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_MILLIS),
                instant: self.world.started(),
            },
            seed: self.seed,
        };
        self.seed += 1;
        let listener = Listener::new(parts);
        let health = listener.health();
        self.gauges.push(Box::new(listener.gauges()));
        self.running.spawn(listener.run());
        (queue, health)
    }

    /// Drains as the process does: what still runs at the deadline is cut off. Whether nothing had to be.
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

    /// The sum of a metric over all label sets that contain `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        for gauge in &self.gauges {
            gauge();
        }
        let text = String::from_utf8(self.metrics.render()).unwrap();
        text.lines()
            .filter(|line| line.starts_with(&format!("queuepost_{name}{{")) && line.contains(labels))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// The same of a counter or gauge of whole things.
    pub fn count(&self, name: &str, labels: &str) -> u64 {
        self.metric(name, labels) as u64
    }

    /// Promise 11: every message received is settled in one way, or in progress.
    pub fn assert_balanced(&self) {
        let count = |name: &str| self.metric(name, "");
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
        let each: BTreeMap<&str, f64> = parts.into_iter().map(|name| (name, count(name))).collect();
        let sum: f64 = each.values().sum();
        assert!((received - sum).abs() < f64::EPSILON, "received {received}, accounted for {each:?}");
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

    /// Waits until the queue holds nothing.
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
