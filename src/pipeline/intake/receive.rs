//! One receive. On a FIFO queue one that failed on the way is repeated as it was.
//!
//! Its answer may have been lost when SQS had already hidden the messages, and with them their groups. Under the same
//! attempt id SQS hands them out again, and that counts as no receive. Nothing of the receive may change for that, neither
//! the number of messages nor their visibility. So its slots stay reserved; room at the endpoint is freed meanwhile. It is
//! not repeated when a gate closes, or when the listener is paused or drains. Nor is it after the visibility timeout:
//! hidden messages come back by themselves.

use std::time::Duration;

use tokio::time::Instant;

use crate::message::Message;
use crate::pipeline::admit::Reservation;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::intake::prepare::Prepared;
use crate::pipeline::lease::Asked;
use crate::policy::backoff;
use crate::ports::{QueueError, QueueErrorKind, Receive};

/// What SQS answered, or why it did not. `None`: a gate closed before the receive began, or the drain did not wait for
/// the answer any longer.
pub(super) type Received = Option<Result<(Vec<Message>, Asked), QueueError>>;

/// Receives up to as many messages as there are slots in `prepared`; gives up its room while it has to be repeated.
pub(super) async fn receive(dispatch: &Dispatch, prepared: &mut Prepared, wait: Duration) -> Received {
    let ctx = &dispatch.ctx;
    if !dispatch.admission.gates.let_through(&prepared.reservation.probes) {
        return None;
    }
    let visibility = ctx.settings().lease();
    let attempt = ctx.settings().is_fifo().then(|| ctx.attempt_id());
    let receive = Receive { max: prepared.slots.count(), wait, visibility, attempt };
    let first = Instant::now();
    let end = first + visibility.min(ctx.settings().tuning.intake.repeat_for);
    let may_be_lost = |kind| {
        use QueueErrorKind::{Network, Server, TimedOut};
        receive.attempt.is_some() && matches!(kind, Network | TimedOut | Server)
    };
    let mut failures = 0_u32;
    loop {
        let asked = Asked { first, last: Instant::now() };
        let error = match receive_once(dispatch, receive).await? {
            Ok(messages) => {
                if !messages.is_empty() {
                    // After an idle time the redrive policy may be another one.
                    ctx.drain.unless_draining(ctx.view.recent()).await;
                }
                return Some(Ok((messages, asked)));
            }
            Err(error) if may_be_lost(error.kind) => error,
            Err(error) => return Some(Err(error)),
        };
        failures += 1;
        let pause = backoff::call(failures, ctx.unit());
        if Instant::now() + pause >= end {
            return Some(Err(error));
        }
        ctx.receive_failed(&error);
        dispatch.admission.membership.set_busy(false);
        prepared.reservation = Reservation::default();
        let drains = ctx.drain.unless_draining(tokio::time::sleep(pause)).await.is_none();
        if drains
            || !dispatch.handle.controls().receives()
            || ctx.health.has_settle_fault()
            || !dispatch.admission.gates.are_open()
        {
            return Some(Err(error));
        }
    }
}

async fn receive_once(dispatch: &Dispatch, receive: Receive) -> Option<Result<Vec<Message>, QueueError>> {
    let ctx = &dispatch.ctx;
    let _receiving = ctx.health.receiving(receive.wait);
    tokio::select! {
        biased;
        result = ctx.queue.receive(receive) => Some(result),
        () = ctx.drain.receives_end() => {
            ctx.events.receive_cut_off();
            None
        }
    }
}
