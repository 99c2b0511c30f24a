//! One receive, asked for until it is answered: on a FIFO queue one that failed on the way is repeated as it was.
//!
//! Its answer may have been lost when SQS had hidden the messages already, and with them their groups, until the
//! visibility time-out. Under the same attempt id SQS hands them out again, and that counts as no receive. Nothing may
//! be changed for that, neither the number of messages nor their visibility, so the workers reserved for the receive
//! stay so; room at the endpoint is given up meanwhile. When a gate closes or the drain begins it is not repeated, nor
//! when the visibility time-out is over: what was hidden comes back by itself.

use std::time::Duration;

use tokio::time::Instant;

use crate::message::Message;
use crate::pipeline::ports::{QueueError, QueueErrorKind, Receive};
use crate::pipeline::receive::Poller;
use crate::pipeline::wheel::Asked;
use crate::policy::backoff;
use crate::policy::visibility::lease;

/// How long an attempt id is used again; SQS knows it for five minutes.
const ATTEMPT_MAX: Duration = Duration::from_secs(240);

impl Poller {
    /// Receives; what came, and when that was asked for. `before_repeating` gives up what must not wait for an answer.
    /// `None` when the drain did not wait for the answer any longer.
    pub(super) async fn ask(
        &self,
        max: usize,
        wait: Duration,
        mut before_repeating: impl FnMut(),
    ) -> Option<Result<(Vec<Message>, Asked), QueueError>> {
        let core = &self.core;
        let visibility = lease(core.settings.timeout);
        let attempt = core.settings.fifo.then(|| core.attempt());
        let receive = Receive { max, wait, visibility, attempt };
        let first = Instant::now();
        let end = first + visibility.min(ATTEMPT_MAX);
        let mut failures = 0_u32;
        loop {
            let asked = Asked { first, last: Instant::now() };
            let error = match self.ask_once(receive).await? {
                Ok(messages) => return Some(Ok((messages, asked))),
                Err(error) if attempt.is_some() && may_be_lost(error.kind) => error,
                Err(error) => return Some(Err(error)),
            };
            failures += 1;
            let pause = backoff::call(failures, core.unit());
            if Instant::now() + pause >= end {
                return Some(Err(error));
            }
            core.receive_failed(&error);
            before_repeating();
            self.pause(pause).await;
            if core.drain.is_draining() || core.health.has_settle_fault() || !core.gates.are_open() {
                return Some(Err(error));
            }
        }
    }

    async fn ask_once(&self, receive: Receive) -> Option<Result<Vec<Message>, QueueError>> {
        let core = &self.core;
        let _receiving = core.health.receiving(receive.wait);
        tokio::select! {
            biased;
            result = core.queue.receive(receive) => Some(result),
            () = core.drain.receives_end() => {
                core.narrator.receive_cut_off();
                None
            }
        }
    }
}

/// Whether SQS may have carried out a receive that failed so.
fn may_be_lost(kind: QueueErrorKind) -> bool {
    matches!(kind, QueueErrorKind::Network | QueueErrorKind::TimedOut | QueueErrorKind::Server)
}
