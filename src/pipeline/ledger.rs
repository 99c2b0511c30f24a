//! The ledger: every message received is in one stage until it is settled in one way.
//!
//! received = deleted + parked + deferred + released + dead-lettered + abandoned + in progress. An entry that
//! is dropped unsettled (a bug, a panic, the end of the process) counts as abandoned: SQS hands the message out again by
//! itself. The ledger counts receives. A message that comes again while it is in flight has a second entry. It is settled as
//! the first is.

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

/// The entry of one message in the ledger, or of several receives of it.
#[derive(Debug)]
#[must_use]
pub(super) struct LedgerEntry {
    metrics: Arc<ListenerMetrics>,
    stage: Stage,
    receives: u32,
    settled: bool,
}

impl LedgerEntry {
    /// A message just received.
    pub(super) fn new(metrics: &Arc<ListenerMetrics>) -> Self {
        metrics.entered(Stage::Waiting, 1);
        Self { metrics: Arc::clone(metrics), stage: Stage::Waiting, receives: 1, settled: false }
    }

    /// It moves on.
    pub(super) fn enter(&mut self, stage: Stage) {
        self.metrics.entered(self.stage, -i64::from(self.receives));
        self.metrics.entered(stage, i64::from(self.receives));
        self.stage = stage;
    }

    /// One entry for both from now on.
    pub(super) fn join(&mut self, mut other: Self) {
        other.enter(self.stage);
        self.receives += std::mem::take(&mut other.receives);
        other.settled = true;
    }

    /// It leaves.
    pub(super) fn settled(mut self, how: Settled) {
        let count = u64::from(self.receives);
        match how {
            Settled::Deleted => self.metrics.deleted.inc_by(count),
            Settled::Parked => self.metrics.parked.inc_by(count),
            Settled::Deferred(reason) => self.metrics.deferred(reason, count),
            Settled::Released(reason) => self.metrics.released(reason, count),
            Settled::DeadLettered => self.metrics.dead_lettered.inc_by(count),
        }
        self.settled = true;
    }

    /// It is left to SQS.
    pub(super) fn abandoned(mut self) {
        self.metrics.abandoned.inc_by(u64::from(self.receives));
        self.settled = true;
    }
}

impl Drop for LedgerEntry {
    fn drop(&mut self) {
        self.metrics.entered(self.stage, -i64::from(self.receives));
        if !self.settled {
            self.metrics.abandoned.inc_by(u64::from(self.receives));
            if std::thread::panicking() {
                self.metrics.panics.inc();
            }
        }
    }
}
