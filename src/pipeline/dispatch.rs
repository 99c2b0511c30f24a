//! What the stages of a listener share beside its context, from intake to settlement.

use std::sync::Arc;

use tokio::sync::watch;

use crate::limit::Slots;
use crate::message::Message;
use crate::pipeline::admit::Admission;
use crate::pipeline::claim_checks::held::Redeemer;
use crate::pipeline::context::Context;
use crate::pipeline::controls::Handle;
use crate::pipeline::intake::NotReceiving;
use crate::pipeline::lease::LeaseTable;
use crate::pipeline::memory::Memory;
use crate::pipeline::wait_out::InProcessWaits;

/// Shared by all stages of a listener.
pub(super) struct Dispatch {
    pub(super) ctx: Arc<Context>,
    /// What the listener has been told.
    pub(super) handle: Handle,
    pub(super) slots: Arc<Slots>,
    /// Why nothing is received just now; `None` when nothing keeps intake from receiving.
    pub(super) not_receiving: watch::Sender<Option<NotReceiving>>,
    pub(super) leases: Arc<LeaseTable>,
    pub(super) admission: Admission,
    /// Messages that are done or hidden.
    pub(super) memory: Arc<Memory>,
    /// How claim checks are redeemed; `None`: they are messages like any other.
    pub(super) claim_checks: Option<Redeemer>,
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
