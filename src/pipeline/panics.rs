//! Panics are bugs. Here one ends what it was in, and not what stands around that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// What `work` comes to; `None` when it panics. Whatever it has borrowed may be left half changed then.
///
/// # Cancel safety
/// Dropping the future drops `work`.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        Err(_panicked) => Poll::Ready(None),
    })
    .await
}
