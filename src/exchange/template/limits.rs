//! How much work a template may do, and how much it may print.
//!
//! Steps bound the engine's instructions. One step may read a long text, so long texts are counted too: each time a
//! template takes one out of the message, and once for each round of a loop. What is counted is shared by all templates of
//! a request.

use std::io::{Error, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Longest template, in bytes.
pub(super) const TEMPLATE_BYTES: usize = 64 * 1024;
/// Instructions of the engine that one rendering may take: a tenth of a second.
pub(super) const STEPS: u64 = 1_000_000;
/// Bytes of the message that the templates of one request may go through: less than a second.
pub(super) const WORK_BYTES: u64 = 256 * 1024 * 1024;
/// What a value counts beside its text: taking it out costs as much as reading so many bytes.
pub(super) const ITEM_BYTES: u64 = 64;
/// Longest rendered body: a message of 1 MiB and as much again. Also the longest text that a filter makes.
pub(super) const BODY_BYTES: usize = 2 * 1024 * 1024;
/// Instructions of a rendering of several messages: 400 for each of 10,000.
pub(super) const BATCH_STEPS: u64 = 4_000_000;
/// Longest rendered body of several messages: a POST carries 6 MB of them.
pub(super) const BATCH_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Longest rendered header, path or query. Servers commonly take 8 KiB.
pub(super) const LINE_BYTES: usize = 8 * 1024;
/// Most `~` and `+` in a template: each makes a copy as long as the message.
pub(super) const JOINS: usize = 16;

/// What is left of [`WORK_BYTES`].
#[derive(Debug)]
pub(super) struct Meter {
    left: AtomicU64,
    /// What one round of a loop counts: the longest text in the message.
    pub(super) round: u64,
    /// What one round of a loop counts that is in no other loop.
    pub(super) outer_round: u64,
    /// Whether there was too little left.
    exhausted: AtomicBool,
    /// Whether a number was refused because the parser rounds it.
    rounded: AtomicBool,
}

impl Meter {
    /// A full meter.
    pub(super) fn new(round: usize) -> Self {
        let round = u64::try_from(round).unwrap_or(u64::MAX);
        let (exhausted, rounded) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { left: AtomicU64::new(WORK_BYTES), round, outer_round: round, exhausted, rounded }
    }

    /// A full meter for several messages. A loop in no other loop goes through the messages: no text is at hand there that was
    /// not counted before.
    pub(super) fn of_batch(round: usize) -> Self {
        Self { outer_round: 0, ..Self::new(round) }
    }

    /// Whether there was this much left.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() {
            self.left.store(0, Ordering::Relaxed);
            self.exhausted.store(true, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    /// Records that a number was refused.
    pub(super) fn refuse_number(&self) {
        self.rounded.store(true, Ordering::Relaxed);
    }

    /// Why something was refused since the last call. The engine ignores that in comparisons, and prints `null`.
    pub(super) fn refused(&self) -> Option<String> {
        if self.exhausted.load(Ordering::Relaxed) {
            return Some(format!("goes through more than {} MiB of the message", WORK_BYTES >> 20));
        }
        self.rounded
            .swap(false, Ordering::Relaxed)
            .then(|| "uses a number beyond 64 bits, which would be rounded: send it as text".to_owned())
    }
}

/// Output that ends with an error past a limit.
#[derive(Debug)]
pub(super) struct Limited {
    /// What was written.
    pub(super) bytes: Vec<u8>,
    most: usize,
}

impl Limited {
    /// Empty output of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most }
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.bytes.len().saturating_add(bytes.len()) > self.most {
            return Err(Error::other("too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
