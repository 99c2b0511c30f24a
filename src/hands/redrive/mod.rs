//! Sends the messages of a dead-letter queue back to where they came from.
//!
//! By a move task of SQS where SQS can, by hand where it cannot (`way.rs`). Both leave each message in one of the two
//! queues at any time. By hand a message is deleted only after its copy was accepted. So it may be there twice, and
//! never in neither.
//!
//! - `job`: what is done, and which way; `task`: by a task; `by_hand`: one receive at a time.
//! - `batch`: which messages share a call; `shape`: what a message becomes.

mod batch;
mod by_hand;
mod job;
mod shape;
mod tally;
mod task;
mod way;

pub use batch::Target;
pub use job::Job;
pub use task::cancel;
pub use way::Way;

/// What is to be moved, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Ids of the messages; all without one.
    pub ids: Vec<String>,
    /// Most messages a second, 1 to [`RATE_MAX`].
    pub rate: Option<u32>,
    /// Each received, sent and deleted, also where SQS could move them itself.
    pub by_hand: bool,
}

/// Messages a second of a move task (AWS limit).
pub const RATE_MAX: u32 = 500;

/// How a redrive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything asked for was moved.
    All,
    /// Something was not moved, which was said.
    NotAll,
    /// It was to stop.
    Stopped,
}
