//! How a route asks the process to create, change or remove a listener, or to try one out.
//!
//! Such listeners are configuration: whoever keeps them writes them where the process reads its configuration from, so
//! they are there after a restart. Who that is and where is the business of whoever wired the process together.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::ports::BoxFuture;

/// The keys of a listener, as an entry of `listeners` in the file has them.
pub type Keys = Map<String, Value>;

/// Changes the keys of a listener.
pub type Edit = Box<dyn FnOnce(&mut Keys) + Send>;

/// One thing that is wrong with the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongKey {
    /// The key, from the root of the listener; empty: the listener as a whole.
    pub key: String,
    /// What is wrong with it.
    pub words: String,
    /// What to write instead.
    pub fix: Option<String>,
}

/// Why nothing was kept or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotStored {
    /// There is no listener of this name.
    NoSuchListener,
    /// It cannot be done here, or not now. What is wrong, and the fix.
    Conflict {
        /// What is wrong.
        why: String,
        /// The fix.
        fix: String,
    },
    /// The keys are not those of a listener.
    NotValid(Vec<WrongKey>),
    /// The machine did not do it: a disk is full, say. What is wrong, and the fix.
    Failed {
        /// What is wrong.
        why: String,
        /// The fix.
        fix: String,
    },
}

/// A listener that calls an algorithm for a user, in the fields of the original event-listener API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventListener {
    /// The listener's name.
    pub id: String,
    /// What kind of source it has.
    pub source_type: &'static str,
    /// The queue, as it is configured.
    #[serde(rename = "sourceURI")]
    pub source_uri: String,
    /// The algorithm, without its owner.
    pub algo_name: String,
    /// Whose algorithm it is.
    pub algo_owner: String,
    /// Its version; `None`: the newest.
    pub algo_version: Option<String>,
    /// How long it may take.
    pub algo_timeout_seconds: u64,
    /// The user.
    pub listener_owner: String,
    /// ARN of the role by which the queue is read.
    pub credentials: Option<String>,
}

impl EventListener {
    /// The only source.
    pub const AMAZON_SQS: &'static str = "AmazonSQS";
}

/// A listener to be tried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its keys.
    pub keys: Keys,
    /// The name of the listener in whose place it would be.
    pub replaces: Option<String>,
    /// The body of a message to be posted once.
    pub post: Option<String>,
}

/// Whoever keeps the listeners that are created while the process runs.
pub trait ListenerStore: Send + Sync {
    /// Keeps a new listener and starts it. Without a name it gets one of its queue's.
    fn create(&self, keys: Keys) -> BoxFuture<'_, Result<Value, NotStored>>;

    /// Gives a listener that is kept here other keys, all of them.
    fn replace<'a>(&'a self, listener: &'a str, keys: Keys) -> BoxFuture<'a, Result<Value, NotStored>>;

    /// Changes some keys of a listener that is kept here; the others stay as they are. No other change comes between.
    fn change<'a>(&'a self, listener: &'a str, edit: Edit) -> BoxFuture<'a, Result<Value, NotStored>>;

    /// Drains a listener that is kept here, and keeps it no more.
    fn remove<'a>(&'a self, listener: &'a str) -> BoxFuture<'a, Result<Value, NotStored>>;

    /// Says what would come of a listener. Nothing is kept; its queue is asked for its settings alone.
    fn try_out(&self, trial: Trial) -> BoxFuture<'_, Result<Value, NotStored>>;

    /// What is written for a listener, and where: all of it, or without what may be secret.
    fn written<'a>(&'a self, listener: &'a str, whole: bool) -> BoxFuture<'a, Result<Value, NotStored>>;

    /// The event listeners of a user, by id.
    fn event_listeners<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Vec<EventListener>, NotStored>>;
}
