//! The entries of the lease table: one per message in flight, by key, by message id and by the time to extend it.
//!
//! Changes without waiting; of time it asks the runtime's clock alone.
//!
//! A message that comes again while it is in flight gets no second entry. Its visibility lapsed, or SQS handed it out twice.
//! Its entry takes the newer handle, and with it another twelve hours. An answer about the older handle proves nothing then.
//! A lease that is closed takes the newer handle too, unless its message was released: that one may come again before we
//! know.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::message::{MessageId, ReceiptHandle};
use crate::pipeline::ledger::LedgerEntry;

/// Every lease of a listener.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Entries {
    next_key: u64,
    pub(in crate::pipeline) by_key: BTreeMap<u64, Entry>,
    by_id: BTreeMap<MessageId, u64>,
    pub(in crate::pipeline) due: BTreeSet<(Instant, u64)>,
}

/// One lease.
#[derive(Debug)]
pub(in crate::pipeline) struct Entry {
    pub(in crate::pipeline) id: MessageId,
    pub(in crate::pipeline) receipt: Receipt,
    /// When the message may become visible to others.
    pub(in crate::pipeline) expires: Instant,
    /// When SQS extends no more.
    pub(in crate::pipeline) ceiling: Instant,
    pub(in crate::pipeline) due: Option<Instant>,
    pub(in crate::pipeline) extension: Extension,
    pub(in crate::pipeline) standing: Standing,
    /// An extension got no answer and may still take effect.
    pub(in crate::pipeline) uncertain: bool,
    /// Extensions that failed in a row.
    pub(in crate::pipeline) failures: u32,
    /// A delete has been sent.
    pub(in crate::pipeline) deleting: bool,
    /// The message is being hidden until then: no more extensions.
    hidden_until: Option<Instant>,
    pub(in crate::pipeline) ledger: LedgerEntry,
}

/// A receipt handle, and how many copies have lent theirs before it.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Receipt {
    pub(in crate::pipeline) handle: ReceiptHandle,
    pub(in crate::pipeline) version: u32,
}

/// Whether a lease has held so far; counted once when it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Standing {
    /// It has.
    Ours,
    /// It ran out at least once.
    Lapsed,
    /// SQS says the handle is no longer ours.
    Lost,
}

/// How a lease ended before its message was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Loss {
    /// No extension got through in time.
    Lapsed,
    /// SQS extends no further.
    Ceiling,
    /// SQS says the handle is no longer ours.
    Lost,
}

impl Loss {
    /// For the log.
    pub(in crate::pipeline) fn words(self) -> &'static str {
        match self {
            Self::Lapsed => "its lease ran out before SQS extended it",
            Self::Ceiling => "its lease ended with the twelve hours that SQS hides a message",
            Self::Lost => "SQS calls its receipt handle invalid",
        }
    }
}

/// Whether a lease is being extended right now.
#[derive(Debug)]
pub(in crate::pipeline) enum Extension {
    None,
    UnderWay,
    /// And somebody waits for its end to hide the message.
    Awaited(oneshot::Sender<()>),
}

/// From when to when a message is ours, by its latest receive.
#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct Span {
    pub(in crate::pipeline) expires: Instant,
    pub(in crate::pipeline) ceiling: Instant,
    /// When it is to be extended.
    pub(in crate::pipeline) due: Instant,
}

impl Entries {
    /// Takes a lease in; its key.
    pub(in crate::pipeline) fn insert(
        &mut self,
        id: &MessageId,
        handle: &ReceiptHandle,
        span: Span,
        ledger: LedgerEntry,
    ) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        let entry = Entry {
            id: id.clone(),
            receipt: Receipt { handle: handle.clone(), version: 0 },
            expires: span.expires,
            ceiling: span.ceiling,
            due: None,
            extension: Extension::None,
            standing: Standing::Ours,
            uncertain: false,
            failures: 0,
            deleting: false,
            hidden_until: None,
            ledger,
        };
        self.by_key.insert(key, entry);
        self.by_id.insert(id.clone(), key);
        self.schedule(key, span.due);
        key
    }

    /// Gives a newer handle to the lease of the message; whether it is in flight and has one.
    pub(in crate::pipeline) fn adopt(&mut self, id: &MessageId, handle: &ReceiptHandle, span: Span) -> bool {
        let Some(&key) = self.by_id.get(id) else { return false };
        let comes_back = |entry: &&mut Entry| entry.hidden_until.is_some_and(|until| until <= Instant::now());
        let entry = self.by_key.get_mut(&key).filter(|entry| !comes_back(entry));
        let Some(entry) = entry else { return false };
        entry.receipt = Receipt { handle: handle.clone(), version: entry.receipt.version + 1 };
        (entry.expires, entry.ceiling) = (span.expires, span.ceiling);
        (entry.standing, entry.failures) = (Standing::Ours, 0);
        entry.ledger.received_again();
        if matches!(entry.extension, Extension::None) {
            self.schedule(key, span.due);
        }
        true
    }

    /// Sets when a lease is extended next, unless it is closed.
    pub(in crate::pipeline) fn schedule(&mut self, key: u64, due: Instant) {
        let open = self.by_key.get_mut(&key).filter(|entry| entry.hidden_until.is_none());
        let Some(entry) = open else { return };
        if let Some(before) = entry.due.replace(due) {
            self.due.remove(&(before, key));
        }
        self.due.insert((due, key));
    }

    /// Removes a lease.
    pub(in crate::pipeline) fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.by_key.remove(&key)?;
        if self.by_id.get(&entry.id) == Some(&key) {
            self.by_id.remove(&entry.id);
        }
        if let Some(due) = entry.due {
            self.due.remove(&(due, key));
        }
        Some(entry)
    }

    /// Stops the extensions of a lease; how to wait for one under way.
    pub(in crate::pipeline) fn close(&mut self, key: u64, until: Instant) -> Option<oneshot::Receiver<()>> {
        let entry = self.by_key.get_mut(&key)?;
        entry.hidden_until = Some(until);
        if let Some(due) = entry.due.take() {
            self.due.remove(&(due, key));
        }
        if matches!(entry.extension, Extension::None) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        entry.extension = Extension::Awaited(sender);
        Some(receiver)
    }
}

impl Entry {
    /// Notes the end of the lease; the message's id the first time.
    pub(in crate::pipeline) fn ends(&mut self, loss: Loss) -> Option<MessageId> {
        let first = self.standing == Standing::Ours;
        match loss {
            Loss::Lost => self.standing = Standing::Lost,
            Loss::Lapsed | Loss::Ceiling if first => self.standing = Standing::Lapsed,
            Loss::Lapsed | Loss::Ceiling => {}
        }
        first.then(|| self.id.clone())
    }
}
