//! One connection: its phase, since when, and how it is closed early.
//!
//! A connection reads a head, serves the request and writes the answer. Once the system has accepted the
//! whole answer, it reads the next head. A connection can be dropped while it waits for a head, and when its
//! client does not read an answer.
//! It counts as waiting only from a read that found nothing, because earlier bytes may be a whole request.
//! The change from head to request and the decision to drop use the same lock. So no request starts on a
//! dropped connection.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// Cuts one connection, or lets its answer take longer; an extension of every request.
#[derive(Clone, Debug)]
pub struct Cut(Arc<Connection>);

impl Cut {
    /// Resets the connection; nothing written from now on reaches the client.
    pub fn now(&self) {
        self.0.reset.store(true, Ordering::Release);
        self.0.cut.cancel();
    }

    /// Lets the answer to the present request take so much longer than [`Limits::request`].
    pub fn allow(&self, more: Duration) {
        self.0.state().more = more;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The connection reads a request head, or will read one.
    Head,
    /// The request is being read or answered.
    Request,
    /// The answer is complete, but the system has not accepted all of it.
    Answer,
    /// Closed to make room for another connection.
    Dropped,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Start of the head or of the request.
    since: Instant,
    /// When the last answer was complete.
    answered: Instant,
    /// Time for the request beyond the limit of all.
    more: Duration,
    /// Whether the last read found nothing.
    empty: bool,
}

impl State {
    /// Whether the connection waits for a head, as far as the server can know.
    fn waits(&self) -> bool {
        self.phase == Phase::Head && self.empty
    }
}

/// What the server knows of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    state: Mutex<State>,
    cut: CancellationToken,
    /// Whether unsent bytes are discarded at the close.
    reset: AtomicBool,
    /// Notified when this connection could be dropped from now on.
    droppable: Arc<Notify>,
}

impl Connection {
    pub(super) fn new(cut: CancellationToken, droppable: Arc<Notify>) -> Self {
        let now = Instant::now();
        let state =
            State { phase: Phase::Head, since: now, answered: now, more: Duration::ZERO, empty: false };
        Self { state: Mutex::new(state), cut, reset: AtomicBool::new(false), droppable }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cut(self: &Arc<Self>) -> Cut {
        Cut(Arc::clone(self))
    }

    /// Whether an injected fault discards the unsent bytes.
    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Completes when the connection is cut.
    pub(super) async fn until_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Records that a head is complete. `None` if the connection was dropped before.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Serving> {
        let mut state = self.state();
        if state.phase == Phase::Dropped {
            return None;
        }
        state.phase = Phase::Request;
        state.since = Instant::now();
        state.more = Duration::ZERO;
        Some(Serving(Arc::clone(self)))
    }

    /// Records that the system has accepted all written bytes.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Answer {
            state.phase = Phase::Head;
            state.since = Instant::now();
            self.tell(state);
        }
    }

    /// Records whether a read found bytes.
    pub(super) fn read(&self, nothing: bool) {
        let mut state = self.state();
        if state.empty != nothing {
            state.empty = nothing;
            self.tell(state);
        }
    }

    /// Notifies the acceptor that waits for room, if the connection can be dropped now.
    fn tell(&self, state: MutexGuard<'_, State>) {
        let waits = state.waits();
        drop(state);
        if waits {
            self.droppable.notify_one();
        }
    }

    /// Since when the connection waits for a head, if it does.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        state.waits().then_some(state.since)
    }

    /// Since when the client has not read a complete answer, if there is one.
    pub(super) fn untaken_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Answer).then_some(state.answered)
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.state().phase == Phase::Dropped
    }

    /// Closes the connection if it waits for a head; returns whether it did.
    pub(super) fn drop_if_waiting(&self) -> bool {
        self.drop_if(State::waits)
    }

    /// Closes the connection if its client has not read an answer complete at that time; returns whether it
    /// did.
    pub(super) fn drop_if_untaken(&self, since: Instant) -> bool {
        self.drop_if(|state| state.phase == Phase::Answer && state.answered <= since)
    }

    fn drop_if(&self, may: impl FnOnce(&State) -> bool) -> bool {
        let mut state = self.state();
        if !may(&state) {
            return false;
        }
        state.phase = Phase::Dropped;
        drop(state);
        self.cut.cancel();
        true
    }

    /// When the present phase must have ended.
    pub(super) fn deadline(&self, limits: &Limits) -> Instant {
        let state = self.state();
        match state.phase {
            Phase::Head | Phase::Dropped => state.since + limits.head,
            Phase::Request | Phase::Answer => state.since + limits.request + state.more,
        }
    }
}

/// A request is being served until this value is dropped.
pub(super) struct Serving(Arc<Connection>);

impl Drop for Serving {
    fn drop(&mut self) {
        let mut state = self.0.state();
        // A connection cannot be dropped while it serves a request.
        state.phase = Phase::Answer;
        state.answered = Instant::now();
        drop(state);
        self.0.droppable.notify_one();
    }
}

/// The body of an answer; its request stays in service until the whole body was written.
pub(super) struct Answer {
    body: Body,
    _serving: Serving,
}

impl Answer {
    pub(super) fn new(body: Body, serving: Serving) -> Self {
        Self { body, _serving: serving }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
