//! How a route asks the process to do what concerns more than one running listener.
//!
//! Pause, resume and workers are told to a listener by its handle. What starts or ends listeners, or needs the
//! configuration, is the business of whoever wired them together: an [`Operator`].

use serde_json::Value;

use crate::pipeline::Controls;
use crate::ports::BoxFuture;

/// Why the process did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no listener of this name.
    NoSuchListener,
    /// It cannot be done now, or not as asked. What is wrong, and the fix.
    Invalid {
        /// What is wrong.
        why: String,
        /// The fix.
        fix: String,
    },
}

/// Changes what a listener is told.
pub type Tell = Box<dyn FnOnce(&mut Controls) + Send>;

/// Whoever starts and ends the listeners of a process.
pub trait Operator: Send + Sync {
    /// Reads the configuration anew and takes over what has changed; says what became of each listener. One that is not
    /// valid changes nothing.
    fn reload(&self) -> BoxFuture<'_, Result<Value, Refused>>;

    /// Ends one listener as a drain of the process does, and says when it has ended. It stays ended until it is started.
    fn drain<'a>(&'a self, listener: &'a str) -> BoxFuture<'a, Result<Value, Refused>>;

    /// Tells a listener that is being replaced: its successor goes by that. What it was told before, and is told now.
    fn tell<'a>(
        &'a self,
        listener: &'a str,
        tell: Tell,
    ) -> BoxFuture<'a, Result<(Controls, Controls), Refused>>;

    /// Starts a listener that was drained.
    fn start<'a>(&'a self, listener: &'a str) -> BoxFuture<'a, Result<Value, Refused>>;

    /// Posts `body` to the endpoint of a listener once, and says what the answer means. No queue is touched.
    fn test<'a>(&'a self, listener: &'a str, body: String) -> BoxFuture<'a, Result<Value, Refused>>;
}
