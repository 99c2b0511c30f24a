//! The body of an answer that is written bit by bit, for as long as somebody has something to say.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;

/// A body of what comes through the channel. It ends when all senders are dropped. They learn that the client is gone by
/// the channel, which is closed then.
pub fn feed(pieces: mpsc::Receiver<Bytes>) -> Body {
    Body::new(Feed(pieces))
}

struct Feed(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
