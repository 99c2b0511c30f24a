//! Claim checks whose object cannot be fetched although the message is not to blame: S3 is down, or denies.
//!
//! Such a message is held under its lease and fetched again, so that no outage of S3 spends its receives. It waits for S3
//! and not for the endpoint: its slot, room and probe are others' meanwhile. So messages with a body of their own flow on,
//! although SQS hands them out between claim checks. What is held so is a pointer, and small: [`ASIDE_BYTES_MAX`].
//!
//! Some keep their slot: long ones, those past [`ASIDE_MAX`], and those whose FIFO group waits behind them. Once these
//! have all slots nothing is received: that costs no receives either.
//!
//! A few are fetched again at a time, one for every two workers. Each has a *place* then, until it has left or failed again.
//! This bounds the memory for objects: one for each slot and for each place.
//!
//! While S3 does not answer, a newcomer is held without a fetch: a fetch could take its slot for a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::limit::{SetAside, Slot};
use crate::message::Message;
use crate::pipeline::claim_checks::ClaimChecks;
use crate::policy::backoff;

/// Claim checks that a listener holds beside its slots at most.
const ASIDE_MAX: usize = 1_000;
/// Longest body with attributes of such a claim check, in bytes: with [`ASIDE_MAX`] it makes 16 MB.
const ASIDE_BYTES_MAX: usize = 16 * 1024;
/// First pause before an object is fetched again; doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How claim checks are redeemed, and room for those that are held.
pub(in crate::pipeline) struct Redeemer {
    pub(in crate::pipeline) settings: ClaimChecks,
    aside: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Whether S3 did not answer last.
    silent: AtomicBool,
}

impl Redeemer {
    /// For a listener with so many workers.
    pub(in crate::pipeline) fn new(settings: ClaimChecks, workers: usize) -> Self {
        let places = Semaphore::new(ClaimChecks::places(workers));
        let aside = Semaphore::new(ASIDE_MAX);
        Self { settings, aside: Arc::new(aside), places: Arc::new(places), silent: AtomicBool::new(false) }
    }

    /// S3 has answered a fetch, or has not.
    pub(super) fn heard(&self, answer: bool) {
        self.silent.store(!answer, Ordering::Relaxed);
    }

    /// Whether a newcomer is held without a fetch: S3 did not answer last, and those that are held find out when it does.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Gives this slot to others.
    fn set_aside(&self, slot: &Arc<Slot>) -> Option<Aside> {
        let held = Arc::clone(&self.aside).try_acquire_owned().ok()?;
        Some(Aside { _slot: SetAside::new(slot), _held: held })
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

/// Whether a claim check may be held without its slot.
pub(super) fn needs_no_slot(message: &Message, slot: &Arc<Slot>) -> bool {
    message.bytes() <= ASIDE_BYTES_MAX && Arc::strong_count(slot) == 1
}

/// The slot that a delivery has given to others, until this is dropped.
#[derive(Debug)]
struct Aside {
    _slot: SetAside,
    _held: OwnedSemaphorePermit,
}

/// What the claim checks of a delivery have been through, and what they have instead of slots.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Fetches {
    /// When an object could not be fetched for the first time.
    since: Option<Instant>,
    pauses: u32,
    aside: Option<Aside>,
    place: Option<OwnedSemaphorePermit>,
    /// No place came in time.
    is_over: bool,
}

impl Fetches {
    /// Whether an object could not be fetched.
    pub(super) fn have_failed(&self) -> bool {
        self.since.is_some()
    }

    /// How long the messages have been held for their objects; for ever if no place came in time.
    pub(super) fn held(&self) -> Duration {
        let since = self.since.map(|since| since.elapsed()).unwrap_or_default();
        if self.is_over { Duration::MAX } else { since }
    }

    /// Whether another fetch would have no place, and so no bound on memory.
    pub(super) fn are_over(&self) -> bool {
        self.is_over
    }

    /// The bodies are there: the messages have their slots again.
    pub(super) fn end(&mut self) {
        self.aside = None;
    }

    /// Waits for the next fetch: a pause, and a place where this slot is others' meanwhile. The wait ends when they were held for
    /// `longest`, or at `last_start`, in any case. `unit` is jitter, in `[0, 1)`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the messages held.
    pub(super) async fn next(
        &mut self,
        redeemer: &Redeemer,
        slot: Option<&Arc<Slot>>,
        (longest, last_start): (Duration, Instant),
        unit: f64,
    ) {
        let now = Instant::now();
        let end = (*self.since.get_or_insert(now) + longest).min(last_start);
        let pause = backoff::doubled(PAUSE, self.pauses, PAUSE_MAX).mul_f64(0.8 + 0.4 * unit);
        self.pauses += 1;
        self.place = None;
        if let (None, Some(slot)) = (&self.aside, slot) {
            self.aside = redeemer.set_aside(slot);
        }
        let needs_place = self.aside.is_some();
        let place = async {
            tokio::time::sleep_until(now + pause).await;
            if needs_place { redeemer.place().await } else { None }
        };
        self.place = tokio::time::timeout_at(end, place).await.ok().flatten();
        self.is_over = needs_place && self.place.is_none();
    }
}
