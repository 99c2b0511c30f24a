//! What log and status are told of one message: what its POST came to, and when it was its last.

use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::deliver::Delivery;
use crate::pipeline::dispatch::Dispatch;
use crate::policy::decide::Disposition;
use crate::policy::outcome::Outcome;

impl Delivery {
    /// Tells log and status what came of a POST. `kept`: the message is not parked at SQS but kept in this process.
    pub(super) fn tell(&self, dispatch: &Dispatch, posted: &Posted, disposition: Disposition, kept: bool) {
        let last = dispatch.ctx.view.final_receive(&self.message).filter(|_| !kept);
        dispatch.ctx.events.delivered(&self.message, posted, disposition, last.as_ref());
        if disposition != Disposition::Delete && posted.outcome != Outcome::Aborted {
            let goes = matches!(disposition, Disposition::Park { .. } | Disposition::Defer { .. });
            dispatch.ctx.health.failing.failed(posted.meaning(), goes && last.is_some());
        }
    }

    /// Says where the message goes if SQS does not hand it out again.
    pub(super) fn last_word(&self, dispatch: &Dispatch, why: &'static str) {
        if let Some(last) = dispatch.ctx.view.final_receive(&self.message) {
            dispatch.ctx.events.given_back(&self.message, why, &last);
        }
    }
}
