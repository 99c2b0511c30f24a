//! Objects of messages whose work is done. A listener may delete them, once SQS has confirmed the delete of the message:
//! until then the message may come again. That is tried once.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::exchange::Pointer;
use crate::limit::Slot;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::settle::exit::Fate;
use crate::ports::ObjectOperation;

/// An object that goes when its message is gone, and the slot that it keeps until then.
pub(in crate::pipeline) struct Leftover {
    pointer: Pointer,
    fate: oneshot::Receiver<Fate>,
    slot: Arc<Slot>,
}

impl Dispatch {
    /// The object that goes with a message whose work is done, if it has one and the listener deletes objects.
    pub(in crate::pipeline) fn leaves_behind(&self, message: &mut InFlight) -> Option<Leftover> {
        let settings = &self.claim_checks.as_ref().filter(|it| it.settings.deletes)?.settings;
        let pointer = Pointer::of(&message.message).ok()?.filter(|pointer| settings.allows(pointer))?;
        Some(Leftover { pointer, fate: message.fate(), slot: Arc::clone(&message.slot) })
    }

    /// Deletes what messages have left behind that SQS has deleted.
    pub(in crate::pipeline) async fn clear_up(&self, leftovers: Vec<Leftover>) {
        let Some(claim_checks) = &self.claim_checks else { return };
        let (ctx, store) = (&self.ctx, &claim_checks.settings.store);
        for leftover in leftovers {
            let Leftover { pointer, fate, slot } = leftover;
            if fate.await != Ok(Fate::Deleted) {
                continue;
            }
            let deleted = tokio::select! {
                biased;
                deleted = store.delete(&pointer) => deleted,
                () = ctx.drain.aborting() => return,
            };
            ctx.metrics
                .object_request(ObjectOperation::Delete, deleted.as_ref().err().map(|error| error.kind));
            if let Err(error) = deleted {
                ctx.events.object_not_deleted(&error);
            }
            drop(slot);
        }
    }
}
