//! A lease as its message owns it: our right to the message until a time, and the newest receipt handle.
//!
//! Dropping a [`Lease`] ends its extensions, and abandons its message unless that was settled. Before a message is hidden
//! (park, defer, release) its lease is closed: [`Lease::close`] waits for an extension under way. A late extension would
//! overwrite the hiding. A delete does not wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::message::{Message, ReceiptHandle};
use crate::pipeline::lease::table::{Asked, Entry, Grant, LeaseTable, Loss, begins};
use crate::pipeline::ledger::{LedgerEntry, Settled};
use crate::telemetry::labels::Stage;

/// Our right to one message; dropping it stops its extensions.
#[derive(Debug)]
#[must_use]
pub(in crate::pipeline) struct Lease {
    table: Arc<LeaseTable>,
    key: u64,
}

impl Lease {
    /// The lease of a message received just now. `None` when it is in flight already: its lease has the newer handle then,
    /// and counts this receive.
    pub(in crate::pipeline) fn begin(
        table: &Arc<LeaseTable>,
        message: &Message,
        asked: Asked,
    ) -> Option<Self> {
        let expires = begins(asked.last, Instant::now()) + table.length;
        let ceiling = asked.first + table.limits.longest_visibility;
        let grant = Grant { handle: message.receipt.clone(), expires, ceiling };
        let mut state = table.lock();
        let first_before = state.due.first().copied();
        let (key, is_new) = if let Some((key, entry)) = state.in_flight(&message.id) {
            // The message came again, which begins its lease anew.
            (entry.grant, entry.ended, entry.failures) = (grant, None, 0);
            entry.ledger.received_again();
            (key, false)
        } else {
            (state.insert(&message.id, grant, LedgerEntry::new(&table.metrics)), true)
        };
        state.schedule(key, table.next_extension(expires));
        let sooner = state.due.first().copied() != first_before;
        drop(state);
        if sooner {
            table.changed.notify_one();
        }
        is_new.then(|| Self { table: Arc::clone(table), key })
    }

    /// The newest handle of the message.
    pub(in crate::pipeline) fn handle(&self) -> ReceiptHandle {
        self.entry(|entry| entry.grant.handle.clone()).unwrap_or_else(|| ReceiptHandle::new(""))
    }

    /// A delete is sent now: an extension that finds the message gone loses nothing.
    pub(in crate::pipeline) fn deletes(&self) {
        self.entry(|entry| entry.deleting = true);
    }

    /// SQS called the newest handle invalid.
    pub(in crate::pipeline) fn refused(&self) {
        self.entry(|entry| self.table.ends(entry, Loss::Lost));
    }

    /// How much longer SQS lets this receive be hidden.
    pub(in crate::pipeline) fn hideable(&self) -> Duration {
        self.ceiling().saturating_duration_since(Instant::now())
    }

    /// Whether the message is still ours, as far as we know. A lease that is found run out is counted.
    pub(in crate::pipeline) fn is_ours(&self) -> bool {
        let is_ours = |entry: &mut Entry| {
            let is_ours = entry.ended != Some(Loss::Lost) && entry.grant.expires > Instant::now();
            if !is_ours {
                self.table.ends(entry, Loss::Lapsed);
            }
            is_ours
        };
        self.entry(is_ours).unwrap_or(false)
    }

    /// Whether SQS said that the handle is no longer ours.
    pub(in crate::pipeline) fn is_lost(&self) -> bool {
        self.entry(|entry| entry.ended == Some(Loss::Lost)).unwrap_or(true)
    }

    /// When SQS extends the lease no more.
    pub(in crate::pipeline) fn ceiling(&self) -> Instant {
        self.entry(|entry| entry.grant.ceiling).unwrap_or_else(Instant::now)
    }

    /// The message moves on, in the ledger.
    pub(in crate::pipeline) fn enter(&self, stage: Stage) {
        self.entry(|entry| entry.ledger.enter(stage));
    }

    /// The message leaves, in the ledger with every receive of it.
    pub(in crate::pipeline) fn settled(self, how: Settled) {
        let entry = self.table.lock().remove(self.key);
        if let Some(entry) = entry {
            entry.ledger.settled(how);
        }
    }

    /// Ends the extensions before the message is hidden until then. Waits for the answer of one under way, at most for the
    /// timeout of that call.
    pub(in crate::pipeline) async fn close(&self, until: Instant) {
        self.table.lock().close(self.key, until);
        loop {
            let answered = self.table.answered.notified();
            if !self.entry(|entry| entry.extending).unwrap_or(false) {
                return;
            }
            answered.await;
        }
    }

    /// Until then the message of a closed lease is ours to settle.
    pub(in crate::pipeline) fn expires(&self) -> Instant {
        self.entry(|entry| entry.grant.expires).unwrap_or_else(Instant::now)
    }

    /// Whether an extension without an answer may still overwrite what is sent now.
    pub(in crate::pipeline) fn is_uncertain(&self) -> bool {
        self.entry(|entry| entry.uncertain).unwrap_or(true)
    }

    /// Its entry is there for as long as the lease is.
    fn entry<T>(&self, at: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.table.lock().by_key.get_mut(&self.key).map(at)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The guard is gone before the entry is dropped.
        let entry = self.table.lock().remove(self.key);
        drop(entry);
    }
}
