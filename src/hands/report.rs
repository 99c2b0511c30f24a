//! Who is told how a piece of work goes while it goes.

use crate::ports::QueueError;

/// Is told how a piece of work goes.
pub trait Report: Send {
    /// A line for people; what is from outside in it is escaped.
    fn say(&mut self, words: &str);

    /// A call to a queue failed, and the work goes on or ends with it.
    fn fail(&mut self, error: &QueueError);

    /// Messages are moved from here on, about so many; `by_hand` or by a task of SQS.
    fn begin(&mut self, by_hand: bool, total: u64);

    /// So many were moved so far, and so many could not be.
    fn count(&mut self, moved: u64, failed: u64);

    /// The message `old` was sent as `new`.
    fn moved(&mut self, new: &str, old: &str);
}
