//! Stands for the metrics: counts what the ledger books, so that scenarios can balance it.

use std::sync::Mutex;

use crate::policy::decide::DeferReason;
use crate::telemetry::labels::{ExtensionResult, ReleaseReason, Stage};

#[derive(Debug, Default)]
pub(crate) struct ListenerMetrics {
    /// Receives in a stage, over all stages.
    pub(crate) in_progress: Counter,
    pub(crate) deleted: Counter,
    pub(crate) parked: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) released: Counter,
    pub(crate) deferred: Counter,
    pub(crate) abandoned: Counter,
    pub(crate) panics: Counter,
    pub(crate) leases_lost: Counter,
}

impl ListenerMetrics {
    pub(crate) fn entered(&self, _stage: Stage, receives: i64) {
        self.in_progress.add(receives);
    }

    pub(crate) fn deferred(&self, _reason: DeferReason, receives: u64) {
        self.deferred.inc_by(receives);
    }

    pub(crate) fn released(&self, _reason: ReleaseReason, receives: u64) {
        self.released.inc_by(receives);
    }

    pub(crate) fn extension(&self, _result: ExtensionResult) {}
}

/// A number that any task changes.
#[derive(Debug, Default)]
pub(crate) struct Counter(Mutex<i64>);

impl Counter {
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn inc_by(&self, by: u64) {
        self.add(i64::try_from(by).unwrap());
    }

    pub(crate) fn get(&self) -> i64 {
        *self.0.lock().unwrap()
    }

    fn add(&self, by: i64) {
        *self.0.lock().unwrap() += by;
    }
}
