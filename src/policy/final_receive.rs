//! The final receive of a message: SQS dead-letters the message instead of handing it out once more.
//!
//! What that changes, all in one place. Intake finds it out when the message arrives, once:
//!
//! - **Nothing could be sent**: it is held for eleven hours instead of one ([`hold_max`], `pipeline/deliver.rs`).
//! - **A gate is closed**: it waits as long (`pipeline/deliver.rs`), and probes last of all. It probes itself after an hour
//!   in which no other was found, or when such messages hold all slots (`limit/gate/state.rs`). A receive that brought
//!   nothing else returns its probes (`pipeline/intake/task.rs`).
//! - **429 from an endpoint that takes others**: it waits in this process and is posted again, twice at most, in a quarter
//!   of the slots (`pipeline/wait_out.rs`).
//! - **It came too early**, before the end of a park or deferral: it is posted all the same, since nothing is gained by
//!   hiding it (`pipeline/sift.rs`).
//! - **A POST carries several messages**: it goes alone, so that no other's failure is its own (`pipeline/batch.rs`).
//! - **It heads a FIFO group and fails**: with nothing behind it the group is in no trouble (`pipeline/runs.rs`).
//! - **It fails or is released**: the log always says where it goes (`observe/event_log/deliveries.rs`).
//!
//! With a max receives of one every message is on its final receive ([`FinalReceive::follows_others`]). Then only the
//! eleven hours and the log apply.

use std::sync::Arc;
use std::time::Duration;

/// What is special about a message on its final receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalReceive {
    /// Receives that the queue grants (`maxReceiveCount`).
    pub max: u32,
    /// Name of the dead-letter queue, where it is known.
    pub dead_letter_queue: Option<Arc<str>>,
}

impl FinalReceive {
    /// Whether other receives came before it. With a single receive every message is on its final one, so that none
    /// can be spared.
    pub fn follows_others(&self) -> bool {
        self.max > 1
    }
}

/// Longest time a message is held because nothing could be sent. After that another process may try.
pub const HOLD_MAX: Duration = Duration::from_secs(3_600);
/// Longest hold of a message on its final receive, because a release would dead-letter it. SQS ends a receive
/// after 12 h.
pub const HOLD_MAX_FINAL: Duration = Duration::from_secs(11 * 3_600);

/// Longest time a message is held because nothing could be sent.
pub fn hold_max(final_receive: bool) -> Duration {
    if final_receive { HOLD_MAX_FINAL } else { HOLD_MAX }
}
