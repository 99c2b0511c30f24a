//! Where a listener's results go, how they are worded, and of which tries there are any.

use std::sync::Arc;

use crate::exchange::results::ResultForm;
use crate::ports::Outbox;

/// The result queues of a listener; by default there are none.
#[derive(Clone, Default)]
pub struct Results {
    /// For messages whose work is done.
    pub success: Option<ResultQueue>,
    /// For messages whose outcome is a failure.
    pub failure: Option<ResultQueue>,
}

/// A queue that results are sent to.
#[derive(Clone)]
pub struct ResultQueue {
    /// The queue.
    pub outbox: Arc<dyn Outbox>,
    /// How a result is worded.
    pub form: Arc<dyn ResultForm>,
    /// Which failures have a result. Of a success there is always one.
    pub on: When,
}

/// Which failures have a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// The last one: the outcome is final for this listener.
    #[default]
    Final,
    /// Each POST that failed.
    EveryTry,
}
