//! Leases: our right to one message, and the newest receipt handle it is exercised with.
//!
//! A [`Lease`] is a value: dropping it takes the message off the wheel ([`crate::pipeline::wheel`]) that extends
//! it. Before a message is hidden (park, defer, release) its lease is closed with [`Lease::close`], which waits for
//! an extension under way: a late extension would overwrite the hiding. A delete does not wait.
//!
//! A message that comes again while it is in the house (its visibility lapsed, or SQS handed it out twice) is not
//! taken in a second time: it lends its newer handle to the lease there is, and with it another twelve hours. What
//! is under way with the older handle proves nothing then; whoever sent it asks [`Lease::receipt`] again. So does
//! a lease that is closed, but for one that has given its message back: that may come again before we know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::message::{MessageId, ReceiptHandle};
use crate::pipeline::in_house::InHouse;
use crate::pipeline::wheel::LeaseWheel;
use crate::telemetry::labels::Stage;

/// Every lease of a wheel.
#[derive(Debug, Default)]
pub(super) struct State {
    next_key: u64,
    pub(super) entries: BTreeMap<u64, Entry>,
    by_id: BTreeMap<MessageId, u64>,
    pub(super) due: BTreeSet<(Instant, u64)>,
}

/// One lease.
#[derive(Debug)]
pub(super) struct Entry {
    id: MessageId,
    pub(super) receipt: Receipt,
    /// When the message may become visible to others.
    pub(super) expires: Instant,
    /// When SQS extends no more.
    pub(super) ceiling: Instant,
    pub(super) due: Option<Instant>,
    pub(super) extension: Extension,
    standing: Standing,
    /// An extension got no answer and may still take effect.
    pub(super) uncertain: bool,
    /// Extensions that failed in a row.
    pub(super) failures: u32,
    /// A delete has been sent.
    pub(super) deleting: bool,
    /// The message is being hidden until then: no more extensions.
    hidden_until: Option<Instant>,
    /// The books of further receives of the message.
    copies: Option<InHouse>,
    /// Where the message is, and with it its copies.
    stage: Stage,
}

/// A receipt handle, and how many copies have lent theirs before it.
#[derive(Debug, Clone)]
pub(super) struct Receipt {
    pub(super) handle: ReceiptHandle,
    pub(super) version: u32,
}

/// Whether a lease has held so far; counted once when it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has.
    Ours,
    /// It ran out at least once.
    Lapsed,
    /// SQS says the handle is no longer ours.
    Lost,
}

/// How a lease ended before its message was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// No extension got through in time.
    Lapsed,
    /// SQS extends no further.
    Ceiling,
    /// SQS says the handle is no longer ours.
    Lost,
}

impl Loss {
    /// For the log.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Lapsed => "its lease ran out before SQS extended it",
            Self::Ceiling => "its lease ended with the twelve hours that SQS hides a message",
            Self::Lost => "SQS calls its receipt handle invalid",
        }
    }
}

/// Whether a lease is being extended right now.
#[derive(Debug)]
pub(super) enum Extension {
    None,
    UnderWay,
    /// And somebody waits for its end to hide the message.
    Awaited(oneshot::Sender<()>),
}

/// From when to when a message is ours, by its latest receive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) expires: Instant,
    pub(super) ceiling: Instant,
    /// When it is to be extended.
    pub(super) due: Instant,
}

impl State {
    /// Takes a lease in; its key.
    pub(super) fn insert(&mut self, id: &MessageId, handle: &ReceiptHandle, span: Span) -> u64 {
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
            copies: None,
            stage: Stage::Waiting,
        };
        self.entries.insert(key, entry);
        self.by_id.insert(id.clone(), key);
        self.schedule(key, span.due);
        key
    }

    /// Gives a newer handle to the lease of the message, if it is in the house; else gives back `books`.
    pub(super) fn adopt(
        &mut self,
        id: &MessageId,
        handle: &ReceiptHandle,
        span: Span,
        mut books: InHouse,
    ) -> Option<InHouse> {
        let Some(&key) = self.by_id.get(id) else { return Some(books) };
        let comes_back = |entry: &&mut Entry| entry.hidden_until.is_some_and(|until| until <= Instant::now());
        let entry = self.entries.get_mut(&key).filter(|entry| !comes_back(entry));
        let Some(entry) = entry else { return Some(books) };
        entry.receipt = Receipt { handle: handle.clone(), version: entry.receipt.version + 1 };
        (entry.expires, entry.ceiling) = (span.expires, span.ceiling);
        (entry.standing, entry.failures) = (Standing::Ours, 0);
        books.enter(entry.stage);
        match &mut entry.copies {
            Some(copies) => copies.join(books),
            None => entry.copies = Some(books),
        }
        if matches!(entry.extension, Extension::None) {
            self.schedule(key, span.due);
        }
        None
    }

    /// Sets when a lease is extended next, unless it is closed.
    pub(super) fn schedule(&mut self, key: u64, due: Instant) {
        let open = self.entries.get_mut(&key).filter(|entry| entry.hidden_until.is_none());
        let Some(entry) = open else { return };
        if let Some(before) = entry.due.replace(due) {
            self.due.remove(&(before, key));
        }
        self.due.insert((due, key));
    }

    /// Takes a lease off the wheel.
    fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        if self.by_id.get(&entry.id) == Some(&key) {
            self.by_id.remove(&entry.id);
        }
        if let Some(due) = entry.due {
            self.due.remove(&(due, key));
        }
        Some(entry)
    }

    /// Stops the extensions of a lease; how to wait for one under way.
    fn close(&mut self, key: u64, until: Instant) -> Option<oneshot::Receiver<()>> {
        let entry = self.entries.get_mut(&key)?;
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
    pub(super) fn ends(&mut self, loss: Loss) -> Option<MessageId> {
        let first = self.standing == Standing::Ours;
        match loss {
            Loss::Lost => self.standing = Standing::Lost,
            Loss::Lapsed | Loss::Ceiling if first => self.standing = Standing::Lapsed,
            Loss::Lapsed | Loss::Ceiling => {}
        }
        first.then(|| self.id.clone())
    }
}

/// Our right to one message; dropping it stops its extensions.
#[derive(Debug)]
#[must_use]
pub(super) struct Lease {
    pub(super) wheel: Arc<LeaseWheel>,
    pub(super) key: u64,
}

/// A lease that is not extended any more, because its message is being hidden.
#[derive(Debug)]
#[must_use]
pub(super) struct Closed(Lease);

impl Lease {
    /// The newest handle of the message.
    pub(super) fn receipt(&self) -> Receipt {
        let gone = || Receipt { handle: ReceiptHandle::new(""), version: 0 };
        self.look(|entry| entry.receipt.clone()).unwrap_or_else(gone)
    }

    /// The newest handle of the message, which is sent to delete it now.
    pub(super) fn deletes_with(&self) -> Receipt {
        if let Some(entry) = self.wheel.lock().entries.get_mut(&self.key) {
            entry.deleting = true;
        }
        self.receipt()
    }

    /// SQS called the newest handle invalid.
    pub(super) fn refused(&self) {
        self.wheel.note(self.key, Loss::Lost);
    }

    /// How much longer SQS lets this receive be hidden.
    pub(super) fn hideable(&self) -> Duration {
        self.ceiling().saturating_duration_since(Instant::now())
    }

    /// Whether the message is still ours, as far as we know. A lease that is found run out is counted.
    pub(super) fn is_ours(&self) -> bool {
        let holds = |entry: &Entry| entry.standing != Standing::Lost && entry.expires > Instant::now();
        let is_ours = self.look(holds).unwrap_or(false);
        if !is_ours {
            self.wheel.note(self.key, Loss::Lapsed);
        }
        is_ours
    }

    /// Whether SQS said that the handle is no longer ours.
    pub(super) fn is_lost(&self) -> bool {
        self.look(|entry| entry.standing == Standing::Lost).unwrap_or(true)
    }

    /// When SQS extends the lease no more.
    pub(super) fn ceiling(&self) -> Instant {
        self.look(|entry| entry.ceiling).unwrap_or_else(Instant::now)
    }

    /// The message moves on, and with it the books of its copies.
    pub(super) fn enter(&self, stage: Stage) {
        if let Some(entry) = self.wheel.lock().entries.get_mut(&self.key) {
            entry.stage = stage;
            if let Some(copies) = &mut entry.copies {
                copies.enter(stage);
            }
        }
    }

    /// The books of further receives of the message; settled like the first.
    pub(super) fn take_copies(&self) -> Option<InHouse> {
        self.wheel.lock().entries.get_mut(&self.key)?.copies.take()
    }

    /// Ends the extensions before the message is hidden until then, after one under way has been answered (within the
    /// time-out of that call).
    pub(super) async fn close(self, until: Instant) -> Closed {
        let waiting = self.wheel.lock().close(self.key, until);
        if let Some(waiting) = waiting {
            // The wheel answers, or has ended and extends nothing any more.
            waiting.await.ok();
        }
        Closed(self)
    }

    /// The entry is there for as long as the lease is.
    fn look<T>(&self, at: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.wheel.lock().entries.get(&self.key).map(at)
    }
}

impl Closed {
    /// Until then the message is ours to settle.
    pub(super) fn expires(&self) -> Instant {
        self.0.look(|entry| entry.expires).unwrap_or_else(Instant::now)
    }

    /// Whether an extension without an answer may still overwrite what is sent now.
    pub(super) fn is_uncertain(&self) -> bool {
        self.0.look(|entry| entry.uncertain).unwrap_or(true)
    }

    /// The lease that was closed.
    pub(super) fn lease(&self) -> &Lease {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let entry = self.wheel.lock().remove(self.key);
        if let Some(copies) = entry.and_then(|entry| entry.copies) {
            copies.abandoned();
        }
    }
}
