//! What claim checks need to be redeemed, and what they leave behind. How: `claim_check.rs`.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::exchange::Pointer;
use crate::limit::Slot;
use crate::pipeline::settle::exit::Fate;
use crate::ports::ObjectStore;

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

impl ClaimChecks {
    /// Whether a message may name this bucket.
    pub(super) fn allows(&self, pointer: &Pointer) -> bool {
        self.buckets.contains(&pointer.bucket)
    }
}

/// An object that goes when its message is gone, and the slot that it keeps until then.
pub(super) struct Leftover {
    pub(super) pointer: Pointer,
    pub(super) fate: oneshot::Receiver<Fate>,
    pub(super) slot: Arc<Slot>,
}
