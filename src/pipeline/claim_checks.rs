//! Claim checks: messages whose body is an object in S3, as a listener redeems them.
//!
//! - `redeem`: before admission the bodies are fetched; bad claim checks leave.
//! - `held`: those whose object cannot be fetched now are held, and fetched again.
//! - `leftover`: after its message the object is deleted, if the listener wants that.

use std::sync::Arc;

use crate::exchange::Pointer;
use crate::ports::ObjectStore;

pub(super) mod held;
pub(super) mod leftover;
mod redeem;

/// How a listener redeems claim checks.
#[derive(Clone)]
pub struct ClaimChecks {
    /// Where the objects are.
    pub store: Arc<dyn ObjectStore>,
    /// The only buckets that a message may name.
    pub buckets: Vec<String>,
    /// Longest object that is fetched, in bytes.
    pub max_size: usize,
    /// Whether the object is deleted after its message.
    pub deletes: bool,
}

/// One claim check that is held beside the slots is fetched again for so many workers.
const WORKERS_PER_PLACE: usize = 2;

impl ClaimChecks {
    /// Objects that a listener with so many workers has in memory at most.
    pub fn objects_max(workers: usize) -> usize {
        workers.saturating_add(Self::places(workers))
    }

    /// Those of messages that were held without a slot.
    fn places(workers: usize) -> usize {
        workers.div_ceil(WORKERS_PER_PLACE)
    }

    /// Whether a message may name this bucket.
    fn allows(&self, pointer: &Pointer) -> bool {
        self.buckets.contains(&pointer.bucket)
    }
}
