//! One connection: what it is doing, since when, and how it is cut.
//!
//! A connection reads a head, serves the request, hands over the answer, and reads the next head once the system has
//! all of the answer to send. A connection can be dropped while it waits for a head, and when its client does not take
//! an answer. It waits only from a read on that found nothing: what came before may be a whole request. The change from
//! head to request and the decision to drop take the same lock, so no request is begun on a dropped connection.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// Cuts one connection; an extension of every request.
#[derive(Clone, Debug)]
pub struct Cut(Arc<Connection>);

impl Cut {
    /// Resets the connection; nothing written from now on reaches the client.
    pub fn now(&self) {
        self.0.reset.store(true, Ordering::Release);
        self.0.cut.cancel();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Reads a request head, or is to read one.
    Head,
    /// The request is being read or answered.
    Request,
    /// The answer is complete, but not yet all sent.
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
    /// Whether the last read found nothing.
    empty: bool,
}

impl State {
    /// Whether it waits for a head that its client has not sent, as far as can be told.
    fn waits(&self) -> bool {
        self.phase == Phase::Head && self.empty
    }
}

/// What the server knows of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    state: Mutex<State>,
    cut: CancellationToken,
    /// Whether what is not yet sent is thrown away at the end.
    reset: AtomicBool,
    /// Told when this connection could be dropped from now on.
    droppable: Arc<Notify>,
}

impl Connection {
    pub(super) fn new(cut: CancellationToken, droppable: Arc<Notify>) -> Self {
        let now = Instant::now();
        let state = State { phase: Phase::Head, since: now, answered: now, empty: false };
        Self { state: Mutex::new(state), cut, reset: AtomicBool::new(false), droppable }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cut(self: &Arc<Self>) -> Cut {
        Cut(Arc::clone(self))
    }

    /// Whether a fault was injected that throws away what is not yet sent.
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

    /// A head is complete. `None` if the connection was dropped before.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Serving> {
        let mut state = self.state();
        if state.phase == Phase::Dropped {
            return None;
        }
        state.phase = Phase::Request;
        state.since = Instant::now();
        Some(Serving(Arc::clone(self)))
    }

    /// The system has everything written so far, to send it.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Answer {
            state.phase = Phase::Head;
            state.since = Instant::now();
            self.tell(state);
        }
    }

    /// A read found nothing, or something.
    pub(super) fn read(&self, nothing: bool) {
        let mut state = self.state();
        if state.empty != nothing {
            state.empty = nothing;
            self.tell(state);
        }
    }

    /// Tells who waits for room, if the connection can be dropped now.
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

    /// Since when the client has not taken a complete answer, if there is one.
    pub(super) fn untaken_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Answer).then_some(state.answered)
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.state().phase == Phase::Dropped
    }

    /// Closes the connection if it waits for a head; whether it did.
    pub(super) fn drop_if_waiting(&self) -> bool {
        self.drop_if(State::waits)
    }

    /// Closes the connection if its client has not taken an answer that was complete at that time; whether it did.
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

    /// When the connection has to have got further.
    pub(super) fn deadline(&self, limits: &Limits) -> Instant {
        let state = self.state();
        match state.phase {
            Phase::Head | Phase::Dropped => state.since + limits.head,
            Phase::Request | Phase::Answer => state.since + limits.request,
        }
    }
}

/// A request is being served until this is dropped.
pub(super) struct Serving(Arc<Connection>);

impl Drop for Serving {
    fn drop(&mut self) {
        let mut state = self.0.state();
        // Dropping is not possible while a request is served.
        state.phase = Phase::Answer;
        state.answered = Instant::now();
        drop(state);
        self.0.droppable.notify_one();
    }
}

/// An answer's body, which keeps its request in service until all of it was handed over.
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
