//! What log and status are told of one message: what its POST came to, and when it was its last.

use crate::pipeline::deliver::Delivery;
use crate::pipeline::listener::Core;
use crate::pipeline::narrate::deliveries::Posted;
use crate::policy::decide::Disposition;
use crate::policy::outcome::Outcome;

impl Delivery {
    /// Tells log and status what came of a POST. `kept`: the message is not parked at SQS but in the house.
    pub(super) fn tell(&self, core: &Core, posted: &Posted, disposition: Disposition, kept: bool) {
        let last = core.view.final_receive(&self.message).filter(|_| !kept);
        core.narrator.delivered(&self.message, posted, disposition, last.as_ref());
        if disposition != Disposition::Delete && posted.outcome != Outcome::Aborted {
            let goes = matches!(disposition, Disposition::Park { .. } | Disposition::Defer { .. });
            core.failing.failed(posted.meaning(), goes && last.is_some());
        }
    }

    /// Says where the message goes if SQS does not hand it out again.
    pub(super) fn last_word(&self, core: &Core, why: &'static str) {
        if let Some(last) = core.view.final_receive(&self.message) {
            core.narrator.given_back(&self.message, why, &last);
        }
    }
}
