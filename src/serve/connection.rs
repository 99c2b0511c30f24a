//! One connection: what it is doing, since when, and how it is cut.
//!
//! A connection reads a head, serves the request, hands over the answer, and reads the next head once the client took
//! the answer. Dropping is possible only while a head is read: the change from head to request and the decision to drop
//! take the same lock, so no request is begun on a dropped connection.

use std::pin::Pin;
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
pub struct Cut(CancellationToken);

impl Cut {
    /// Resets the connection; nothing written from now on reaches the client.
    pub fn now(&self) {
        self.0.cancel();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for a request, or for the rest of its head.
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
}

/// What the server knows of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    state: Mutex<State>,
    cut: CancellationToken,
    /// Told when this connection could be dropped from now on.
    droppable: Arc<Notify>,
}

impl Connection {
    pub(super) fn new(cut: CancellationToken, droppable: Arc<Notify>) -> Self {
        let state = State { phase: Phase::Head, since: Instant::now() };
        Self { state: Mutex::new(state), cut, droppable }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment, so a panic leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cut(&self) -> Cut {
        Cut(self.cut.clone())
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
        *state = State { phase: Phase::Request, since: Instant::now() };
        Some(Serving(Arc::clone(self)))
    }

    /// Everything written so far was sent.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Answer {
            *state = State { phase: Phase::Head, since: Instant::now() };
            drop(state);
            self.droppable.notify_one();
        }
    }

    /// Since when the connection waits for a head, if it does.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Head).then_some(state.since)
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.state().phase == Phase::Dropped
    }

    /// Closes the connection if it waits for a head; whether it did.
    pub(super) fn drop_if_waiting(&self) -> bool {
        let mut state = self.state();
        if state.phase != Phase::Head {
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
        self.0.state().phase = Phase::Answer;
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
