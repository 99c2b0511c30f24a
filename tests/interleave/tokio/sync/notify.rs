//! A notification.

use real::sync::{Notify as Real, futures::Notified};

use super::others_may_run;

/// Wakes those that wait.
#[derive(Debug, Default)]
pub struct Notify(Real);

impl Notify {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn notified(&self) -> Notified<'_> {
        others_may_run();
        self.0.notified()
    }

    pub fn notify_one(&self) {
        others_may_run();
        self.0.notify_one();
    }

    pub fn notify_waiters(&self) {
        others_may_run();
        self.0.notify_waiters();
    }
}
