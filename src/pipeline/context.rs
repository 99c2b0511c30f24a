//! What every part of a listener reads and none replaces: settings, ports, time, chance, and who observes.
//!
//! Settings may be replaced from outside while the listener runs (`controls`), by others that fit its parts.
//!
//! What each part changes belongs to that part. The observers behind this are told of events; nothing is decided by
//! them but what [`Health`] and [`QueueView`] say of themselves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::drain::Drain;
use crate::limit::clock::Wall;
use crate::message::Message;
use crate::observe::event_log::EventLog;
use crate::observe::health::{Health, Preflight};
use crate::pipeline::Settings;
use crate::pipeline::queue_view::QueueView;
use crate::policy::preflight::{self, Delays};
use crate::ports::{Endpoint, Queue, QueueError, QueueErrorKind, QueueFacts};
use crate::telemetry::handles::ListenerMetrics;

/// The context of one listener.
pub(super) struct Context {
    /// As they are now; read once for each decision.
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) endpoint: Arc<dyn Endpoint>,
    pub(super) drain: Drain,
    pub(super) wall: Wall,
    /// Drives jitter and attempt ids.
    pub(super) random: Mutex<fastrand::Rng>,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) events: Arc<EventLog>,
    pub(super) health: Arc<Health>,
    pub(super) view: QueueView,
}

impl Context {
    /// The settings as they are now.
    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// The longest that a POST may take: a long time-out leaves half of what SQS grants one receive for the rest.
    pub(super) fn longest_post(&self) -> Duration {
        self.settings().timeout.min(self.queue.limits().longest_visibility / 2)
    }

    /// A random number in `[0, 1)`.
    pub(super) fn unit(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    /// A number that no other receive has.
    pub(super) fn attempt_id(&self) -> u128 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u128(..)
    }

    /// A receive was answered.
    pub(super) fn received(&self) {
        self.metrics.last_receive.set(unix_seconds(self.wall.now()));
        self.was_read();
        self.can_receive(None);
    }

    /// The preflight found the queue.
    pub(super) fn preflight_passed(&self, facts: &QueueFacts) {
        self.can_receive(Some(facts));
        self.inspected(facts);
    }

    fn can_receive(&self, found: Option<&QueueFacts>) {
        if self.health.set_preflight(Preflight::Passed) {
            self.metrics.set_faulted(self.health.is_faulted());
            self.events.healthy(found);
        }
    }

    /// A receive or the preflight failed.
    pub(super) fn receive_failed(&self, error: &QueueError) {
        self.not_read(error);
        if !error.kind.is_fault() {
            self.events.queue_error(error);
            return;
        }
        self.metrics.set_faulted(true);
        if self.health.set_preflight(Preflight::Faulted(error.to_string())) {
            self.events.faulted(error);
        }
    }

    /// The queue said what it is.
    pub(super) fn inspected(&self, facts: &QueueFacts) {
        self.was_read();
        self.view.note(facts, self.queue.limits(), &self.metrics, &self.events);
        let findings = preflight::findings(&facts.settings(), &Delays::of(&self.settings().policy));
        self.metrics.preflight(&findings);
        self.events.findings(&findings);
        self.view.looked();
    }

    /// The queue's attributes could not be read.
    pub(super) fn not_read(&self, error: &QueueError) {
        // An answer that names a fault, or too many messages in flight, comes from SQS itself.
        if error.kind.is_fault() || error.kind == QueueErrorKind::OverLimit {
            self.health.read();
        } else {
            self.health.not_read(error);
            // A paused listener finds out by nothing else that its queue can be read again.
            self.view.ask();
        }
    }

    fn was_read(&self) {
        if let Some(after) = self.health.read() {
            self.events.reached_again(after);
        }
    }

    /// A message was received.
    pub(super) fn observe(&self, message: &Message) {
        self.metrics.received(message.receive_count.get(), self.age(message));
        if self.view.max_receives().is_some_and(|max| message.receive_count.get() >= max) {
            self.metrics.near_dead_letter.inc();
        }
        self.view.observe(message);
    }

    /// A message's work is done.
    pub(super) fn completed(&self, message: &Message) {
        self.metrics.completed(self.age(message));
        self.metrics.last_success.set(unix_seconds(self.wall.now()));
        if let Some(recovery) = self.health.failing.succeeded() {
            self.events.recovered(message, recovery);
        }
    }

    fn age(&self, message: &Message) -> Option<Duration> {
        Some(self.wall.now().duration_since(message.sent_at?).unwrap_or_default())
    }
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
