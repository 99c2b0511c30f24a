//! What runs in this process: its listeners and endpoints, looked up by name.
//!
//! Written by whoever starts and ends listeners, read by the routes. Both may change while the process runs, so nobody
//! keeps a list of them: each request asks anew. Listeners keep the order in which they were added.

use std::sync::{Arc, PoisonError, RwLock};

use crate::limit::EndpointLimits;
use crate::pipeline::{Handle, Health, Listener, Status};

/// Sets gauges that mirror a state.
pub type Gauges = Box<dyn Fn() + Send + Sync>;

/// A listener, as the routes see it.
pub struct RunningListener {
    /// Its name.
    pub name: String,
    /// Its health, for probes.
    pub health: Arc<Health>,
    /// Tells it what to do.
    pub handle: Handle,
    status: Box<dyn Fn() -> Status + Send + Sync>,
    gauges: Gauges,
}

impl RunningListener {
    /// What `listener` shows once it runs.
    pub fn of(listener: &Listener) -> Self {
        Self {
            name: listener.name(),
            health: listener.health(),
            handle: listener.handle(),
            status: Box::new(listener.status()),
            gauges: Box::new(listener.gauges()),
        }
    }

    /// What it does now.
    pub fn status(&self) -> Status {
        (self.status)()
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

    /// The endpoint of this listener. Where its sessions are the sum of its listeners' workers, they become that sum.
    pub(super) fn endpoint_of(&self, listener: &RunningListener) -> Option<Arc<RunningEndpoint>> {
        let name = listener.status().endpoint;
        let endpoint = self.endpoints().into_iter().find(|endpoint| *endpoint.limits.name == *name)?;
        if endpoint.sessions_are_workers {
            let listeners = self.listeners().into_iter();
            let its = listeners.filter(|listener| listener.status().endpoint == name);
            let workers = its.map(|listener| listener.handle.controls().workers).sum();
            endpoint.limits.sessions.set_cap(workers);
        }
        Some(endpoint)
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
