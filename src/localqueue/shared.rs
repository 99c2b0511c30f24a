//! One broker shared by several tasks: a lock, a clock and a bell per queue.
//!
//! Every access goes through [`SharedBroker::with`], which reads the clock under the lock. So the broker sees
//! time in order. Afterwards it rings the bell of every queue that changed, for the polls that wait there. So
//! a message sent from within the program wakes a long poll like one sent over HTTP. [`SharedFaults`] does
//! the same for injected faults.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::faults::{Decision, FaultPlan, FaultRates, Faults};
use super::{Broker, BrokerError, Operation, Timestamp};

/// The clock of a server.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A broker that several tasks use; clones are handles on the same broker.
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
    /// The bell of each queue that a poll ever waited on; it rings when the queue changes.
    bells: BTreeMap<String, Arc<Notify>>,
}

impl SharedBroker {
    /// Shares a broker; `clock` returns the time.
    pub fn new(broker: Broker, clock: Clock) -> Self {
        let state = Mutex::new(State { broker, bells: BTreeMap::new() });
        Self { inner: Arc::new(Inner { state, clock }) }
    }

    /// Calls `work` with broker and time, then wakes the polls of every changed queue.
    ///
    /// Blocks while another caller holds the lock; `work` should not do anything slow.
    pub fn with<R>(&self, work: impl FnOnce(&mut Broker, Timestamp) -> R) -> R {
        // A panic under the lock leaves no partial change that would break a later call.
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

    /// The bell of a queue.
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

/// The faults of a server, settable while it runs; clones are handles on the same faults.
#[derive(Clone, Debug)]
pub struct SharedFaults {
    faults: Arc<Mutex<Faults>>,
}

impl Default for SharedFaults {
    /// No faults.
    fn default() -> Self {
        Self { faults: Arc::new(Mutex::new(Faults::new(FaultPlan::default()))) }
    }
}

impl SharedFaults {
    /// Starts a plan with its seed, in place of the running one; the default plan ends all faults.
    pub fn start(&self, plan: FaultPlan) {
        *self.lock() = Faults::new(plan);
    }

    /// Changes the rates of one operation; the random sequence continues.
    pub fn set_rates(&self, operation: Operation, rates: FaultRates) {
        self.lock().set_rates(operation, rates);
    }

    /// How many requests had a fault since the plan started.
    pub fn injected(&self) -> u64 {
        self.lock().injected()
    }

    /// Decides the faults of the next request.
    pub(super) fn decide(&self, operation: Operation) -> Decision {
        self.lock().decide(operation)
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
