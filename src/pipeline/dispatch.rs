//! What the deliveries of a listener share beside its context: admission, and what is remembered of messages.

use std::sync::Arc;

use crate::message::Message;
use crate::pipeline::admit::Admission;
use crate::pipeline::context::Context;
use crate::pipeline::memory::Memory;
use crate::pipeline::wait_out::InProcessWaits;

/// Shared by all deliveries of a listener.
pub(super) struct Dispatch {
    pub(super) ctx: Arc<Context>,
    pub(super) admission: Admission,
    /// Messages that are done or hidden.
    pub(super) memory: Arc<Memory>,
    /// Messages that wait out a 429 on their final receive in this process.
    pub(super) waits: InProcessWaits,
}

impl Dispatch {
    /// A message's work is done.
    pub(super) fn completed(&self, message: &Message) {
        self.ctx.completed(message);
        self.waits.succeeded();
    }
}
