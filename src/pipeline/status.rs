//! What a listener shows of itself: gauges for whoever scrapes, a status for whoever asks.

use std::sync::PoisonError;

use crate::limit::GateSnapshot;
use crate::pipeline::health::Preflight;
use crate::pipeline::listener::Core;
use crate::pipeline::ports::QueueDepth;

/// A listener at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Name of its queue.
    pub queue: String,
    /// Name of its endpoint.
    pub endpoint: String,
    /// Whether its queue can be read.
    pub preflight: Preflight,
    /// Configured workers.
    pub workers: usize,
    /// Workers that hold a message.
    pub workers_in_use: usize,
    /// Workers set aside for receives under way.
    pub workers_reserved: usize,
    /// Messages in the house, by stage.
    pub messages: [(&'static str, i64); 4],
    /// Messages this process parked whose time has not come (an estimate).
    pub parked: i64,
    /// What was in the queue when it was last looked at, 30 s ago at most.
    pub depth: Option<QueueDepth>,
    /// Receives before the dead-letter queue.
    pub max_receives: Option<u32>,
    /// Its own gate.
    pub gate: GateSnapshot,
}

impl Core {
    pub(super) fn status(&self) -> Status {
        Status {
            name: self.settings.name.clone(),
            queue: self.settings.queue_name.clone(),
            endpoint: self.limits.name.to_string(),
            preflight: self.health.preflight(),
            workers: self.workers.limit(),
            workers_in_use: self.workers.in_use(),
            workers_reserved: self.workers.reserved(),
            messages: self.metrics.in_progress(),
            parked: self.metrics.parked_current.get(),
            depth: *self.depth.lock().unwrap_or_else(PoisonError::into_inner),
            max_receives: self.max_receives(),
            gate: self.gates.own.snapshot(),
        }
    }

    pub(super) fn set_gauges(&self) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.workers_limit.set(gauge(self.workers.limit()));
        self.metrics.workers_in_use.set(gauge(self.workers.in_use()));
        self.metrics.workers_reserved.set(gauge(self.workers.reserved()));
        self.metrics.gate.mirror(self.gates.own.snapshot().state, &self.gates.own.closed_for());
        self.metrics.oldest_age.set(self.oldest_age().as_secs_f64());
    }
}
