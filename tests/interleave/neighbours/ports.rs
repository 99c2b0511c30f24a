//! Stands for the ports: of a queue, what the lease extender calls.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use crate::message::ReceiptHandle;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
pub(crate) type BatchResult = Result<Vec<Result<(), EntryError>>, QueueError>;

pub(crate) trait Queue: Send + Sync + 'static {
    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult>;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) batch: usize,
    pub(crate) longest_visibility: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct VisibilityChange {
    pub(crate) receipt: ReceiptHandle,
    pub(crate) seconds: u32,
}

#[derive(Debug)]
pub(crate) struct EntryError {
    pub(crate) kind: EntryErrorKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EntryErrorKind {
    LeaseLost,
}

impl EntryErrorKind {
    pub(crate) fn fix(&self) -> &'static str {
        ""
    }
}

#[derive(Debug)]
pub(crate) struct QueueError;

impl QueueError {
    /// No answer came.
    pub(crate) fn may_be_carried_out(&self) -> bool {
        true
    }
}
