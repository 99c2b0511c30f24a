//! How a route asks the process to do what concerns more than one running listener.
//!
//! Pause, resume and workers are told to a listener by its handle. What starts or ends listeners, or needs the
//! configuration, is the business of whoever wired them together: an [`Operator`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::pipeline::Controls;
use crate::ports::BoxFuture;

/// Why the process did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no listener of this name.
    NoSuchListener,
    /// A value is wrong, whatever runs. What is wrong, and the fix.
    Wrong {
        /// What is wrong.
        why: String,
        /// The fix.
        fix: String,
    },
    /// A queue refuses it, or does not answer. What it said, and the fix.
    OfQueue {
        /// What is wrong.
        why: String,
        /// The fix.
        fix: String,
    },
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

/// What a person does with the messages of a listener's queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ByHand {
    /// Put a message on its queue.
    Send(Sending),
    /// Look at letters of its dead-letter queue, at most so many.
    Peek(usize),
    /// Move its letters back.
    Redrive(Redriving),
    /// End the redrive that runs.
    CancelRedrive,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    /// Its body.
    pub body: String,
    /// Its group, for FIFO queues.
    pub group: Option<String>,
    /// Its deduplication id, for FIFO queues.
    pub deduplication_id: Option<String>,
    /// Its attributes of text.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// Which letters are moved back, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redriving {
    /// Most a second.
    pub rate: Option<u32>,
    /// Ids of the letters; all without one.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Say what would happen, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

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

    /// How the latest redrive of a listener stands. No queue is asked.
    fn redrive(&self, listener: &str) -> Value;

    /// Does something with the messages of a listener's queues, and says what came of it.
    fn by_hand<'a>(&'a self, listener: &'a str, what: ByHand) -> BoxFuture<'a, Result<Value, Refused>>;
}
