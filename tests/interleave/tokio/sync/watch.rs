//! A watched value.

use real::sync::watch::{self, Ref, error::RecvError};

use super::others_may_run;

/// The side that changes the value.
#[derive(Debug)]
pub struct Sender<T>(watch::Sender<T>);

/// The side that waits for changes.
#[derive(Debug)]
pub struct Receiver<T>(watch::Receiver<T>);

impl<T> Sender<T> {
    pub fn new(value: T) -> Self {
        Self(watch::Sender::new(value))
    }

    pub fn borrow(&self) -> Ref<'_, T> {
        others_may_run();
        self.0.borrow()
    }

    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        others_may_run();
        self.0.send_modify(modify);
    }

    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        others_may_run();
        self.0.send_if_modified(modify)
    }

    pub fn subscribe(&self) -> Receiver<T> {
        others_may_run();
        Receiver(self.0.subscribe())
    }
}

impl<T> Receiver<T> {
    pub async fn wait_for(&mut self, is_it: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        others_may_run();
        self.0.wait_for(is_it).await
    }
}
