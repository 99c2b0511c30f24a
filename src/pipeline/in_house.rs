//! The books: every message received is in one stage until it is settled in one way.
//!
//! received = deleted + parked + deferred + released + dead-lettered + abandoned + in progress. An entry that
//! is dropped unsettled (a bug, a panic, the end of the process) counts as abandoned: SQS will hand the message
//! out again by itself.

use std::sync::Arc;

use crate::policy::decide::DeferReason;
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::labels::{ReleaseReason, Stage};

/// How a message left the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// Deleted, confirmed.
    Deleted,
    /// Hidden after throttling.
    Parked,
    /// Hidden after another failure.
    Deferred(DeferReason),
    /// Given back, never attempted.
    Released(ReleaseReason),
    /// Sent to the dead-letter queue by us and deleted.
    DeadLettered,
}

/// One message's entry in the books.
#[derive(Debug)]
#[must_use]
pub(super) struct InHouse {
    metrics: Arc<ListenerMetrics>,
    stage: Stage,
    settled: bool,
}

impl InHouse {
    /// A message just received.
    pub(super) fn new(metrics: &Arc<ListenerMetrics>) -> Self {
        metrics.entered(Stage::Waiting);
        Self { metrics: Arc::clone(metrics), stage: Stage::Waiting, settled: false }
    }

    /// It moves on.
    pub(super) fn enter(&mut self, stage: Stage) {
        self.metrics.left(self.stage);
        self.metrics.entered(stage);
        self.stage = stage;
    }

    /// It leaves.
    pub(super) fn settled(mut self, how: Settled) {
        match how {
            Settled::Deleted => self.metrics.deleted.inc(),
            Settled::Parked => self.metrics.parked.inc(),
            Settled::Deferred(reason) => self.metrics.deferred(reason),
            Settled::Released(reason) => self.metrics.released(reason),
            Settled::DeadLettered => self.metrics.dead_lettered.inc(),
        }
        self.settled = true;
    }
}

impl Drop for InHouse {
    fn drop(&mut self) {
        self.metrics.left(self.stage);
        if !self.settled {
            self.metrics.abandoned.inc();
            if std::thread::panicking() {
                self.metrics.panics.inc();
            }
        }
    }
}
