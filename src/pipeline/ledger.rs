//! The ledger: every message received is in one stage until it is settled in one way.
//!
//! received = deleted + parked + deferred + released + dead-lettered + abandoned + in progress. An entry that
//! is dropped unsettled (a bug, a panic, the end of the process) counts as abandoned: SQS hands the message out again by
//! itself. The ledger counts receives: one of a message that is in flight already is settled together with the first.

use std::sync::Arc;

use crate::policy::decide::DeferReason;
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::labels::{ReleaseReason, Stage};

/// How a message left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// Deleted, confirmed.
    Deleted,
    /// Hidden after throttling.
    Parked,
    /// Hidden after another failure.
    Deferred(DeferReason),
    /// Released, never attempted.
    Released(ReleaseReason),
    /// Sent to the dead-letter queue by us and deleted.
    DeadLettered,
}

/// The entry of one message in the ledger, for all its receives while it is in flight.
#[derive(Debug)]
#[must_use]
pub(super) struct LedgerEntry {
    metrics: Arc<ListenerMetrics>,
    stage: Stage,
    receives: u32,
}

impl LedgerEntry {
    /// A message just received.
    pub(super) fn new(metrics: &Arc<ListenerMetrics>) -> Self {
        metrics.entered(Stage::Waiting, 1);
        Self { metrics: Arc::clone(metrics), stage: Stage::Waiting, receives: 1 }
    }

    /// It moves on.
    pub(super) fn enter(&mut self, stage: Stage) {
        self.metrics.entered(self.stage, -i64::from(self.receives));
        self.metrics.entered(stage, i64::from(self.receives));
        self.stage = stage;
    }

    /// It was received once more.
    pub(super) fn received_again(&mut self) {
        self.metrics.entered(self.stage, 1);
        self.receives += 1;
    }

    /// It leaves.
    pub(super) fn settled(mut self, how: Settled) {
        let count = self.take();
        match how {
            Settled::Deleted => self.metrics.deleted.inc_by(count),
            Settled::Parked => self.metrics.parked.inc_by(count),
            Settled::Deferred(reason) => self.metrics.deferred(reason, count),
            Settled::Released(reason) => self.metrics.released(reason, count),
            Settled::DeadLettered => self.metrics.dead_lettered.inc_by(count),
        }
    }

    /// Takes its receives out of their stage; how many.
    fn take(&mut self) -> u64 {
        let receives = std::mem::take(&mut self.receives);
        self.metrics.entered(self.stage, -i64::from(receives));
        u64::from(receives)
    }
}

impl Drop for LedgerEntry {
    fn drop(&mut self) {
        let unsettled = self.take();
        self.metrics.abandoned.inc_by(unsettled);
        if unsettled > 0 && std::thread::panicking() {
            self.metrics.panics.inc();
        }
    }
}
