//! The ledger: every message received is in one stage until it is settled in one way.
//!
//! received = deleted + parked + deferred + released + dead-lettered + abandoned + in progress. One whose
//! lease is dropped unsettled (a bug, a panic, the end of the process) counts as abandoned: SQS hands the message out again
//! by itself. The ledger counts receives: one of a message that is in flight already is settled together with the first.
//! Stage and receives of a message stand in its entry of the lease table.

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

/// A message leaves its stage, and with it so many receives; `None` is abandoned.
pub(super) fn leaves(metrics: &ListenerMetrics, stage: Stage, receives: u32, how: Option<Settled>) {
    metrics.entered(stage, -i64::from(receives));
    let count = u64::from(receives);
    match how {
        Some(Settled::Deleted) => metrics.deleted.inc_by(count),
        Some(Settled::Parked) => metrics.parked.inc_by(count),
        Some(Settled::Deferred(reason)) => metrics.deferred(reason, count),
        Some(Settled::Released(reason)) => metrics.released(reason, count),
        Some(Settled::DeadLettered) => metrics.dead_lettered.inc_by(count),
        None => {
            metrics.abandoned.inc_by(count);
            metrics.panics.inc_by(u64::from(std::thread::panicking()));
        }
    }
}
