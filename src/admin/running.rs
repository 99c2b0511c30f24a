//! What runs in this process: its listeners and endpoints, looked up by name.
//!
//! Written by whoever starts and ends listeners, read by the routes. Both may change while the process runs, so nobody
//! keeps a list of them: each request asks anew. Listeners keep the order in which they were added.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::limit::EndpointLimits;
use crate::pipeline::{Handle, Health, Listener, Status};
use crate::telemetry::handles::Totals;

/// Sets gauges that mirror a state.
pub type Gauges = Box<dyn Fn() + Send + Sync>;

/// A listener, as the routes see it.
pub struct RunningListener {
    /// Its name.
    pub name: String,
    /// Name of its endpoint.
    pub endpoint: String,
    /// Its health, for probes.
    pub health: Arc<Health>,
    /// Tells it what to do.
    pub handle: Handle,
    status: Box<dyn Fn() -> Status + Send + Sync>,
    totals: Box<dyn Fn() -> Totals + Send + Sync>,
    gauges: Gauges,
}

impl RunningListener {
    /// What `listener` shows once it runs.
    pub fn of(listener: &Listener) -> Self {
        Self {
            name: listener.name(),
            endpoint: listener.endpoint(),
            health: listener.health(),
            handle: listener.handle(),
            status: Box::new(listener.status()),
            totals: Box::new(listener.totals()),
            gauges: Box::new(listener.gauges()),
        }
    }

    /// What it does now. Asking makes it read its queue; the answer does not wait for that.
    pub fn status(&self) -> Status {
        (self.status)()
    }

    /// What became of its messages so far.
    pub(super) fn totals(&self) -> Totals {
        (self.totals)()
    }
}

/// An endpoint, as the routes see it.
pub struct RunningEndpoint {
    /// Its name and limits.
    pub limits: EndpointLimits,
    /// Whether its sessions are the sum of its listeners' workers.
    pub sessions_are_workers: bool,
    gauges: Gauges,
}

impl RunningEndpoint {
    /// An endpoint with these limits; `gauges` mirrors them.
    pub fn new(limits: EndpointLimits, sessions_are_workers: bool, gauges: Gauges) -> Self {
        Self { limits, sessions_are_workers, gauges }
    }
}

/// All listeners and endpoints of the process.
#[derive(Default)]
pub struct Running {
    listeners: RwLock<Vec<Arc<RunningListener>>>,
    endpoints: RwLock<Vec<Arc<RunningEndpoint>>>,
    /// Held while workers are summed up and the sum is set, so that no older sum follows a newer one.
    summing: Mutex<()>,
}

impl Running {
    /// Shows a listener, in the place of the one of the same name if there is one.
    pub fn put_listener(&self, listener: RunningListener) {
        put(&self.listeners, listener, |listener| &listener.name);
    }

    /// Shows an endpoint, in the place of the one of the same name if there is one.
    pub fn put_endpoint(&self, endpoint: RunningEndpoint) {
        put(&self.endpoints, endpoint, |endpoint| &endpoint.limits.name);
    }

    /// Shows only the listeners and endpoints that `keeps` names.
    pub fn retain(&self, keeps_listener: impl Fn(&str) -> bool, keeps_endpoint: impl Fn(&str) -> bool) {
        let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| keeps_listener(&listener.name));
        drop(listeners);
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|endpoint| keeps_endpoint(&endpoint.limits.name));
    }

    /// All listeners.
    pub fn listeners(&self) -> Vec<Arc<RunningListener>> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All endpoints.
    pub fn endpoints(&self) -> Vec<Arc<RunningEndpoint>> {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The listener of this name.
    pub fn listener(&self, name: &str) -> Option<Arc<RunningListener>> {
        self.listeners().into_iter().find(|listener| listener.name == name)
    }

    /// The endpoint of this name.
    pub(super) fn endpoint(&self, name: &str) -> Option<Arc<RunningEndpoint>> {
        self.endpoints().into_iter().find(|endpoint| *endpoint.limits.name == *name)
    }

    /// Sets the sessions of each endpoint for which nobody wrote any: the sum of its listeners' workers, at least one.
    pub fn follow_workers(&self) {
        let _one_at_a_time = self.summing.lock().unwrap_or_else(PoisonError::into_inner);
        let listeners = self.listeners();
        for endpoint in self.endpoints().into_iter().filter(|endpoint| endpoint.sessions_are_workers) {
            let its = listeners.iter().filter(|listener| *listener.endpoint == *endpoint.limits.name);
            let workers: usize = its.map(|listener| listener.handle.controls().workers).sum();
            endpoint.limits.sessions.set_cap(workers.max(1));
        }
    }

    /// Name and health of each listener.
    pub(super) fn healths(&self) -> Vec<(String, Arc<Health>)> {
        let of_one = |listener: Arc<RunningListener>| (listener.name.clone(), Arc::clone(&listener.health));
        self.listeners().into_iter().map(of_one).collect()
    }

    /// Sets every gauge that mirrors a state.
    pub(super) fn set_gauges(&self) {
        for listener in self.listeners() {
            (listener.gauges)();
        }
        for endpoint in self.endpoints() {
            (endpoint.gauges)();
        }
    }
}

fn put<T>(all: &RwLock<Vec<Arc<T>>>, new: T, name: impl Fn(&T) -> &str) {
    let mut all = all.write().unwrap_or_else(PoisonError::into_inner);
    let at = all.iter().position(|old| name(old) == name(&new));
    match at.and_then(|at| all.get_mut(at)) {
        Some(old) => *old = Arc::new(new),
        None => all.push(Arc::new(new)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Settings;
    use crate::tuning::Tuning;

    fn listener(name: &str, endpoint: &str, workers: usize) -> RunningListener {
        RunningListener {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            health: Arc::default(),
            handle: Handle::for_tests(workers),
            status: Box::new(|| unreachable!("nobody looks")),
            totals: Box::new(Totals::default),
            gauges: Box::new(|| {}),
        }
    }

    #[test]
    fn sessions_nobody_wrote_are_the_workers_of_all_listeners_of_the_endpoint() {
        let running = Running::default();
        for (name, follows) in [("api", true), ("written", false), ("unused", true)] {
            let settings = Settings {
                sessions: 7,
                divided: false,
                adaptive: false,
                rate: None,
                tuning: Tuning::default(),
            };
            let limits = EndpointLimits::new(name, &settings, 1);
            running.put_endpoint(RunningEndpoint::new(limits, follows, Box::new(|| {})));
        }
        for (name, endpoint, workers) in [("a", "api", 3), ("b", "api", 5), ("c", "written", 4)] {
            running.put_listener(listener(name, endpoint, workers));
        }
        let caps = || {
            running.follow_workers();
            ["api", "written", "unused"].map(|name| running.endpoint(name).unwrap().limits.sessions.cap())
        };
        assert_eq!(caps(), [8, 7, 1]);
        running.listener("a").unwrap().handle.change(|controls| controls.workers = 10);
        assert_eq!(caps(), [15, 7, 1]);
        running.retain(|name| name == "b", |_| true);
        assert_eq!(caps(), [5, 7, 1]);
    }
}
