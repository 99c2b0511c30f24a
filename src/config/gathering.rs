//! The rules of the key `batch`: how many messages a POST carries, and how long they are gathered.
//!
//! The limits are those of event source mappings of AWS Lambda. A FIFO queue has batches of ten and no window; more than ten
//! messages need a window. Only some requests have room for several messages.

use std::time::Duration;

use crate::config::file::Listener;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::value;

/// Longest window (AWS Lambda API, `MaximumBatchingWindowInSeconds`).
pub(super) const WINDOW_MAX: Duration = Duration::from_mins(5);
/// Most messages of a POST (AWS Lambda API, `BatchSize` of standard queues).
pub(super) const SIZE_MAX: u32 = 10_000;
/// Most messages of a POST from a FIFO queue, and of one without a window: what one receive brings.
const RECEIVE: usize = 10;
/// Shortest window of batches that one receive does not fill (AWS Lambda API, `BatchSize`).
const WINDOW_OF_MANY: Duration = Duration::from_secs(1);
const CHOICES: &str = "choose `preset: lambda`, `cloudevents: {mode: batched}`, or a `template.body` with `messages`; or \
                       remove `batch`";

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gathering {
    /// Most messages of one POST.
    pub(super) size: usize,
    /// How long they are gathered.
    pub(super) window: Duration,
}

/// How many messages a POST of `listener` carries, and how long they are gathered.
pub(super) fn gathering(listener: &Listener, is_fifo: bool, report: &mut Report) -> Gathering {
    let batch = &listener.batch;
    let size = report.parse(batch.size.as_ref(), |text| value::whole(text, 1, SIZE_MAX)).map(value::size);
    let size = size.unwrap_or(1);
    let window = |text: &str| value::duration(text, Duration::ZERO, WINDOW_MAX);
    let window = report.parse(batch.window.as_ref(), window).unwrap_or_default();
    report.require(batch.window.as_ref(), window_fits(window, size, is_fifo));
    if size > 1 {
        report.require(batch.size.as_ref(), size_fits(size, window, is_fifo));
        report.require(batch.size.as_ref(), carries_several(listener));
    }
    Gathering { size, window }
}

fn window_fits(window: Duration, size: usize, is_fifo: bool) -> Result<(), Fault> {
    if window.is_zero() {
        return Ok(());
    }
    if is_fifo {
        let fault = Fault::new("is not possible with a FIFO queue, whose messages must not wait for others");
        return Err(fault.fix("remove it, or write 0s"));
    }
    if size == 1 {
        return Err(Fault::new("has no effect without a `size` above 1").fix("write `size`, or remove it"));
    }
    Ok(())
}

fn size_fits(size: usize, window: Duration, is_fifo: bool) -> Result<(), Fault> {
    if size <= RECEIVE {
        return Ok(());
    }
    if is_fifo {
        return Err(Fault::new("is too much for a FIFO queue: 10 at most").fix("write 10 or less"));
    }
    if window < WINDOW_OF_MANY {
        let fault = Fault::new("needs a `window` of 1s or more: one receive brings 10 messages at most");
        return Err(fault.fix("write `window: 1s`, or a `size` of 10 or less"));
    }
    Ok(())
}

/// Whether a request of the listener has room for several messages.
fn carries_several(listener: &Listener) -> Result<(), Fault> {
    if listener.claim_check.is_some() {
        let fault = Fault::new(
            "is not allowed beside `claim_check`: each message of a POST could bring an object into memory",
        );
        return Err(fault.fix("remove one of them"));
    }
    let is_batched = |mode: &Written| mode.text.as_deref() == Some("batched");
    let of_events = listener.cloudevents.as_ref();
    let by_hand = |body: &Written| !matches!(body.place, Place::Preset(_));
    let of_templates = listener.template.body.as_ref().is_some_and(by_hand) && listener.algorithm.is_none();
    match of_events {
        Some(events) if !events.mode.as_ref().is_some_and(is_batched) => {
            Err(Fault::new("needs `cloudevents.mode` batched: in other modes a request is one event")
                .fix(CHOICES))
        }
        Some(_) if listener.template.is_written() => {
            Err(Fault::new("is not allowed with `template` and `cloudevents` together")
                .fix("keep one of them"))
        }
        None if listener.lambda.is_none() && !of_templates => {
            Err(Fault::new("is not possible: each request of this listener is one message").fix(CHOICES))
        }
        None if listener.lambda.is_none() && listener.message_headers.is_some() => {
            Err(Fault::new("is not allowed beside `message_headers`, which are of one message")
                .fix("remove one of them"))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
#[path = "gathering_tests.rs"]
mod tests;
