//! One broker used by many: a lock, a clock and a bell per queue.
//!
//! Every access goes through [`SharedBroker::with`], which reads the clock under the lock, so that the broker sees time in
//! order, and afterwards rings for whoever waits on a queue in which something happened. So a message put in by the
//! program itself wakes a long poll like one that came over HTTP. [`SharedFaults`] is the same for injected faults.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::faults::{Decision, FaultPlan, FaultRates, Faults};
use super::{Broker, BrokerError, Operation, Timestamp};

/// Tells the time: the one source of it for a server.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A broker that several tasks use. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct SharedBroker {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    clock: Clock,
}

struct State {
    broker: Broker,
    /// For each queue that was ever waited on: rung when something happens there.
    bells: BTreeMap<String, Arc<Notify>>,
}

impl SharedBroker {
    /// Shares a broker; `clock` says what time it is.
    pub fn new(broker: Broker, clock: Clock) -> Self {
        let state = Mutex::new(State { broker, bells: BTreeMap::new() });
        Self { inner: Arc::new(Inner { state, clock }) }
    }

    /// Calls `work` with the broker and the time, then wakes those who wait for what it did.
    ///
    /// Blocks while another caller is inside; `work` should not do anything slow.
    pub fn with<R>(&self, work: impl FnOnce(&mut Broker, Timestamp) -> R) -> R {
        // A panic inside leaves no half-done change that a later call could not live with.
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.inner.clock)();
        let result = work(&mut state.broker, now);
        for queue in state.broker.take_changed() {
            if let Some(bell) = state.bells.get(&queue) {
                bell.notify_waiters();
            }
            if !state.broker.queue_exists(&queue) {
                state.bells.remove(&queue);
            }
        }
        result
    }

    /// What rings when something happens in a queue.
    pub(super) fn bell(&self, queue: &str) -> Result<Arc<Notify>, BrokerError> {
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.broker.queue_exists(queue) {
            return Err(BrokerError::QueueDoesNotExist);
        }
        Ok(Arc::clone(state.bells.entry(queue.to_owned()).or_default()))
    }

    /// How many long polls wait for this queue.
    #[cfg(test)]
    pub(super) fn waiting(&self, queue: &str) -> usize {
        let state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bells.get(queue).map_or(0, |bell| Arc::strong_count(bell) - 1)
    }
}

impl fmt::Debug for SharedBroker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedBroker").finish_non_exhaustive()
    }
}

/// The faults of a server, settable while it runs. Cloning gives another handle on the same ones.
#[derive(Clone, Debug)]
pub struct SharedFaults {
    faults: Arc<Mutex<Faults>>,
}

impl Default for SharedFaults {
    /// Nothing goes wrong.
    fn default() -> Self {
        Self { faults: Arc::new(Mutex::new(Faults::new(FaultPlan::default()))) }
    }
}

impl SharedFaults {
    /// Starts a plan at its seed, in place of the one at work; the default plan ends all faults.
    pub fn start(&self, plan: FaultPlan) {
        *self.lock() = Faults::new(plan);
    }

    /// Changes the rates of one operation; the random numbers go on.
    pub fn set_rates(&self, operation: Operation, rates: FaultRates) {
        self.lock().set_rates(operation, rates);
    }

    /// How many requests something went wrong with since the plan started.
    pub fn injected(&self) -> u64 {
        self.lock().injected()
    }

    /// Decides what goes wrong with the next request.
    pub(super) fn decide(&self, operation: Operation) -> Decision {
        self.lock().decide(operation)
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
